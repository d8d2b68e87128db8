"""The standard twin: the same network with standard convolutions in the place of depthwise-separable ones.

Each depthwise convolution, together with the pointwise one that follows it, becomes one standard convolution of the
same kernel, stride, padding and dilation and the same channels. The activation between the two goes; what follows the
pointwise convolution stays. Where something else stands between the two or reads what lies there (squeeze-excite), the
depthwise convolution alone is replaced.
"""

from __future__ import annotations

import dataclasses

from mbench.networks import layers, operations
from mbench.networks.graph import Graph, Node, TensorType

_BETWEEN = ("batch_norm",)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replaced:
    """One standard convolution, by its name, and the layers that it stands for, with both counts of multiply-adds."""

    name: str
    layers: tuple[str, ...]
    macs_before: int
    macs: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Twin:
    """The twin's graph, and what was replaced in it; nothing where the network has no depthwise convolution."""

    graph: Graph
    replaced: tuple[Replaced, ...]


def twin(graph: Graph) -> Twin:
    """Return the standard twin of a graph, folded or not."""
    gone: set[str] = set()
    renamed: dict[str, str] = {}
    added: dict[str, Node] = {}
    parameters: dict[str, TensorType] = {}
    replaced = []
    for node in graph.nodes:
        if layers.kind(graph, node) != "depthwise_conv2d":
            continue
        between, pointwise = _pointwise_after(graph, node)
        last = pointwise or node
        name = _name(node.name, graph)
        weight = TensorType(
            shape=(last.shape[1], graph.shape(node.inputs[0])[1], *graph.shape(node.inputs[1])[2:]), dtype=node.dtype
        )
        parameters[f"{name}.weight"] = weight
        convolution = dataclasses.replace(
            node, name=name, inputs=(node.inputs[0], f"{name}.weight", *last.inputs[2:]), shape=last.shape,
            attributes={**node.attributes, "groups": 1}, role="standard",
            source_names=(*node.source_names, *(pointwise.source_names if pointwise else ())),
        )  # fmt: skip
        added[last.name] = convolution
        gone.update(each.name for each in (node, *between) if each is not last)
        renamed[last.name] = name
        before = sum(layers.macs(graph, each) for each in (node, pointwise) if each)
        names = tuple(each.name for each in (node, pointwise) if each)
        macs = operations.of("conv2d").macs((graph.shape(node.inputs[0]), weight.shape), last.shape)
        replaced.append(Replaced(name=name, layers=names, macs_before=before, macs=macs))

    def change(node: Node) -> tuple[Node, ...]:
        if node.name in added:
            return (added[node.name],)
        return () if node.name in gone else (node,)

    return Twin(graph=graph.rewritten(change, renamed=renamed, parameters=parameters), replaced=tuple(replaced))


def _name(depthwise: str, graph: Graph) -> str:
    """Return the name of what stands in the place of a depthwise convolution: `block1.conv` for `block1.dw`."""
    stem, dot, last = depthwise.rpartition(".")
    name = f"{stem}{dot}{last.replace('dw', 'conv')}"
    return name if dot and name not in graph.by_name else f"{depthwise}.standard"


def _pointwise_after(graph: Graph, node: Node) -> tuple[tuple[Node, ...], Node | None]:
    """Return what stands between a depthwise convolution and the pointwise one that alone reads it, and that one."""
    between: list[Node] = []
    value = node.name
    while (user := graph.only_user(value)) is not None:
        if layers.kind(graph, user) == "pointwise_conv2d":
            return tuple(between), user
        alone = graph.operands(user) == (value,)
        if not alone or not (user.op in _BETWEEN or operations.is_elementwise(user.op)):
            break
        between.append(user)
        value = user.name
    return (), None
