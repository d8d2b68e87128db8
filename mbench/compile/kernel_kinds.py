"""Kinds of kernels: what each computes, by its sizes. No scheduling decisions here, and no TVM."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

from mbench.core import dtypes
from mbench.hardware import half_sums


@dataclasses.dataclass(frozen=True, kw_only=True)
class Convolution:
    """A convolution with weights (ky, kx, ci / groups, c), output (n, y, x, c), input (n, y, x, ci) or (n, ci, y, x).

    A depthwise one has as many groups as input channels, and weights (ky, kx, 1, c).
    """

    batch: int
    input_height: int
    input_width: int
    input_channels: int
    height: int
    width: int
    channels: int
    kernel_height: int
    kernel_width: int
    strides: tuple[int, int]
    """Down, across."""
    padding: tuple[int, int, int, int]
    """Top, left, bottom, right."""
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    channels_last: bool
    dtype: str = dtypes.DEFAULT
    """Of input and weights; sums are of the accumulator's type."""

    @property
    def depthwise(self) -> bool:
        """Whether each input channel is convolved for itself."""
        return self.groups == self.input_channels > 1

    @property
    def plain(self) -> bool:
        """Whether all taps lie side by side and each output sums all input channels."""
        return self.groups == 1 and self.dilation == (1, 1)

    @property
    def group_inputs(self) -> int:
        """Input channels that an output sums."""
        return self.input_channels // self.groups

    @property
    def group_channels(self) -> int:
        """Channels of the output that share their input channels."""
        return self.channels // self.groups

    @property
    def pixels(self) -> int:
        """Output pixels, batch and all."""
        return self.batch * self.height * self.width

    @property
    def reduction(self) -> int:
        """Multiply-adds for each element of the output."""
        return self.kernel_height * self.kernel_width * self.group_inputs

    @property
    def moved_bytes(self) -> int:
        """Of input and output together, as floats."""
        read = self.batch * self.input_height * self.input_width * self.input_channels
        return float_bytes(self.dtype) * (read + self.pixels * self.channels)

    @property
    def signature(self) -> str:
        """What distinguishes it from others, in one word: the key of tuned choices."""
        kind = "depthwise" if self.depthwise else "conv2d" if self.groups == 1 else f"conv2d_g{self.groups}"
        layout = "nhwc" if self.channels_last else "nchw"
        dilation = "" if self.dilation == (1, 1) else f"_d{_by(self.dilation)}"
        return (
            f"{kind}_{layout}_{self.batch}x{self.input_height}x{self.input_width}x{self.input_channels}"
            f"_k{self.kernel_height}x{self.kernel_width}_s{_by(self.strides)}_p{_by(self.padding)}{dilation}"
            f"_{self.channels}{_suffix(self.dtype)}"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pooling:
    """A pool of windows: what they add up, or the largest element of each.

    `window` is the depthwise convolution that reads the same.
    """

    window: Convolution
    largest: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChannelNorm:
    """A norm of images (n, y, x, c) over all pixels and over each group of channels; then scale and shift."""

    batch: int
    pixels: int
    """Of an image."""
    width: int
    """Of an image's lines."""
    channels: int
    groups: int
    epsilon: float

    @property
    def own(self) -> int:
        """Channels of a group."""
        return self.channels // self.groups


@dataclasses.dataclass(frozen=True, kw_only=True)
class Matmul:
    """A matrix product: (rows, reduction) x (reduction, columns), all contiguous."""

    rows: int
    reduction: int
    columns: int
    dtype: str = dtypes.DEFAULT
    """Of both operands; sums are of the accumulator's type."""

    @property
    def signature(self) -> str:
        """What distinguishes it from others, in one word: the key of tuned choices."""
        return f"matmul_{self.rows}x{self.reduction}x{self.columns}{_suffix(self.dtype)}"

    @property
    def moved_bytes(self) -> int:
        """Of the rows, in and out, as floats."""
        return float_bytes(self.dtype) * self.rows * (self.reduction + self.columns)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchMatmul:
    """A batch of matrix products whose operands are computed: (…, rows, reduction) x (…, reduction, columns).

    The leading axes of the left and of the right operand are those of the output, or 1 where it is the same matrix.
    """

    lead: tuple[int, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    rows: int
    reduction: int
    columns: int
    dtype: str = dtypes.DEFAULT
    """Of both operands; sums are of the accumulator's type."""

    @property
    def batch(self) -> int:
        """How many matrix products there are."""
        return math.prod(self.lead)

    @property
    def moved_bytes(self) -> int:
        """Of operands and output, as floats."""
        read = math.prod(self.left) * self.rows + math.prod(self.right) * self.columns
        return float_bytes(self.dtype) * (read * self.reduction + self.batch * self.rows * self.columns)


def float_bytes(dtype: str) -> int:
    """Return the bytes of what a kernel multiplies one by one; numbers of other types are counted as float32."""
    return dtypes.of(dtype if dtype == half_sums.TYPE else dtypes.DEFAULT).bytes


def _by(numbers: tuple[int, ...]) -> str:
    """Write one number where all are equal, else all of them."""
    return "x".join(map(str, numbers[:1] if len(set(numbers)) == 1 else numbers))


def _suffix(dtype: str) -> str:
    return "" if dtype == dtypes.DEFAULT else f"_{dtype}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Epilogue:
    """What follows the reduction, element by element.

    `start(indices, load)` is what the sum may begin with (a bias), None for zero; `finish(sum, indices, load)` turns
    the sum into the output. `load(parameter, indices)` reads a parameter of the function.
    """

    start: Callable[[Sequence[Any], Callable[..., Any]], Any] | None
    finish: Callable[[Any, Sequence[Any], Callable[..., Any]], Any]
