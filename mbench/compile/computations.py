"""What each operation of a graph computes, in TVM's tensor expressions: sums in the accumulator's type, not scheduled.

Images are (n, y, x, c) here, but for a network's input, which is read (n, c, y, x), as it comes; weights of a
convolution are (ky, kx, ci / groups, c), those of a fully connected layer (inputs, outputs). The forms are TVM's own
where it has one that the rules know: they read off the blocks what is computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tvm import te, tirx, topi

from mbench.compile.axis_computations import Laid, as_people_have, centred
from mbench.core import dtypes

PIXELS = "pixels_sum"
"""The block that sums all pixels of 8-bit values."""
REACH = "mbench.reach_of_weights"
"""Annotates a block that multiplies by weights of 8 bits with the largest magnitude that they are known to have."""
ANY_REACH = 128
"""Of weights of 8 bits, where nothing is known."""


def sums_of(tensor: te.Tensor) -> str:
    """Return the type that multiplications of a tensor's elements are summed in."""
    return dtypes.sums(str(tensor.dtype))


def convolution(
    x: te.Tensor,
    weight: te.Tensor,
    *,
    strides: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    channels_first: bool = False,
    zero_points: tuple[int, int] = (0, 0),
    outside: int = 0,
    largest_weight: int = ANY_REACH,
) -> te.Tensor:
    """Convolve to (n, y, x, c).

    `channels_first`: the image is (n, ci, y, x). Of values of 8 bits: `zero_points` are taken off what is read and off
    the weights, padding is `outside`, and no weight has a larger magnitude than `largest_weight`.
    """
    if channels_first or str(x.dtype) in dtypes.EIGHT_BITS:
        steps = (strides, padding, dilation)
        return _written_out(
            x, weight, steps, groups, zero_points, outside, channels_first=channels_first, largest_weight=largest_weight
        )  # fmt: skip
    if groups > 1:
        return topi.nn.group_conv2d_nhwc(
            x, weight, list(strides), list(padding), list(dilation), groups, out_dtype=sums_of(x)
        )
    return topi.nn.conv2d_nhwc(x, weight, list(strides), list(padding), list(dilation), out_dtype=sums_of(x))


def _written_out(
    x: te.Tensor, weight: te.Tensor, steps: Sequence[Sequence[int]], groups: int, zero_points: tuple[int, int],
    outside: int, *, channels_first: bool, largest_weight: int,
) -> te.Tensor:  # fmt: skip
    """Convolve (n, ci, y, x), so that an image is not laid out anew in a pass over memory, or (n, y, x, ci)."""
    strides, padding, dilation = steps
    batch, height, width, _ = _last(x, channels_first)
    kernel_height, kernel_width, inputs, channels = weight.shape
    top, left, bottom, right = padding
    before, after = _at(0, top, left, 0, channels_first), _at(0, bottom, right, 0, channels_first)
    value_outside = tirx.const(outside, x.dtype) if str(x.dtype) in dtypes.EIGHT_BITS else 0.0
    padded = topi.nn.pad(x, before, after, value_outside, name="pad_temp")
    reach = [(int(side) - 1) * step + 1 for side, step in zip((kernel_height, kernel_width), dilation, strict=True)]
    shape = (
        batch,
        (height + top + bottom - reach[0]) // strides[0] + 1,
        (width + left + right - reach[1]) // strides[1] + 1,
        channels,
    )
    ky, kx = te.reduce_axis((0, kernel_height), name="ry"), te.reduce_axis((0, kernel_width), name="rx")
    ci = te.reduce_axis((0, inputs), name="rc")
    sums, (down, across) = sums_of(x), dilation

    def value(n: Any, i: Any, j: Any, c: Any) -> Any:
        read = ci if groups == 1 else c // (channels // groups) * inputs + ci
        place = _at(n, i * strides[0] + ky * down, j * strides[1] + kx * across, read, channels_first)
        factors = centred(padded[place], sums, zero_points[0]), centred(weight[ky, kx, ci, c], sums, zero_points[1])
        return te.sum(factors[0] * factors[1], axis=[ky, kx, ci])

    name = "conv2d_nchw_nhwc" if channels_first else "conv2d_nhwc"
    return te.compute(shape, value, name=name, attrs=_annotated(largest_weight))


def _annotated(largest_weight: int) -> dict[str, int] | None:
    return {REACH: largest_weight} if largest_weight < ANY_REACH else None


def linear(
    x: te.Tensor, weight: te.Tensor, zero_points: tuple[int, int] = (0, 0), *, largest_weight: int = ANY_REACH
) -> te.Tensor:
    """Multiply (…, k) and weights (k, n), which have magnitudes of at most `largest_weight`."""
    return product(x, weight, zero_points, name="matmul", largest_weight=largest_weight)


def product(
    x: te.Tensor,
    weight: te.Tensor,
    zero_points: tuple[int, int] = (0, 0),
    *,
    name: str = "batch_matmul",
    largest_weight: int = ANY_REACH,
) -> te.Tensor:
    """Multiply (…, m, k) and (…, k, n), whose leading axes broadcast. `zero_points` are taken off both before."""
    sums = sums_of(x)
    rank = max(len(x.shape), len(weight.shape))
    k = te.reduce_axis((0, x.shape[-1]), name="k")
    lead = [_longer(x, weight, axis) for axis in range(-rank, -2)]
    shape = (*lead, x.shape[-2], weight.shape[-1])

    def value(*at: Any) -> Any:
        left = _read(x, (*at[:-2], at[-2], k), free=2)
        right = _read(weight, (*at[:-2], k, at[-1]), free=2)
        return te.sum(centred(left, sums, zero_points[0]) * centred(right, sums, zero_points[1]), axis=k)

    return te.compute(shape, value, name=name, attrs=_annotated(largest_weight))


def _longer(left: te.Tensor, right: te.Tensor, axis: int) -> Any:
    extents = [each.shape[axis] for each in (left, right) if len(each.shape) >= -axis]
    return max(extents, key=int)


def _read(tensor: te.Tensor, at: Sequence[Any], *, free: int) -> Any:
    """Read a tensor whose leading axes may be fewer, or 1; its last `free` axes are as the indices have them."""
    own = list(at)[len(at) - len(tensor.shape) :]
    lead = len(own) - free
    return tensor(*(0 if axis < lead and int(tensor.shape[axis]) == 1 else index for axis, index in enumerate(own)))


def global_average(x: te.Tensor, *, channels_first: bool = False) -> te.Tensor:
    """Average (n, y, x, c) over y and x to (n, 1, 1, c), in the form of TVM's own mean."""
    batch, height, width, channels = _last(x, channels_first)
    y, across = te.reduce_axis((0, height), name="ry"), te.reduce_axis((0, width), name="rx")
    sums = sums_of(x)
    total = te.compute(
        (batch, 1, 1, channels),
        lambda n, _y, _x, c: te.sum(x[_at(n, y, across, c, channels_first)].astype(sums), axis=[y, across]),
        name="mean_red",
    )
    return te.compute(total.shape, lambda *at: total(*at) / tirx.const(int(height * width), sums), name="T_divide")


def global_sum(x: te.Tensor, zero_point: int, *, channels_first: bool = False) -> te.Tensor:
    """Sum (n, y, x, c) less its zero point over y and x to (n, 1, 1, c)."""
    batch, height, width, channels = _last(x, channels_first)
    y, across = te.reduce_axis((0, height), name="ry"), te.reduce_axis((0, width), name="rx")
    sums = sums_of(x)

    def value(n: Any, _y: Any, _x: Any, c: Any) -> Any:
        return te.sum(centred(x[_at(n, y, across, c, channels_first)], sums, zero_point), axis=[y, across])

    return te.compute((batch, 1, 1, channels), value, name=PIXELS)


def _last(x: te.Tensor, channels_first: bool) -> tuple[Any, ...]:
    """Return batch, height, width and channels of an image."""
    first, second, third, fourth = x.shape
    return (first, third, fourth, second) if channels_first else (first, second, third, fourth)


def _at(n: Any, y: Any, x: Any, c: Any, channels_first: bool) -> tuple[Any, ...]:
    return (n, c, y, x) if channels_first else (n, y, x, c)


def pooling(
    x: te.Tensor, kind: str, attributes: Mapping[str, Any], sides: Sequence[int], *, channels_first: bool = False
) -> te.Tensor:
    """Pool to (n, y, x, c), `max`, `avg` or `sum`; see `networks.operations`. `sides`: the result's height and width.

    An average is over the elements inside of the image, or inside of its padding with `count_include_pad`.
    """
    batch, height, width, channels = _last(x, channels_first)
    kernel, strides, padding = (attributes[name] for name in ("kernel", "strides", "padding"))
    down, across = dilation = attributes.get("dilation", (1, 1))
    reach = [(window - 1) * apart + 1 for window, apart in zip(kernel, dilation, strict=True)]
    ends = [
        max((side - 1) * step + window - int(extent) - before, 0)
        for side, step, window, extent, before in zip(sides, strides, reach, (height, width), padding, strict=False)
    ]
    sums, zero = x.dtype if kind == "max" else sums_of(x), attributes.get("zero_point", 0)
    outside = tirx.min_value(x.dtype) if kind == "max" else tirx.const(zero, x.dtype)
    if any((*padding[:2], *ends)):
        before, after = (_at(0, rows, columns, 0, channels_first) for rows, columns in (padding[:2], ends))
        x = topi.nn.pad(x, before, after, outside, name="pad_temp")
    ky, kx = (te.reduce_axis((0, extent), name=name) for extent, name in zip(kernel, ("ry", "rx"), strict=True))

    def value(n: Any, i: Any, j: Any, c: Any) -> Any:
        element = x[_at(n, i * strides[0] + ky * down, j * strides[1] + kx * across, c, channels_first)]
        return te.max(element, axis=[ky, kx]) if kind == "max" else te.sum(centred(element, sums, zero), axis=[ky, kx])

    name = "pool_max" if kind == "max" else "pool_sum"
    total = te.compute((batch, *sides, channels), value, name=f"{name}_nchw" if channels_first else name)
    if kind in ("max", "sum"):
        return total
    included = bool(attributes.get("count_include_pad", True))
    counts = [_elements_of_windows(axis, int((height, width)[axis]), attributes, sides, included) for axis in (0, 1)]

    def mean(n: Any, i: Any, j: Any, c: Any) -> Any:
        count = counts[0](i) * counts[1](j)
        return total(n, i, j, c) / (tirx.const(count, sums) if isinstance(count, int) else count.astype(sums))

    return te.compute(total.shape, mean, name="pool_avg")


def _elements_of_windows(
    axis: int, extent: int, attributes: Mapping[str, Any], sides: Sequence[int], included: bool
) -> Callable[[Any], Any]:
    """Return how many elements a window has along an axis, by its place."""
    kernel, step = attributes["kernel"][axis], attributes["strides"][axis]
    before, after = attributes["padding"][axis], attributes["padding"][axis + 2]
    low, high = (-before, extent + after) if included else (0, extent)
    if -before >= low and (sides[axis] - 1) * step - before + kernel <= high:
        return lambda _place: kernel
    return lambda place: tirx.min(place * step + (kernel - before), high) - tirx.max(place * step - before, low)


def softmax(x: te.Tensor, axis: int) -> te.Tensor:
    """Exponentials over their sum along an axis, the largest element subtracted first."""
    sums, axis = sums_of(x), axis % len(x.shape)

    def reduced(reduce: Callable[..., Any], value: Callable[..., Any], name: str) -> te.Tensor:
        along = te.reduce_axis((0, x.shape[axis]), name="k")
        shape = [*x.shape[:axis], *x.shape[axis + 1 :]]
        return te.compute(shape, lambda *at: reduce(value(*at[:axis], along, *at[axis:]), axis=along), name=name)

    def rest(at: Sequence[Any]) -> Sequence[Any]:
        return (*at[:axis], *at[axis + 1 :])

    largest = reduced(te.max, lambda *at: x(*at).astype(sums), "softmax_largest")
    exponentials = te.compute(
        x.shape, lambda *at: tirx.exp(x(*at).astype(sums) - largest(*rest(at))), name="softmax_exponentials"
    )
    total = reduced(te.sum, exponentials, "softmax_total")
    return te.compute(x.shape, lambda *at: exponentials(*at) / total(*rest(at)), name="softmax")


def layer_norm(x: te.Tensor, weight: te.Tensor, bias: te.Tensor, axes: Sequence[int], epsilon: float) -> te.Tensor:
    """Normalise over axes, then scale and shift."""
    sums, count = sums_of(x), math.prod(int(x.shape[axis]) for axis in axes)
    kept = [axis for axis in range(len(x.shape)) if axis not in axes]

    def mean(value: Callable[..., Any], name: str) -> te.Tensor:
        along = [te.reduce_axis((0, x.shape[axis]), name=f"k{axis}") for axis in axes]

        def total(*at: Any) -> Any:
            places = dict(zip((*kept, *axes), (*at, *along), strict=True))
            return te.sum(value(*(places[axis] for axis in range(len(x.shape)))), axis=along)

        summed = te.compute([x.shape[axis] for axis in kept], total, name=f"{name}_total")
        return te.compute(summed.shape, lambda *at: summed(*at) / tirx.const(count, sums), name=name)

    def less_mean(*at: Any) -> Any:
        return x(*at).astype(sums) - average(*(at[axis] for axis in kept))

    average = mean(lambda *at: x(*at).astype(sums), "layer_norm_mean")
    variance = mean(lambda *at: less_mean(*at) * less_mean(*at), "layer_norm_variance")

    def value(*at: Any) -> Any:
        own = [at[axis] for axis in axes]
        deviation = tirx.sqrt(variance(*(at[axis] for axis in kept)) + tirx.const(epsilon, sums))
        return less_mean(*at) / deviation * weight(*own).astype(sums) + bias(*own).astype(sums)

    return te.compute(x.shape, value, name="layer_norm")


def added(total: te.Tensor, bias: te.Tensor) -> te.Tensor:
    """Add a bias, one number for each of the last axis."""
    return topi.add(total, bias)


def chain(shape: Sequence[Any], value: Callable[..., Any]) -> te.Tensor:
    """Return all that is done element by element as one computation: `value(*indices)` is an element."""
    return te.compute(tuple(shape), value, name="T_chain")


def broadcast(read: Laid, at: Sequence[Any], *, last: bool = False) -> Any:
    """Read the element that broadcasts to the place `at`, which is channels last or not, in the type of its sums."""
    places = as_people_have(at) if last else tuple(at)
    places = (0,) * (len(read.shape) - len(places)) + places  # (1) broadcasts to a number without axes
    own = places[len(places) - len(read.shape) :]
    return read.wide(*(0 if extent == 1 else place for extent, place in zip(read.shape, own, strict=True)))


def concatenated(tensors: Sequence[te.Tensor], axis: int) -> te.Tensor:
    """Put tensors beside each other along an axis."""
    return topi.concatenate(list(tensors), axis)


def part(x: te.Tensor, axis: int, begin: int, end: int) -> te.Tensor:
    """Return what lies from `begin` to `end` along an axis."""
    shape = [end - begin if each == axis else extent for each, extent in enumerate(x.shape)]
    return te.compute(
        shape,
        lambda *at: x(*(index + begin if each == axis else index for each, index in enumerate(at))),
        name="T_slice",
    )


def reshaped(x: te.Tensor, shape: Sequence[int], *, from_last: bool, to_last: bool) -> te.Tensor:
    """Reshape in the order of axes that people have; images may be read and written channels last."""
    given = topi.transpose(x, (0, 3, 1, 2)) if from_last else x
    result = topi.reshape(given, tuple(shape))
    return topi.transpose(result, (0, 2, 3, 1)) if to_last else result


def permuted(x: te.Tensor, axes: Sequence[int], *, from_last: bool, to_last: bool) -> te.Tensor:
    """Permute the axes that people have; images may be read and written channels last."""
    lies = [(0, 3, 1, 2)[axis] if from_last else axis for axis in axes]  # where each axis of the result is in `x`
    return topi.transpose(x, [lies[axis] for axis in (0, 2, 3, 1)] if to_last else lies)
