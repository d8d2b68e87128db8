"""The standard twin: the same network with standard convolutions in the place of depthwise-separable ones.

Each depthwise convolution, together with the pointwise one that follows it, becomes one standard convolution of the
same kernel, stride, padding and dilation and the same channels. The activation between the two goes; what follows the
pointwise convolution stays. Where something else stands between the two or reads what lies there (squeeze-excite, a
second depthwise convolution), the depthwise convolution alone is replaced.
"""

from __future__ import annotations

import dataclasses
import re

from mbench.core.replacement import Replacement
from mbench.networks import layers, operations
from mbench.networks.graph import Graph, Node, TensorType


@dataclasses.dataclass(frozen=True, kw_only=True)
class Twin:
    """A graph and what was replaced in it; nothing where the network has no depthwise convolution."""

    graph: Graph
    replaced: tuple[Replacement, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Separable:
    """A depthwise convolution, what goes with it, and the standard convolution that stands for all of it."""

    depthwise: Node
    between: tuple[Node, ...]
    """Activations and BatchNorms between the two convolutions."""
    pointwise: Node | None
    name: str
    """Of the standard convolution."""

    @property
    def last(self) -> Node:
        """The convolution whose place, channels and bias the standard one has."""
        return self.pointwise or self.depthwise

    @property
    def convolutions(self) -> tuple[Node, ...]:
        """What is replaced, in order of execution."""
        return (self.depthwise, self.pointwise) if self.pointwise else (self.depthwise,)

    def weight(self, graph: Graph) -> TensorType:
        """Return the shape of the standard convolution's weights."""
        image, weight = (graph.shape(name) for name in self.depthwise.inputs[:2])
        return TensorType(shape=(self.last.shape[1], image[1], *weight[2:]), dtype=self.depthwise.dtype)

    def standard(self) -> Node:
        """Return the standard convolution."""
        return dataclasses.replace(
            self.depthwise,
            name=self.name,
            inputs=(self.depthwise.inputs[0], f"{self.name}.weight", *self.last.inputs[2:]),
            shape=self.last.shape,
            attributes={**self.depthwise.attributes, "groups": 1},
            role="standard",
            source_names=tuple(dict.fromkeys(name for node in self.convolutions for name in node.source_names)),
        )

    def replacement(self, graph: Graph) -> Replacement:
        """Return what was replaced by what, with both counts of multiply-adds."""
        shapes = (graph.shape(self.depthwise.inputs[0]), self.weight(graph).shape)
        return Replacement(
            layer=self.name,
            layers=tuple(node.name for node in self.convolutions),
            macs_before=sum(layers.macs(graph, node) for node in self.convolutions),
            macs=operations.of("conv2d").macs(shapes, self.last.shape),
        )


def has_depthwise(graph: Graph) -> bool:
    """Return whether a network has a depthwise convolution, and so a standard twin."""
    return any(_is_depthwise(graph, node) for node in graph.nodes)


def twin(graph: Graph) -> Twin:
    """Return the standard twin of a graph, folded or not."""
    taken = {*graph.inputs, *graph.parameters, *graph.by_name}
    found = []
    for node in graph.nodes:
        if _is_depthwise(graph, node):
            between, pointwise = _up_to_pointwise(graph, node)
            name = _name(node.name, taken)
            taken |= {name, f"{name}.weight"}
            found.append(_Separable(depthwise=node, between=between, pointwise=pointwise, name=name))
    added = {each.last.name: each.standard() for each in found}
    gone = {node.name for each in found for node in (each.depthwise, *each.between)}

    def change(node: Node) -> tuple[Node, ...]:
        if node.name in added:
            return (added[node.name],)
        return () if node.name in gone else (node,)

    changed = graph.rewritten(
        change,
        renamed={each.last.name: each.name for each in found},
        parameters={f"{each.name}.weight": each.weight(graph) for each in found},
    )
    return Twin(graph=changed, replaced=tuple(each.replacement(graph) for each in found))


def _is_depthwise(graph: Graph, node: Node) -> bool:
    return layers.kind(graph, node) == "depthwise_conv2d"


def _up_to_pointwise(graph: Graph, depthwise: Node) -> tuple[tuple[Node, ...], Node | None]:
    """Return what stands between a depthwise convolution and the pointwise one that follows it, and that one.

    An activation may be several nodes, such as `x * clip(x + 3) / 6`: all that is computed element by element of the
    depthwise convolution's output alone stands between. Nothing and None where anything else reads it.
    """
    inside, between, readers = {depthwise.name}, list[Node](), list[Node]()
    for node in graph.nodes:
        operands = graph.operands(node)
        if not inside.intersection(operands):
            continue
        alone = inside.issuperset(operands) and node.shape == depthwise.shape
        if alone and (node.op == "batch_norm" or operations.is_elementwise(node.op)):
            inside.add(node.name)
            between.append(node)
        else:
            readers.append(node)
    if len(readers) != 1 or inside.intersection(graph.outputs) or not layers.is_pointwise(graph, readers[0]):
        return (), None
    return tuple(between), readers[0]


def _name(depthwise: str, taken: set[str]) -> str:
    """Return a new name for what stands in the place of a depthwise convolution: `block1.conv` for `block1.dw`."""
    said = re.sub(r"(^|\.)dw(?=$|_[^.]*$)", r"\1conv", depthwise)
    name = said if said != depthwise else f"{depthwise}.standard"
    while {name, f"{name}.weight"} & taken:
        name = f"{name}_"
    return name
