"""Transposed convolutions as plain ones: each computes the pixels that meet the same taps of the kernel. No TVM.

With a stride of 2 these are every second pixel of every second line, four plain convolutions of a quarter of the taps.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator

from mbench.compile.kernel_kinds import Convolution
from mbench.core import dtypes

DownAcross = tuple[int, int]
"""Down and across."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransposedConvolution:
    """One with weights (ky, kx, ci / groups, c), output (n, y, x, c), input (n, y, x, ci) or (n, ci, y, x)."""

    batch: int
    input_sides: DownAcross
    input_channels: int
    sides: DownAcross
    channels: int
    kernel: DownAcross
    strides: DownAcross
    padding: tuple[int, int, int, int]
    """Top, left, bottom, right: what is left out of the result."""
    dilation: DownAcross
    groups: int
    channels_last: bool
    dtype: str = dtypes.DEFAULT

    @property
    def columns_apart(self) -> bool:
        """Whether the windows of neighbours in a line neither meet nor leave a gap."""
        across = (self.kernel[1], self.padding[1], self.padding[3], self.groups)
        return across == (self.strides[1], 0, 0, 1) and self.sides[1] == self.input_sides[1] * self.strides[1]

    @property
    def lines_together(self) -> TransposedConvolution:
        """The same with all that a pixel of the input gives in a line as channels, (kx, c), of one pixel."""
        across = self.strides[1]
        return dataclasses.replace(
            self,
            sides=(self.sides[0], self.input_sides[1]),
            channels=self.channels * across,
            kernel=(self.kernel[0], 1),
            strides=(self.strides[0], 1),
            dilation=(self.dilation[0], 1),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
    """The outputs from `first` on, `steps` apart, and the convolution that computes them.

    `taps`: which lines and columns of the kernel it has, in order.
    """

    first: DownAcross
    steps: DownAcross
    taps: tuple[tuple[int, ...], tuple[int, ...]]
    window: Convolution


def phases(given: TransposedConvolution) -> tuple[Phase, ...]:
    """Return the phases of a transposed convolution, none of which is empty."""
    found = []
    for down, across in itertools.product(_of_axis(given, 0), _of_axis(given, 1)):
        window = Convolution(
            batch=given.batch,
            input_height=given.input_sides[0],
            input_width=given.input_sides[1],
            input_channels=given.input_channels,
            height=down.count,
            width=across.count,
            channels=given.channels,
            kernel_height=len(down.taps),
            kernel_width=len(across.taps),
            strides=(1, 1),
            padding=(down.before, across.before, down.after, across.after),
            dilation=(down.apart, across.apart),
            groups=given.groups,
            channels_last=given.channels_last,
            dtype=given.dtype,
        )
        found.append(
            Phase(first=(down.first, across.first), steps=given.strides, taps=(down.taps, across.taps), window=window)
        )
    return tuple(found)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Axis:
    """A phase along one axis: `count` outputs from `first` on, whose taps lie `apart` in the input."""

    first: int
    count: int
    taps: tuple[int, ...]
    apart: int
    before: int
    after: int
    """Padding of the convolution on both sides; below 0 where it does not read the input's first or last elements."""


def _of_axis(given: TransposedConvolution, axis: int) -> Iterator[_Axis]:
    stride, dilation, padding = given.strides[axis], given.dilation[axis], given.padding[axis]
    apart = dilation // math.gcd(dilation, stride)
    for first in range(min(stride, given.sides[axis])):
        count = -(-(given.sides[axis] - first) // stride)
        reached = {
            (first + padding - tap * dilation) // stride: tap
            for tap in range(given.kernel[axis])
            if (first + padding - tap * dilation) % stride == 0
        }
        offsets = sorted(reached)
        before = -offsets[0] if offsets else 0
        last = count - 1 + (offsets[-1] if offsets else 0)
        yield _Axis(
            first=first,
            count=count,
            taps=tuple(reached[offset] for offset in offsets),
            apart=apart if len(offsets) > 1 else 1,
            before=before,
            after=last + 1 - given.input_sides[axis],
        )
