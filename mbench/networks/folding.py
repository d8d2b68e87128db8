"""Folding: what scales and shifts each channel after a convolution becomes part of its weights, as inference has it.

BatchNorm, and a product or sum with one number a channel (layer scale); after a fully connected layer likewise. A
BatchNorm that follows neither, or one whose output something else reads as well, becomes a product and a sum.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mbench.networks import simplifying
from mbench.networks.graph import Graph, Node, TensorType

if TYPE_CHECKING:
    import numpy as np

_FOLDS = ("batch_norm", "multiply", "add")
_WEIGHTED = ("conv2d", "conv2d_transpose", "linear")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folded:
    """A graph without BatchNorm, and how its parameters come from those of the graph before."""

    graph: Graph
    _before: Graph
    _chains: Mapping[str, tuple[Node, ...]]
    """Convolution → what was folded into it, in order."""
    _apart: tuple[Node, ...]
    """BatchNorms that became a product and a sum."""

    def parameters(self, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the parameters of `graph`, float32, from those of the graph before it was folded."""
        import numpy as np  # not above: names and layers are read without it

        found = {name: values[name] for name in self.graph.parameters if name in values}
        for name, chain in self._chains.items():
            convolution = self._before.by_name[name]
            _, weight_name, *bias_name = convolution.inputs
            weight = values[weight_name].astype(np.float64)
            bias = values[bias_name[0]].astype(np.float64) if bias_name else np.zeros(_outputs(convolution))
            for node in chain:
                scale, shift = self._scale_and_shift(node, values)
                weight, bias = weight * _by_output(convolution, scale, weight.shape), bias * scale + shift
            found[_weight_of(self._before, name)] = weight.astype(np.float32)
            found[_bias_of(self._before, name)] = bias.astype(np.float32)
        for node in self._apart:
            for part, value in zip(("scale", "shift"), self._scale_and_shift(node, values), strict=True):
                name = self._before.free_name(f"{node.name}.{part}")
                found[name] = value.reshape(self.graph.shape(name)).astype(np.float32)
        return {name: found[name] for name in self.graph.parameters}

    def _scale_and_shift(self, node: Node, values: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return what a node multiplies by and then adds, in float64, one number a channel."""
        import numpy as np

        if node.op == "batch_norm":
            gamma, beta, mean, variance = (values[name].astype(np.float64) for name in node.inputs[1:])
            scale = gamma / np.sqrt(variance + node.attributes["epsilon"])
            return scale, beta - mean * scale
        constant = values[self._before.constants(node)[0]].astype(np.float64).reshape(-1)
        if node.op == "multiply":
            return constant, np.zeros_like(constant)
        return np.ones_like(constant), constant


def _by_output(convolution: Node, scale: np.ndarray, weight: tuple[int, ...]) -> np.ndarray:
    """Return what the weights of a convolution are multiplied by, where each output channel has its own factor."""
    if convolution.op != "conv2d_transpose":
        return scale.reshape(-1, *[1] * (len(weight) - 1))
    groups = convolution.attributes["groups"]  # of a transposed one: (inputs, outputs / groups, height, width)
    return scale.reshape(groups, -1).repeat(weight[0] // groups, axis=0)[..., None, None]


def as_compiled(graph: Graph) -> Folded:
    """Return a graph folded, in nodes that are quick to compute, with outputs that lie as people have them."""
    folded = fold(simplifying.simplified(graph))
    return dataclasses.replace(folded, graph=simplifying.with_outputs_as_given(folded.graph))


def fold(graph: Graph) -> Folded:
    """Return a graph with all that scales and shifts channels folded into the convolutions before."""
    chains = {node.name: _chain(graph, node) for node in graph.nodes if node.op in _WEIGHTED}
    chains = {name: chain for name, chain in chains.items() if chain}
    gone = {node.name for chain in chains.values() for node in chain}
    renamed = {node.name: name for name, chain in chains.items() for node in chain}
    apart = tuple(node for node in graph.nodes if node.op == "batch_norm" and node.name not in gone)
    added: dict[str, TensorType] = {}
    for name in chains:
        node = graph.by_name[name]
        added[_weight_of(graph, name)] = graph.type_of(node.inputs[1])
        added[_bias_of(graph, name)] = TensorType(shape=(_outputs(node),), dtype=node.dtype)
    for node in apart:
        for part in ("scale", "shift"):
            shape = (1, node.shape[1], *(1,) * (len(node.shape) - 2))
            added[graph.free_name(f"{node.name}.{part}")] = TensorType(shape=shape, dtype=node.dtype)

    def change(node: Node) -> tuple[Node, ...]:
        if node.name in gone:
            return ()
        if node.name in chains:
            weight = _weight_of(graph, node.name)
            return (dataclasses.replace(node, inputs=(node.inputs[0], weight, _bias_of(graph, node.name))),)
        if node.op != "batch_norm":
            return (node,)
        product = dataclasses.replace(
            node,
            name=graph.free_name(f"{node.name}.scaled"),
            op="multiply",
            inputs=(node.inputs[0], graph.free_name(f"{node.name}.scale")),
            attributes={},
        )
        shift = graph.free_name(f"{node.name}.shift")
        total = dataclasses.replace(node, op="add", inputs=(product.name, shift), attributes={})
        return (product, total)

    folded = graph.rewritten(change, renamed=renamed, parameters=added)
    return Folded(graph=folded, _before=graph, _chains=chains, _apart=apart)


def _weight_of(graph: Graph, name: str) -> str:
    """Return the name of a convolution's folded weights: their own, unless something else reads them as well."""
    weight = graph.by_name[name].inputs[1]
    return weight if _is_own(graph, weight) else graph.free_name(f"{name}.folded")


def _bias_of(graph: Graph, name: str) -> str:
    """Return the name of a convolution's folded bias: `.bias` behind its own, which its bias alone may have as well."""
    wanted = f"{name}.bias"
    own = wanted in graph.by_name[name].inputs[2:] and _is_own(graph, wanted)
    return wanted if own else graph.free_name(wanted)


def _is_own(graph: Graph, parameter: str) -> bool:
    """Return whether a parameter may change with the one node that reads it: it is no output either."""
    return len(graph.users[parameter]) == 1 and parameter not in graph.outputs


def _outputs(layer: Node) -> int:
    """Return the channels of what a layer with weights makes."""
    return layer.shape[_channels_axis(layer)]


def _channels_axis(layer: Node) -> int:
    return len(layer.shape) - 1 if layer.op == "linear" else 1


def _chain(graph: Graph, convolution: Node) -> tuple[Node, ...]:
    """Return what scales or shifts the channels of a convolution, one after the other."""
    found: list[Node] = []
    value = convolution.name
    if not all(name in graph.parameters for name in convolution.inputs[1:]):
        return ()
    while (user := graph.only_user(value)) is not None and _scales_channels(graph, user, value, convolution):
        found.append(user)
        value = user.name
    return tuple(found)


def _scales_channels(graph: Graph, node: Node, value: str, layer: Node) -> bool:
    if node.op not in _FOLDS or graph.operands(node) != (value,) or node.shape != graph.shape(value):
        return False
    channels = _channels_axis(layer)
    if node.op == "batch_norm":
        return channels == 1
    shape = graph.shape(graph.constants(node)[0])
    aligned = (1,) * (len(node.shape) - len(shape)) + shape
    return aligned == tuple(side if axis == channels else 1 for axis, side in enumerate(node.shape))
