"""How values lie in memory: images channels last, (N, H, W, C), as kernels that vectorise by channels read them.

A property of each value and no operation of the graph, so that nothing is transposed between two kernels.
"""

from __future__ import annotations

import math
from typing import TypeVar

from mbench.networks import operations, rearranging
from mbench.networks.graph import Graph, Node
from mbench.networks.rearranging import Rearrangement

_Axis = TypeVar("_Axis")

_IMAGES = (
    *("conv2d", "max_pool2d", "avg_pool2d", "global_avg_pool", "batch_norm"),
    *("conv2d_transpose", "resize2d", "instance_norm", "group_norm", "lrn", "sum_pool2d", "global_sum_pool"),
)
_MOVES = ("reshape", "permute", "rearrange")
_AXES = (*_MOVES, "matmul", "linear", "softmax", "layer_norm")
"""Operations on axes that are those of an image only by chance."""
_FUSING = (
    *("conv2d", "max_pool2d", "avg_pool2d", "global_avg_pool", "batch_norm", "matmul", "linear"),
    *("conv2d_transpose", "resize2d", "instance_norm", "group_norm", "sum_pool2d", "global_sum_pool"),
)
IMAGE_RANK = 4
_FEW_CHANNELS = 4
"""With so many, what is made of the network's inputs stays as these lie: convolutions read it so, and its lines are
long."""
_LAST = (0, 2, 3, 1)
"""The axes of an image that lies channels last, in memory's order."""


def channels_last(graph: Graph) -> frozenset[str]:
    """Return the values that lie channels last: what convolves or pools makes, and what is made of that or for that.

    The network's inputs lie as people give them, (N, C, H, W), and so does what is made of them element by element
    where they have few channels. A reshape makes an image where a convolution reads it in the end.
    """
    wanted = _read_as_images(graph)
    found: set[str] = set()
    for node in graph.nodes:
        if len(node.shape) != IMAGE_RANK:
            continue
        if node.op in _AXES and node.op not in _MOVES:
            found.update({node.name} if _is_of_channels(node) and found.issuperset(graph.operands(node)) else ())
            continue
        if node.op in _IMAGES:
            found.add(node.name)
        elif node.op in _AXES:
            found.update(set() if _is_given(graph, node) else {node.name} & wanted)
        elif any(name in found for name in _images_of(graph, node)) or (node.name in wanted and _has_many(node)):
            found.add(node.name)
    return frozenset(found)


def _is_given(graph: Graph, node: Node) -> bool:
    """Return whether an image of one row is a line that the network is given: it lies as that does."""
    given = graph.inputs.get(node.inputs[0])
    return node.op == "reshape" and given is not None and node.shape == (*given.shape[:2], 1, *given.shape[2:])


def _has_many(node: Node) -> bool:
    return node.shape[1] > _FEW_CHANNELS


def _is_of_channels(node: Node) -> bool:
    """Return whether a node works along the channels of what may be an image, which lie side by side."""
    return node.op == "softmax" and node.attributes["axis"] % IMAGE_RANK == 1


def _images_of(graph: Graph, node: Node) -> tuple[str, ...]:
    """Return what a node reads whose layout it may take on: not the places that it gathers at."""
    return graph.operands(node) if node.op != "gather" else node.inputs[:1]


def _read_as_images(graph: Graph) -> frozenset[str]:
    wanted: set[str] = set()
    for node in reversed(graph.nodes):
        for user in graph.users[node.name]:
            reads = node.name in _images_of(graph, user)
            if reads and (user.op in _IMAGES or (user.name in wanted and user.op not in _AXES)):
                wanted.add(node.name)
    return frozenset(wanted)


def lying(shape: tuple[_Axis, ...], *, last: bool) -> tuple[_Axis, ...]:
    """Return the shape of a value, or what else there is of each axis, as it lies in memory."""
    return (shape[0], *shape[2:], shape[1]) if last else shape


def is_view(graph: Graph, node: Node, last: frozenset[str]) -> bool:
    """Return whether a node moves nothing in memory, such as (N, C, 1, 1) to (N, C)."""
    if node.op == "permute":
        source, axes = graph.shape(node.inputs[0]), node.attributes["axes"]
        before = _LAST if node.inputs[0] in last else range(len(axes))
        after = [axes[axis] for axis in (_LAST if node.name in last else range(len(axes)))]
        return [axis for axis in before if source[axis] > 1] == [axis for axis in after if source[axis] > 1]
    if node.op == "rearrange":
        one = rearranging.of_node(node, graph.shape(node.inputs[0]))
        return moves_nothing(one, from_last=node.inputs[0] in last, to_last=node.name in last)
    if node.op != "reshape":
        return False
    images = [graph.shape(name) for name in (node.inputs[0], node.name) if name in last]
    return all(shape[1] == 1 or math.prod(shape[2:]) == 1 for shape in images)


def strides(one: Rearrangement, *, from_last: bool, to_last: bool) -> list[tuple[int, int]]:
    """Return the size of each part in the order of the result's memory, and how far it steps in that of the source."""
    apart, found = 1, dict[int, int]()
    for axis in reversed(lying(tuple(one.source_axes()), last=from_last)):
        for part in reversed(axis):
            found[part] = apart
            apart *= one.parts[part]
    order = [part for axis in lying(tuple(one.axes()), last=to_last) for part in axis]
    return [(one.parts[part], found[part]) for part in order]


def moves_nothing(one: Rearrangement, *, from_last: bool, to_last: bool) -> bool:
    """Return whether a rearrangement moves nothing in memory, given how what it reads and makes lies."""
    before, after = lying(tuple(one.source_axes()), last=from_last), lying(tuple(one.axes()), last=to_last)
    return [part for axis in before for part in axis] == [part for axis in after for part in axis]


def fuses(op: str) -> bool:
    """Return whether what follows an operation element by element is part of its kernel."""
    return operations.is_elementwise(op) or op in _FUSING
