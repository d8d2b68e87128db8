"""ATen's operations that move, split, join and make values, as nodes of the graph or as constants."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mbench.networks.importers.export_layer import ExportLayer, ExportReading
from mbench.networks.importers.forms import band, expanded, repeated, settled, sliced, to_depth, to_space
from mbench.networks.importers.graph_writer import GraphValue, LayerError, axis_of, constant

_END = 2**62
"""Numbers above it mean the end of an axis; torch writes 2**63 - 1."""


def _same(layer: ExportLayer) -> GraphValue:
    return layer.x


def _dropout(layer: ExportLayer) -> GraphValue:
    if layer["train"] and layer["p"]:
        raise LayerError("it is in training mode; call network.eval() before the export")
    return layer.x


def _to(layer: ExportLayer) -> GraphValue:
    return layer.cast(layer.x)


def _view(size: str) -> ExportReading:
    def read(layer: ExportLayer) -> GraphValue:
        shape = [int(side) for side in layer[size]]
        return layer.writer.reshaped(layer.x, settled(shape, layer.x.shape))

    return read


def _flatten(layer: ExportLayer) -> GraphValue:
    x, first, last = layer.x, layer.axis("start_dim"), layer.axis("end_dim")
    return layer.writer.reshaped(x, (*x.shape[:first], math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :]))


def _squeeze(layer: ExportLayer) -> GraphValue:
    x = layer.x
    chosen = layer.axes() if "dim" in layer.arguments else range(x.rank)
    gone = {axis for axis in chosen if x.shape[axis] == 1}
    return layer.writer.reshaped(x, [side for axis, side in enumerate(x.shape) if axis not in gone])


def _unsqueeze(layer: ExportLayer) -> GraphValue:
    x, axis = layer.x, layer.axis(rank=layer.x.rank + 1)
    return layer.writer.reshaped(x, (*x.shape[:axis], 1, *x.shape[axis:]))


def _permute(layer: ExportLayer) -> GraphValue:
    return layer.writer.permuted(layer.x, layer["dims"])


def _swapped(layer: ExportLayer) -> GraphValue:
    x = layer.x
    first, second = (0, 1) if "dim0" not in layer.arguments else (layer.axis("dim0"), layer.axis("dim1"))
    order = list(range(x.rank))
    if x.rank > 1:
        order[first], order[second] = order[second], order[first]
    return layer.writer.permuted(x, order)


def _expand(layer: ExportLayer) -> GraphValue:
    x = layer.x
    wanted = [int(side) for side in layer["size"]]
    extents = (1,) * (len(wanted) - x.rank) + x.shape
    shape = tuple(old if side == -1 else side for side, old in zip(wanted, extents, strict=True))
    return expanded(layer.writer, x, shape)


def _cat(layer: ExportLayer) -> GraphValue:
    parts = [layer.cast(each) for each in layer["tensors"] if each.shape != (0,)]
    axis = axis_of(int(layer["dim"]), parts[0].rank)
    return parts[0] if len(parts) == 1 else layer.writer.add("concat", *parts, axis=axis)


def _stack(layer: ExportLayer) -> GraphValue:
    parts = [layer.cast(each) for each in layer["tensors"]]
    axis = axis_of(int(layer["dim"]), parts[0].rank + 1)
    wide = [layer.writer.reshaped(each, (*each.shape[:axis], 1, *each.shape[axis:])) for each in parts]
    return wide[0] if len(wide) == 1 else layer.writer.add("concat", *wide, axis=axis)


def _slice(layer: ExportLayer) -> GraphValue:
    x, axis = layer.x, layer.axis()
    begin, end, step = layer["start"], layer["end"], int(layer["step"])
    whole = x.shape[axis]
    low = 0 if begin is None else min(int(begin), whole)
    high = whole if end is None or int(end) > _END else int(end)
    return sliced(layer.writer, x, axis, low, high, step)


def _narrow(layer: ExportLayer) -> GraphValue:
    axis, start = layer.axis(), int(layer["start"])
    start = start + layer.x.shape[axis] if start < 0 else start
    return layer.writer.part(layer.x, axis, start, start + int(layer["length"]))


def _select(layer: ExportLayer) -> GraphValue:
    x, axis, place = layer.x, layer.axis(), int(layer["index"])
    place = place + x.shape[axis] if place < 0 else place
    one = layer.writer.part(x, axis, place, place + 1)
    return layer.writer.reshaped(one, (*x.shape[:axis], *x.shape[axis + 1 :]))


def _split(layer: ExportLayer) -> tuple[GraphValue, ...]:
    axis, whole = layer.axis(), layer.x.shape[layer.axis()]
    sizes = layer.arguments.get("split_sizes")
    if sizes is None:
        size = int(layer["split_size"])
        sizes = [min(size, whole - begin) for begin in range(0, whole, size)]
    ends = np.cumsum([int(size) for size in sizes]).tolist()
    return tuple(layer.writer.part(layer.x, axis, end - int(size), end) for size, end in zip(sizes, ends, strict=True))


def _chunk(layer: ExportLayer) -> tuple[GraphValue, ...]:
    axis, whole = layer.axis(), layer.x.shape[layer.axis()]
    size = -(-whole // int(layer["chunks"]))
    return tuple(layer.writer.part(layer.x, axis, at, min(at + size, whole)) for at in range(0, whole, size))


def _unbind(layer: ExportLayer) -> tuple[GraphValue, ...]:
    x, axis = layer.x, layer.axis()
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    parts = (layer.writer.part(x, axis, place, place + 1) for place in range(x.shape[axis]))
    return tuple(layer.writer.reshaped(part, shape) for part in parts)


def _gathered(x: str, indices: str, axis: str | None) -> ExportReading:
    def read(layer: ExportLayer) -> GraphValue:
        places = layer.cast(layer.value(indices), "int64")
        source = layer.value(x)
        along = 0 if axis is None else axis_of(int(layer[axis]), source.rank)
        return layer.writer.add("gather", source, places, axis=along)

    return read


def _index(layer: ExportLayer) -> GraphValue:
    """Write an index by one list of places; by several it is refused."""
    chosen = [(axis, each) for axis, each in enumerate(layer["indices"]) if each is not None]
    if len(chosen) != 1 or chosen[0][1].dtype == "bool":
        raise LayerError("it reads by several lists of places, or by a mask; mbench knows one list of places alone")
    axis, places = chosen[0]
    return layer.writer.add("gather", layer.x, layer.cast(places, "int64"), axis=axis)


def _copied(layer: ExportLayer) -> GraphValue:
    return expanded(layer.writer, layer.cast(layer.value("src")), layer.x.shape)


def _scattered(layer: ExportLayer) -> GraphValue:
    """Write a value with a part of it replaced: what lies before, the part, what lies after."""
    writer, x, axis, source = layer.writer, layer.x, layer.axis(), layer.cast(layer.value("src"))
    whole = x.shape[axis]
    if "index" in layer.arguments:
        begin = int(layer["index"]) % whole
        end, source = begin + 1, writer.reshaped(source, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))
    else:
        layer.expect("step", 1)
        begin, end, _ = slice(layer["start"], min(layer["end"] or _END, _END)).indices(whole)
    source = expanded(writer, source, (*x.shape[:axis], end - begin, *x.shape[axis + 1 :]))
    parts = [source]
    if begin:
        parts.insert(0, writer.part(x, axis, 0, begin))
    if end < whole:
        parts.append(writer.part(x, axis, end, whole))
    return parts[0] if len(parts) == 1 else writer.add("concat", *parts, axis=axis)


def _flip(layer: ExportLayer) -> GraphValue:
    x = layer.x
    for axis in layer.axes("dims"):
        x = sliced(layer.writer, x, axis, -1, -_END, -1) if x.shape[axis] > 1 else x
    return x


def _repeat(layer: ExportLayer) -> GraphValue:
    counts = [int(count) for count in layer["repeats"]]
    x = layer.writer.reshaped(layer.x, (1,) * (len(counts) - layer.x.rank) + layer.x.shape)
    return repeated(layer.writer, x, counts)


def _roll(layer: ExportLayer) -> GraphValue:
    x, shifts, axes = layer.x, layer["shifts"], layer["dims"]
    if not axes:
        raise LayerError("it rolls a value as one line; mbench knows it along axes alone")
    for axis, shift in zip(layer.axes("dims"), shifts, strict=True):
        place = -int(shift) % x.shape[axis]
        if place:
            parts = (layer.writer.part(x, axis, place, x.shape[axis]), layer.writer.part(x, axis, 0, place))
            x = layer.writer.add("concat", *parts, axis=axis)
    return x


def _moved(form: Callable[..., GraphValue], factor: str) -> ExportReading:
    return lambda layer: form(layer.writer, layer.x, int(layer[factor]), channels_first=True)


def _channel_shuffle(layer: ExportLayer) -> GraphValue:
    (n, c, *sides), groups = layer.x.shape, int(layer["groups"])
    wide = layer.writer.reshaped(layer.x, (n, groups, c // groups, *sides))
    order = (0, 2, 1, *range(3, wide.rank))
    return layer.writer.reshaped(layer.writer.permuted(wide, order), layer.x.shape)


def _arange(layer: ExportLayer) -> GraphValue:
    start, end = layer.arguments.get("start", 0), layer["end"]
    return constant(np.arange(start, end, layer.arguments.get("step", 1)).astype(layer.dtype))


def _full(number: float | None) -> ExportReading:
    """Read what fills a shape with a number: that of its argument, or a given one."""

    def read(layer: ExportLayer) -> GraphValue:
        shape = layer.arguments.get("size", layer.arguments.get("self"))
        extents = shape.shape if isinstance(shape, GraphValue) else [int(side) for side in shape]
        return constant(np.full(extents, layer["fill_value"] if number is None else number, layer.dtype))

    return read


def _scalar(layer: ExportLayer) -> GraphValue:
    return constant(np.array(layer["s"], layer.dtype))


def _band(*, upper: bool) -> ExportReading:
    return lambda layer: band(layer.writer, layer.x, int(layer["diagonal"]), upper=upper)


def _cumsum(layer: ExportLayer) -> GraphValue:
    if layer.x.array is None:
        raise LayerError("it sums what depends on the network's inputs; mbench knows it of constants alone")
    return constant(np.cumsum(layer.x.array, layer.axis()).astype(layer.dtype))


def _extent(layer: ExportLayer) -> int:
    return layer.x.shape[layer.axis()]


OPERATIONS: dict[str, ExportReading] = {
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
    "copy.default": _copied,
    **dict.fromkeys(("slice_scatter.default", "select_scatter.default"), _scattered),
    "flip.default": _flip,
    "repeat.default": _repeat,
    "roll.default": _roll,
    "pixel_shuffle.default": _moved(to_space, "upscale_factor"),
    "pixel_unshuffle.default": _moved(to_depth, "downscale_factor"),
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
