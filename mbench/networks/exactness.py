"""How exact the outputs of a quantised network have to be: whole numbers are the same however they are computed."""

from __future__ import annotations

from mbench.core import dtypes
from mbench.networks import operations
from mbench.networks.graph import Graph, Node

_EXACT = ("dequantize", "reshape", "permute", "rearrange", "slice", "concat", "pad", "expand", "gather", "relu")
"""Operations whose floats are the same however they are computed."""


def is_quantised(graph: Graph) -> bool:
    """Return whether a graph has operations that quantised networks alone have."""
    return any(node.op in operations.ONLY_QUANTIZED for node in graph.nodes)


def float_nodes(graph: Graph) -> tuple[Node, ...]:
    """Return the nodes of a quantised graph that compute in floating point."""
    return tuple(node for node in graph.nodes if "float" in node.dtype and node.op not in _EXACT)


def tolerance(graph: Graph) -> float | None:
    """Return the largest error of a quantised network's outputs, over the largest magnitude of the reference.

    0 where only whole numbers are computed, and float32's where floats are computed after the last rounding alone. None
    where they are rounded again: sums in another order then move single numbers by a step.
    """
    computed = {node.name for node in float_nodes(graph)}
    for node in graph.nodes:
        if not computed.isdisjoint(node.inputs):
            if node.op == "quantize":
                return None
            computed.add(node.name)
    return dtypes.of(dtypes.DEFAULT).network_tolerance if computed else 0.0
