"""What works along axes as people have them: pads, slices, gathers and reductions, in TVM's tensor expressions.

Where an image lies channels last, the same is computed there: a `Laid` tensor is read by the indices that people have.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tvm import te, tirx

from mbench.core import dtypes
from mbench.networks import layout
from mbench.networks.operation_shapes import places_of_slice
from mbench.networks.rearranging import Rearrangement

Element = Callable[..., Any]
"""(index along each axis, …) → the value there."""
_FROM_LAST = (0, 3, 1, 2)
"""Where each axis of an image is in memory, channels last."""
_INDEX = "int32"


@dataclasses.dataclass(frozen=True)
class Laid:
    """A tensor, and whether it is an image that lies channels last."""

    tensor: te.Tensor
    last: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """As people have it: an image is (N, C, H, W)."""
        own = tuple(map(int, self.tensor.shape))
        return tuple(own[axis] for axis in _FROM_LAST) if self.last else own

    @property
    def sums(self) -> str:
        """The type that its elements are summed in."""
        return dtypes.accumulator(str(self.tensor.dtype))

    def __call__(self, *at: Any) -> Any:
        """Read an element by the indices that people have."""
        return self.tensor(*(in_memory(at) if self.last else at))

    def wide(self, *at: Any) -> Any:
        """Read an element, in the type that it is summed in."""
        return self(*at).astype(self.sums)


def centred(value: Any, sums: str, zero_point: int) -> Any:
    """Return a value less its zero point, in the type of sums."""
    wide = value.astype(sums)
    return wide - tirx.const(zero_point, sums) if zero_point else wide


def in_memory(at: Sequence[Any]) -> tuple[Any, ...]:
    """Return what belongs to each axis of an image, (N, C, H, W), in the order of an image that lies channels last."""
    return layout.lying(tuple(at), last=True)


def as_people_have(at: Sequence[Any]) -> tuple[Any, ...]:
    """Return the same the other way round."""
    return tuple(at[axis] for axis in _FROM_LAST)


def written(
    shape: Sequence[int], element: Element, *, last: bool, name: str, attrs: Mapping[str, Any] | None = None
) -> te.Tensor:
    """Compute a tensor element by element, by the indices that people have; `last`: it lies channels last."""
    if not last:
        return te.compute(tuple(shape), element, name=name, attrs=attrs)
    return te.compute(in_memory(shape), lambda *at: element(*as_people_have(at)), name=name, attrs=attrs)


def padded(x: Laid, attributes: Mapping[str, Any], shape: Sequence[int], *, last: bool) -> te.Tensor:
    """Add elements on all sides; see `networks.operations`."""
    widths, mode = attributes["widths"], attributes["mode"]
    dtype = str(x.tensor.dtype)

    def element(*at: Any) -> Any:
        moved = [place - before if before else place for place, (before, _) in zip(at, widths, strict=True)]
        if mode != "constant":
            source = _reflected if mode == "reflect" else _within
            return x(*(source(place, extent) for place, extent in zip(moved, x.shape, strict=True)))
        checks = [place >= before for place, (before, _) in zip(at, widths, strict=True) if before]
        checks += [
            place < before + extent for place, (before, after), extent in zip(at, widths, x.shape, strict=True) if after
        ]
        if not checks:
            return x(*at)
        return tirx.if_then_else(tirx.all(*checks), x(*moved), tirx.const(attributes.get("value", 0), dtype))

    return written(shape, element, last=last, name="T_pad")


def _within(place: Any, extent: int) -> Any:
    return tirx.max(tirx.min(place, extent - 1), 0)


def _reflected(place: Any, extent: int) -> Any:
    back = extent - 1 - tirx.max(place, 0 - place)
    return extent - 1 - tirx.max(back, 0 - back)


def stepped(x: Laid, attributes: Mapping[str, Any], shape: Sequence[int], *, last: bool) -> te.Tensor:
    """Take each `step`-th element along an axis."""
    axis = attributes["axis"] % len(shape)
    places = places_of_slice(attributes, x.shape[axis])

    def element(*at: Any) -> Any:
        return x(*at[:axis], at[axis] * places.step + places.start, *at[axis + 1 :])

    return written(shape, element, last=last, name="T_slice")


def expanded(x: Laid, shape: Sequence[int], *, last: bool) -> te.Tensor:
    """Repeat what lies along axes of 1."""
    return written(shape, lambda *at: _broadcast(x, at), last=last, name="T_expand")


def _broadcast(x: Laid, at: Sequence[Any]) -> Any:
    own = at[len(at) - len(x.shape) :]
    return x(*(0 if extent == 1 else place for extent, place in zip(x.shape, own, strict=True)))


REARRANGED, STEPS = "T_rearrange", "mbench.steps"
"""The block that puts parts of axes in order, and its annotation: of each part of the result, in memory's order, how
large it is, and how far one step goes in the source."""


def rearranged(x: Laid, one: Rearrangement, *, last: bool) -> te.Tensor:
    """Split axes, put the parts in order, and merge them."""

    def element(*at: Any) -> Any:
        places: dict[int, Any] = {}
        for place, parts in zip(at, one.axes(), strict=True):
            places.update(zip(parts, _split(place, [one.parts[part] for part in parts]), strict=True))
        return x(*(_joined([(places[part], one.parts[part]) for part in parts]) for parts in one.source_axes()))

    steps = [number for part in layout.strides(one, from_last=x.last, to_last=last) for number in part]
    return written(one.shape, element, last=last, name=REARRANGED, attrs={STEPS: steps} if steps else None)


def _split(place: Any, sizes: Sequence[int]) -> list[Any]:
    """Return the place in each part of an axis."""
    found = []
    for number, size in reversed(list(enumerate(sizes))):
        found.append(tirx.floormod(place, size) if number else place)
        place = tirx.floordiv(place, size) if number else place
    return found[::-1]


def _joined(places: Sequence[tuple[Any, int]]) -> Any:
    """Return the place in an axis that has these parts."""
    whole: Any = 0
    for place, size in places:
        whole = whole * size + place
    return whole


def gathered(x: Laid, indices: Laid, axis: int, shape: Sequence[int], *, last: bool) -> te.Tensor:
    """Take elements along an axis by their places; a place that there is none of is the nearest one."""
    axis %= len(x.shape)
    rank, extent = len(indices.shape), x.shape[axis]

    def element(*at: Any) -> Any:
        place = indices(*at[axis : axis + rank])
        dtype = str(indices.tensor.dtype)
        place = tirx.Select(place < tirx.const(0, dtype), place + tirx.const(extent, dtype), place)
        inside = tirx.max(tirx.min(place, tirx.const(extent - 1, dtype)), tirx.const(0, dtype))
        return x(*at[:axis], inside.astype(_INDEX), *at[axis + rank :])

    return written(shape, element, last=last, name="T_gather")


# --------------------------------------------------------------------------------------------------------- reductions
_product = te.comm_reducer(lambda one, other: one * other, lambda dtype: tirx.const(1, dtype), name="prod")
_REDUCERS: dict[str, Callable[..., Any]] = {"max": te.max, "min": te.min, "prod": _product}


def reduced(x: Laid, how: str, axes: Sequence[int], order: Sequence[int]) -> te.Tensor:
    """Reduce along axes: `mean`, `sum`, `max`, `min` or `prod`.

    Args:
        x: what is reduced.
        how: the way.
        axes: those that are gone from the result, in order.
        order: those that are kept, in the order that the result has.
    """
    along = {axis: te.reduce_axis((0, x.shape[axis]), name=f"k{axis}") for axis in axes}
    if not along:
        return te.compute([x.shape[axis] for axis in order], lambda *at: x(*_merged(at, order, {})), name="T_copy")
    reduce = _REDUCERS.get(how, te.sum)

    def element(*at: Any) -> Any:
        places = _merged(at, order, along)
        value = x(*places) if how in ("max", "min") else x.wide(*places)
        return reduce(value, axis=list(along.values()))

    total = te.compute([x.shape[axis] for axis in order], element, name=f"reduce_{how}")
    if how != "mean":
        return total
    count = tirx.const(math.prod(x.shape[axis] for axis in axes), x.sums)
    divide = tirx.div if "float" in x.sums else tirx.truncdiv
    return te.compute(total.shape, lambda *at: divide(total(*at), count), name="T_divide")


def place_of(x: Laid, how: str, axis: int, order: Sequence[int]) -> te.Tensor:
    """Return the place of the largest (`argmax`) or smallest (`argmin`) element along an axis, int64; see `reduced`."""
    largest, dtype = how == "argmax", str(x.tensor.dtype)

    def better(one: Sequence[Any], other: Sequence[Any]) -> tuple[Any, Any]:
        ahead = one[1] > other[1] if largest else one[1] < other[1]
        first = tirx.Or(ahead, tirx.And(tirx.EQ(one[1], other[1]), one[0] < other[0]))
        return tirx.Select(first, one[0], other[0]), tirx.Select(first, one[1], other[1])

    def worst(_place: str, _value: str) -> tuple[Any, Any]:
        return tirx.const(0, "int64"), (tirx.min_value if largest else tirx.max_value)(dtype)

    reduce = te.comm_reducer(better, worst, name=how)
    along = te.reduce_axis((0, x.shape[axis]), name="k")
    shape = [x.shape[kept] for kept in order]

    def pair(*at: Any) -> Any:
        return reduce((along.var.astype("int64"), x(*_merged(at, order, {axis: along}))), axis=along)

    places, _ = te.compute(shape, pair, name=how)
    return te.compute(shape, lambda *at: places(*at), name="T_place")


def _merged(at: Sequence[Any], order: Sequence[int], along: Mapping[int, Any]) -> list[Any]:
    """Return an index for each axis: those that are kept in `order`, and those that are reduced."""
    known = {**dict(zip(order, at, strict=True)), **along}
    return [known[axis] for axis in range(len(known))]
