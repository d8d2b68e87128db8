"""The same network in nodes that are quick to compute: what a front end writes is not what a kernel is best made of.

Padding becomes a part of the convolution or pool that reads it, a mean over an image a pool, and a chain of reshapes
and permutations one copy. An output is a value that a kernel makes, and lies as people have it. No parameter changes,
and a network of mbench's own families has nothing of all this.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from mbench.core.field_types import LONGEST_NAME
from mbench.networks import layout, rearranging
from mbench.networks.graph import Graph, Node
from mbench.networks.operation_shapes import axes_of

_IMAGE_SIDES = (2, 3)
_MOVES = ("reshape", "permute")
_SHORTEST_CHAIN = 3
"""Moves in a row that become one whatever they do; of two, those that move nothing in memory."""


def simplified(graph: Graph) -> Graph:
    """Return a graph that computes the same from the same parameters."""
    for change in (_without_pads, _with_pools, _with_rearrangements):
        graph = change(graph)
    return graph


def with_outputs_as_given(graph: Graph) -> Graph:
    """Return a graph whose outputs lie as people have them, each made by a node."""
    last, changed = layout.channels_last(graph), dict[str, Node]()
    for place, name in enumerate(graph.outputs):
        given = graph.type_of(name)
        source = graph.by_name.get(name)
        fits = name.isprintable() and len(name) < LONGEST_NAME // 2  # as those of parameters need not
        called = graph.free_name(f"{name if fits else place}.output")
        common: dict[str, Any] = {"name": called, "inputs": (name,), "shape": given.shape}
        common |= {"dtype": given.dtype, "role": "other"}
        if source is None:
            changed[name] = Node(op="cast", attributes={"to": given.dtype}, **common)
        elif name in last and given.shape[1] > 1 and math.prod(given.shape[2:]) > 1:
            same = {"parts": given.shape, "order": tuple(range(len(given.shape))), "shape": given.shape}
            names: dict[str, Any] = {"block": source.block, "source_names": source.source_names}
            changed[name] = Node(op="rearrange", attributes=same, **common, **names)
    if not changed:
        return graph
    return Graph(
        inputs=graph.inputs,
        parameters=graph.parameters,
        nodes=(*graph.nodes, *changed.values()),
        outputs=tuple(changed[name].name if name in changed else name for name in graph.outputs),
    )


# ----------------------------------------------------------------------------------------------------------------- pads
def _without_pads(graph: Graph) -> Graph:
    """Return a graph in which padding is done by the convolution or pool that reads it."""
    if not any(node.op == "pad" for node in graph.nodes):
        return graph

    def change(node: Node) -> tuple[Node, ...]:
        pad = graph.by_name.get(node.inputs[0]) if node.inputs else None
        if pad is None or pad.op != "pad" or not _pads_itself(node, pad.attributes):
            return (node,)
        widths = pad.attributes["widths"]
        added = (widths[2][0], widths[3][0], widths[2][1], widths[3][1])
        padding = tuple(own + more for own, more in zip(node.attributes["padding"], added, strict=True))
        inputs = (pad.inputs[0], *node.inputs[1:])
        sources = (*node.source_names, *pad.source_names)
        return (
            dataclasses.replace(
                node, inputs=inputs, attributes={**node.attributes, "padding": padding}, source_names=sources
            ),
        )

    return graph.rewritten(change)


def _pads_itself(node: Node, pad: Mapping[str, Any]) -> bool:
    """Return whether a node can do the padding of what it reads."""
    widths, value = pad["widths"], pad.get("value", 0)
    if pad["mode"] != "constant" or len(widths) != layout.IMAGE_RANK or any(map(any, widths[:2])):
        return False
    if node.op == "conv2d":
        return bool(value == node.attributes.get("zero_point", 0))
    if node.op == "max_pool2d":
        return bool(value == -math.inf) and not node.attributes.get("ceil_mode")
    counted = node.attributes.get("count_include_pad", True) and not node.attributes.get("ceil_mode")
    return node.op == "avg_pool2d" and bool(value == 0) and bool(counted)


# ---------------------------------------------------------------------------------------------------------------- pools
def _with_pools(graph: Graph) -> Graph:
    """Return a graph in which a mean over an image is a pool, and what reduces an image is an image before a view."""
    if not any(map(_reduces, graph.nodes)):
        return graph

    def change(node: Node) -> tuple[Node, ...]:
        if not _reduces(node):
            return (node,)
        source = graph.shape(node.inputs[0])
        axes = axes_of({"axes": node.attributes.get("axes", (node.attributes.get("axis"),))}, len(source))
        if len(source) != layout.IMAGE_RANK or axes not in (_IMAGE_SIDES, (1,), (1, 2, 3)):
            return (node,)
        shape = tuple(1 if axis in axes else extent for axis, extent in enumerate(source))
        image = dataclasses.replace(node, shape=shape, attributes={**node.attributes, "keepdims": True})
        if node.op == "reduce_mean" and axes == _IMAGE_SIDES and "float" in node.dtype:
            image = dataclasses.replace(image, op="global_avg_pool", attributes={})
        if node.attributes["keepdims"]:
            return (image,)
        image = dataclasses.replace(image, name=graph.free_name(f"{node.name}.image"))
        view = dataclasses.replace(node, op="reshape", inputs=(image.name,), attributes={"shape": node.shape})
        return (image, view)

    return graph.rewritten(change)


def _reduces(node: Node) -> bool:
    return node.op.startswith("reduce_") or node.op in ("argmax", "argmin")


# ---------------------------------------------------------------------------------------------------------------- moves
def _with_rearrangements(graph: Graph) -> Graph:
    """Return a graph in which chains of reshapes and permutations are one node each."""
    last = layout.channels_last(graph)
    ends: dict[str, tuple[Node, ...]] = {}
    gone: set[str] = set()
    for node in graph.nodes:
        if node.op not in _MOVES or node.name in gone or node.name in ends:
            continue
        chain = _chain(graph, node)
        if len(chain) > 1 and _is_better(graph, chain, last):
            ends[chain[-1].name] = chain
            gone.update(each.name for each in chain[:-1])

    def change(node: Node) -> tuple[Node, ...]:
        if node.name in gone:
            return ()
        return (_rearranged(graph, ends[node.name]),) if node.name in ends else (node,)

    return graph.rewritten(change) if ends else graph


def _chain(graph: Graph, first: Node) -> tuple[Node, ...]:
    found = [first]
    while (user := graph.only_user(found[-1].name)) is not None and user.op in _MOVES:
        found.append(user)
    return tuple(found)


def _is_better(graph: Graph, chain: tuple[Node, ...], last: frozenset[str]) -> bool:
    one = rearranging.of_chain(graph.shape(chain[0].inputs[0]), chain)
    if one is None:
        return False
    if len(chain) >= _SHORTEST_CHAIN:
        return True
    is_copied = not all(layout.is_view(graph, node, last) for node in chain)
    lies = chain[0].inputs[0] in last, chain[-1].name in last
    return is_copied and layout.moves_nothing(one, from_last=lies[0], to_last=lies[1])


def _rearranged(graph: Graph, chain: tuple[Node, ...]) -> Node:
    one = rearranging.of_chain(graph.shape(chain[0].inputs[0]), chain)
    attributes = {"parts": one.parts, "order": one.order, "shape": one.shape} if one else {}
    sources = tuple(dict.fromkeys(name for node in chain for name in node.source_names))
    return dataclasses.replace(
        chain[-1], op="rearrange", inputs=chain[0].inputs, attributes=attributes, source_names=sources
    )
