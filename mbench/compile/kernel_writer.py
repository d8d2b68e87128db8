"""One kernel of a graph as one computation: its anchor, the bias, then all that follows element by element.

What operations compute stands in `computations`, `image_computations`, `axis_computations` and `elements`; here is what
each reads, and how that lies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tvm import te, topi

from mbench.compile import axis_computations, computations, elements, image_computations, integer_elements
from mbench.compile.axis_computations import Laid
from mbench.core import dtypes
from mbench.core.errors import BuildError
from mbench.networks import layout, operations, rearranging
from mbench.networks.graph import Node
from mbench.networks.kernels import Group
from mbench.networks.operation_shapes import axes_of

_BIASED = ("conv2d", "conv2d_transpose", "linear")
"""They may have a bias, their third input."""
_REDUCTIONS = ("reduce_mean", "reduce_sum", "reduce_max", "reduce_min", "reduce_prod")
_PLACES = ("argmax", "argmin")


@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelWriter:
    """Writes the kernels of a graph. `last`: its values that lie channels last; `read`: what a node reads, by place."""

    last: frozenset[str]
    read: Callable[[Node, int], Laid]

    def kernel(self, group: Group) -> te.Tensor:
        """Return what a group computes.

        Raises:
            BuildError: an operation cannot be compiled.
        """
        anchor, *rest = group.nodes
        if operations.is_elementwise(anchor.op):
            return self._chain(group, None, group.nodes)
        if group.moved:
            return self._concatenated(group)
        total = self._written(anchor, [self.read(anchor, place) for place in range(len(anchor.inputs))])
        sums = dtypes.accumulator(anchor.dtype)
        if rest or (str(total.dtype) == sums and sums != anchor.dtype):
            return self._chain(group, total, rest)
        return total

    def _written(self, node: Node, read: Sequence[Laid]) -> te.Tensor:
        """Return what a node computes that is not element-wise, its bias added."""
        if node.op not in _WRITERS:
            raise BuildError(f"layer {node.name!r}: operation {node.op!r} cannot be compiled")
        total = _WRITERS[node.op](node, read, node.name in self.last)
        return computations.added(total, read[2].tensor) if node.op in _BIASED and len(read) > 2 else total

    def _concatenated(self, group: Group) -> te.Tensor:
        """Return a concatenation of what some of its operands become on their way."""
        *moved, end = group.nodes
        made = {}
        for node in moved:
            read = [self.read(node, place) for place in range(len(node.inputs))]
            made[node.name] = Laid(topi.cast(self._written(node, read), node.dtype), node.name in self.last)
        operands = [made[name] if name in made else self.read(end, place) for place, name in enumerate(end.inputs)]
        return self._written(end, operands)

    def _chain(self, group: Group, total: te.Tensor | None, nodes: Sequence[Node]) -> te.Tensor:
        """Return one computation of all element-wise nodes; `total` is what the first of the group gives."""
        end = group.nodes[-1]
        last = end.name in self.last

        def value(*at: Any) -> Any:
            values = {}
            if total is not None:
                values[group.nodes[0].name] = total(*at).astype(dtypes.accumulator(group.nodes[0].dtype))
            for node in nodes:
                values[node.name] = self._element(node, values, at, last=last)
            return values[end.name].astype(end.dtype)

        return computations.chain(layout.lying(end.shape, last=last), value)

    def _element(self, node: Node, values: Mapping[str, Any], at: Sequence[Any], *, last: bool) -> Any:
        """Return what an element-wise node computes at a place, of values there and of what it reads."""
        places = range(1) if node.op == "lookup" else range(len(node.inputs))
        operands = [
            values[node.inputs[place]]
            if node.inputs[place] in values
            else computations.broadcast(self.read(node, place), at, last=last)
            for place in places
        ]
        if node.op == "lookup":
            return integer_elements.looked_up(operands[0], self.read(node, 1).tensor)
        return elements.EXPRESSIONS[node.op](node.attributes, operands, str(operands[-1].ty))


# ----------------------------------------------------------------------------------------- what each operation computes
def _convolution(node: Node, read: Sequence[Laid], _last: bool) -> te.Tensor:
    steps = {key: node.attributes[key] for key in ("strides", "padding", "dilation", "groups")}
    return computations.convolution(
        read[0].tensor, read[1].tensor, **steps, channels_first=not read[0].last, zero_points=_zero_points(node),
        outside=node.attributes.get("zero_point", 0), largest_weight=_largest_weight(node),
    )  # fmt: skip


def _zero_points(node: Node) -> tuple[int, int]:
    """Return what is taken off both operands of multiplications; that of the first may be a part of the bias."""
    first, second = (node.attributes.get(name, 0) for name in ("zero_point", "other_zero_point"))
    return 0 if folds_zero_point(node) else first, second


def folds_zero_point(node: Node) -> bool:
    """Return whether what the zero point of a node's operand adds to its sums is a part of the bias that it reads."""
    return node.op in ("conv2d", "linear") and len(node.inputs) > 2 and node.attributes.get("zero_point", 0) != 0


def _largest_weight(node: Node) -> int:
    return int(node.attributes.get("largest_weight", computations.ANY_REACH))


def _pool(node: Node, read: Sequence[Laid], _last: bool) -> te.Tensor:
    return computations.pooling(
        read[0].tensor, node.op[:3], node.attributes, node.shape[2:], channels_first=not read[0].last
    )


def _global_sum(node: Node, read: Sequence[Laid], _last: bool) -> te.Tensor:
    return computations.global_sum(read[0].tensor, node.attributes["zero_point"], channels_first=not read[0].last)


def _global_pool(_node: Node, read: Sequence[Laid], _last: bool) -> te.Tensor:
    return computations.global_average(read[0].tensor, channels_first=not read[0].last)


def _transposed(node: Node, read: Sequence[Laid], _last: bool) -> te.Tensor:
    return image_computations.transposed_convolution(read[0], read[1].tensor, node.attributes, node.shape)


def _resized(node: Node, read: Sequence[Laid], last: bool) -> te.Tensor:
    return image_computations.resized(read[0], node.attributes, node.shape, last=last)


def _normalised(node: Node, read: Sequence[Laid], last: bool) -> te.Tensor:
    groups = node.attributes.get("groups", node.shape[1])
    given = [each.tensor for each in read[1:]]
    return image_computations.normalised(read[0], *given, groups=groups, epsilon=node.attributes["epsilon"], last=last)


def _response_normalised(node: Node, read: Sequence[Laid], last: bool) -> te.Tensor:
    return image_computations.response_normalised(read[0], node.attributes, last=last)


def _linear(node: Node, read: Sequence[Laid], _last: bool) -> te.Tensor:
    x = lying_as(read[0], last=False)
    return computations.linear(x, read[1].tensor, _zero_points(node), largest_weight=_largest_weight(node))


def _product(node: Node, read: Sequence[Laid], _last: bool) -> te.Tensor:
    left, right = (lying_as(each, last=False) for each in read)
    return computations.product(left, right, _zero_points(node))


def _softmax(node: Node, read: Sequence[Laid], last: bool) -> te.Tensor:
    return computations.softmax(lying_as(read[0], last=last), _axis(node, last=last))


def _layer_norm(node: Node, read: Sequence[Laid], _last: bool) -> te.Tensor:
    axes = [axis % len(node.shape) for axis in node.attributes["axes"]]
    weight, bias = (each.tensor for each in read[1:])
    return computations.layer_norm(lying_as(read[0], last=False), weight, bias, axes, node.attributes["epsilon"])


def _concatenated(node: Node, read: Sequence[Laid], last: bool) -> te.Tensor:
    tensors = [lying_as(each, last=last) for each in read]
    return computations.concatenated(tensors, _axis(node, last=last))


def _part(node: Node, read: Sequence[Laid], last: bool) -> te.Tensor:
    if node.attributes.get("step", 1) != 1 or node.attributes["end"] is None:
        return axis_computations.stepped(read[0], node.attributes, node.shape, last=last)
    begin, end = node.attributes["begin"], node.attributes["end"]
    return computations.part(lying_as(read[0], last=last), _axis(node, last=last), begin, end)


def _axis(node: Node, *, last: bool) -> int:
    """Return which axis in memory an operation works along."""
    axis: int = node.attributes["axis"] % len(node.shape)
    return {0: 0, 1: 3, 2: 1, 3: 2}[axis] if last else axis


def _reshaped(node: Node, read: Sequence[Laid], last: bool) -> te.Tensor:
    return computations.reshaped(read[0].tensor, node.shape, from_last=read[0].last, to_last=last)


def _permuted(node: Node, read: Sequence[Laid], last: bool) -> te.Tensor:
    return computations.permuted(read[0].tensor, node.attributes["axes"], from_last=read[0].last, to_last=last)


def _rearranged(node: Node, read: Sequence[Laid], last: bool) -> te.Tensor:
    return axis_computations.rearranged(read[0], rearranging.of_node(node, read[0].shape), last=last)


def _padded(node: Node, read: Sequence[Laid], last: bool) -> te.Tensor:
    return axis_computations.padded(read[0], node.attributes, node.shape, last=last)


def _expanded(node: Node, read: Sequence[Laid], last: bool) -> te.Tensor:
    return axis_computations.expanded(read[0], node.shape, last=last)


def _gathered(node: Node, read: Sequence[Laid], last: bool) -> te.Tensor:
    return axis_computations.gathered(read[0], read[1], node.attributes["axis"], node.shape, last=last)


def _reduced(node: Node, read: Sequence[Laid], last: bool) -> te.Tensor:
    rank = len(read[0].shape)
    axes = axes_of(node.attributes, rank)
    order = _kept(rank, axes, last=last and node.attributes["keepdims"])
    return axis_computations.reduced(read[0], node.op.removeprefix("reduce_"), axes, order)


def _place(node: Node, read: Sequence[Laid], last: bool) -> te.Tensor:
    rank = len(read[0].shape)
    axis = node.attributes["axis"] % rank
    order = _kept(rank, (axis,), last=last and node.attributes["keepdims"])
    return axis_computations.place_of(read[0], node.op, axis, order)


def _kept(rank: int, gone: Sequence[int], *, last: bool) -> list[int]:
    """Return the axes that are not reduced, in the order of memory."""
    axes = layout.lying(tuple(range(rank)), last=last)
    return [axis for axis in axes if axis not in gone]


def lying_as(read: Laid, *, last: bool) -> te.Tensor:
    """Return a value channels last, or as people have it."""
    if read.last == last or len(read.shape) != layout.IMAGE_RANK:
        return read.tensor
    return computations.permuted(read.tensor, range(layout.IMAGE_RANK), from_last=read.last, to_last=last)


_WRITERS: dict[str, Callable[[Node, Sequence[Laid], bool], te.Tensor]] = {
    "conv2d": _convolution,
    "conv2d_transpose": _transposed,
    "max_pool2d": _pool,
    "avg_pool2d": _pool,
    "global_avg_pool": _global_pool,
    "sum_pool2d": _pool,
    "global_sum_pool": _global_sum,
    "resize2d": _resized,
    "instance_norm": _normalised,
    "group_norm": _normalised,
    "lrn": _response_normalised,
    "linear": _linear,
    "matmul": _product,
    "softmax": _softmax,
    "layer_norm": _layer_norm,
    "concat": _concatenated,
    "slice": _part,
    "reshape": _reshaped,
    "permute": _permuted,
    "rearrange": _rearranged,
    "pad": _padded,
    "expand": _expanded,
    "gather": _gathered,
    **dict.fromkeys(_REDUCTIONS, _reduced),
    **dict.fromkeys(_PLACES, _place),
}
"""Of each operation that is not element-wise: (node, what it reads, whether the result lies channels last) → result.

A reduction gives its result without the axes of 1 that it may keep.
"""
