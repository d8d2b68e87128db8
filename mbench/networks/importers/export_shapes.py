"""ATen's operations that move, cut, join and make values, as nodes of the graph or as constants."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mbench.networks.importers.export_layer import ExportLayer
from mbench.networks.importers.graph_writer import LayerError, Value, axis_of, constant
from mbench.networks.importers.onnx_shapes import expanded, settled, sliced

Reading = Callable[[ExportLayer], Any]
_END = 2**62
"""Numbers above it mean the end of an axis; torch writes 2**63 - 1."""


def _same(layer: ExportLayer) -> Value:
    return layer.x


def _dropout(layer: ExportLayer) -> Value:
    if layer["train"] and layer["p"]:
        raise LayerError("it is in training mode; call network.eval() before the export")
    return layer.x


def _to(layer: ExportLayer) -> Value:
    return layer.cast(layer.x)


def _view(size: str) -> Reading:
    def read(layer: ExportLayer) -> Value:
        shape = [int(side) for side in layer[size]]
        return layer.writer.reshaped(layer.x, settled(shape, layer.x.shape))

    return read


def _flatten(layer: ExportLayer) -> Value:
    x, first, last = layer.x, layer.axis("start_dim"), layer.axis("end_dim")
    return layer.writer.reshaped(x, (*x.shape[:first], math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :]))


def _squeeze(layer: ExportLayer) -> Value:
    x = layer.x
    chosen = layer.axes() if "dim" in layer.arguments else range(x.rank)
    gone = {axis for axis in chosen if x.shape[axis] == 1}
    return layer.writer.reshaped(x, [side for axis, side in enumerate(x.shape) if axis not in gone])


def _unsqueeze(layer: ExportLayer) -> Value:
    x, axis = layer.x, layer.axis(rank=layer.x.rank + 1)
    return layer.writer.reshaped(x, (*x.shape[:axis], 1, *x.shape[axis:]))


def _permute(layer: ExportLayer) -> Value:
    return layer.writer.permuted(layer.x, layer["dims"])


def _swapped(layer: ExportLayer) -> Value:
    x = layer.x
    first, second = (0, 1) if "dim0" not in layer.arguments else (layer.axis("dim0"), layer.axis("dim1"))
    order = list(range(x.rank))
    if x.rank > 1:
        order[first], order[second] = order[second], order[first]
    return layer.writer.permuted(x, order)


def _expand(layer: ExportLayer) -> Value:
    x = layer.x
    wanted = [int(side) for side in layer["size"]]
    extents = (1,) * (len(wanted) - x.rank) + x.shape
    shape = tuple(old if side == -1 else side for side, old in zip(wanted, extents, strict=True))
    return expanded(layer.writer, x, shape)


def _cat(layer: ExportLayer) -> Value:
    parts = [layer.cast(each) for each in layer["tensors"] if each.shape != (0,)]
    axis = axis_of(int(layer["dim"]), parts[0].rank)
    return parts[0] if len(parts) == 1 else layer.writer.add("concat", *parts, axis=axis)


def _stack(layer: ExportLayer) -> Value:
    parts = [layer.cast(each) for each in layer["tensors"]]
    axis = axis_of(int(layer["dim"]), parts[0].rank + 1)
    wide = [layer.writer.reshaped(each, (*each.shape[:axis], 1, *each.shape[axis:])) for each in parts]
    return wide[0] if len(wide) == 1 else layer.writer.add("concat", *wide, axis=axis)


def _slice(layer: ExportLayer) -> Value:
    x, axis = layer.x, layer.axis()
    begin, end, step = layer["start"], layer["end"], int(layer["step"])
    whole = x.shape[axis]
    low = 0 if begin is None else min(int(begin), whole)
    high = whole if end is None or int(end) > _END else int(end)
    return sliced(layer.writer, x, axis, low, high, step)


def _narrow(layer: ExportLayer) -> Value:
    axis, start = layer.axis(), int(layer["start"])
    start = start + layer.x.shape[axis] if start < 0 else start
    return layer.writer.part(layer.x, axis, start, start + int(layer["length"]))


def _select(layer: ExportLayer) -> Value:
    x, axis, place = layer.x, layer.axis(), int(layer["index"])
    place = place + x.shape[axis] if place < 0 else place
    one = layer.writer.part(x, axis, place, place + 1)
    return layer.writer.reshaped(one, (*x.shape[:axis], *x.shape[axis + 1 :]))


def _split(layer: ExportLayer) -> tuple[Value, ...]:
    axis, whole = layer.axis(), layer.x.shape[layer.axis()]
    sizes = layer.arguments.get("split_sizes")
    if sizes is None:
        size = int(layer["split_size"])
        sizes = [min(size, whole - begin) for begin in range(0, whole, size)]
    ends = np.cumsum([int(size) for size in sizes]).tolist()
    return tuple(layer.writer.part(layer.x, axis, end - int(size), end) for size, end in zip(sizes, ends, strict=True))


def _chunk(layer: ExportLayer) -> tuple[Value, ...]:
    axis, whole = layer.axis(), layer.x.shape[layer.axis()]
    size = -(-whole // int(layer["chunks"]))
    return tuple(layer.writer.part(layer.x, axis, at, min(at + size, whole)) for at in range(0, whole, size))


def _unbind(layer: ExportLayer) -> tuple[Value, ...]:
    x, axis = layer.x, layer.axis()
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    parts = (layer.writer.part(x, axis, place, place + 1) for place in range(x.shape[axis]))
    return tuple(layer.writer.reshaped(part, shape) for part in parts)


def _gathered(x: str, indices: str, axis: str | None) -> Reading:
    def read(layer: ExportLayer) -> Value:
        places = layer.cast(layer.value(indices), "int64")
        source = layer.value(x)
        along = 0 if axis is None else axis_of(int(layer[axis]), source.rank)
        return layer.writer.add("gather", source, places, axis=along)

    return read


def _index(layer: ExportLayer) -> Value:
    """Write an index by one list of places; by several it is refused."""
    chosen = [(axis, each) for axis, each in enumerate(layer["indices"]) if each is not None]
    if len(chosen) != 1 or chosen[0][1].dtype == "bool":
        raise LayerError("it reads by several lists of places, or by a mask; mbench knows one list of places alone")
    axis, places = chosen[0]
    return layer.writer.add("gather", layer.x, layer.cast(places, "int64"), axis=axis)


def _flip(layer: ExportLayer) -> Value:
    x = layer.x
    for axis in layer.axes("dims"):
        x = sliced(layer.writer, x, axis, -1, -_END, -1) if x.shape[axis] > 1 else x
    return x


def _repeat(layer: ExportLayer) -> Value:
    counts = [int(count) for count in layer["repeats"]]
    x = layer.writer.reshaped(layer.x, (1,) * (len(counts) - layer.x.rank) + layer.x.shape)
    for axis, count in enumerate(counts):
        x = x if count == 1 else layer.writer.add("concat", *[x] * count, axis=axis)
    return x


def _roll(layer: ExportLayer) -> Value:
    x, shifts, axes = layer.x, layer["shifts"], layer["dims"]
    if not axes:
        raise LayerError("it rolls a value as one line; mbench knows it along axes alone")
    for axis, shift in zip(layer.axes("dims"), shifts, strict=True):
        place = -int(shift) % x.shape[axis]
        if place:
            parts = (layer.writer.part(x, axis, place, x.shape[axis]), layer.writer.part(x, axis, 0, place))
            x = layer.writer.add("concat", *parts, axis=axis)
    return x


def _shuffled(*, up: bool) -> Reading:
    """Read pixel_shuffle, and its inverse."""

    def read(layer: ExportLayer) -> Value:
        (n, c, h, w), writer = layer.x.shape, layer.writer
        size = int(layer["upscale_factor" if up else "downscale_factor"])
        if up:
            wide = writer.permuted(writer.reshaped(layer.x, (n, c // size**2, size, size, h, w)), (0, 1, 4, 2, 5, 3))
            return writer.reshaped(wide, (n, c // size**2, h * size, w * size))
        parts = writer.reshaped(layer.x, (n, c, h // size, size, w // size, size))
        return writer.reshaped(writer.permuted(parts, (0, 1, 3, 5, 2, 4)), (n, c * size**2, h // size, w // size))

    return read


def _channel_shuffle(layer: ExportLayer) -> Value:
    (n, c, *sides), groups = layer.x.shape, int(layer["groups"])
    wide = layer.writer.reshaped(layer.x, (n, groups, c // groups, *sides))
    order = (0, 2, 1, *range(3, wide.rank))
    return layer.writer.reshaped(layer.writer.permuted(wide, order), layer.x.shape)


def _arange(layer: ExportLayer) -> Value:
    start, end = layer.arguments.get("start", 0), layer["end"]
    return constant(np.arange(start, end, layer.arguments.get("step", 1)).astype(layer.dtype))


def _full(number: float | None) -> Reading:
    """Read what fills a shape with a number: that of its argument, or a given one."""

    def read(layer: ExportLayer) -> Value:
        shape = layer.arguments.get("size", layer.arguments.get("self"))
        extents = shape.shape if isinstance(shape, Value) else [int(side) for side in shape]
        return constant(np.full(extents, layer["fill_value"] if number is None else number, layer.dtype))

    return read


def _scalar(layer: ExportLayer) -> Value:
    return constant(np.array(layer["s"], layer.dtype))


def _band(*, upper: bool) -> Reading:
    def read(layer: ExportLayer) -> Value:
        x, shift = layer.x, int(layer["diagonal"])
        below = np.tri(*x.shape[-2:], shift - 1 if upper else shift, bool)
        zero = constant(np.zeros((), x.dtype))
        return layer.writer.add("where", constant(~below if upper else below), x, zero)

    return read


def _cumsum(layer: ExportLayer) -> Value:
    if layer.x.array is None:
        raise LayerError("it sums what depends on the network's inputs; mbench knows it of constants alone")
    return constant(np.cumsum(layer.x.array, layer.axis()).astype(layer.dtype))


def _extent(layer: ExportLayer) -> int:
    return layer.x.shape[layer.axis()]


OPERATIONS: dict[str, Reading] = {
    **dict.fromkeys(
        (
            "clone.default",
            "contiguous.default",
            "alias.default",
            "detach.default",
            "lift_fresh_copy.default",
            "lift_fresh.default",
            "alias_copy.default",
            "detach_.default",
        ),
        _same,
    ),
    "dropout.default": _dropout,
    **dict.fromkeys(("_to_copy.default", "to.dtype", "to.device", "to.dtype_layout", "type_as.default"), _to),
    **dict.fromkeys(("view.default", "_unsafe_view.default", "view_copy.default"), _view("size")),
    "reshape.default": _view("shape"),
    "flatten.using_ints": _flatten,
    **dict.fromkeys(("squeeze.dim", "squeeze.dims", "squeeze.default", "squeeze_copy.dims"), _squeeze),
    "unsqueeze.default": _unsqueeze,
    "permute.default": _permute,
    **dict.fromkeys(("transpose.int", "t.default"), _swapped),
    "expand.default": _expand,
    "cat.default": _cat,
    "stack.default": _stack,
    "slice.Tensor": _slice,
    "narrow.default": _narrow,
    "select.int": _select,
    **dict.fromkeys(("split.Tensor", "split_with_sizes.default"), _split),
    "chunk.default": _chunk,
    "unbind.int": _unbind,
    "index_select.default": _gathered("self", "index", "dim"),
    "embedding.default": _gathered("weight", "indices", None),
    "index.Tensor": _index,
    "flip.default": _flip,
    "repeat.default": _repeat,
    "roll.default": _roll,
    "pixel_shuffle.default": _shuffled(up=True),
    "pixel_unshuffle.default": _shuffled(up=False),
    "channel_shuffle.default": _channel_shuffle,
    **dict.fromkeys(("arange.default", "arange.start", "arange.start_step"), _arange),
    **dict.fromkeys(("full.default", "full_like.default"), _full(None)),
    **dict.fromkeys(("zeros.default", "zeros_like.default"), _full(0)),
    **dict.fromkeys(("ones.default", "ones_like.default"), _full(1)),
    "scalar_tensor.default": _scalar,
    "tril.default": _band(upper=False),
    "triu.default": _band(upper=True),
    "cumsum.default": _cumsum,
    "sym_size.int": _extent,
}
