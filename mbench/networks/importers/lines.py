"""Lines (N, C, W) between convolutions of one dimension, as the images of one row that those convolutions compute on.

A front end writes such a convolution as one of an image, with a reshape before and behind it. What stands between two
of them then works on lines, so that no BatchNorm folds and each reshape moves data. Here it works on the image.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mbench.networks import graph as graphs
from mbench.networks import operations
from mbench.networks.graph import Graph, Node, TensorType
from mbench.networks.operation_shapes import Attributes

_LINE, _IMAGE = 3, 4
_ROW = 2
"""The axis of an image of one row that a line has not."""


def as_images(graph: Graph, parameters: Mapping[str, np.ndarray]) -> tuple[Graph, dict[str, np.ndarray]]:
    """Return a graph that computes on images of one row what it can, and its parameters; the same without lines."""
    if not any(_is_row(graph, node) for node in graph.nodes):
        return graph, dict(parameters)
    rewriter = _ToImages(graph, parameters)
    changed = rewriter.run()
    return changed, {name: rewriter.parameters[name] for name in changed.parameters}


def _is_row(graph: Graph, node: Node) -> bool:
    """Return whether a node makes a line of an image of one row."""
    if node.op != "reshape" or len(node.shape) != _LINE:
        return False
    return graph.shape(node.inputs[0]) == _with_row(node.shape)


def _with_row(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape with the row of an image before its last axis, where it has others."""
    return (*shape[:-1], 1, shape[-1]) if len(shape) > 1 else shape


class _ToImages:
    def __init__(self, graph: Graph, parameters: Mapping[str, np.ndarray]) -> None:
        self.parameters = dict(parameters)
        self._graph = graph
        self._images: dict[str, str] = {}
        """A line, by its name in the graph before → the image of it in the graph that is made."""
        self._names: dict[str, str] = {}
        """Other values that have another name there: an image that is made of a line again is the image of before."""
        self._taken = {*graph.inputs, *graph.parameters, *graph.by_name}
        self._nodes: list[Node] = []

    def run(self) -> Graph:
        graph = self._graph
        for node in graph.nodes:
            if node.op == "reshape" and node.inputs[0] in self._images and node.shape == self._image_shape(node):
                self._names[node.name] = self._images[node.inputs[0]]
                continue
            attributes = self._on_image(node)
            if attributes is None:
                self._nodes.append(self._renamed(node))
                if _is_row(graph, node):
                    self._images[node.name] = self._nodes[-1].inputs[0]
                elif node.op == "reshape" and node.shape == self._image_shape(node) and len(node.shape) == _IMAGE:
                    self._images[node.inputs[0]] = node.name  # of a line that the network is given, too
            else:
                self._convert(node, attributes)
        outputs = tuple(self._names.get(name, name) for name in graph.outputs)
        types = {name: TensorType.of(array) for name, array in self.parameters.items()}
        return graphs.needed(graph.inputs, {**types, **graph.parameters}, self._nodes, outputs)

    def _image_shape(self, node: Node) -> tuple[int, ...]:
        return _with_row(self._graph.shape(node.inputs[0]))

    def _renamed(self, node: Node) -> Node:
        return dataclasses.replace(node, inputs=tuple(self._names.get(name, name) for name in node.inputs))

    def _on_image(self, node: Node) -> Attributes | None:
        """Return the attributes of a node that does the same on images; None where it stays as it is."""
        operands = self._graph.operands(node)
        if not operands or any(name not in self._images for name in operands):
            return None
        if operations.is_elementwise(node.op) or node.op == "batch_norm":
            return node.attributes if len(node.shape) == _LINE else None
        change = _ON_IMAGES.get(node.op)
        return None if change is None else change(node.attributes)

    def _convert(self, node: Node, attributes: Attributes) -> None:
        """Add what computes a node's value on images, and what makes a line of it for others."""
        inputs = tuple(self._images[name] if name in self._images else self._wider(name) for name in node.inputs)
        if len(node.shape) != _LINE:  # a reduction that leaves no line
            self._nodes.append(dataclasses.replace(node, inputs=inputs, attributes=attributes))
            return
        is_output = node.name in self._graph.outputs
        image = self._fresh(f"{node.name}.image") if is_output else node.name
        line = node.name if is_output else self._fresh(f"{node.name}.line")
        shape = _with_row(node.shape)
        self._nodes.append(
            dataclasses.replace(node, name=image, inputs=inputs, shape=shape, attributes=dict(attributes))
        )
        view: dict[str, Any] = {"op": "reshape", "inputs": (image,), "attributes": {"shape": node.shape}}
        self._nodes.append(dataclasses.replace(node, name=line, **view))
        self._images[node.name] = image
        self._names[node.name] = line

    def _wider(self, name: str) -> str:
        """Return a parameter as images read it: what broadcasts along the last axis alone is the same."""
        array = self.parameters[name]
        if array.ndim < 2:
            return name
        wide = self._fresh(f"{name}.image")
        self.parameters[wide] = array.reshape(_with_row(array.shape))
        return wide

    def _fresh(self, wanted: str) -> str:
        name = graphs.free_name(wanted, self._taken)
        self._taken.add(name)
        return name


def _along(attributes: Attributes) -> Attributes:
    """Return attributes whose axis is counted in an image."""
    axis = attributes["axis"] % _LINE
    return {**attributes, "axis": axis + (axis >= _ROW)}


def _reduced(attributes: Attributes) -> Attributes | None:
    """Return the attributes of a reduction along the line: one over the whole image."""
    axes = tuple(axis % _LINE for axis in attributes["axes"])
    return {**attributes, "axes": (_ROW, _ROW + 1)} if axes == (_ROW,) else None


def _padded(attributes: Attributes) -> Attributes:
    first, second, last = attributes["widths"]
    return {**attributes, "widths": (first, second, (0, 0), last)}


_ON_IMAGES: dict[str, Callable[[Attributes], Attributes | None]] = {
    **dict.fromkeys(("softmax", "concat", "slice"), _along),
    **{f"reduce_{how}": _reduced for how in ("mean", "sum", "max", "min", "prod")},
    "pad": _padded,
}
"""Operations that do on images what they do on lines, with what becomes of their attributes."""
