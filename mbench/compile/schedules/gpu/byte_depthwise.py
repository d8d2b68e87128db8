"""Depthwise convolution of bytes: a dot product multiplies four taps of a line, in each of four channels.

Tiles are those of `depthwise`. A thread reads a line of input as words of four channels, a word a pixel. Four pixels
that follow each other are transposed, so that a word has one channel of each. Taps are packed as such words, once for
each place that an output's window may begin at within four pixels: (w0, w1, w2, 0) and (0, w0, w1, w2) for two outputs
side by side. So a line of three taps takes one instruction instead of three, and no byte is taken out of its word.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Convolution, Epilogue
from mbench.compile.machine import GpuLimits, KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.gpu import byte_words, depthwise
from mbench.compile.schedules.gpu import threads as gpu
from mbench.compile.schedules.gpu.depthwise import ByteZeros, SlidingThread
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive

_LINES = _COLUMNS = (1, 2, 4, 7)
_MOST_SUMS = 64
_TRANSPOSING = 8
"""Instructions that transpose four words."""


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles, quickest first by the model of `_cycles`."""
    conv, limits, found = _taken(kernel), machine.limits, []
    if conv is None or limits is None:
        return
    for lines, columns in itertools.product(_LINES, _COLUMNS):
        if lines > conv.height or columns > conv.width or lines * columns * byte_words.WORD > _MOST_SUMS:
            continue
        registers = _registers(conv, lines, columns)
        if limits.resident(threads=depthwise.THREADS, registers=registers, shared_bytes=0):
            found.append((_cycles(conv, lines, columns, machine, limits), lines, columns))
    for _, lines, columns in sorted(found):
        yield {"lines": lines, "columns": columns}


def _taken(kernel: Kernel) -> Convolution | None:
    """Return the kernel's convolution, if it is one of words of channels, with no zero points but the bias's."""
    conv = kernel.convolution
    if conv is None or kernel.epilogue_of_sum is None or not conv.depthwise or not conv.channels_last:
        return None
    whole = conv.group_channels == 1 and conv.channels % byte_words.WORD == 0
    return conv if whole and kernel.zero_points == (0, 0) and byte_words.takes(conv.dtype) else None


def _places(conv: Convolution, columns: int) -> tuple[int, ...]:
    """Return by how many pixels words of four pixels begin after windows that they share a tap with, in order."""
    quads = range(_quads(conv, columns))
    found = {byte_words.WORD * quad - column * conv.strides[1] for quad in quads for column in range(columns)}
    return tuple(place for place in sorted(found) if any(_taps(conv, place)))


def _taps(conv: Convolution, place: int) -> list[int | None]:
    """Return which tap each of four pixels meets, the first of which is `place` pixels after the window's; None: none.

    The tap's number is one more than its place in the line, so that it is never 0.
    """
    steps = [divmod(place + pixel, conv.dilation[1]) for pixel in range(byte_words.WORD)]
    return [kx + 1 if rest == 0 and 0 <= kx < conv.kernel_width else None for kx, rest in steps]


def _quads(conv: Convolution, columns: int) -> int:
    return byte_words.count(depthwise.window(conv, 1, columns)[1])


def _registers(conv: Convolution, lines: int, columns: int) -> int:
    """Return about how many registers a thread needs: sums, a line of input before and after, taps, and addresses."""
    held = lines * columns + 2 * _quads(conv, columns) + conv.kernel_height * len(_places(conv, columns))
    return byte_words.WORD * held + 40


def _cycles(conv: Convolution, lines: int, columns: int, machine: KernelMachine, limits: GpuLimits) -> float:
    """Return the cycles of the busiest SM, as `depthwise` counts them: instructions or bytes, and waiting."""
    down, across = depthwise.window(conv, lines, columns)
    meeting = sum(
        any(_taps(conv, byte_words.WORD * quad - column * conv.strides[1]))
        for quad in range(_quads(conv, columns)) for column in range(columns)
    )  # fmt: skip
    dots = byte_words.WORD * lines * conv.kernel_height * meeting
    loads = down * across + lines * conv.kernel_height * len(_places(conv, columns))
    instructions = dots + down * _quads(conv, columns) * _TRANSPOSING + lines * columns * 4 * byte_words.WORD
    moved = byte_words.WORD * (loads + lines * columns)
    work = depthwise.Work(loads=loads, instructions=instructions, moved_bytes=moved, multiplies=dots)
    tile = (lines, columns, byte_words.WORD)
    return depthwise.cycles(conv, tile, work, _registers(conv, lines, columns), machine, limits)


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    conv, epilogue = _taken(kernel), kernel.epilogue_of_sum
    if conv is None or epilogue is None or machine.limits is None:
        return None
    lines, columns = positive(parameters, "lines", "columns")
    if lines > conv.height or columns > conv.width:
        raise ValueError(f"a tile of {lines} x {columns} pixels does not fit {conv.height} x {conv.width}")
    places = _places(conv, columns)
    taken = byte_words.WORD * conv.kernel_height * len(places) * conv.channels
    writer = emit.Writer(kernel, packed_elements=taken)
    with writer.function() as (source, weights, *_, target):
        thread = _DotThread(conv, epilogue, lines, columns, byte_words.WORD, ByteZeros(outside=kernel.outside))
        thread.write(source, weights, target, writer.load)
    return KernelPlan(
        function=writer.result(),
        tile=f"{lines}x{columns}x{byte_words.WORD}",
        pack=functools.partial(_pack, conv, places),
    )


def _pack(conv: Convolution, places: tuple[int, ...], weights: np.ndarray) -> np.ndarray:
    """Return weights (ky, kx, 1, c) as (ky, place, c, four pixels)."""
    packed = np.zeros((conv.kernel_height, len(places), conv.channels, byte_words.WORD), np.int8)
    for number, place in enumerate(places):
        for pixel, tap in enumerate(_taps(conv, place)):
            if tap is not None:
                packed[:, number, :, pixel] = weights[:, tap - 1, 0]
    return packed.ravel()


class _DotThread(SlidingThread):
    """Adds up dot products of four pixels."""

    def __init__(
        self, conv: Convolution, epilogue: Epilogue, lines: int, columns: int, vector: int, zeros: ByteZeros
    ) -> None:
        super().__init__(conv, epilogue, lines, columns, vector, zeros)
        self._places, self._quads = _places(conv, columns), _quads(conv, columns)

    def _line(self, _pixels: int) -> Any:
        return gpu.registers(self._quads * byte_words.WORD, byte_words.TYPE)

    def _seen_as_words(self, source: Any, _weights: Any) -> list[tuple[Any, Any]]:
        return super()._seen_as_words(source, None)

    def _add(self, sums: Any, source: Any, weights: Any, place: tuple[Any, Any, Any, Any]) -> None:
        taken = byte_words.WORD * self._conv.kernel_height * len(self._places) * self._conv.channels
        super()._add(sums, source, byte_words.viewed(weights, taken), place)

    def _tap_registers(self) -> Any:
        return gpu.registers(len(self._places) * byte_words.WORD, byte_words.TYPE)

    def _arrive(self, line: Any, across: int) -> None:
        """Transpose each four pixels of a line; what lies beyond the last meets no tap."""
        for quad in range(self._quads):
            pixels = [quad * byte_words.WORD + pixel for pixel in range(byte_words.WORD)]
            read = [T.bind(line[pixel]) if pixel < across else tirx.const(0, byte_words.TYPE) for pixel in pixels]
            for pixel, word in zip(pixels, byte_words.transposed(read), strict=True):
                T.buffer_store(line, word, [pixel])

    def _add_line(self, sums: Any, line: Any, taps: Any, weights: Any, at: tuple[int, int, Any]) -> None:
        conv, (number, ky, channel) = self._conv, at
        for own, place in enumerate(self._places):
            read = (ky * len(self._places) + own) * conv.channels + channel
            emit.store(taps, emit.vector(weights, read, byte_words.WORD), own * byte_words.WORD, byte_words.WORD)
            for column, quad in itertools.product(range(self._columns), range(self._quads)):
                if byte_words.WORD * quad - column * conv.strides[1] != place:
                    continue
                with gpu.each(byte_words.WORD) as lane:
                    index = (number * self._columns + column) * byte_words.WORD + lane
                    pixels, four = line[quad * byte_words.WORD + lane], taps[own * byte_words.WORD + lane]
                    T.buffer_store(sums, byte_words.dot(pixels, four, sums[index], conv.dtype), [index])
