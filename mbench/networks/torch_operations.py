"""What each operation of a graph means, computed by torch."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from mbench.networks import integer_operations, resizing, tensors
from mbench.networks.graph import Node
from mbench.networks.integer_operations import exactly_summed
from mbench.networks.operation_shapes import axes_of, places_of_slice

Meaning = Callable[..., torch.Tensor]
"""(node, the values that it reads, …) → its value."""


def convolution(node: Node, x: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
    """Convolve (N, C, H, W) by weights and a bias, if there is one."""
    known = node.attributes
    top, left, bottom, right = known["padding"]
    if (top, left) == (bottom, right):
        return functional.conv2d(x, *weights, stride=known["strides"], padding=(top, left), dilation=known["dilation"],
                                 groups=known["groups"])  # fmt: skip
    x = functional.pad(x, (left, right, top, bottom))
    return functional.conv2d(x, *weights, stride=known["strides"], dilation=known["dilation"], groups=known["groups"])


def _transposed(node: Node, x: torch.Tensor, weight: torch.Tensor, *bias: torch.Tensor) -> torch.Tensor:
    known = node.attributes
    (top, left, bottom, right), (down, across) = known["padding"], known["output_padding"]
    whole = functional.conv_transpose2d(
        x, weight, stride=known["strides"], dilation=known["dilation"], groups=known["groups"]
    )
    cut = functional.pad(whole, (-left, across - right, -top, down - bottom))
    return cut + bias[0].reshape(1, -1, 1, 1) if bias else cut


def _batch_norm(node: Node, x: torch.Tensor, *given: torch.Tensor) -> torch.Tensor:
    scale, shift, mean, variance = given
    return functional.batch_norm(x, mean, variance, scale, shift, eps=node.attributes["epsilon"])


def _group_norm(node: Node, x: torch.Tensor, *given: torch.Tensor) -> torch.Tensor:
    groups = node.attributes.get("groups", x.shape[1])
    return torch.group_norm(x, groups, *given, eps=node.attributes["epsilon"])


def _layer_norm(node: Node, x: torch.Tensor, *given: torch.Tensor) -> torch.Tensor:
    shape = [x.shape[axis] for axis in node.attributes["axes"]]
    return functional.layer_norm(x, shape, *given, eps=node.attributes["epsilon"])


def _lrn(node: Node, x: torch.Tensor) -> torch.Tensor:
    known = node.attributes
    before, after = (known["size"] - 1) // 2, known["size"] // 2
    squares = functional.pad(x * x, (0, 0) * (x.dim() - 2) + (before, after)).unfold(1, known["size"], 1).sum(-1)
    return x / (known["bias"] + known["alpha"] / known["size"] * squares) ** known["beta"]


def _max_pool(node: Node, x: torch.Tensor) -> torch.Tensor:
    known = node.attributes
    is_float = "float" in node.dtype
    floats, padding = _padded(x if is_float else x.double(), known, -torch.inf)
    pooled = functional.max_pool2d(
        floats, known["kernel"], known["strides"], padding, known.get("dilation", 1), bool(known.get("ceil_mode"))
    )
    made = _as_large(node, pooled)
    return made if is_float else made.to(x.dtype)


def _avg_pool(node: Node, x: torch.Tensor) -> torch.Tensor:
    known = node.attributes
    how = {"kernel_size": known["kernel"], "stride": known["strides"], "ceil_mode": bool(known.get("ceil_mode"))}

    def mean(image: torch.Tensor) -> torch.Tensor:
        image, padding = _padded(image, known, 0.0)
        return _as_large(node, functional.avg_pool2d(image, padding=padding, **how))

    whole = mean(x)
    return whole if known.get("count_include_pad", True) else whole / mean(torch.ones_like(x[:1, :1]))


def _summed(node: Node, x: torch.Tensor) -> torch.Tensor:
    """Sum the windows of a pool; padding counts as 0."""
    known = node.attributes
    x, padding = _padded(x, known, 0.0)
    pooled = functional.avg_pool2d(
        x, known["kernel"], known["strides"], padding, bool(known.get("ceil_mode")), divisor_override=1
    )
    return _as_large(node, pooled)


def _padded(x: torch.Tensor, known: Any, value: float) -> tuple[torch.Tensor, tuple[int, int]]:
    """Return an image with what torch cannot pad by itself: more on one side, or more than half of the window."""
    (top, left, bottom, right), kernel = known["padding"], known["kernel"]
    if (top, left) == (bottom, right) and 2 * top <= kernel[0] and 2 * left <= kernel[1]:
        return x, (top, left)
    return functional.pad(x, (left, right, top, bottom), value=value), (0, 0)


def _as_large(node: Node, x: torch.Tensor) -> torch.Tensor:
    """Leave windows out that begin in the padding after the image: padded by hand, torch takes it for the image."""
    return x[..., : node.shape[-2], : node.shape[-1]]


def _resize(node: Node, x: torch.Tensor) -> torch.Tensor:
    for axis in (0, 1):
        taps = resizing.taps(node.attributes, axis, x.shape[2 + axis])
        parts = [x.index_select(2 + axis, tensors.of(elements)) for elements in taps.elements]
        if len(parts) > 1:
            shape = (-1, 1) if axis == 0 else (-1,)
            weights = tensors.of(taps.weights).to(x.dtype)
            parts = [sum(part * weight.reshape(shape) for part, weight in zip(parts, weights, strict=True))]
        x = parts[0]
    return x


def _pad(node: Node, x: torch.Tensor) -> torch.Tensor:
    mode, widths = node.attributes["mode"], node.attributes["widths"]
    if mode == "constant":
        flat = [width for pair in reversed(widths) for width in pair]
        return functional.pad(x, flat, value=node.attributes.get("value", 0))
    for axis, (before, after) in enumerate(widths):
        last = x.shape[axis] - 1
        places = torch.arange(-before, last + 1 + after)
        inside = last - (last - places.abs()).abs() if mode == "reflect" else places.clamp(0, last)
        x = x.index_select(axis, inside)
    return x


def _reduced(node: Node, x: torch.Tensor, reduce: Callable[..., torch.Tensor]) -> torch.Tensor:
    axes = axes_of(node.attributes, x.dim())
    return reduce(x, axes, keepdim=node.attributes["keepdims"]).to(x.dtype) if axes else x


def _mean(x: torch.Tensor, axes: tuple[int, ...], *, keepdim: bool) -> torch.Tensor:
    if x.is_floating_point():
        return x.mean(axes, keepdim=keepdim)
    return torch.div(x.sum(axes, keepdim=keepdim), math.prod(x.shape[axis] for axis in axes), rounding_mode="trunc")


def _product(x: torch.Tensor, axes: tuple[int, ...], *, keepdim: bool) -> torch.Tensor:
    for axis in reversed(axes):
        x = x.prod(axis, keepdim=keepdim)
    return x


def _of_batch(node: Node, x: torch.Tensor) -> torch.Tensor:
    """Reshape; the batch may be another than the graph's where it is the first axis."""
    return x.reshape(-1, *node.shape[1:]) if node.shape else x.reshape(())


def _rearranged(node: Node, x: torch.Tensor) -> torch.Tensor:
    return x.reshape(node.attributes["parts"]).permute(node.attributes["order"]).reshape(node.shape)


def _slice(node: Node, x: torch.Tensor) -> torch.Tensor:
    axis = node.attributes["axis"] % x.dim()
    places = places_of_slice(node.attributes, x.shape[axis])
    if places.step == 1:
        return x.narrow(axis, places.start, len(places))
    return x.index_select(axis, torch.tensor(places))


def _expand(node: Node, x: torch.Tensor) -> torch.Tensor:
    """Repeat along axes of 1; the batch may be another than the graph's."""
    shape = list(node.shape)
    for axis in range(-x.dim(), 0):
        shape[axis] = shape[axis] if x.shape[axis] == 1 else x.shape[axis]
    return x.expand(shape)


def _gather(node: Node, x: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    axis = node.attributes["axis"] % x.dim()
    places = torch.where(indices < 0, indices + x.shape[axis], indices).long()
    chosen = x.index_select(axis, places.reshape(-1))
    return chosen.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def _clip(node: Node, x: torch.Tensor) -> torch.Tensor:
    low, high = node.attributes["low"], node.attributes["high"]
    if x.is_floating_point():
        return x.clamp(low, high)
    info = torch.iinfo(x.dtype)
    return x.clamp(int(max(low, info.min)), int(min(high, info.max)))


def _divide(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.div(x, y, rounding_mode=None if x.is_floating_point() else "trunc")


def _unary(function: Callable[..., torch.Tensor]) -> Meaning:
    return lambda _node, x: function(x)


def _binary(function: Callable[..., torch.Tensor]) -> Meaning:
    return lambda _node, x, y: function(x, y)


def _by_alpha(function: Callable[..., torch.Tensor]) -> Meaning:
    return lambda node, x: function(x, node.attributes["alpha"])


def _place(function: Callable[..., torch.Tensor]) -> Meaning:
    return lambda node, x: function(x, node.attributes["axis"], node.attributes["keepdims"])


_REDUCTIONS = {
    "mean": _mean,
    "sum": torch.sum,
    "max": torch.amax,
    "min": torch.amin,
    "prod": _product,
}
_UNARY: dict[str, Callable[..., torch.Tensor]] = {
    "relu": functional.relu,
    "relu6": functional.relu6,
    "hard_swish": functional.hardswish,
    "hard_sigmoid": functional.hardsigmoid,
    "sigmoid": torch.sigmoid,
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu_tanh": functools.partial(functional.gelu, approximate="tanh"),
    "tanh": torch.tanh,
    "selu": functional.selu,
    "softplus": functional.softplus,
    "softsign": functional.softsign,
    "mish": functional.mish,
    "not": torch.logical_not,
    **{
        name: getattr(torch, name)
        for name in (
            *("exp", "log", "sqrt", "abs", "negative", "reciprocal", "floor", "ceil", "round"),
            *("sign", "erf", "sin", "cos"),
        )
    },
}
_BINARY: dict[str, Callable[..., torch.Tensor]] = {
    "add": torch.add,
    "subtract": torch.subtract,
    "multiply": torch.multiply,
    "divide": _divide,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "power": torch.pow,
    "mod": torch.remainder,
    "equal": torch.eq,
    "greater": torch.gt,
    "less": torch.lt,
    "greater_equal": torch.ge,
    "less_equal": torch.le,
    "and": torch.logical_and,
    "or": torch.logical_or,
    "prelu": lambda x, slope: torch.where(x > 0, x, x * slope),
}

OPERATIONS: dict[str, Meaning] = {
    "conv2d": exactly_summed(convolution),
    "conv2d_transpose": exactly_summed(_transposed),
    "linear": exactly_summed(lambda _node, x, *weights: functional.linear(x, *weights)),
    "batch_norm": _batch_norm,
    "instance_norm": _group_norm,
    "group_norm": _group_norm,
    "layer_norm": _layer_norm,
    "lrn": _lrn,
    "max_pool2d": _max_pool,
    "avg_pool2d": _avg_pool,
    "global_avg_pool": _unary(lambda x: x.mean((2, 3), keepdim=True)),
    "resize2d": _resize,
    "pad": _pad,
    "softmax": lambda node, x: x.softmax(node.attributes["axis"]),
    **{f"reduce_{how}": functools.partial(_reduced, reduce=each) for how, each in _REDUCTIONS.items()},
    "argmax": _place(torch.argmax),
    "argmin": _place(torch.argmin),
    "reshape": _of_batch,
    "permute": lambda node, x: x.permute(*node.attributes["axes"]),
    "concat": lambda node, *xs: torch.cat(xs, node.attributes["axis"]),
    "rearrange": _rearranged,
    "slice": _slice,
    "expand": _expand,
    "gather": _gather,
    "where": lambda _node, condition, x, y: torch.where(condition, x, y),
    "clip": _clip,
    "scale": lambda node, x: x * node.attributes["factor"],
    "leaky_relu": _by_alpha(functional.leaky_relu),
    "elu": _by_alpha(functional.elu),
    "celu": _by_alpha(functional.celu),
    "cast": lambda node, x: x.to(getattr(torch, node.attributes["to"])),
    **{name: _unary(function) for name, function in _UNARY.items()},
    **{name: _binary(function) for name, function in _BINARY.items()},
    "matmul": exactly_summed(_binary(torch.matmul)),
    **integer_operations.with_windows(_summed),
}
"""What every operation of `networks.operations` means."""
