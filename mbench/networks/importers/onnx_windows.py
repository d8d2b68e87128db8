"""ONNX's operations with windows: convolutions, pools, resizing and norms of images, as nodes of the graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mbench.networks.importers.forms import LINE, as_image, global_pool, like
from mbench.networks.importers.graph_writer import GraphValue, GraphWriter, LayerError, constant
from mbench.networks.importers.onnx_layer import OnnxLayer, OnnxReading


def two(values: Sequence[int] | None, default: int = 1) -> tuple[int, int]:
    """Return (down, right) from what an attribute has for an image or a line."""
    known = tuple(int(each) for each in values or ())
    return (known[0], known[1]) if len(known) == 2 else (default, known[0] if known else default)


def _padding(
    layer: OnnxLayer, sides: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> tuple[int, int, int, int]:
    """Return (top, left, bottom, right), of `pads` or of `auto_pad`."""
    how = layer.attribute("auto_pad", "NOTSET")
    given = layer.attributes.get("pads")
    if how in ("NOTSET", ""):
        if not given:
            return (0, 0, 0, 0)
        known = tuple(map(int, given))
        return (known[0], known[1], known[2], known[3]) if len(known) == 4 else (0, known[0], 0, known[1])
    if how == "VALID":
        return (0, 0, 0, 0)
    if how not in ("SAME_UPPER", "SAME_LOWER"):
        raise LayerError(f"its auto_pad is {how!r}; expected NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    before, after = [], []
    for side, taps, step, apart in zip(sides, kernel, strides, dilation, strict=True):
        needed = max(0, (-(-side // step) - 1) * step + (taps - 1) * apart + 1 - side)
        less, more = needed // 2, needed - needed // 2
        before.append(less if how == "SAME_UPPER" else more)
        after.append(more if how == "SAME_UPPER" else less)
    return (before[0], before[1], after[0], after[1])


def conv(layer: OnnxLayer) -> GraphValue:
    """Write a convolution of an image, or of a line."""
    writer, x = layer.writer, as_image(layer.writer, layer.x)
    weight = as_image(writer, layer.value(1))
    bias = layer.optional(2)
    strides, dilation = two(layer.attributes.get("strides")), two(layer.attributes.get("dilations"))
    padding = _padding(layer, x.shape[2:], weight.shape[2:], strides, dilation)
    result = writer.add(
        "conv2d", x, weight, *(() if bias is None else (bias,)), strides=strides, padding=padding, dilation=dilation,
        groups=int(layer.attribute("group", 1)),
    )  # fmt: skip
    return like(writer, layer.x, result)


def conv_transpose(layer: OnnxLayer) -> GraphValue:
    """Write a transposed convolution; `output_shape` decides the padding where it is given."""
    writer, x = layer.writer, as_image(layer.writer, layer.x)
    weight = as_image(writer, layer.value(1))
    bias = layer.optional(2)
    strides, dilation = two(layer.attributes.get("strides")), two(layer.attributes.get("dilations"))
    more = two(layer.attributes.get("output_padding"), 0)
    wanted = layer.attributes.get("output_shape")
    how = layer.attribute("auto_pad", "NOTSET")
    if wanted or how in ("SAME_UPPER", "SAME_LOWER"):
        sides = tuple(map(int, wanted))[-(layer.x.rank - 2) :] if wanted else ()
        sides = (1, *sides) if wanted and layer.x.rank == LINE else sides
        full = _full_sides(x, weight, strides, dilation, more)
        goal = sides or tuple(side * step for side, step in zip(x.shape[2:], strides, strict=True))
        total = [whole - side for whole, side in zip(full, goal, strict=True)]
        small = [each // 2 for each in total]
        large = [each - part for each, part in zip(total, small, strict=True)]
        first, last = (small, large) if how == "SAME_UPPER" else (large, small)
        padding = (first[0], first[1], last[0], last[1])
    else:
        padding = _padding(layer, x.shape[2:], weight.shape[2:], strides, dilation)
    cut = tuple(min(0, side) for side in padding)
    if any(cut):
        raise LayerError("its output_shape is larger than what it computes")
    result = writer.add(
        "conv2d_transpose", x, weight, *(() if bias is None else (bias,)), strides=strides, padding=padding,
        output_padding=more, dilation=dilation, groups=int(layer.attribute("group", 1)),
    )  # fmt: skip
    return like(writer, layer.x, result)


def _full_sides(
    x: GraphValue, weight: GraphValue, strides: Sequence[int], dilation: Sequence[int], more: Sequence[int]
) -> tuple[int, ...]:
    return tuple(
        step * (side - 1) + extra + (taps - 1) * apart + 1
        for side, taps, step, apart, extra in zip(x.shape[2:], weight.shape[2:], strides, dilation, more, strict=True)
    )


def _pool(op: str) -> OnnxReading:
    def read(layer: OnnxLayer) -> GraphValue:
        writer, x = layer.writer, as_image(layer.writer, layer.x)
        layer.refuse("storage_order")
        if len(layer.outputs) > 1 and layer.outputs[1]:
            raise LayerError("the places of its largest elements are read; mbench gives the elements alone")
        kernel, strides = two(layer.attributes.get("kernel_shape")), two(layer.attributes.get("strides"))
        dilation = two(layer.attributes.get("dilations"))
        if op == "avg_pool2d" and dilation != (1, 1):
            raise LayerError("its dilations are not 1")
        known: dict[str, Any] = {"dilation": dilation} if op == "max_pool2d" and dilation != (1, 1) else {}
        if op == "avg_pool2d":
            known = {"count_include_pad": bool(layer.attribute("count_include_pad", 0))}
        result = writer.add(
            op, x, kernel=kernel, strides=strides, ceil_mode=bool(layer.attribute("ceil_mode", 0)),
            padding=_padding(layer, x.shape[2:], kernel, strides, dilation), **known,
        )  # fmt: skip
        return like(writer, layer.x, result)

    return read


def batch_norm(layer: OnnxLayer) -> GraphValue:
    """Write a BatchNorm as inference has it."""
    trains = len(layer.outputs) > 1 if layer.opset < 14 else sum(map(bool, layer.outputs)) > 1  # read or not
    if layer.attribute("training_mode", 0) or trains:
        raise LayerError("it is in training mode; export the network in evaluation mode: network.eval()")
    layer.refuse("spatial", unless=1)
    given = [layer.value(place) for place in range(1, 5)]
    return layer.writer.add("batch_norm", layer.x, *given, epsilon=float(layer.attribute("epsilon", 1e-5)))


def instance_norm(layer: OnnxLayer) -> GraphValue:
    """Write a norm of each channel of each image."""
    x = as_image(layer.writer, layer.x)
    made = layer.writer.add(
        "instance_norm", x, layer.value(1), layer.value(2), epsilon=float(layer.attribute("epsilon", 1e-5))
    )
    return like(layer.writer, layer.x, made)


def group_norm(layer: OnnxLayer) -> GraphValue:
    """Write a norm of groups of channels; up to opset 20 its scale and shift are those of a group."""
    groups, x = int(layer.attribute("num_groups", 1)), as_image(layer.writer, layer.x)
    given = []
    for place in (1, 2):
        value = layer.value(place)
        if value.shape == (groups,) and groups != x.shape[1]:
            if value.array is None:
                raise LayerError("its scale is computed; expected constants")
            value = constant(np.repeat(value.array, x.shape[1] // groups), value.name)
        given.append(value)
    made = layer.writer.add("group_norm", x, *given, groups=groups, epsilon=float(layer.attribute("epsilon", 1e-5)))
    return like(layer.writer, layer.x, made)


def layer_norm(layer: OnnxLayer) -> GraphValue:
    """Write a norm of the last axes."""
    if sum(map(bool, layer.outputs)) > 1:
        raise LayerError("its mean is read; mbench gives what it normalises alone")
    axis, x = layer.axis(-1), layer.x
    extents = x.shape[axis:]
    bias = layer.optional(2) or constant(np.zeros(extents, x.dtype))
    given = [_filled(layer.writer, each, extents) for each in (layer.value(1), bias)]
    epsilon = float(layer.attribute("epsilon", 1e-5))
    return layer.writer.add("layer_norm", x, *given, axes=tuple(range(axis, x.rank)), epsilon=epsilon)


def _filled(writer: GraphWriter, value: GraphValue, extents: tuple[int, ...]) -> GraphValue:
    """Return a scale or shift in the shape of what is normalised."""
    if value.shape == extents:
        return value
    if math.prod(value.shape) == math.prod(extents):
        return writer.reshaped(value, extents)
    return writer.add("expand", value, shape=extents)


def lrn(layer: OnnxLayer) -> GraphValue:
    """Write a norm by the channels beside each."""
    known = {name: float(layer.attribute(name, default)) for name, default in _LRN.items()}
    x = as_image(layer.writer, layer.x)
    return like(layer.writer, layer.x, layer.writer.add("lrn", x, size=int(layer.attribute("size", 1)), **known))


_LRN = {"alpha": 1e-4, "beta": 0.75, "bias": 1.0}

OPERATIONS: dict[str, OnnxReading] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "MaxPool": _pool("max_pool2d"),
    "AveragePool": _pool("avg_pool2d"),
    "GlobalAveragePool": lambda layer: global_pool(layer.writer, layer.x, "mean"),
    "GlobalMaxPool": lambda layer: global_pool(layer.writer, layer.x, "max"),
    "BatchNormalization": batch_norm,
    "InstanceNormalization": instance_norm,
    "GroupNormalization": group_norm,
    "LayerNormalization": layer_norm,
    "LRN": lrn,
}
