"""ATen's operations with windows: convolutions, pools, resizing and norms of images, as nodes of the graph."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mbench.networks.importers.export_layer import ExportLayer, ExportReading
from mbench.networks.importers.forms import LINE, as_image, global_pool, like, padded
from mbench.networks.importers.graph_writer import GraphValue, LayerError, constant


def _sides(layer: ExportLayer, name: str, default: int) -> tuple[int, int]:
    """Return (down, right) of an argument; a line's is that of its one side."""
    down, right = layer.pair(name, default)
    given = layer.arguments[name]
    return (
        (default, right)
        if isinstance(given, list | tuple) and len(given) == 1 and layer.x.rank == LINE
        else (down, right)
    )


def _convolution(layer: ExportLayer) -> GraphValue:
    """Write a convolution, transposed or not, of an image or of a line."""
    writer, given = layer.writer, layer.value("input")
    x, weight, bias = as_image(writer, given), as_image(writer, layer.value("weight")), layer.given("bias")
    (down, right), groups = _sides(layer, "padding", 0), int(layer["groups"])
    known = {
        "strides": _sides(layer, "stride", 1), "padding": (down, right, down, right),
        "dilation": _sides(layer, "dilation", 1), "groups": groups,
    }  # fmt: skip
    if not layer.arguments.get("transposed", False):
        return like(writer, given, writer.add("conv2d", x, weight, *bias, **known))
    more = _sides(layer, "output_padding", 0)
    return like(writer, given, writer.add("conv2d_transpose", x, weight, *bias, **known, output_padding=more))


def _batch_norm(weight: str, mean: str, variance: str, eps: str) -> ExportReading:
    def read(layer: ExportLayer) -> GraphValue:
        if layer.arguments.get("training"):
            raise LayerError("it is in training mode; call network.eval() before the export")
        x = layer.value("input")
        channels = x.shape[1]
        scale = layer.value(weight) if layer[weight] is not None else constant(np.ones(channels, x.dtype))
        shift = layer.value("bias") if layer["bias"] is not None else constant(np.zeros(channels, x.dtype))
        statistics = layer.given(mean, variance)
        if len(statistics) < 2:
            raise LayerError("it has no statistics of its own, and takes those of the batch, as in training")
        return layer.writer.add("batch_norm", x, scale, shift, *statistics, epsilon=float(layer[eps]))

    return read


def _first(read: ExportReading) -> ExportReading:
    """Return a reading for an operation that gives more than what is needed of it."""
    return lambda layer: (read(layer),)


def _layer_norm(layer: ExportLayer) -> GraphValue:
    x, extents = layer.value("input"), tuple(map(int, layer["normalized_shape"]))
    weight = layer.value("weight") if layer["weight"] is not None else constant(np.ones(extents, x.dtype))
    bias = layer.value("bias") if layer["bias"] is not None else constant(np.zeros(extents, x.dtype))
    axes = tuple(range(x.rank - len(extents), x.rank))
    return layer.writer.add("layer_norm", x, weight, bias, axes=axes, epsilon=float(layer["eps"]))


def _group_norm(groups: str) -> ExportReading:
    def read(layer: ExportLayer) -> GraphValue:
        given = layer.value("input")
        x = as_image(layer.writer, given)
        weight = layer.value("weight") if layer["weight"] is not None else constant(np.ones(x.shape[1], x.dtype))
        bias = layer.value("bias") if layer["bias"] is not None else constant(np.zeros(x.shape[1], x.dtype))
        made = layer.writer.add("group_norm", x, weight, bias, groups=int(layer[groups]), epsilon=float(layer["eps"]))
        return like(layer.writer, given, made)

    return read


def _instance_norm(layer: ExportLayer) -> GraphValue:
    given = layer.value("input")
    if not layer["use_input_stats"]:
        normed: GraphValue = _batch_norm("weight", "running_mean", "running_var", "eps")(layer)
        return normed
    x = as_image(layer.writer, given)
    weight = layer.value("weight") if layer["weight"] is not None else constant(np.ones(x.shape[1], x.dtype))
    bias = layer.value("bias") if layer["bias"] is not None else constant(np.zeros(x.shape[1], x.dtype))
    made = layer.writer.add("instance_norm", x, weight, bias, epsilon=float(layer["eps"]))
    return like(layer.writer, given, made)


def _pool(op: str) -> ExportReading:
    def read(layer: ExportLayer) -> GraphValue:
        writer, given = layer.writer, layer.x
        x, kernel = as_image(writer, given), _sides(layer, "kernel_size", 1)
        strides = _sides(layer, "stride", 1) if layer["stride"] else kernel
        down, right = _sides(layer, "padding", 0)
        known: dict[str, Any] = {}
        if op == "max_pool2d" and (dilation := _sides(layer, "dilation", 1)) != (1, 1):
            known = {"dilation": dilation}
        if op == "avg_pool2d":
            if layer.arguments.get("divisor_override"):
                raise LayerError("it divides by another number than that of its elements (divisor_override)")
            known = {"count_include_pad": bool(layer["count_include_pad"])}
        made = writer.add(
            op, x, kernel=kernel, strides=strides, padding=(down, right, down, right),
            ceil_mode=bool(layer["ceil_mode"]), **known,
        )  # fmt: skip
        return like(writer, given, made)

    return read


def _adaptive(how: str) -> ExportReading:
    """Read a pool that is given the size of its output: windows of one size where they divide the sides."""

    def read(layer: ExportLayer) -> GraphValue:
        writer, given = layer.writer, layer.x
        x, wanted = as_image(writer, given), _sides(layer, "output_size", 1)
        if wanted == x.shape[2:]:
            return given
        if wanted == (1, 1):
            return like(writer, given, global_pool(writer, x, "mean" if how == "avg" else "max"))
        kernel = tuple(side // goal for side, goal in zip(x.shape[2:], wanted, strict=True))
        if tuple(side * goal for side, goal in zip(kernel, wanted, strict=True)) != x.shape[2:]:
            sides = f"{x.shape[2]}x{x.shape[3]} to {wanted[0]}x{wanted[1]}"
            raise LayerError(f"it pools {sides} by windows of several sizes; mbench knows those of one size alone")
        made = writer.add(f"{how}_pool2d", x, kernel=kernel, strides=kernel, padding=(0, 0, 0, 0), ceil_mode=False)
        return like(writer, given, made)

    return read


def _avg_pool3d(layer: ExportLayer) -> GraphValue:
    """Write a pool along the first side of a volume, as torch writes a norm by the channels beside each (LRN)."""
    writer, x = layer.writer, layer.x
    depth, *others = layer["kernel_size"]
    steps = layer["stride"] or layer["kernel_size"]
    layer.expect("divisor_override", None)
    if x.rank != 5 or set(others) | set(steps) != {1} or set(layer["padding"]) != {0}:
        raise LayerError("it pools a volume; mbench knows images (N, C, H, W) and lines (N, C, W)")
    flat = writer.reshaped(x, (*x.shape[:3], x.shape[3] * x.shape[4]))
    made = writer.add("avg_pool2d", flat, kernel=(depth, 1), strides=(1, 1), padding=(0, 0, 0, 0), ceil_mode=False)
    return writer.reshaped(made, (*made.shape[:3], *x.shape[3:]))


def _resize(mode: str, rounding: str = "floor") -> ExportReading:
    """Read a resize; nearest pixels are those at the left, or at the middle where it is `exact`."""

    def read(layer: ExportLayer) -> GraphValue:
        writer, given = layer.writer, layer.x
        x = as_image(writer, given)
        size, scales = _size(layer, x)
        coordinates = "half_pixel"
        if layer.arguments.get("align_corners"):
            coordinates = "align_corners"
        elif mode == "nearest" and rounding == "floor":
            coordinates = "asymmetric"
        made = writer.add(
            "resize2d", x, size=size, scales=scales, mode=mode, coordinates=coordinates, rounding=rounding,
            cubic_coefficient=-0.75,
        )  # fmt: skip
        return like(writer, given, made)

    return read


def _size(layer: ExportLayer, x: GraphValue) -> tuple[tuple[int, int], tuple[float, float]]:
    """Return the sides that a resize gives, and the scales that torch finds pixels by."""
    given = layer.arguments.get("output_size")
    factors = layer.arguments.get("scale_factors")
    if factors is None:
        named = [layer.arguments.get(name) for name in ("scales_h", "scales_w", "scales")]
        factors = [each for each in named if each is not None] or None
    sides = x.shape[2:]
    if given is not None:
        known = [int(side) for side in given]
        size = (1, known[0]) if layer.x.rank == LINE else (known[0], known[1])
    elif factors is not None:
        known = [math.floor(side * factor) for side, factor in zip(sides[-len(factors) :], factors, strict=True)]
        size = (1, known[0]) if layer.x.rank == LINE else (known[0], known[1])
    else:
        raise LayerError("it has neither a size nor a scale")
    if factors is None:
        return size, (size[0] / sides[0], size[1] / sides[1])
    found = [float(each) for each in factors]
    return size, (1.0, found[0]) if layer.x.rank == LINE else (found[0], found[1])


_PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _pad(how: str) -> ExportReading:
    """Read a pad; torch lists its widths from the last axis to the first, (before, after) of each."""

    def read(layer: ExportLayer) -> GraphValue:
        mode = _PAD_MODES.get(layer.arguments.get("mode", how))
        if mode is None:
            raise LayerError(f"its mode is {layer['mode']!r}; mbench knows {', '.join(_PAD_MODES)}")
        given = [int(each) for each in layer.arguments["pad" if "pad" in layer.arguments else "padding"]]
        pairs = [(given[place], given[place + 1]) for place in range(0, len(given), 2)]
        widths = [(0, 0)] * (layer.x.rank - len(pairs)) + pairs[::-1]
        return padded(layer.writer, layer.x, widths, mode, float(layer.arguments.get("value") or 0.0))

    return read


def _transposed(layer: ExportLayer) -> GraphValue:
    """Write a transposed convolution as `conv_transpose2d` and its like have it."""
    given = {**layer.arguments, "transposed": True}
    return _convolution(ExportLayer(arguments=given, dtype=layer.dtype, writer=layer.writer))


OPERATIONS: dict[str, ExportReading] = {
    **dict.fromkeys(("conv_transpose2d.input", "conv_transpose1d.default"), _transposed),
    **dict.fromkeys(("convolution.default", "conv2d.default", "conv1d.default"), _convolution),
    "_native_batch_norm_legit_no_training.default": _first(_batch_norm("weight", "running_mean", "running_var", "eps")),
    "batch_norm.default": _batch_norm("weight", "running_mean", "running_var", "eps"),
    "layer_norm.default": _layer_norm,
    "native_layer_norm.default": _first(_layer_norm),
    "group_norm.default": _group_norm("num_groups"),
    "native_group_norm.default": _first(_group_norm("group")),
    "instance_norm.default": _instance_norm,
    "max_pool2d.default": _pool("max_pool2d"),
    "max_pool1d.default": _pool("max_pool2d"),
    "max_pool2d_with_indices.default": _first(_pool("max_pool2d")),
    "avg_pool2d.default": _pool("avg_pool2d"),
    "avg_pool1d.default": _pool("avg_pool2d"),
    "avg_pool3d.default": _avg_pool3d,
    **dict.fromkeys(
        ("adaptive_avg_pool2d.default", "_adaptive_avg_pool2d.default", "adaptive_avg_pool1d.default"), _adaptive("avg")
    ),
    "adaptive_max_pool2d.default": _first(_adaptive("max")),
    "adaptive_max_pool1d.default": _first(_adaptive("max")),
    **dict.fromkeys(("upsample_nearest2d.vec", "upsample_nearest2d.default"), _resize("nearest")),
    **dict.fromkeys(("upsample_nearest1d.vec", "upsample_nearest1d.default"), _resize("nearest")),
    **dict.fromkeys(
        ("_upsample_nearest_exact2d.vec", "_upsample_nearest_exact2d.default"), _resize("nearest", "half_up")
    ),
    **dict.fromkeys(("upsample_bilinear2d.vec", "upsample_bilinear2d.default"), _resize("linear")),
    **dict.fromkeys(("upsample_linear1d.vec", "upsample_linear1d.default"), _resize("linear")),
    **dict.fromkeys(("upsample_bicubic2d.vec", "upsample_bicubic2d.default"), _resize("cubic")),
    **dict.fromkeys(("constant_pad_nd.default", "pad.default"), _pad("constant")),
    **dict.fromkeys(("reflection_pad1d.default", "reflection_pad2d.default"), _pad("reflect")),
    **dict.fromkeys(("replication_pad1d.default", "replication_pad2d.default"), _pad("replicate")),
}
