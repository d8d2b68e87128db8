"""The layers of a network, as it is measured: one for each kernel, with its operation, shapes and costs. No torch.

A layer has the name of its anchor: the convolution, product or pool that does its work. What follows it element by
element (activations, the sum with a residual) is part of it, and so is a prologue (squeeze-excite's multiplication).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator
from typing import Any

from mbench.core import dtypes
from mbench.networks import kernels, operations
from mbench.networks.graph import Graph, Node

_CONVOLUTIONS = ("conv2d", "conv2d_transpose")
_WEIGHTED = (*_CONVOLUTIONS, "linear")
_FUSED = {
    ("pointwise_conv2d", "depthwise_conv2d", "pointwise_conv2d"): "inverted_residual",
    ("depthwise_conv2d", "pointwise_conv2d"): "depthwise_separable",
    ("pointwise_conv2d", "depthwise_conv2d"): "expand_depthwise",
}
_POOLS = ("max_pool2d", "avg_pool2d", "global_avg_pool", "sum_pool2d", "global_sum_pool")
_REDUCTIONS = ("reduce_mean", "reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "argmax", "argmin")
_NAMES = {
    "linear": "dense",
    "conv2d_transpose": "transposed_conv2d",
    "resize2d": "resize",
    **dict.fromkeys(_POOLS, "pool"),
    **dict.fromkeys(("reshape", "permute", "rearrange"), "transpose"),
    **dict.fromkeys(("instance_norm", "group_norm", "lrn"), "norm"),
    **dict.fromkeys(_REDUCTIONS, "reduce"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerSpec:
    """One layer: what it computes, and what that costs by its shapes alone.

    Shapes are as people have them: images are (N, C, H, W).
    """

    name: str
    block: str | None
    role: str
    """See `networks.graph.Node`."""
    inputs: tuple[str, ...] = ()
    """Names of the layers whose outputs it reads; none: it reads the network's input."""
    op: str
    """`conv2d`, `depthwise_conv2d`, `pointwise_conv2d`, `grouped_conv2d`, `transposed_conv2d`, `dense`, `matmul`,
    `pool`, `softmax`, `layer_norm`, `norm`, `resize`, `reduce`, `elementwise`, `transpose`, `concat`, `slice`, `pad`,
    `gather`, `expand`; of a kernel that is fused of several, `inverted_residual`, `depthwise_separable` or
    `expand_depthwise`."""
    contains: tuple[str, ...] = ()
    """Names of the layers that it would be were its kernel not fused of theirs, in order; of a prologue too."""
    operations: tuple[str, ...]
    """All that its kernel computes, as the graph names it, in order."""
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    kernel_size: tuple[int, ...] | None = None
    stride: tuple[int, ...] | None = None
    groups: int | None = None
    macs: int = 0
    params: int = 0
    """Weights of convolutions and of fully connected layers, without biases."""
    known_params: int = 0
    """Of these, those that an earlier layer reads as well: a module that is called several times has them once."""
    biases: int = 0
    """Every other parameter, once BatchNorm is folded."""
    parameter_bytes: int | None = None
    """Of all parameters, where they are quantised: they have types of their own."""
    activation_elements: int = 0
    """Of all values of the network's type that it reads or gives, each once."""
    other_bytes: int = 0
    """Of those of other types, such as places and masks."""
    source_names: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    """What else decides what it computes, where shapes, strides and groups do not say it: `conv2d dilation (2, 2)`."""


def of_graph(graph: Graph, groups: tuple[kernels.Group, ...] | None = None) -> tuple[LayerSpec, ...]:
    """Return the layers of a folded graph in an order of execution: one for each group, those of `kernels.groups`."""
    found = kernels.groups(graph) if groups is None else groups
    read = kernels.sources(graph, found)
    names = {group: group.name for group in found}
    known, own = set[str](), _own_type(graph)
    return tuple(
        _layer(graph, group, tuple(names[each] for each in read[group]), known, own) for group in found if group.nodes
    )


def _layer(graph: Graph, group: kernels.Group, inputs: tuple[str, ...], known: set[str], own: str) -> LayerSpec:
    """Return the layer of a group, and add its weights to those that are `known` of earlier layers.

    `own`: the type of the network's floating-point values.
    """
    anchor, nodes = group.anchor, (*group.nodes, *group.views)
    constants = dict.fromkeys(name for node in nodes for name in graph.constants(node))
    weights = {node.inputs[1] for node in nodes if node.op in _WEIGHTED and node.inputs[1] in constants}
    repeated = weights & known
    known |= weights
    operands = [name for name in group.reads if name not in graph.parameters]
    values = [graph.type_of(name) for name in (*operands, group.output.name)]
    op, image = kind(graph, anchor), graph.shape(operands[0]) if operands else anchor.shape
    if group.stages and not group.fused_name:  # what its prologue reads first may be a gate
        image = graph.shape(anchor.inputs[0])
    if group.fused_name:  # its window is that of the convolution that has one
        op = _FUSED[tuple(kind(graph, stage.anchor) for stage in group.stages)]
        anchor = max((stage.anchor for stage in group.stages), key=lambda node: math.prod(_window(graph, node)))
    convolves = anchor.op in _CONVOLUTIONS
    return LayerSpec(
        name=group.name,
        block=anchor.block,
        role="fused" if group.fused_name else anchor.role,
        inputs=inputs,
        contains=tuple(stage.name for stage in group.stages),
        op=op,
        operations=tuple(node.op for node in nodes),
        input_shape=image or (1,),
        output_shape=(group.nodes[-1] if convolves else group.output).shape or (1,),
        kernel_size=_window(graph, anchor) if convolves or anchor.op in _POOLS else None,
        stride=tuple(anchor.attributes["strides"]) if convolves else None,
        groups=anchor.attributes["groups"] if convolves else None,
        macs=sum(macs(graph, node) for node in nodes),
        params=sum(math.prod(graph.shape(name)) for name in weights),
        known_params=sum(math.prod(graph.shape(name)) for name in repeated),
        biases=sum(math.prod(graph.shape(name)) for name in constants if name not in weights),
        parameter_bytes=_bytes(graph, constants)
        if any(node.op in operations.ONLY_QUANTIZED for node in nodes)
        else None,
        activation_elements=sum(math.prod(each.shape) for each in values if each.dtype == own),
        other_bytes=sum(math.prod(each.shape) * dtypes.width(each.dtype) for each in values if each.dtype != own),
        source_names=tuple(dict.fromkeys(name for node in nodes for name in node.source_names)),
        settings=tuple(each for node in nodes for each in _settings(graph, node)),
    )


def _own_type(graph: Graph) -> str:
    """Return the type of a network's floating-point values: the narrowest that any has. Only ends may have another."""
    found = {node.dtype for node in graph.nodes}
    return min((name for name in dtypes.FLOATS if name in found), key=dtypes.width, default=dtypes.DEFAULT)


_SAID = {
    **dict.fromkeys(_CONVOLUTIONS, ("strides", "groups")),
    **dict.fromkeys(_POOLS, ("kernel",)),
    **dict.fromkeys(("reshape", "expand"), ("shape",)),
    "rearrange": ("parts", "shape"),
    "resize2d": ("size",),
}
"""Attributes that a layer's shapes and fields say, or that hold the batch."""


def _settings(graph: Graph, node: Node) -> Iterator[str]:
    """Yield the attributes that only a node has; of a convolution, none where it pads by half of its kernel."""
    usual: dict[str, Any] = {}
    if node.op == "conv2d":
        half = tuple((side - 1) // 2 for side in graph.shape(node.inputs[1])[2:])
        usual = {"padding": (*half, *half), "dilation": (1, 1)}
    for name, value in node.attributes.items():
        plain = value.item() if hasattr(value, "item") else value
        of_the_run = name == "to" and plain in dtypes.FLOATS
        if name not in _SAID.get(node.op, ()) and not of_the_run and usual.get(name, ...) != plain:
            yield f"{node.op} {name} {plain}"


def _bytes(graph: Graph, names: Iterable[str]) -> int:
    types = map(graph.type_of, names)
    return sum(math.prod(each.shape) * dtypes.width(each.dtype) for each in types)


def macs(graph: Graph, node: Node) -> int:
    """Return the multiply-adds of a node, those on padding included."""
    return operations.of(node.op).macs(tuple(graph.shape(name) for name in node.inputs), node.shape)


def kind(graph: Graph, node: Node) -> str:
    """Return what a layer is called by its anchor: as its operation, but for the kinds of convolutions."""
    if node.op == "conv2d":
        image, weight = graph.shape(node.inputs[0]), graph.shape(node.inputs[1])
        groups = node.attributes["groups"]
        if groups == image[1] > 1:
            return "depthwise_conv2d"
        if groups > 1:
            return "grouped_conv2d"
        plain = weight[2:] == (1, 1) and tuple(node.attributes["strides"]) == (1, 1)
        return "pointwise_conv2d" if plain else "conv2d"
    if operations.is_elementwise(node.op):
        return "elementwise"
    return _NAMES.get(node.op, node.op)


def is_pointwise(graph: Graph, node: Node) -> bool:
    """Return whether each pixel of a node's output is made of the same pixel of its input, and of all its channels."""
    return kind(graph, node) == "pointwise_conv2d" and not any(node.attributes["padding"])


def _window(graph: Graph, anchor: Node) -> tuple[int, ...]:
    if anchor.op in _CONVOLUTIONS:
        return graph.shape(anchor.inputs[1])[2:]
    if anchor.op in ("global_avg_pool", "global_sum_pool"):
        return graph.shape(anchor.inputs[0])[2:]
    return tuple(anchor.attributes["kernel"])
