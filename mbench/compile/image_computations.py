"""What is computed of images beyond convolutions and pools: transposed convolution, resizing, norms by channel.

In TVM's tensor expressions, like `compile.computations`; what is read may lie channels last or as people have it.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from tvm import te, tirx

from mbench.compile.axis_computations import Laid, centred, written
from mbench.core import dtypes
from mbench.networks import resizing

_FLOAT = "float32"
_MOST_WRITTEN_OUT = 9
"""Channels that an element of `lrn` sums in one expression."""


# ---------------------------------------------------------------------------------------------- transposed convolution
TRANSPOSED = "conv_transpose"
"""The block that sums up a transposed convolution; it is annotated with its strides, padding, dilation and groups, and
whether the image lies channels last."""
ANNOTATION = "mbench.window"


def transposed_convolution(
    x: Laid, weight: te.Tensor, attributes: Mapping[str, Any], shape: Sequence[int]
) -> te.Tensor:
    """Spread each pixel over a window, to (n, y, x, c); weights are (ky, kx, ci / groups, c).

    `shape` is that of the result as people have it, (N, C, H, W).
    """
    strides, dilation, groups = (attributes[name] for name in ("strides", "dilation", "groups"))
    padding, sums = attributes["padding"], dtypes.sums(str(x.tensor.dtype))
    zeros = [attributes.get(name, 0) for name in ("zero_point", "other_zero_point")]
    kernel_height, kernel_width, inputs, channels = map(int, weight.shape)
    ky, kx = te.reduce_axis((0, kernel_height), name="ry"), te.reduce_axis((0, kernel_width), name="rx")
    ci = te.reduce_axis((0, inputs), name="rc")

    def element(n: Any, c: Any, i: Any, j: Any) -> Any:
        places, checks = [], []
        for axis, (place, tap) in enumerate(((i, ky), (j, kx))):
            reached = place + padding[axis] - tap * dilation[axis]
            source = tirx.floordiv(reached, strides[axis])
            checks += [source >= 0, source < x.shape[2 + axis]]
            checks += [tirx.EQ(tirx.floormod(reached, strides[axis]), 0)] if strides[axis] > 1 else []
            places.append(source)
        read = ci if groups == 1 else tirx.floordiv(c, channels // groups) * inputs + ci
        product = centred(x(n, read, *places), sums, zeros[0]) * centred(weight[ky, kx, ci, c], sums, zeros[1])
        return te.sum(tirx.if_then_else(tirx.all(*checks), product, tirx.const(0, sums)), axis=[ky, kx, ci])

    window = [*strides, *padding, *dilation, groups, int(x.last)]
    return written(shape, element, last=True, name=TRANSPOSED, attrs={ANNOTATION: window})


# ------------------------------------------------------------------------------------------------------------- resizing
def resized(x: Laid, attributes: Mapping[str, Any], shape: Sequence[int], *, last: bool) -> te.Tensor:
    """Resize an image; see `networks.resizing`."""
    rows_of, columns_of = (_taps(attributes, axis, x.shape[2 + axis]) for axis in (0, 1))
    read = x if attributes["mode"] == "nearest" else x.wide

    def element(n: Any, c: Any, i: Any, j: Any) -> Any:
        rows, columns = rows_of(i), columns_of(j)
        lines = (_weighted([(across, read(n, c, row, column)) for column, across in columns]) for row, _ in rows)
        return _weighted([(down, line) for (_, down), line in zip(rows, lines, strict=True)])

    return written(shape, element, last=last, name="T_resize")


def _weighted(parts: Sequence[tuple[Any, Any]]) -> Any:
    """Return the sum of values, each times its weight; a weight of None is 1."""
    weighed = [value if weight is None else weight.astype(str(value.ty)) * value for weight, value in parts]
    return functools.reduce(operator.add, weighed)


def _taps(attributes: Mapping[str, Any], axis: int, extent: int) -> Callable[[Any], list[tuple[Any, Any]]]:
    """Return a function of a place along an axis: which elements of the source it reads, each with its weight."""
    mode = attributes["mode"]
    known = resizing.taps(attributes, axis, extent)
    if known.elements.shape[0] == 1:
        whole = _in_whole_numbers(known.elements[0], extent)
        if whole is not None:
            return lambda place: [(whole(place), None)]
    position = _position(attributes, axis, extent)

    def nearest(place: Any) -> list[tuple[Any, Any]]:
        at, how = position(place), resizing.rounding(attributes, axis, extent)
        low = tirx.floor(at)
        if how == "ceil":
            rounded = tirx.ceil(at)
        elif how == "floor":
            rounded = low
        else:
            rounded = low + (at - low >= tirx.const(resizing.UP_FROM[how], _FLOAT)).astype(_FLOAT)
        return [(_inside(rounded.astype("int32"), extent), None)]

    def linear(place: Any) -> list[tuple[Any, Any]]:
        at = tirx.max(tirx.min(position(place), tirx.const(extent - 1, _FLOAT)), tirx.const(0, _FLOAT))
        low = tirx.floor(at)
        whole, rest = low.astype("int32"), at - low
        return [(whole, tirx.const(1, _FLOAT) - rest), (tirx.min(whole + 1, extent - 1), rest)]

    def cubic(place: Any) -> list[tuple[Any, Any]]:
        at = position(place)
        low = tirx.floor(at)
        weights = _cubic(at - low, float(attributes.get("cubic_coefficient", resizing.DEFAULT_COEFFICIENT)))
        whole = low.astype("int32")
        return [(_inside(whole + (tap - 1), extent), weight) for tap, weight in enumerate(weights)]

    return {"nearest": nearest, "linear": linear, "cubic": cubic}[mode]


def _in_whole_numbers(elements: np.ndarray, extent: int) -> Callable[[Any], Any] | None:
    """Return which element each place reads as arithmetic of whole numbers; None where none of these is right."""
    size = len(elements)
    up, down = max(size // extent, 1), max(extent // size, 1)
    ways = [(1, 0, up), (down, 0, 1), (down, down // 2, 1), (extent, 0, size), (2 * extent, extent, 2 * size)]
    places = np.arange(size)
    for times, added, over in ways:
        found = (places * times + added) // over
        if np.array_equal(np.minimum(found, extent - 1), elements):
            last, beyond = extent - 1, bool(found[-1] > extent - 1)
            return lambda place: _at_most(tirx.floordiv(place * times + added, over), last if beyond else None)
    return None


def _at_most(place: Any, most: int | None) -> Any:
    return place if most is None else tirx.min(place, most)


def _position(attributes: Mapping[str, Any], axis: int, extent: int) -> Callable[[Any], Any]:
    """Return where a place lies in the source, in float32 and in the order of `resizing.positions`."""
    size, coordinates = attributes["size"][axis], attributes.get("coordinates", "half_pixel")
    given, half = attributes.get("scales"), tirx.const(0.5, _FLOAT)
    scale = tirx.const(float(np.float32(size / extent if given is None else given[axis])), _FLOAT)

    def number(value: float) -> Any:
        return tirx.const(value, _FLOAT)

    if coordinates == "asymmetric":
        return lambda place: tirx.div(place.astype(_FLOAT), scale)
    if coordinates == "align_corners":
        return lambda place: tirx.div(place.astype(_FLOAT) * number(extent - 1), number(max(size - 1, 1)))
    if coordinates == "pytorch_half_pixel" and size == 1:
        return lambda _place: number(0)
    return lambda place: tirx.div(place.astype(_FLOAT) + half, scale) - half


def _inside(place: Any, extent: int) -> Any:
    return tirx.max(tirx.min(place, extent - 1), 0)


def _cubic(rest: Any, a: float) -> list[Any]:
    """Return the weights of the four elements around a position, as `resizing` has them."""

    def number(value: float) -> Any:
        return tirx.const(value, _FLOAT)

    def near(x: Any) -> Any:
        return (number(a + 2) * x - number(a + 3)) * x * x + number(1)

    def far(x: Any) -> Any:
        return ((number(a) * x - number(5 * a)) * x + number(8 * a)) * x - number(4 * a)

    return [far(rest + number(1)), near(rest), near(number(1) - rest), far(number(2) - rest)]


# ---------------------------------------------------------------------------------------------------------------- norms
NORM, GROUPS, EPSILON = "norm", "mbench.groups", "mbench.epsilon"
"""The block that computes a norm by channel. It is annotated with its groups, whether the image lies channels last, and
what keeps it from dividing by 0."""


def normalised(x: Laid, weight: te.Tensor, bias: te.Tensor, *, groups: int, epsilon: float, last: bool) -> te.Tensor:
    """Take the mean off groups of channels of each image and divide by the deviation; then scale and shift channels."""
    batch, channels, *sides = x.shape
    own, sums = channels // groups, x.sums
    count = own * math.prod(sides)

    def mean(value: Callable[..., Any], name: str) -> te.Tensor:
        k = te.reduce_axis((0, own), name="rc")
        along = [te.reduce_axis((0, side), name=f"k{axis}") for axis, side in enumerate(sides)]

        def total(n: Any, g: Any) -> Any:
            channel = g if own == 1 else g * own + k
            return te.sum(value(n, channel, g, *along), axis=[*along, k] if own > 1 else along)

        summed = te.compute((batch, groups), total, name=f"{name}_total")
        return te.compute((batch, groups), lambda *at: summed(*at) / tirx.const(count, sums), name=name)

    def less_mean(n: Any, c: Any, g: Any, *at: Any) -> Any:
        return x.wide(n, c, *at) - average(n, g)

    average = mean(lambda n, c, _g, *at: x.wide(n, c, *at), "norm_mean")
    variance = mean(lambda *at: less_mean(*at) * less_mean(*at), "norm_variance")

    def element(n: Any, c: Any, *at: Any) -> Any:
        g = c if own == 1 else tirx.floordiv(c, own)
        deviation = tirx.sqrt(variance(n, g) + tirx.const(epsilon, sums))
        return less_mean(n, c, g, *at) / deviation * weight(c).astype(sums) + bias(c).astype(sums)

    return written(x.shape, element, last=last, name=NORM, attrs={GROUPS: [groups, int(x.last)], EPSILON: epsilon})


def response_normalised(x: Laid, attributes: Mapping[str, Any], *, last: bool) -> te.Tensor:
    """Divide by what the channels around hold; see `lrn` in `networks.operations`."""
    size, sums, channels = attributes["size"], x.sums, x.shape[1]
    before, zero = (size - 1) // 2, tirx.const(0, sums)

    def square(n: Any, c: Any, at: Sequence[Any], offset: Any, checks: Sequence[Any]) -> Any:
        value = x.wide(n, c + offset, *at)
        return tirx.if_then_else(tirx.all(*checks), value * value, zero) if checks else value * value

    def written_out(n: Any, c: Any, *at: Any) -> Any:
        total: Any = zero
        for offset in range(-before, size - before):
            if abs(offset) < channels:
                checks = [c >= -offset] if offset < 0 else [c < channels - offset] if offset > 0 else []
                total = total + square(n, c, at, offset, checks)
        return total

    total: Callable[..., Any] = written_out
    if size > _MOST_WRITTEN_OUT:
        k = te.reduce_axis((0, size), name="k")
        total = written(
            x.shape,
            lambda n, c, *at: te.sum(
                square(n, c, at, k - before, [c + k >= before, c + k < channels + before]), axis=k
            ),
            last=last,
            name="lrn_total",
        )

    def element(*at: Any) -> Any:
        around = Laid(total, last)(*at) if isinstance(total, te.Tensor) else total(*at)
        inner = tirx.const(attributes["bias"], sums) + tirx.const(attributes["alpha"] / size, sums) * around
        return x.wide(*at) * _power(inner, -attributes["beta"], sums)

    return written(x.shape, element, last=last, name="lrn")


def _power(base: Any, exponent: float, dtype: str) -> Any:
    """Return a number above zero to a power: by roots for the powers that networks have."""
    one = tirx.const(1, dtype)
    if exponent == -0.75:
        root = tirx.sqrt(base)
        return one / (root * tirx.sqrt(root))
    if exponent == -0.5:
        return one / tirx.sqrt(base)
    return one / base if exponent == -1.0 else tirx.power(base, tirx.const(exponent, dtype))
