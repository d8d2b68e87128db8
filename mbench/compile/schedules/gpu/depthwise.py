"""Depthwise convolution: each output sums kernel x kernel inputs of its own channel, so that moving data costs most.

A thread makes `lines` x `columns` pixels of `vector` channels. It reads each line of input that they reach once, into
registers, and adds it to all the lines of output that it enters. Threads that follow each other have channels that
follow each other, so that a warp reads runs of `vector` x 32 elements, then the next pixels; what neighbours read twice
comes from the first cache, and nothing has to wait at a barrier. Small layers take fewer pixels a thread, to have
threads for all SMs. A tile at the end of a line or of the image begins early, and makes some outputs twice.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Convolution, Epilogue
from mbench.compile.machine import GpuLimits, KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.gpu import threads as gpu
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive
from mbench.core import dtypes

_THREADS = 128
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
        if not _divides(conv, vector) or lines > conv.height or columns > conv.width or math.prod(tile) > _MOST_SUMS:
            continue
        if limits.resident(threads=_THREADS, registers=_registers(conv, *tile), shared_bytes=0):
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


def _window(conv: Convolution, lines: int, columns: int) -> tuple[int, int]:
    """Return the lines and columns of input that a tile spans."""
    down = (lines - 1) * conv.strides[0] + (conv.kernel_height - 1) * conv.dilation[0]
    across = (columns - 1) * conv.strides[1] + (conv.kernel_width - 1) * conv.dilation[1]
    return down + 1, across + 1


def _registers(conv: Convolution, lines: int, columns: int, vector: int) -> int:
    """Return about how many registers a thread needs: sums, a line of input, all taps, and addresses."""
    taps = conv.kernel_height * conv.kernel_width
    return vector * (lines * columns + _window(conv, lines, columns)[1] + taps) + 40


def _items(conv: Convolution, lines: int, columns: int, vector: int) -> int:
    return conv.batch * -(-conv.height // lines) * -(-conv.width // columns) * (conv.channels // vector)


def _cycles(
    conv: Convolution, lines: int, columns: int, vector: int, machine: KernelMachine, limits: GpuLimits
) -> float:
    """Return the cycles of the busiest SM: instructions, loads and multiply-adds, whichever take longest, and waiting.

    A warp's loads pass 128 bytes a cycle. Each wave of blocks waits for memory twice, for its first line and for the
    rest, and then for its own instructions, one behind the other.
    """
    blocks = -(-_items(conv, lines, columns, vector) // _THREADS)
    share = -(-blocks // machine.cores)
    registers = _registers(conv, lines, columns, vector)
    held = min(share, limits.resident(threads=_THREADS, registers=registers, shared_bytes=0))
    down, across = _window(conv, lines, columns)
    loads = down * across + conv.kernel_height * conv.kernel_width
    multiplies = lines * columns * vector * conv.kernel_height * conv.kernel_width
    instructions = loads * _LOAD_INSTRUCTIONS + multiplies + lines * columns * (vector + 4) + _FIXED_INSTRUCTIONS
    warps = share * _THREADS / limits.warp
    busy = warps * max(
        instructions / gpu.SCHEDULERS,
        (loads * vector + lines * columns * vector) * dtypes.of(conv.dtype).bytes / gpu.FLOAT,
        multiplies * limits.warp / limits.multiply_adds,
    )
    return busy + -(-share // held) * (2 * gpu.FAR_CYCLES + instructions * _INSTRUCTION_CYCLES / 2)


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    conv, epilogue, limits = kernel.convolution, kernel.epilogue_of_sum, machine.limits
    if conv is None or epilogue is None or limits is None or not _takes(kernel):
        return None
    lines, columns, vector = checked(conv, parameters)
    writer = emit.Writer(kernel)
    with writer.function() as (source, weights, *_, target):
        thread = SlidingThread(conv, epilogue, lines, columns, vector)
        thread.write(source, weights, target, writer.load)
    return KernelPlan(function=writer.result(), tile=f"{lines}x{columns}x{vector}")


def checked(conv: Convolution, parameters: Parameters) -> tuple[int, int, int]:
    """Return lines, columns and channels of a tile.

    Raises:
        ValueError: they do not fit the layer.
    """
    lines, columns, vector = positive(parameters, "lines", "columns", "vector")
    if lines > conv.height or columns > conv.width or not _divides(conv, vector) or vector not in _VECTORS:
        shape = f"{conv.height} x {conv.width} x {conv.channels}"
        raise ValueError(f"a tile of {lines} x {columns} pixels x {vector} channels does not divide {shape}")
    return lines, columns, vector


class SlidingThread:
    """Writes what a thread does: here it multiplies by taps, and adds up."""

    def __init__(self, conv: Convolution, epilogue: Epilogue, lines: int, columns: int, vector: int) -> None:
        self._conv, self._epilogue = conv, epilogue
        self._lines, self._columns, self._vector = lines, columns, vector

    def write(self, source: Any, weights: Any, target: Any, load: Callable[..., Any]) -> None:
        """Write the grid and one tile."""
        conv, vector = self._conv, self._vector
        items = _items(conv, self._lines, self._columns, vector)
        with gpu.launch((-(-items // _THREADS),), _THREADS) as ((block,), thread):
            item = emit.named(block * _THREADS + thread)
            with gpu.where(None if items % _THREADS == 0 else item < items):
                batch, y, x, channel = self._place(item)
                sums = gpu.registers(self._lines * self._columns * vector)
                self._begin(sums, self._lines * self._columns * vector)
                self._add(sums, source, weights, (batch, y, x, channel))
                self._finish(sums, target, load, (batch, y, x, channel))

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
        conv, vector, (batch, y, x, channel) = self._conv, self._vector, place
        down, across = _window(conv, self._lines, self._columns)
        left = emit.named(x * conv.strides[1] - conv.padding[1])
        line = gpu.registers(across * vector, conv.dtype)
        taps = gpu.registers(conv.kernel_width * vector, conv.dtype)
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
                value = emit.vector(source, start + right * conv.input_channels, vector)
                value = gpu.guarded(self._inside(top, left, below, right), value, vector, self._outside())
                emit.store(line, value, right * vector, vector)
            for number, ky in reached:
                self._add_line(sums, line, taps, weights, (number, ky, channel))

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
            tap = emit.vector(weights, (ky * conv.kernel_width + kx) * conv.channels + channel, vector)
            emit.store(taps, tap, kx * vector, vector)
        first = number * self._columns * vector
        with (
            gpu.each(conv.kernel_width) as kx,
            gpu.each(self._columns) as column,
            gpu.each(vector) as lane,
        ):
            index = first + column * vector + lane
            place = column * conv.strides[1] + (kx if conv.dilation[1] == 1 else kx * conv.dilation[1])
            value = gpu.wide(line[place * vector + lane]) * gpu.wide(taps[kx * vector + lane])
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
