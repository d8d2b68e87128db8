"""Convolutions of 8-bit values on processors with dot products of bytes: any kernel, stride and groups of channels.

Four channels of a pixel, of one group, are a word. Where the image is padded, lies channels first, or the channels of a
group fill no words, it is first laid out anew, with its padding: a pass that is small beside the sums. A tile is `rows`
pixels of a line x `vectors` registers of channels.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Convolution
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import byte_bias, byte_dots, byte_images, byte_output, dots, tile_loops, tiling
from mbench.compile.schedules.cpu.byte_bias import SpreadBias
from mbench.compile.schedules.cpu.byte_images import ByteImage
from mbench.compile.schedules.cpu.byte_output import ByteOutput
from mbench.compile.schedules.cpu.dots import DotProduct, WeightPanels
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive

_GRIDS = 2
_WRITTEN_OUT = 12
"""Words of a window up to which no loop is written."""


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles and task grids, quickest first."""
    conv, dot = kernel.convolution, byte_dots.of(kernel, machine)
    if conv is not None and dot is not None:
        ranked, lanes = _ranked(conv, dot, machine), dot.lanes_of(conv.group_channels)
        for _, parameters in byte_output.with_tables(kernel, machine, lanes, ranked):
            yield parameters


def _ranked(conv: Convolution, dot: DotProduct, machine: KernelMachine) -> list[tuple[float, Parameters]]:
    """Return (cycles of the busiest core, parameters), quickest first."""
    found: list[tuple[float, Parameters]] = []
    own = conv.group_channels
    lanes, lines = dot.lanes_of(own), [1] * (conv.batch * conv.height)
    steps = conv.kernel_height * conv.kernel_width * dots.words(conv.group_inputs)
    for rows, vectors in dot.tiles() if lanes else ():
        if vectors * lanes > own or rows > conv.width:
            continue
        panels = conv.groups * -(-own // (vectors * lanes))
        tiles = sum(dot.tile_cycles(size, vectors, steps) for size in tiling.even_parts(conv.width, rows))
        cycles, moved = len(lines) * panels * tiles, conv.moved_bytes / 4
        for grid in itertools.islice(tiling.grids(lines, panels, cycles, moved, machine), _GRIDS):
            parameters = {"rows": rows, "vectors": vectors, "line_parts": grid.outer, "panel_parts": grid.inner}
            found.append((grid.cycles(cycles, moved), parameters))
    return sorted(found, key=lambda pair: pair[0])


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    conv, epilogue, dot = kernel.convolution, kernel.epilogue_of_sum, byte_dots.of(kernel, machine)
    if conv is None or epilogue is None or dot is None:
        return None
    rows, vectors, *grid = positive(parameters, "rows", "vectors", "line_parts", "panel_parts")
    words = conv.kernel_height * conv.kernel_width * dots.words(conv.group_inputs)
    lanes = dot.lanes_of(conv.group_channels)
    panels = WeightPanels.of(
        kernel, dot, channels=conv.channels, lanes=lanes, vectors=vectors, words=words, groups=conv.groups
    )  # fmt: skip
    if rows > conv.width:
        raise ValueError(f"a tile of {rows} outputs is larger than a line of {conv.width}")
    spread = SpreadBias.of(kernel, epilogue, panels, rows)
    writer = emit.Writer(kernel, packed_elements=byte_bias.packed_elements(panels, spread))
    with writer.function() as arrays:
        image = byte_images.of(conv, dot, arrays[0], kernel.outside, slack=dot.group if dot.group > 1 else 0)
        image.write(grid[0])
        output = ByteOutput.of(kernel, epilogue, writer, arrays[-1], machine)
        _ByteLayer(conv, image, output, arrays, panels, spread, stay=_stay(panels, machine)).write(rows, grid)
    return KernelPlan(
        function=writer.result(), tile=f"{rows}x{vectors}x{lanes}", pack=panels.packed, lanes=lanes,
        packs=byte_bias.packs(spread),
    )  # fmt: skip


def _stay(panels: WeightPanels, machine: KernelMachine) -> bool:
    """Return whether all panels are gone through for each tile of a line, since the first cache keeps them.

    So on Arm: what does not change from tile to tile, LLVM writes to the stack, and reads it there piece by piece.
    """
    return panels.dot.group > 1 and panels.elements <= machine.l1_bytes // 2


class _ByteLayer:
    """Writes the loops and the tiles of one layer."""

    def __init__(
        self, conv: Convolution, image: ByteImage, output: ByteOutput, arrays: Sequence[Any], panels: WeightPanels,
        spread: SpreadBias | None, *, stay: bool,
    ) -> None:  # fmt: skip
        self._conv, self._image, self._output, self._weights = conv, image, output, arrays[1]
        self._arrays, self._spread, self._stay = arrays, spread, stay
        self._panels = panels
        self._dot = panels.dot if image.is_given or panels.dot.group == 1 else dataclasses.replace(panels.dot, shift=0)

    def write(self, rows: int, grid: list[int]) -> None:
        """Write the loops over panels, lines, and tiles of a line."""
        conv, panels = self._conv, len(self._panels.starts)
        with emit.tasks(conv.batch * conv.height, grid[0], panels, grid[1]) as ((first, lines), (panel, count)):
            for number in (None,) if self._stay else emit.turns(count):
                with emit.loop(lines) as down:
                    line = emit.named(first + down)
                    batch, y = (0, line) if conv.batch == 1 else emit.divided(line, conv.height)
                    for x, size in tile_loops.every(conv.width, rows):
                        for own in emit.turns(count) if number is None else (number,):
                            self._tile(size, (batch, y, x), panel + own)

    def _tile(self, rows: int, place: tuple[Any, Any, Any], panel: Any) -> None:
        conv, lanes, (batch, y, x) = self._conv, self._panels.lanes, place
        group, channel = self._panels.start(panel)

        def indices(r: int, v: int, lane: Any) -> list[Any]:
            return [batch, y, x + r, channel + (v * lanes + lane)]

        if self._spread is not None:
            sums = self._spread.begun(self._arrays[self._spread.place], panel, rows)
        else:
            sums = self._output.begun(rows, self._panels.vectors, lanes, indices)
        self._panels.begin(sums, self._weights, panel)
        own = self._image.words // conv.groups
        self._add_window(sums, emit.named(self._image.pixel(batch, y, x) * self._image.words + group * own), panel)
        target = emit.named(((batch * conv.height + y) * conv.width + x) * conv.channels + channel)
        self._output.finish_all(sums, indices, target, conv.channels)

    def _add_window(self, sums: emit.Accumulators, corner: Any, panel: Any) -> None:
        """Add all taps of the window whose first word is at `corner`."""
        conv, pixel = self._conv, self._image.words
        words = pixel // conv.groups
        down, across = conv.dilation[0] * self._image.width * pixel, conv.dilation[1] * pixel
        size, taps = self._panels.line_bytes, emit.named(panel * self._panels.panel_bytes)
        if self._dot.group > 1:
            self._add_lines(sums, corner, taps)
            return
        if conv.kernel_height * conv.kernel_width * words <= _WRITTEN_OUT:
            for ky, kx, number in itertools.product(range(conv.kernel_height), range(conv.kernel_width), range(words)):
                tap = (ky * conv.kernel_width + kx) * words + number
                self._step(sums, corner + (ky * down + kx * across + number), taps + tap * size)
            return
        unroll = dots.unrolled(words, sums.rows * sums.vectors)
        with emit.loop(conv.kernel_height) as ky, emit.loop(conv.kernel_width) as kx:
            first = emit.named(corner + ky * down + kx * across)
            weights = emit.named(taps + (ky * conv.kernel_width + kx) * (words * size))
            with emit.loop(words // unroll) as step:
                for number in range(unroll):
                    at = step * unroll + number
                    self._step(sums, first + at, weights + at * size)

    def _add_lines(self, sums: emit.Accumulators, corner: Any, taps: Any) -> None:
        """Add all taps, several words at once: those of a line are one run of words where they lie side by side."""
        conv, pixel, size, group = self._conv, self._image.words, self._panels.line_bytes, self._dot.group
        runs = 1 if conv.dilation[1] == conv.groups == 1 else conv.kernel_width
        words = pixel // conv.groups
        length = conv.kernel_width // runs * words
        short = conv.kernel_height * conv.kernel_width * words <= _WRITTEN_OUT
        down, across = conv.dilation[0] * self._image.width * pixel, conv.dilation[1] * pixel
        for ky, kx in _places(conv.kernel_height, runs, written_out=short):
            first = emit.named(corner + ky * down + kx * across)
            weights = emit.named(taps + (ky * runs + kx) * (length * size))
            whole = length // group
            if whole:
                with emit.loop(whole) as step:
                    at = emit.named(step * group)
                    self._group(sums, first + at, weights + at * size, group)
            if length % group:
                self._group(sums, first + whole * group, weights + whole * group * size, length % group)

    def _group(self, sums: emit.Accumulators, first: Any, line: Any, count: int) -> None:
        """Add what so many words of each row, read at once, give with their weights."""
        image, lanes, apart = self._image, self._panels.lanes, self._conv.strides[1] * self._image.words

        def load(r: int, number: int, words: int) -> Any:
            return image.vector(first + (r * apart + number), words)

        operands = [
            self._dot.operands(functools.partial(load, r), count, lanes, beyond=not image.is_given)
            for r in range(sums.rows)
        ]
        for word in range(count):
            weights = self._panels.read(self._weights, line + word * self._panels.line_bytes)
            for r in range(sums.rows):
                for v in range(sums.vectors):
                    self._dot.add(sums, r, v, operands[r][word], weights[v])

    def _step(self, sums: emit.Accumulators, first: Any, line: Any) -> None:
        """Add what one word of each row gives with its weights."""
        dot, lanes, apart = self._panels.dot, self._panels.lanes, self._conv.strides[1] * self._image.words
        weights = self._panels.read(self._weights, line)
        for r in range(sums.rows):
            operand = dot.everywhere(self._image.word(first + r * apart), lanes)
            for v in range(sums.vectors):
                dot.add(sums, r, v, operand, weights[v])


def _places(height: int, width: int, *, written_out: bool) -> Iterator[tuple[Any, Any]]:
    """Yield the (line, tap) of a window, one by one or inside of loops over them."""
    if written_out:
        yield from itertools.product(range(height), range(width))
        return
    with emit.loop(height) as ky, emit.loop(width) as kx:
        yield ky, kx
