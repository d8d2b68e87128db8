"""Forms that ONNX and torch have and the graph has not, written as nodes that it has."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mbench.networks.importers.graph_writer import GraphValue, GraphWriter, LayerError, constant

LINE, IMAGE = 3, 4
"""The ranks of a line, (N, C, W), and of an image, (N, C, H, W)."""


def as_image(writer: GraphWriter, x: GraphValue) -> GraphValue:
    """Return a line (N, C, W) as an image of one row; an image as it is.

    Raises:
        LayerError: it is neither, such as a volume.
    """
    if x.rank not in (LINE, IMAGE):
        raise LayerError(f"it reads a value of {x.rank} axes; expected an image (N, C, H, W) or a line (N, C, W)")
    return x if x.rank == IMAGE else writer.reshaped(x, (*x.shape[:2], 1, x.shape[2]))


def like(writer: GraphWriter, x: GraphValue, image: GraphValue) -> GraphValue:
    """Return an image as a line, where what it was made of is one."""
    return image if x.rank == IMAGE else writer.reshaped(image, (*image.shape[:2], image.shape[3]))


def global_pool(writer: GraphWriter, x: GraphValue, how: str) -> GraphValue:
    """Write the mean or the largest element of each channel, with sides of 1."""
    if how == "mean" and x.rank == IMAGE and not x.is_constant:
        return writer.add("global_avg_pool", x)
    return writer.reduced(how, x, range(2, x.rank), keepdims=True)


def softmax(writer: GraphWriter, x: GraphValue, axis: int, *, logarithm: bool = False) -> GraphValue:
    """Write a softmax along an axis, or its logarithm, in the form that keeps small numbers."""
    if not logarithm:
        return writer.add("softmax", x, axis=axis)
    low = writer.add("subtract", x, writer.add("reduce_max", x, axes=(axis,), keepdims=True))
    total = writer.add("reduce_sum", writer.add("exp", low), axes=(axis,), keepdims=True)
    return writer.add("subtract", low, writer.add("log", total))


def masked_softmax(writer: GraphWriter, x: GraphValue, axis: int) -> GraphValue:
    """Write a softmax that gives 0 where all along the axis is masked out, and not NaN, as torch has it."""
    some = writer.add("greater", writer.reduced("max", x, (axis,), keepdims=True), -math.inf)
    none = constant(np.zeros((), x.dtype))
    return writer.add("where", some, softmax(writer, writer.add("where", some, x, none), axis), none)


def attended(writer: GraphWriter, scores: GraphValue, mask: GraphValue | None, value: GraphValue) -> GraphValue:
    """Write what attention gives of its scores: a row that is masked out completely gives 0, and not NaN.

    `mask`: true where a score counts, or what is added to it; it broadcasts to the scores.
    """
    some = None if mask is None else _some(writer, mask)
    none = constant(np.zeros((), scores.dtype))
    if mask is not None and mask.dtype == "bool":
        scores = writer.add("where", mask, scores, constant(np.array(-np.inf, scores.dtype)))
    elif mask is not None:
        scores = writer.add("add", scores, mask)
    if some is not None:
        scores = writer.add("where", some, scores, none)
    made = writer.add("matmul", writer.add("softmax", scores, axis=scores.rank - 1), value)
    return made if some is None else writer.add("where", some, made, none)


def _some(writer: GraphWriter, mask: GraphValue) -> GraphValue | None:
    """Return which rows of a mask let anything pass; None where all are known to."""
    last = mask.rank - 1
    if mask.rank == 0:
        return None if mask.is_constant else mask if mask.dtype == "bool" else writer.add("greater", mask, -math.inf)
    most = writer.reduced("max", mask, (last,), keepdims=True)
    some = most if mask.dtype == "bool" else writer.add("greater", most, -math.inf)
    return None if some.array is not None and some.array.all() else some


def matmul(writer: GraphWriter, a: GraphValue, b: GraphValue) -> GraphValue:
    """Write a product of matrices, of stacks of them or of vectors: a fully connected layer where `b` is a constant."""
    if b.array is not None and b.rank == 2 and not a.is_constant:
        lines = writer.reshaped(a, (1, *a.shape)) if a.rank == 1 else a
        product = writer.add("linear", lines, writer.permuted(b, (1, 0)))
        return writer.reshaped(product, product.shape[1:]) if a.rank == 1 else product
    left = writer.reshaped(a, (1, *a.shape)) if a.rank == 1 else a
    right = writer.reshaped(b, (*b.shape, 1)) if b.rank == 1 else b
    product = writer.add("matmul", left, right)
    rows, columns = product.shape[-2:]
    kept = [*([rows] if a.rank > 1 else []), *([columns] if b.rank > 1 else [])]
    return writer.reshaped(product, (*product.shape[:-2], *kept))


def xor(writer: GraphWriter, x: GraphValue, y: GraphValue) -> GraphValue:
    """Write where one of two is true and the other is not."""
    both = writer.add("not", writer.add("and", x, y))
    return writer.add("and", writer.add("or", x, y), both)


def settled(shape: Sequence[int], source: Sequence[int]) -> tuple[int, ...]:
    """Return a shape with the side that is -1 as the others leave it.

    Raises:
        LayerError: the elements of `source` do not fill it.
    """
    if -1 not in shape:
        return tuple(shape)
    known = math.prod(side for side in shape if side != -1)
    if list(shape).count(-1) > 1 or known < 1 or math.prod(source) % known:
        raise LayerError("the shape that it asks for does not hold the elements of what it reads")
    return tuple(math.prod(source) // known if side == -1 else side for side in shape)


def sliced(writer: GraphWriter, x: GraphValue, axis: int, begin: int, end: int, step: int) -> GraphValue:
    """Write a part along an axis, by numbers as Python's slices have them."""
    places = range(*slice(begin, end, step).indices(x.shape[axis]))
    if not places and not x.is_constant:
        raise LayerError(f"there is nothing from {begin} to {end} of a side of {x.shape[axis]}")
    if step == 1:
        return writer.part(x, axis, places.start, places.stop)
    stop = None if places.stop < 0 else places.stop
    return writer.add("slice", x, axis=axis, begin=places.start, end=stop, step=step)


def expanded(writer: GraphWriter, x: GraphValue, shape: tuple[int, ...]) -> GraphValue:
    """Write a value in the shape that it broadcasts to."""
    return x if x.shape == shape else writer.add("expand", x, shape=shape)


def repeated(writer: GraphWriter, x: GraphValue, counts: Sequence[int]) -> GraphValue:
    """Write a value so many times along each axis, one after the other."""
    for axis, count in enumerate(counts):
        if count < 1:
            raise LayerError(f"it repeats axis {axis} {count} times")
        if 1 < count <= _MOST_BESIDE:
            x = writer.add("concat", *[x] * count, axis=axis)
        elif count > 1:
            outer, inner = x.shape[:axis], x.shape[axis:]
            many = writer.add("expand", writer.reshaped(x, (*outer, 1, *inner)), shape=(*outer, count, *inner))
            x = writer.reshaped(many, (*outer, count * inner[0], *inner[1:]))
    return x


_MOST_BESIDE = 8
"""Copies of a value that are written as a concatenation; more are broadcast."""


def padded(writer: GraphWriter, x: GraphValue, widths: Sequence[tuple[int, int]], how: str, value: float) -> GraphValue:
    """Write a pad of (before, after) along each axis; a negative width takes away. `how`: as the graph has it, or wrap.

    Raises:
        LayerError: a side is wrapped more than once.
    """
    for axis, (before, after) in enumerate(widths):
        x = writer.part(x, axis, max(0, -before), x.shape[axis] - max(0, -after))
    kept = tuple((max(0, before), max(0, after)) for before, after in widths)
    if how == "wrap":
        return _wrapped(writer, x, kept)
    return writer.add("pad", x, widths=kept, mode=how, value=float(value)) if any(map(any, kept)) else x


def _wrapped(writer: GraphWriter, x: GraphValue, widths: Sequence[tuple[int, int]]) -> GraphValue:
    for axis, (before, after) in enumerate(widths):
        side = x.shape[axis]
        if max(before, after) > side:
            raise LayerError(f"it pads a side of {side} by {max(before, after)} of its own")
        parts = [writer.part(x, axis, side - before, side)] if before else []
        parts += [x, *([writer.part(x, axis, 0, after)] if after else [])]
        x = x if len(parts) == 1 else writer.add("concat", *parts, axis=axis)
    return x


def band(writer: GraphWriter, x: GraphValue, shift: int, *, upper: bool) -> GraphValue:
    """Write the triangle of matrices above or below a diagonal, with zeros elsewhere."""
    rows, columns = x.shape[-2:]
    below = np.tri(rows, columns, shift - 1 if upper else shift, bool)
    return writer.add("where", constant(~below if upper else below), x, constant(np.zeros((), x.dtype)))


def to_space(writer: GraphWriter, x: GraphValue, size: int, *, channels_first: bool) -> GraphValue:
    """Write channels as pixels of a larger image, `size` times as high and wide.

    `channels_first`: the channels of the larger image vary slowest among those of the smaller (torch's pixel shuffle,
    ONNX's CRD), and not fastest (DCR).
    """
    n, c, h, w = x.shape
    inner = c // size**2
    split, order = ((n, inner, size, size, h, w), (0, 1, 4, 2, 5, 3))
    if not channels_first:
        split, order = ((n, size, size, inner, h, w), (0, 3, 4, 1, 5, 2))
    return writer.reshaped(writer.permuted(writer.reshaped(x, split), order), (n, inner, h * size, w * size))


def to_depth(writer: GraphWriter, x: GraphValue, size: int, *, channels_first: bool) -> GraphValue:
    """Write pixels as channels of a smaller image: the inverse of `to_space`."""
    n, c, h, w = x.shape
    order = (0, 1, 3, 5, 2, 4) if channels_first else (0, 3, 5, 1, 2, 4)
    parts = writer.permuted(writer.reshaped(x, (n, c, h // size, size, w // size, size)), order)
    return writer.reshaped(parts, (n, c * size**2, h // size, w // size))
