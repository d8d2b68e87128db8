"""The same quantised network with int8 where values are uint8, each number less 128: some processors multiply int8.

What is taken off is made up for where a value is read, so that all sums and roundings are the same to the last bit.
Values stay as they are where something else than the operations below makes or reads them, and where the network gives
them out.
"""

from __future__ import annotations

import dataclasses

from mbench.networks.graph import Graph, Node

STEP = 128
"""What is taken off."""
_MADE = ("quantize", "requantize", "quantized_add", "quantized_affine")
_SUMMED = ("conv2d", "conv2d_transpose", "linear", "sum_pool2d", "global_sum_pool", "dequantize")
_PASSED = ("max_pool2d", "reshape", "permute", "rearrange", "slice", "concat")
_RESIDUAL = 2
"""The place of a residual among what a `requantize` reads."""


def signed(graph: Graph) -> Graph:
    """Return a graph that computes the same from the same parameters."""
    moved = _moved(graph)
    return dataclasses.replace(graph, nodes=tuple(_changed(node, moved) for node in graph.nodes)) if moved else graph


def _moved(graph: Graph) -> set[str]:
    """Return the values that can become int8."""
    found = {node.name for node in graph.nodes if node.dtype == "uint8"} - set(graph.outputs)
    while True:
        kept = {name for name in found if _may_move(graph, name, found)}
        if kept == found:
            return found
        found = kept


def _may_move(graph: Graph, name: str, found: set[str]) -> bool:
    """Return whether all that makes and reads a value knows it as int8, if the others that are found are int8 too."""
    node = graph.by_name[name]
    if node.op not in _MADE and not (node.op in _PASSED and found.issuperset(node.inputs)):
        return False
    return all(_reads(user, name, found) for user in graph.users[name])


def _reads(user: Node, name: str, found: set[str]) -> bool:
    if user.op in _PASSED:
        return user.name in found
    if user.op == "requantize":
        return name not in user.inputs[:_RESIDUAL]
    return user.op in (*_SUMMED, "quantized_add", "lookup")


def _changed(node: Node, moved: set[str]) -> Node:
    known, dtype = dict(node.attributes), node.dtype
    if node.op in _SUMMED and node.inputs[0] in moved:
        known["zero_point"] = known.get("zero_point", 0) - STEP
    elif node.op == "requantize" and len(node.inputs) > _RESIDUAL and node.inputs[_RESIDUAL] in moved:
        known["residual_less"] = STEP
    elif node.op == "quantized_add":
        known["operands_less"] = tuple(STEP if name in moved else 0 for name in node.inputs)
    if node.name in moved:
        dtype = "int8"
        if node.op in _MADE:
            known |= {"less": STEP, "to": dtype}
    return dataclasses.replace(node, attributes=known, dtype=dtype)
