"""The nodes of an ONNX graph that its outputs need, in an order of execution."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from mbench.core.errors import UsageError

_SHAPES_ALONE = ("Shape", "Size")


def needed(nodes: Sequence[Any], outputs: Iterable[str], known: Collection[str], where: str) -> list[Any]:
    """Return the nodes that the outputs need, each after those that it reads.

    Args:
        nodes: `onnx.NodeProto`, in any order.
        outputs: names of values.
        known: names of inputs and constants.
        where: the file, for messages.

    Raises:
        UsageError: a value is made twice, or nodes read each other in a circle.
    """
    makers = _makers(nodes, known, where)
    wanted = _wanted(nodes, outputs, makers)
    waiting: dict[int, int] = {}
    readers: dict[int, list[int]] = {}
    for place in wanted:
        before = {makers[name] for name in reads(nodes[place]) if name in makers}
        waiting[place] = len(before)
        for each in before:
            readers.setdefault(each, []).append(place)
    ready = [place for place in sorted(wanted) if not waiting[place]]  # a heap: the file's order where it is one
    order: list[Any] = []
    while ready:
        place = heapq.heappop(ready)
        order.append(nodes[place])
        for reader in readers.get(place, ()):
            waiting[reader] -= 1
            if not waiting[reader]:
                heapq.heappush(ready, reader)
    if len(order) < len(wanted):
        name = next(nodes[place] for place in sorted(wanted) if waiting[place])
        raise UsageError(f"{where}: node {name.name or name.output[0]!r} reads, in the end, what it makes itself")
    return order


def computed(nodes: Sequence[Any], outputs: Iterable[str]) -> set[str]:
    """Return the names of what the outputs' numbers depend on, and not on its shape alone."""
    makers = {name: node for node in nodes for name in node.output if name}
    found: set[str] = set()
    stack = list(outputs)
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            if name in makers and makers[name].op_type not in _SHAPES_ALONE:
                stack += reads(makers[name])
    return found


def _makers(nodes: Sequence[Any], known: Collection[str], where: str) -> dict[str, int]:
    makers: dict[str, int] = {}
    taken = set(known)
    for place, node in enumerate(nodes):
        for name in node.output:
            if name and name in taken:
                raise UsageError(f"{where}: {name!r} is made twice; expected a name of its own for each value")
            if name:
                makers[name] = place
                taken.add(name)
    return makers


def _wanted(nodes: Sequence[Any], outputs: Iterable[str], makers: dict[str, int]) -> set[int]:
    found: set[int] = set()
    stack = [makers[name] for name in outputs if name in makers]
    while stack:
        place = stack.pop()
        if place not in found:
            found.add(place)
            stack += [makers[name] for name in reads(nodes[place]) if name in makers]
    return found


def reads(node: Any) -> list[str]:
    """Return the names of all that a node reads, and what the branches in it read from outside of them."""
    found, stack = [name for name in node.input if name], [node]
    while stack:
        for attribute in stack.pop().attribute:
            for graph in (attribute.g, *attribute.graphs) if attribute.type in (5, 10) else ():
                for inner in graph.node:
                    found += [name for name in inner.input if name]
                    stack.append(inner)
                found += [each.name for each in graph.output]
    return found
