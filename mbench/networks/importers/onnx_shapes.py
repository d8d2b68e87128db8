"""ONNX's operations that move, split, join and describe values: what they compute of shapes alone is settled here."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mbench.networks.importers.forms import (
    as_image,
    band,
    expanded,
    like,
    padded,
    repeated,
    settled,
    sliced,
    to_depth,
    to_space,
)
from mbench.networks.importers.graph_writer import (
    GraphValue,
    GraphWriter,
    LayerError,
    axis_of,
    check_elements,
    constant,
)
from mbench.networks.importers.onnx_layer import OnnxLayer, OnnxReading
from mbench.networks.importers.onnx_types import numpy_name


def _needed(numbers: tuple[int, ...] | None, what: str) -> tuple[int, ...]:
    if numbers is None:
        raise LayerError(f"it has no {what}")
    return numbers


def _identity(layer: OnnxLayer) -> GraphValue:
    return layer.x


def _dropout(layer: OnnxLayer) -> GraphValue:
    if len(layer.outputs) > 1 and layer.outputs[1]:
        raise LayerError("its mask is read; export the network in evaluation mode: network.eval()")
    training = layer.numbers(2)
    if training is not None and training.any():
        raise LayerError("it is in training mode; export the network in evaluation mode: network.eval()")
    return layer.x


def _shape(layer: OnnxLayer) -> GraphValue:
    rank = layer.x.rank
    begin, end = int(layer.attribute("start", 0)), int(layer.attribute("end", rank))
    return constant(np.array(layer.x.shape, np.int64)[slice(begin, end)])


def _size(layer: OnnxLayer) -> GraphValue:
    return constant(np.array(math.prod(layer.x.shape), np.int64))


def _reshape(layer: OnnxLayer) -> GraphValue:
    wanted = _needed(layer.integers(1, "shape"), "shape")
    keep = layer.attribute("allowzero", 0)
    shape = [layer.x.shape[axis] if side == 0 and not keep else side for axis, side in enumerate(wanted)]
    return layer.writer.reshaped(layer.x, settled(shape, layer.x.shape))


def _flatten(layer: OnnxLayer) -> GraphValue:
    x, axis = layer.x, int(layer.attribute("axis", 1))
    axis = axis + x.rank if axis < 0 else axis
    return layer.writer.reshaped(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


def _squeeze(layer: OnnxLayer) -> GraphValue:
    x, axes = layer.x, layer.integers(1, "axes")
    gone = (
        {axis_of(axis, x.rank) for axis in axes} if axes is not None else {a for a, s in enumerate(x.shape) if s == 1}
    )
    return layer.writer.reshaped(x, [side for axis, side in enumerate(x.shape) if axis not in gone])


def _unsqueeze(layer: OnnxLayer) -> GraphValue:
    x, axes = layer.x, _needed(layer.integers(1, "axes"), "axes")
    added = {axis_of(axis, x.rank + len(axes)) for axis in axes}
    sides = iter(x.shape)
    return layer.writer.reshaped(x, [1 if axis in added else next(sides) for axis in range(x.rank + len(axes))])


def _transpose(layer: OnnxLayer) -> GraphValue:
    return layer.writer.permuted(layer.x, layer.attribute("perm", tuple(reversed(range(layer.x.rank)))))


def _concat(layer: OnnxLayer) -> GraphValue:
    parts = [layer.x, *(layer.value(place) for place in range(1, len(layer.inputs)))]
    parts = [part for part in parts if not (part.is_constant and 0 in part.shape)] or parts[:1]
    axis = axis_of(int(layer.attribute("axis", 0)), parts[0].rank)
    return parts[0] if len(parts) == 1 else layer.writer.add("concat", *parts, axis=axis)


def _split(layer: OnnxLayer) -> tuple[GraphValue, ...]:
    axis, x = layer.axis(0), layer.x
    sizes, whole = layer.integers(1, "split"), x.shape[axis]
    if sizes is None:
        count = int(layer.attribute("num_outputs", len(layer.outputs)))
        size = -(-whole // count)
        sizes = tuple(min(size, whole - size * place) for place in range(count))
    ends = np.cumsum(sizes).tolist()
    if ends[-1] != whole or min(sizes) < 0:
        raise LayerError(f"its parts sum up to {ends[-1]} of the {whole} that there are")
    return tuple(
        layer.writer.part(x, axis, end - size, end) if size else constant(np.zeros((0,), x.dtype))
        for size, end in zip(sizes, ends, strict=True)
    )


def _slice(layer: OnnxLayer) -> GraphValue:
    writer, x = layer.writer, layer.x
    begins = _needed(layer.integers(1, "starts"), "starts")
    ends = _needed(layer.integers(2, "ends"), "ends")
    axes = layer.integers(3, "axes") or tuple(range(len(begins)))
    steps = layer.integers(4) or (1,) * len(begins)
    for axis, begin, end, step in zip(axes, begins, ends, steps, strict=True):
        x = sliced(writer, x, axis_of(axis, x.rank), begin, end, step)
    return x


def _gather(layer: OnnxLayer) -> GraphValue:
    """Write a gather; by indices that are known and follow each other it is a part."""
    writer, x, indices, axis = layer.writer, layer.x, layer.value(1), layer.axis(0)
    if indices.array is None or x.is_constant:
        if indices.dtype != "int64":
            indices = writer.add("cast", indices, to="int64")
        return writer.add("gather", x, indices, axis=axis)
    return _places(writer, x, indices.array.astype(np.int64), axis, indices.name)


def _gather_nd(layer: OnnxLayer) -> GraphValue:
    """Write a gather of places that are known: rows of as many numbers as they name sides, behind those of a batch."""
    x, indices, batches = layer.x, layer.value(1), int(layer.attribute("batch_dims", 0))
    if indices.array is None:
        raise LayerError("its input 2 depends on what the network is given; expected constant indices")
    known, end = indices.array.astype(np.int64), batches + indices.shape[-1]
    sides = np.array(x.shape[batches:end], np.int64)
    if not ((known >= -sides) & (known < sides)).all():
        raise LayerError(f"it reads a place that is not among sides of {', '.join(map(str, sides))}")
    batch = np.indices(known.shape[:-1])[:batches]
    flat = np.ravel_multi_index((*batch, *np.moveaxis(known % sides, -1, 0)), x.shape[:end])
    joined = layer.writer.reshaped(x, (math.prod(x.shape[:end]), *x.shape[end:]))
    return _places(layer.writer, joined, flat, 0, indices.name)


def _places(writer: GraphWriter, x: GraphValue, known: np.ndarray, axis: int, name: str) -> GraphValue:
    """Write a gather of known places along an axis."""
    known = np.where(known < 0, known + x.shape[axis], known)
    if known.size and not (known.min() >= 0 and known.max() < x.shape[axis]):
        raise LayerError(f"it reads place {int(known.max())} of a side of {x.shape[axis]}")
    flat = known.reshape(-1)
    if flat.size and np.array_equal(flat, np.arange(flat[0], flat[0] + flat.size)):
        part = writer.part(x, axis, int(flat[0]), int(flat[-1]) + 1)
        return writer.reshaped(part, (*x.shape[:axis], *known.shape, *x.shape[axis + 1 :]))
    return writer.add("gather", x, constant(known, name), axis=axis)


def _expand(layer: OnnxLayer) -> GraphValue:
    wanted = _needed(layer.integers(1), "shape")
    return expanded(layer.writer, layer.x, np.broadcast_shapes(layer.x.shape, wanted))


def _pad(layer: OnnxLayer) -> GraphValue:
    """Write a pad; a negative width takes away."""
    writer, x = layer.writer, layer.x
    how = layer.attribute("mode", "constant")
    if how not in ("constant", "reflect", "edge", "wrap"):
        raise LayerError(f"its mode is {how!r}; mbench knows constant, reflect, edge and wrap")
    given = _needed(layer.integers(1, "pads"), "pads")
    axes = layer.integers(3) or tuple(range(x.rank))
    widths = [(0, 0)] * x.rank
    for place, axis in enumerate(axes):
        widths[axis_of(axis, x.rank)] = (given[place], given[place + len(axes)])
    return padded(writer, x, widths, how, layer.number(2, "value", 0.0))


def _cast(layer: OnnxLayer) -> GraphValue:
    to = numpy_name(int(layer.attribute("to", 1)))
    return layer.x if to == layer.x.dtype else layer.writer.add("cast", layer.x, to=to)


def _cast_like(layer: OnnxLayer) -> GraphValue:
    to = layer.value(1).dtype
    return layer.x if to == layer.x.dtype else layer.writer.add("cast", layer.x, to=to)


def _constant_of_shape(layer: OnnxLayer) -> GraphValue:
    shape = _needed(layer.integers(0), "shape")
    value = layer.attributes.get("value")
    number = np.zeros(1, np.float32) if value is None else np.asarray(value)
    check_elements(math.prod(shape))
    return constant(np.full(shape, number.reshape(-1)[0], number.dtype))


def _range(layer: OnnxLayer) -> GraphValue:
    start, stop, step = (np.asarray(layer.numbers(place)).reshape(-1)[0] for place in range(3))
    check_elements(abs((float(stop) - float(start)) / float(step)))
    return constant(np.arange(start, stop, step, dtype=start.dtype))


def _one_hot(layer: OnnxLayer) -> GraphValue:
    writer, depth, values = layer.writer, _needed(layer.integers(1), "depth")[0], layer.value(2)
    check_elements(depth)
    axis = axis_of(int(layer.attribute("axis", -1)), layer.x.rank + 1)
    places = constant(np.arange(depth).astype(layer.x.dtype).reshape([-1] + [1] * (layer.x.rank - axis)))
    wide = writer.reshaped(layer.x, (*layer.x.shape[:axis], 1, *layer.x.shape[axis:]))
    wide = writer.add("where", writer.add("less", wide, 0), writer.add("add", wide, depth), wide)
    off, on = writer.part(values, 0, 0, 1), writer.part(values, 0, 1, 2)
    return writer.add("where", writer.add("equal", wide, places), on, off)


def _trilu(layer: OnnxLayer) -> GraphValue:
    shift, upper = (layer.integers(1) or (0,))[0], bool(layer.attribute("upper", 1))
    return band(layer.writer, layer.x, shift, upper=upper)


def _moved(form: Callable[..., GraphValue]) -> OnnxReading:
    def read(layer: OnnxLayer) -> GraphValue:
        size, how = int(layer.attribute("blocksize", 1)), layer.attribute("mode", "DCR")
        return form(layer.writer, layer.x, size, channels_first=how == "CRD")

    return read


def _cumsum(layer: OnnxLayer) -> GraphValue:
    if layer.x.array is None:
        raise LayerError("it sums what depends on the network's inputs; mbench knows it of constants alone")
    layer.refuse("exclusive")
    layer.refuse("reverse")
    axis = _needed(layer.integers(1), "axis")[0]
    return constant(np.cumsum(layer.x.array, axis).astype(layer.x.dtype))


_COORDINATES = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")
_ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def _resize(layer: OnnxLayer) -> GraphValue:
    """Write a resize of an image's sides, by sizes or by scales."""
    x = as_image(layer.writer, layer.x)
    layer.refuse("antialias")
    layer.refuse("exclude_outside")
    layer.refuse("keep_aspect_ratio_policy", unless="stretch")
    places = (1, 1, -1) if layer.op == "Upsample" or layer.opset < 11 else (1, 2, 3)
    scales, sizes = layer.numbers(places[1], "scales"), layer.integers(places[2])
    rank = layer.x.rank
    axes = [axis_of(axis, rank) for axis in layer.attribute("axes", range(rank))]
    extents = [float(side) for side in layer.x.shape]
    factors = [1.0] * rank
    for place, axis in enumerate(axes):
        if sizes:
            extents[axis] = sizes[place]
            factors[axis] = sizes[place] / layer.x.shape[axis]
        elif scales is not None and scales.size:
            factors[axis] = float(scales.reshape(-1)[place])
            extents[axis] = math.floor(layer.x.shape[axis] * factors[axis])
    if tuple(extents[:2]) != layer.x.shape[:2]:
        raise LayerError("it resizes the batch or the channels; mbench resizes the height and width of images alone")
    size = (1, int(extents[2])) if rank == 3 else (int(extents[2]), int(extents[3]))
    scale = (1.0, factors[2]) if rank == 3 else (factors[2], factors[3])
    return like(layer.writer, layer.x, layer.writer.add("resize2d", x, size=size, scales=scale, **_how(layer)))


def _how(layer: OnnxLayer) -> dict[str, str | float]:
    """Return what the attributes of a resize say of how it finds a pixel; Upsample is what it was before opset 10."""
    old = layer.op == "Upsample" or layer.opset < 11
    coordinates = "asymmetric" if old else layer.attribute("coordinate_transformation_mode", "half_pixel")
    if coordinates not in _COORDINATES:
        raise LayerError(f"its coordinates are {coordinates!r}; mbench knows {', '.join(_COORDINATES)}")
    mode = layer.attribute("mode", "nearest")
    if mode not in ("nearest", "linear", "cubic"):
        raise LayerError(f"its mode is {mode!r}; mbench knows nearest, linear and cubic")
    rounding = "floor_or_ceil" if old else layer.attribute("nearest_mode", "round_prefer_floor")
    if not old and rounding not in _ROUNDINGS:
        raise LayerError(f"its nearest_mode is {rounding!r}; mbench knows {', '.join(_ROUNDINGS)}")
    cubic = float(layer.attribute("cubic_coeff_a", -0.75))
    return {"mode": mode, "coordinates": coordinates, "rounding": rounding, "cubic_coefficient": cubic}


OPERATIONS: dict[str, OnnxReading] = {
    "Identity": _identity,
    "Dropout": _dropout,
    "Shape": _shape,
    "Size": _size,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "Expand": _expand,
    "Tile": lambda layer: repeated(layer.writer, layer.x, _needed(layer.integers(1), "repeats")),
    "Pad": _pad,
    "Cast": _cast,
    "CastLike": _cast_like,
    "ConstantOfShape": _constant_of_shape,
    "Range": _range,
    "OneHot": _one_hot,
    "Trilu": _trilu,
    "CumSum": _cumsum,
    "DepthToSpace": _moved(to_space),
    "SpaceToDepth": _moved(to_depth),
    "Resize": _resize,
    "Upsample": _resize,
}
