"""Depthwise convolution: each output sums kernel x kernel inputs of its own channel, so that moving data costs most.

A thread makes `lines` x `columns` pixels of `vector` channels. It reads each line of input that they reach once, into
registers, and adds it to all the lines of output that it enters. Threads that follow each other have channels that
follow each other, so that a warp reads runs of `vector` x 32 elements, then the next pixels; what neighbours read twice
comes from the first cache, and nothing has to wait at a barrier. Small layers take fewer pixels a thread, to have
threads for all SMs. A tile at the end of a line or of the image begins early, and makes some outputs twice.

Bytes are read four channels at once, as a word, or one by one; `byte_depthwise` multiplies four taps at once.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Convolution, Epilogue
from mbench.compile.machine import GpuLimits, KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.gpu import byte_words
from mbench.compile.schedules.gpu import threads as gpu
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive
from mbench.core import dtypes

THREADS = 128
_LINES = _COLUMNS = (1, 2, 4, 7)
_VECTORS = (1, 2, 4)
_MOST_SUMS = 32
_LOAD_INSTRUCTIONS = 5
"""A load with its address and the two comparisons that detect padding. A guess, as is the next."""
_FIXED_INSTRUCTIONS = 40
_INSTRUCTION_CYCLES = 4
"""Between two dependent instructions of a thread: four on Volta (Jia et al., arXiv:1804.06826), taken for all."""


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles, quickest first by the model of `_cycles`."""
    if kernel.convolution is not None and _takes(kernel):
        yield from ranked(kernel.convolution, machine)


def ranked(conv: Convolution, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles of windows that slide over each channel for itself, quickest first."""
    limits, found = machine.limits, []
    if limits is None:
        return
    for lines, columns, vector in itertools.product(_LINES, _COLUMNS, _VECTORS):
        tile = (lines, columns, vector)
        if byte_words.takes(conv.dtype) and vector not in (1, byte_words.WORD):
            continue
        if not _divides(conv, vector) or lines > conv.height or columns > conv.width or math.prod(tile) > _MOST_SUMS:
            continue
        if limits.resident(threads=THREADS, registers=_registers(conv, *tile), shared_bytes=0):
            found.append((_cycles(conv, *tile, machine, limits), tile))
    for _, (lines, columns, vector) in sorted(found):
        yield {"lines": lines, "columns": columns, "vector": vector}


def _takes(kernel: Kernel) -> bool:
    conv = kernel.convolution
    if conv is None or kernel.epilogue_of_sum is None:
        return False
    return conv.depthwise and conv.channels_last


def _divides(conv: Convolution, vector: int) -> bool:
    """Whether the channels are so many vectors; of several outputs of each channel, a thread makes one."""
    return conv.channels % vector == 0 and (vector == 1 or conv.group_channels == 1)


def window(conv: Convolution, lines: int, columns: int) -> tuple[int, int]:
    """Return the lines and columns of input that a tile spans."""
    down = (lines - 1) * conv.strides[0] + (conv.kernel_height - 1) * conv.dilation[0]
    across = (columns - 1) * conv.strides[1] + (conv.kernel_width - 1) * conv.dilation[1]
    return down + 1, across + 1


def _registers(conv: Convolution, lines: int, columns: int, vector: int) -> int:
    """Return about how many registers a thread needs: sums, a line of input, all taps, and addresses."""
    taps = conv.kernel_height * conv.kernel_width
    return vector * (lines * columns + window(conv, lines, columns)[1] + taps) + 40


def _items(conv: Convolution, lines: int, columns: int, vector: int) -> int:
    return conv.batch * -(-conv.height // lines) * -(-conv.width // columns) * (conv.channels // vector)


def _cycles(
    conv: Convolution, lines: int, columns: int, vector: int, machine: KernelMachine, limits: GpuLimits
) -> float:
    """Return the cycles of the busiest SM; see `cycles`."""
    down, across = window(conv, lines, columns)
    loads = down * across + conv.kernel_height * conv.kernel_width
    multiplies = lines * columns * vector * conv.kernel_height * conv.kernel_width
    work = Work(
        loads=loads,
        instructions=multiplies + lines * columns * (vector + 4),
        moved_bytes=(loads * vector + lines * columns * vector) * dtypes.width(conv.dtype),
        multiplies=multiplies,
    )
    return cycles(conv, (lines, columns, vector), work, _registers(conv, lines, columns, vector), machine, limits)


class Work(NamedTuple):
    """What a thread does for its tile."""

    loads: int
    instructions: int
    """Beside loads, and what is done once."""
    moved_bytes: int
    multiplies: int


def cycles(
    conv: Convolution, tile: tuple[int, int, int], work: Work, registers: int, machine: KernelMachine, limits: GpuLimits
) -> float:
    """Return the cycles of the busiest SM: instructions, loads and multiply-adds, whichever take longest, and waiting.

    A warp's loads pass 128 bytes a cycle. Each wave of blocks waits for memory twice, for its first line and for the
    rest, and then for its own instructions, one behind the other.
    """
    blocks = -(-_items(conv, *tile) // THREADS)
    share = -(-blocks // machine.cores)
    held = min(share, limits.resident(threads=THREADS, registers=registers, shared_bytes=0))
    instructions = work.loads * _LOAD_INSTRUCTIONS + work.instructions + _FIXED_INSTRUCTIONS
    warps = share * THREADS / limits.warp
    busy = warps * max(
        instructions / gpu.SCHEDULERS,
        work.moved_bytes / gpu.FLOAT,
        work.multiplies * limits.warp / limits.multiply_adds,
    )
    return busy + -(-share // held) * (2 * gpu.FAR_CYCLES + instructions * _INSTRUCTION_CYCLES / 2)


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    conv, epilogue, limits = kernel.convolution, kernel.epilogue_of_sum, machine.limits
    if conv is None or epilogue is None or limits is None or not _takes(kernel):
        return None
    lines, columns, vector = checked(conv, parameters)
    of_input, of_weights = kernel.zero_points
    outside = kernel.outside if byte_words.takes(conv.dtype) else 0
    zeros = ByteZeros(outside=outside, of_input=of_input, of_weights=of_weights)
    writer = emit.Writer(kernel)
    with writer.function() as (source, weights, *_, target):
        thread = SlidingThread(conv, epilogue, lines, columns, vector, zeros)
        thread.write(source, weights, target, writer.load)
    return KernelPlan(function=writer.result(), tile=f"{lines}x{columns}x{vector}")


def checked(conv: Convolution, parameters: Parameters) -> tuple[int, int, int]:
    """Return lines, columns and channels of a tile.

    Raises:
        ValueError: they do not fit the layer.
    """
    lines, columns, vector = positive(parameters, "lines", "columns", "vector")
    vectors = (1, byte_words.WORD) if byte_words.takes(conv.dtype) else _VECTORS
    if lines > conv.height or columns > conv.width or not _divides(conv, vector) or vector not in vectors:
        shape = f"{conv.height} x {conv.width} x {conv.channels}"
        raise ValueError(f"a tile of {lines} x {columns} pixels x {vector} channels does not divide {shape}")
    return lines, columns, vector


@dataclasses.dataclass(frozen=True, kw_only=True)
class ByteZeros:
    """Of 8-bit values: what pads an image, and what is taken off the values that are read, and off weights."""

    outside: int = 0
    of_input: int = 0
    of_weights: int = 0


class SlidingThread:
    """Writes what a thread does: here it multiplies by taps, and adds up."""

    def __init__(
        self, conv: Convolution, epilogue: Epilogue, lines: int, columns: int, vector: int, zeros: ByteZeros
    ) -> None:
        self._conv, self._epilogue, self._zeros = conv, epilogue, zeros
        self._lines, self._columns, self._vector = lines, columns, vector
        self._bytes = byte_words.takes(conv.dtype)
        self._sums_type = dtypes.sums(conv.dtype)

    def write(self, source: Any, weights: Any, target: Any, load: Callable[..., Any]) -> None:
        """Write the grid and one tile."""
        conv, vector = self._conv, self._vector
        items = _items(conv, self._lines, self._columns, vector)
        with gpu.launch((-(-items // THREADS),), THREADS) as ((block,), thread):
            self._views = self._seen_as_words(source, weights)
            item = emit.named(block * THREADS + thread)
            with gpu.where(None if items % THREADS == 0 else item < items):
                batch, y, x, channel = self._place(item)
                sums = gpu.registers(self._lines * self._columns * vector, self._sums_type)
                self._begin(sums, self._lines * self._columns * vector)
                self._add(sums, source, weights, (batch, y, x, channel))
                self._finish(sums, target, load, (batch, y, x, channel))

    def _seen_as_words(self, source: Any, weights: Any) -> list[tuple[Any, Any]]:
        """Return arrays of bytes, each with itself as words; none where bytes are read one by one."""
        conv = self._conv
        if not self._bytes or self._vector == 1:
            return []
        read = conv.batch * conv.input_height * conv.input_width * conv.input_channels
        taps = conv.kernel_height * conv.kernel_width * conv.channels
        sizes = [(source, read), *([] if weights is None else [(weights, taps)])]
        return [(array, byte_words.viewed(array, size)) for array, size in sizes]

    def _begin(self, sums: Any, count: int) -> None:
        """Set a thread's registers to what they begin with."""
        gpu.zero(sums, count)

    def _place(self, item: Any) -> tuple[Any, Any, Any, Any]:
        """Return image, line, column and channel of a tile's first output: channels first, then along the line."""
        conv = self._conv
        groups = conv.channels // self._vector
        down, across = -(-conv.height // self._lines), -(-conv.width // self._columns)
        channel = emit.named(tirx.floormod(item, groups) * self._vector)
        tile = emit.named(tirx.floordiv(item, groups))
        x = emit.named(emit.panel_start(tirx.floormod(tile, across), self._columns, conv.width))
        y = emit.panel_start(tirx.floormod(tirx.floordiv(tile, across), down), self._lines, conv.height)
        batch = 0 if conv.batch == 1 else emit.named(tirx.floordiv(tile, across * down))
        return batch, emit.named(y), x, channel

    def _add(self, sums: Any, source: Any, weights: Any, place: tuple[Any, Any, Any, Any]) -> None:
        """Read the lines of input one by one, and add each to the lines of output that it reaches."""
        conv, (batch, y, x, channel) = self._conv, place
        down, across = window(conv, self._lines, self._columns)
        left = emit.named(x * conv.strides[1] - conv.padding[1])
        line, taps = self._line(across), self._tap_registers()
        for below in range(down):
            reached = [
                (number, (below - number * conv.strides[0]) // conv.dilation[0])
                for number in range(self._lines)
                if (below - number * conv.strides[0]) % conv.dilation[0] == 0
            ]
            reached = [(number, ky) for number, ky in reached if 0 <= ky < conv.kernel_height]
            if not reached:
                continue
            top = emit.named(y * conv.strides[0] + (below - conv.padding[0]))
            pixel = (batch * conv.input_height + top) * conv.input_width + left
            read = channel if conv.group_channels == 1 else tirx.floordiv(channel, conv.group_channels)
            start = emit.named(pixel * conv.input_channels + read)
            for right in range(across):
                inside = self._inside(top, left, below, right)
                self._read(line, right, source, start + right * conv.input_channels, inside)
            self._arrive(line, across)
            for number, ky in reached:
                self._add_line(sums, line, taps, weights, (number, ky, channel))

    def _line(self, pixels: int) -> Any:
        """Return registers for a line of input, or of taps; of bytes one for each pixel."""
        if self._bytes:
            return gpu.registers(pixels, byte_words.TYPE)
        return gpu.registers(pixels * self._vector, self._conv.dtype)

    def _tap_registers(self) -> Any:
        """Return registers for a line of taps."""
        return self._line(self._conv.kernel_width)

    def _arrive(self, line: Any, across: int) -> None:
        """Do what has to be done to a line of input once it is read; by default nothing."""

    def _read(self, line: Any, right: int, source: Any, place: Any, inside: Any) -> None:
        """Read a pixel of a line, if it is inside of the image."""
        if not self._bytes:
            value = gpu.guarded(inside, emit.vector(source, place, self._vector), self._vector, self._outside())
            emit.store(line, value, right * self._vector, self._vector)
            return
        outside = byte_words.constant(self._zeros.outside, self._vector)
        T.buffer_store(line, gpu.guarded(inside, self._several(source, place), 1, outside), [right])

    def _several(self, array: Any, place: Any) -> Any:
        """Return the bytes of a thread's channels from a place on: a word of them, or one as it is."""
        if self._vector == 1:
            return array[place].astype(byte_words.TYPE)
        return next(view for given, view in self._views if given.same_as(array))[tirx.floordiv(place, byte_words.WORD)]

    def _pixel(self, line: Any, pixel: Any, lane: Any) -> Any:
        """Return one channel of a pixel of a line, in the type of sums."""
        return _less(self._number(line, pixel, lane, self._conv.dtype), self._zeros.of_input)

    def _tap(self, taps: Any, kx: Any, lane: Any) -> Any:
        """Return one channel of a tap, in the type of sums."""
        return _less(self._number(taps, kx, lane, "int8"), self._zeros.of_weights)

    def _number(self, registers: Any, place: Any, lane: Any, dtype: str) -> Any:
        if not self._bytes:
            return gpu.wide(registers[place * self._vector + lane])
        return byte_words.number(registers[place], lane, dtype) if self._vector > 1 else registers[place]

    def _outside(self) -> Any:
        """Return what stands for an element outside of the image."""
        return tirx.const(0, self._conv.dtype)

    def _total(self, value: Any) -> Any:
        """Return a sum in the type that the epilogue takes it in."""
        return value

    def _inside(self, top: Any, left: Any, below: int, right: int) -> Any:
        """Return the condition under which an element is no padding; None where it never is."""
        conv = self._conv
        reach = (conv.height - self._lines) * conv.strides[0], (conv.width - self._columns) * conv.strides[1]
        vertical = _bounds(top, below - conv.padding[0], reach[0], conv.input_height)
        horizontal = _bounds(left + right, right - conv.padding[1], reach[1], conv.input_width)
        return gpu.both(vertical, horizontal)

    def _add_line(self, sums: Any, line: Any, taps: Any, weights: Any, at: tuple[int, int, Any]) -> None:
        """Add a line of input, times a line of the kernel, to one line of the tile."""
        conv, vector, (number, ky, channel) = self._conv, self._vector, at
        for kx in range(conv.kernel_width):
            place = (ky * conv.kernel_width + kx) * conv.channels + channel
            if self._bytes:
                T.buffer_store(taps, self._several(weights, place), [kx])
            else:
                emit.store(taps, emit.vector(weights, place, vector), kx * vector, vector)
        first = number * self._columns * vector
        with (
            gpu.each(conv.kernel_width) as kx,
            gpu.each(self._columns) as column,
            gpu.each(vector) as lane,
        ):
            index = first + column * vector + lane
            place = column * conv.strides[1] + (kx if conv.dilation[1] == 1 else kx * conv.dilation[1])
            value = self._pixel(line, place, lane) * self._tap(taps, kx, lane)
            T.buffer_store(sums, sums[index] + value, [index])

    def _finish(self, sums: Any, target: Any, load: Callable[..., Any], place: tuple[Any, Any, Any, Any]) -> None:
        conv, vector, epilogue, (batch, y, x, channel) = self._conv, self._vector, self._epilogue, place
        start = emit.named(((batch * conv.height + y) * conv.width + x) * conv.channels + channel)
        for number, column in itertools.product(range(self._lines), range(self._columns)):
            with emit.lanes_of(vector) as lane:
                indices = [batch, y + number, x + column, channel + lane]
                value = self._total(sums[(number * self._columns + column) * vector + lane])
                if epilogue.start is not None:
                    value = value + epilogue.start(indices, load)
                offset = (number * conv.width + column) * conv.channels
                T.buffer_store(target, epilogue.finish(value, indices, load), [start + offset + lane])


def _bounds(position: Any, least: int, reach: int, extent: int) -> Any:
    """Return whether `position`, from `least` to `least + reach`, lies in [0, extent); None where it always does."""
    low = None if least >= 0 else position >= 0
    high = None if least + reach < extent else position < extent
    return gpu.both(low, high)


def _less(value: Any, zero: int) -> Any:
    return value - tirx.const(zero, byte_words.TYPE) if zero else value
