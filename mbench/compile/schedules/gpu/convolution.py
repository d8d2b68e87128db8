"""Convolution of any kernel and stride as a matrix product whose rows are made as they are read (implicit GEMM).

A row is a pixel of the output, a step of the reduction one tap and input channel, in the weights' order (ky, kx, ci).
Where channels lie last and are a multiple of 16 bytes, 16 bytes of one pixel are read at once, so that reads are as
wide as a pointwise layer's; the nine-fold reading of a 3x3 kernel comes from the caches. An image's three channels are
read one by one, with the pixels of a line to a warp. Padding and the last, unfilled turn are zeros that no memory is
read for. Of several groups, those are taken that whole tiles fill.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

from tvm import tirx

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Convolution, Matmul
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.gpu import byte_words, product, tiles
from mbench.compile.schedules.gpu import threads as gpu
from mbench.compile.schedules.gpu.byte_words import WordWeights
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive


def _product(kernel: Kernel) -> Matmul | None:
    conv = kernel.convolution
    if conv is None or kernel.epilogue_of_sum is None or (conv.depthwise and conv.channels_last):
        return None
    return Matmul(rows=conv.pixels, reduction=conv.reduction, columns=conv.channels, dtype=conv.dtype)


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles, quickest first by a model of the GPU."""
    matmul, conv = _product(kernel), kernel.convolution
    if matmul is not None and conv is not None:
        offered = product.candidates(matmul, machine, _vector(conv))
        yield from (parameters for parameters in offered if _in_a_group(conv, parameters["columns"]))


def _in_a_group(conv: Convolution, columns: int) -> bool:
    """Whether a tile's columns all belong to one group."""
    return conv.groups == 1 or conv.group_channels % columns == 0


def _vector(conv: Convolution) -> int:
    """Return how many elements of a pixel are read at once; see `product.at_once`."""
    return product.at_once(conv.group_inputs if conv.channels_last else 1, conv.dtype)


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    matmul, conv = _product(kernel), kernel.convolution
    if matmul is None or conv is None:
        return None
    (columns,) = positive(parameters, "columns")
    if not _in_a_group(conv, columns):
        raise ValueError(f"a tile of {columns} columns is no part of a group of {conv.group_channels} channels")
    if byte_words.takes(conv.dtype):
        return product.plan(kernel, machine, matmul, parameters, lambda source, tile: _PixelWords(source, kernel, tile))
    return product.plan(kernel, machine, matmul, parameters, lambda source, tile: _Pixels(source, conv, tile))


class _Pixels:
    """Rows that are what a convolution reads for a pixel of its output."""

    def __init__(self, source: Any, conv: Convolution, tile: tiles.Tile) -> None:
        self._source, self._conv, self._tile = source, conv, tile
        self.vector, self._first = max(1, _vector(conv)), 0

    def begin(self, column: Any) -> None:
        """Compute which input channels the group of the block's columns reads."""
        conv = self._conv
        if conv.groups > 1:
            self._first = emit.named(tirx.floordiv(column, conv.group_channels) * conv.group_inputs)

    def place(self, row: Any) -> Any:
        """Return where the pixel's first tap lies: image, line and column, which may be padding."""
        conv = self._conv
        if conv.pixels % self._tile.rows:
            row = tirx.min(row, conv.pixels - 1)
        batch, y, x, _ = emit.indices((conv.batch, conv.height, conv.width, conv.channels), row, 0)
        return (
            emit.named(batch),
            emit.named(y * conv.strides[0] - conv.padding[0]),
            emit.named(x * conv.strides[1] - conv.padding[1]),
        )

    def load(self, place: Any, step: Any) -> Any:
        """Load from the image, if the tap is in it."""
        index, inside = self._position(place, step, whole=self._conv.reduction % self._tile.depth == 0)
        return gpu.guarded(inside, emit.vector(self._source, index, self.vector), self.vector, self._conv.dtype)

    def _position(self, place: Any, step: Any, *, whole: bool) -> tuple[Any, Any]:
        """Return where a tap's channel lies, and whether that is in the image; `whole`: all steps are ones."""
        conv, (batch, top, left) = self._conv, place
        tap, channel = tirx.floordiv(step, conv.group_inputs), tirx.floormod(step, conv.group_inputs)
        if conv.groups > 1:
            channel = self._first + channel
        y = top + _apart(tirx.floordiv(tap, conv.kernel_width), conv.dilation[0])
        x = left + _apart(tirx.floormod(tap, conv.kernel_width), conv.dilation[1])
        if conv.channels_last:
            index = ((batch * conv.input_height + y) * conv.input_width + x) * conv.input_channels + channel
        else:
            index = ((batch * conv.input_channels + channel) * conv.input_height + y) * conv.input_width + x
        inside = None if whole else step < conv.reduction
        for position, extent in ((y, conv.input_height), (x, conv.input_width)):
            inside = gpu.both(inside, tirx.And(position >= 0, position < extent))
        return index, inside


class _PixelWords(_Pixels):
    """Rows of bytes; what pads an image may be another number than 0."""

    def __init__(self, source: Any, kernel: Kernel, tile: tiles.Tile) -> None:
        matmul, conv = _product(kernel), kernel.convolution
        assert matmul is not None
        assert conv is not None
        super().__init__(source, conv, tile)
        self._weights, self._outside = WordWeights.of(kernel, matmul), kernel.outside
        self._numbers = math.prod(kernel.parameter_shapes[0])

    def begin(self, column: Any) -> None:
        """See the image as words."""
        super().begin(column)
        self._view = byte_words.viewed(self._source, self._numbers)

    def load(self, place: Any, step: Any) -> Any:
        """Load words from the image; taps that are not in it are what pads it."""
        whole = self._weights.fills(self._tile.depth)
        return byte_words.loaded(
            self._source, self._view, functools.partial(self._position, place, whole=whole), self._weights.own(step),
            _vector(self._conv), self._outside,
        )  # fmt: skip


def _apart(tap: Any, dilation: int) -> Any:
    return tap if dilation == 1 else tap * dilation
