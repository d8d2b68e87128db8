"""How real numbers are written in 8 bits: one scale and one zero point for a value, one scale for each output channel.

A number q of a value stands for `scale * (q - zero_point)`. Scales are float32. Multipliers follow from them in
float32, in ONNX Runtime's order; weights, biases and tables in float64, rounded once. docs/int8.md has the whole
definition; `integer_arithmetic` computes by it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from mbench.networks.graph import Graph, GraphError

DTYPES = ("uint8", "int8")
"""Types of activations. Weights are int8, sums and biases int32."""
WEIGHTS, SUMS = "int8", "int32"
LARGEST_WEIGHT = 127
"""Of the numbers that weights are written in; -128 is left out, so that a weight and its negative both exist."""
NARROW_WEIGHT = 64
"""The largest magnitude of weights of which two, each times a uint8, have a sum of 16 bits."""
_SMALLEST_SCALE = 2.0**-60
"""Smaller ones would make multipliers that are no float32; such values are nothing but zeros to all that reads them."""
_MOST_BIAS = 2**30
"""A bias takes at most half of the sums' range."""

ValueRange = tuple[float, float]
"""The smallest and the largest number that a value is expected to have."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quantization:
    """Scale, zero point and type of a value of 8 bits.

    Raises:
        GraphError: there is no such quantisation.
    """

    scale: float
    """The exact value of a float32."""
    zero_point: int
    dtype: str = DTYPES[0]

    def __post_init__(self) -> None:
        """Check that numbers can be written so."""
        if self.dtype not in DTYPES:
            raise GraphError(f"values of {self.dtype} are not supported; expected {' or '.join(DTYPES)}")
        low, high = self.limits
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise GraphError(f"scale {self.scale:g} of a quantised value cannot be; expected a number above 0")
        if not low <= self.zero_point <= high:
            raise GraphError(f"zero point {self.zero_point} is no {self.dtype}; expected {low} to {high}")

    @property
    def limits(self) -> tuple[int, int]:
        """The smallest and the largest whole number of its type."""
        known = np.iinfo(self.dtype)
        return int(known.min), int(known.max)

    @property
    def reach(self) -> int:
        """The largest distance of a whole number from the zero point."""
        low, high = self.limits
        return max(self.zero_point - low, high - self.zero_point)

    @property
    def attributes(self) -> dict[str, Any]:
        """What a node says of the value that it makes."""
        return {"scale": self.scale, "zero_point": self.zero_point, "to": self.dtype}

    def whole(self, number: float) -> int:
        """Return the whole number that stands for a real one, halves to even, within the limits; it may be infinite."""
        low, high = self.limits
        return int(np.clip(np.rint(number / self.scale) + self.zero_point, low, high))

    def holds(self, number: float) -> bool:
        """Return whether a number lies within the limits, give or take half a step."""
        low, high = self.limits
        return low - 0.5 <= number / self.scale + self.zero_point <= high + 0.5

    def real(self, numbers: np.ndarray) -> np.ndarray:
        """Return the real numbers that whole ones stand for, float64."""
        return np.asarray((numbers.astype(np.float64) - self.zero_point) * self.scale)


def of_attributes(known: Mapping[str, Any], dtype: str) -> Quantization:
    """Return what a node says of an 8-bit value."""
    return Quantization(scale=known["scale"], zero_point=known["zero_point"], dtype=dtype)


def of_value(graph: Graph, name: str) -> Quantization:
    """Return what the numbers of an 8-bit value of a quantised graph stand for; what is passed on keeps it.

    Raises:
        GraphError: it is no such value.
    """
    node = graph.by_name.get(name)
    while node is not None and node.dtype in DTYPES:
        if "to" in node.attributes:
            return of_attributes(node.attributes, node.dtype)
        node = graph.by_name.get(node.inputs[0])
    raise GraphError(f"{name!r} is no value of 8 bits that the graph rounds")


def of_range(found: ValueRange, dtype: str = DTYPES[0]) -> Quantization:
    """Return the quantisation whose 256 numbers cover a range and 0, which is always one of them exactly.

    A range that is nothing but 0 has scale 1.
    """
    low, high = min(found[0], 0.0), max(found[1], 0.0)
    first, last = (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    if low == high:
        return Quantization(scale=1.0, zero_point=first, dtype=dtype)
    scale = float(np.float32(max((high - low) / (last - first), _SMALLEST_SCALE)))
    return Quantization(scale=scale, zero_point=int(np.clip(np.rint(first - low / scale), first, last)), dtype=dtype)


def sum_scale(x: float, y: float | np.ndarray) -> np.ndarray:
    """Return what 1 of sums of multiplications stands for: the product of the scales, rounded to float32."""
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.float32(x) * np.asarray(y, np.float32))


def multiplier(unit: np.ndarray | np.float32, scale: float, parts: float | np.ndarray = 1.0) -> np.ndarray:
    """Return what sums are multiplied by before they are rounded to 8 bits, float32: unit / (scale * parts).

    Both operations are float32, as in ONNX Runtime's kernels.

    Args:
        unit: what 1 of the sums stands for, float32.
        scale: of the result.
        parts: of a mean, how many numbers it divides by.
    """
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(unit / (np.float32(scale) * np.asarray(parts, np.float32)))


def weight_scales(
    weight: np.ndarray, *, largest: int = LARGEST_WEIGHT, bias: np.ndarray | None = None, input_scale: float = 1.0
) -> np.ndarray:
    """Return the scale of each output channel, (O) float32, so that the largest weight of a channel is `largest`.

    Args:
        weight: (O, …), the output channels first.
        largest: 127, or 63 for processors whose sums of two 8-bit multiplications are 16 bits wide.
        bias: (O); a channel whose weights are tiny beside it gets a larger scale, so that the bias is an int32.
        input_scale: of what the weights are multiplied by.
    """
    most = np.abs(weight.reshape(len(weight), -1).astype(np.float64)).max(1) / largest
    if bias is not None:
        most = np.maximum(most, np.abs(bias.astype(np.float64)) / input_scale / _MOST_BIAS)
    return np.where(most > 0, np.maximum(most, _SMALLEST_SCALE), 1.0).astype(np.float32)


def whole_weights(weight: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Return the whole numbers nearest to weights, int64, halves to even; (O, …), with (O) scales or one."""
    by_channel = scales.astype(np.float64).reshape(-1, *[1] * (weight.ndim - 1))
    return np.rint(weight.astype(np.float64) / by_channel).astype(np.int64)


def weight_zero_point(whole: np.ndarray) -> int | None:
    """Return which int8 stands for 0, so that weights are int8: 0 where they can be; None where 8 bits do not do.

    Files with uint8 weights may need another.
    """
    known = np.iinfo(WEIGHTS)
    low, high = int(whole.min()), int(whole.max())
    if known.min <= low and high <= known.max:
        return 0
    zero = int(max(known.min - low, known.min))
    return zero if high + zero <= known.max and zero <= known.max else None


def real_weights(whole: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Return the weights that whole numbers stand for, float32."""
    by_channel = scales.astype(np.float64).reshape(-1, *[1] * (whole.ndim - 1))
    return (whole * by_channel).astype(np.float32)


def whole_bias(bias: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Return a bias in units of the sums, int64, halves to even; (O), with (O) scales of sums or one."""
    return np.rint(bias.astype(np.float64) / scales.astype(np.float64)).astype(np.int64)


def channels_first(op: str, weight: np.ndarray, groups: int = 1) -> np.ndarray:
    """Return the weights of an operation with its output channels as the first axis.

    Those of a transposed convolution are (C, O / groups, H, W), and an output channel is of one group.
    """
    if op != "conv2d_transpose":
        return weight
    inputs, outputs, *kernel = weight.shape
    apart = weight.reshape(groups, inputs // groups, outputs, *kernel).swapaxes(1, 2)
    return np.asarray(apart.reshape(groups * outputs, inputs // groups, *kernel))


def as_stored(op: str, weight: np.ndarray, groups: int = 1) -> np.ndarray:
    """Return weights as an operation has them: the inverse of `channels_first`."""
    if op != "conv2d_transpose":
        return weight
    outputs, inputs, *kernel = weight.shape
    apart = weight.reshape(groups, outputs // groups, inputs, *kernel).swapaxes(1, 2)
    return np.asarray(apart.reshape(groups * inputs, outputs // groups, *kernel))
