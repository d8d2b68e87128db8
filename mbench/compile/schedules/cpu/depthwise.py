"""Depthwise convolution: each output sums kernel x kernel inputs of its own channel, so that moving data costs most.

A tile is `lines` x `rows` pixels x `vectors` registers of channels; each vector of input is loaded once for all the
sums that it enters. Panels of channels are innermost, so that memory is read in order. Nothing is padded: taps that
fall left and right of the image are left out when the kernel is written, those above and below when it runs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Convolution, Epilogue, Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import tiling
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive
from mbench.core import dtypes

_FLOAT = dtypes.of(dtypes.DEFAULT).bytes
_LINE_BYTES = 64
_PAGE_BYTES = 4096
_MAX_LINES = 4
_MAX_ROWS = 8
_FMA_A_CYCLE = 2
_LOADS_A_CYCLE = 1.6
_TILE_CYCLES = 8
_MOVED = 1.3
"""What tiles of two or four lines, and those whose sums leave too few registers, were seen to take beyond the model."""
_MISS_CYCLES = 2.0
_BODY_COST = 0.01
_FEW_PIXELS = 4
"""Channels for each pixel, from which on matrix products were measured to be best split by channels."""
_GRIDS = 2


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles and task grids: quickest tiles first by the model of `_cycles`, each with its quickest grids."""
    conv = kernel.convolution
    if conv is None or not conv.depthwise or not conv.channels_last or kernel.epilogue_of_sum is None:
        return
    found = []
    lanes = tiling.vector_lanes(conv.channels, machine)
    heights, widths = range(1, min(_MAX_LINES, conv.height) + 1), range(1, min(_MAX_ROWS, conv.width) + 1)
    for lines, rows, vectors in itertools.product(heights, widths, (1, 2, 4)):
        if vectors * lanes > conv.channels or lines * rows * vectors > machine.registers * 3 // 4:
            continue
        panels = -(-conv.channels // (vectors * lanes))
        groups = conv.batch * tiling.even_parts(conv.height, lines)
        cycles = _cycles(conv, lines, rows, vectors, lanes, machine)
        grids = tiling.grids(groups, panels, cycles, conv.moved_bytes, machine, along_inner=_by_channels(conv))
        for place, grid in enumerate(grids[:_GRIDS]):
            parameters = {
                "lines": lines,
                "rows": rows,
                "vectors": vectors,
                "line_parts": grid.outer,
                "panel_parts": grid.inner,
            }
            shared = cycles / min(machine.cores, grid.outer * grid.inner)
            found.append((shared, place, parameters))
    for *_, parameters in sorted(found, key=lambda one: one[:2]):
        yield parameters


def _by_channels(conv: Convolution) -> bool:
    """Whether the matrix products beside it are likely split by channels: their weights outweigh their pixels."""
    return conv.channels > _FEW_PIXELS * conv.height * conv.width


def _cycles(conv: Convolution, lines: int, rows: int, vectors: int, lanes: int, machine: KernelMachine) -> float:
    """Model of the whole layer on one core: multiply-adds or loads, and lines of cache from beyond the first."""
    panels = conv.batch * -(-conv.channels // (vectors * lanes))
    heights, widths = tiling.even_parts(conv.height, lines), tiling.even_parts(conv.width, rows)
    tiles = itertools.product(
        ((size, heights.count(size)) for size in set(heights)), ((size, widths.count(size)) for size in set(widths))
    )
    bodies = len(set(heights)) * len(_runs(conv, rows))  # each is code to compile and to fetch
    return (
        (1 + _BODY_COST * bodies)
        * panels
        * sum(
            down_count * across_count * _tile_cycles(conv, down, across, vectors, lanes, machine)
            for (down, down_count), (across, across_count) in tiles
        )
    )


def _tile_cycles(conv: Convolution, lines: int, rows: int, vectors: int, lanes: int, machine: KernelMachine) -> float:
    columns = (rows - 1) * conv.stride + conv.kernel_width
    pixels = ((lines - 1) * conv.stride + conv.kernel_height) * columns
    multiplies = lines * rows * vectors * conv.kernel_height * conv.kernel_width
    loads = lines * conv.kernel_height * (columns + conv.kernel_width) * vectors
    width_lines = vectors * lanes * _FLOAT / _LINE_BYTES
    if width_lines < 1 and _crowded(pixels, conv.channels, machine):
        width_lines = 1  # the rest of each line is gone before the next panel needs it
    working = max(multiplies / _FMA_A_CYCLE, loads / _LOADS_A_CYCLE) + _TILE_CYCLES
    if lines in (2, 4) or lines * rows * vectors > machine.registers * 5 // 8:
        working *= _MOVED
    return working + _MISS_CYCLES * pixels * width_lines


def _crowded(pixels: int, channels: int, machine: KernelMachine) -> bool:
    """Whether so many pixels push each other out of the first cache, because their addresses share its sets."""
    ways = machine.l1_bytes / _PAGE_BYTES
    apart = _PAGE_BYTES / math.gcd(_PAGE_BYTES, channels * _FLOAT)
    return pixels / apart > ways


def _runs(conv: Convolution, rows: int) -> list[tiling.Run]:
    return tiling.runs(
        outputs=conv.width,
        inputs=conv.input_width,
        kernel=conv.kernel_width,
        stride=conv.stride,
        padding=conv.padding,
        limit=rows,
    )


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    conv, epilogue = kernel.convolution, kernel.epilogue_of_sum
    if conv is None or epilogue is None:
        return None
    lines, rows, vectors = positive(parameters, "lines", "rows", "vectors")
    grid = positive(parameters, "line_parts", "panel_parts")
    lanes = tiling.vector_lanes(conv.channels, machine)
    width = vectors * lanes
    if width > conv.channels or rows > conv.width or lines > conv.height:
        shape = f"{conv.height} x {conv.width} x {conv.channels}"
        raise ValueError(f"a tile of {lines} lines x {rows} outputs x {width} channels is larger than {shape}")
    starts = tiling.panel_starts(conv.channels, width)
    panels = len(starts)
    taps = conv.kernel_height * conv.kernel_width
    writer = emit.Writer(kernel, packed_elements=panels * taps * width)
    with writer.function() as arrays:
        layer = _DepthwiseLayer(writer, epilogue, conv, arrays, vectors, lanes)
        layer.write(rows, lines, panels, grid)
    tile = f"{rows}x{vectors}x{lanes}" if lines == 1 else f"{lines}x{rows}x{vectors}x{lanes}"
    return KernelPlan(
        function=writer.result(),
        tile=tile,
        pack=lambda weights: tiling.pack(weights.reshape(taps, conv.channels), starts, width),
        lanes=lanes,
    )


class _DepthwiseLayer:
    """Writes the loops and the tiles of one layer."""

    def __init__(
        self,
        writer: emit.Writer,
        epilogue: Epilogue,
        conv: Convolution,
        arrays: list[Any],
        vectors: int,
        lanes: int,
    ) -> None:
        self._load, self._epilogue, self._conv = writer.load, epilogue, conv
        self._source, self._weights, self._target = arrays[0], arrays[1], arrays[-1]
        self._vectors, self._lanes, self._width = vectors, lanes, vectors * lanes

    def write(self, rows: int, lines: int, panels: int, grid: tuple[int, ...]) -> None:
        """Write the loops over groups of lines, tiles across them, and panels."""
        conv = self._conv
        runs = _runs(conv, rows)
        groups = tiling.Cut.of(conv.height, lines)
        with (
            emit.tasks(conv.batch * groups.count, grid[0], panels, grid[1]) as ((first, many), (panel, count)),
            emit.loop(many) as down,
        ):
            batch, group = map(emit.named, self._batch_and(first + down, groups.count))
            for part in groups.parts:
                with emit.inside(group, (part.begin, part.end), always=len(groups.parts) == 1):
                    y = emit.named(part.at(group))
                    for run in runs:
                        with emit.loop(run.count) as across, emit.loop(count) as number:
                            x = emit.named(run.start + across * run.size)
                            self._tile(run, part.size, batch, y, x, panel + number)

    def _tile(self, run: tiling.Run, lines: int, batch: Any, y: Any, x: Any, panel: Any) -> None:
        """Write one tile. Each line of input is read once and added to all the lines of output that it reaches."""
        conv, channel = self._conv, emit.named(emit.panel_start(panel, self._width, self._conv.channels))
        place = (batch, y, x, channel)
        sums = self._start(run.size, lines, place)
        corner = self._pixel(batch, y * conv.stride - conv.padding, x * conv.stride - conv.padding)
        source = emit.named(corner + channel)
        taps = emit.named(panel * (conv.kernel_height * conv.kernel_width * self._width))
        for below in range((lines - 1) * conv.stride + conv.kernel_height):
            line = y * conv.stride + (below - conv.padding)
            with emit.inside(line, (0, conv.input_height), always=self._always_inside(below, lines)):
                for down in range(lines):
                    ky = below - down * conv.stride
                    if 0 <= ky < conv.kernel_height:
                        start = source + self._pixel(0, below, 0)
                        self._add_line(sums, run, down, start, taps + ky * conv.kernel_width * self._width)
        self._finish(sums, run.size, place)

    def _add_line(self, sums: emit.Accumulators, run: tiling.Run, down: int, start: Any, taps: Any) -> None:
        """Add the line of input at `start`, times the line of the kernel at `taps`, to line `down` of the tile."""
        conv, lanes = self._conv, self._lanes
        for kx in range(conv.kernel_width):
            for v in range(self._vectors):
                tap = emit.vector(self._weights, taps + (kx * self._width + v * lanes), lanes)
                for r in range(run.size):
                    if run.inside[kx][r]:
                        offset = (r * conv.stride + kx) * conv.channels + v * lanes
                        sums.add(down * run.size + r, v, emit.vector(self._source, start + offset, lanes) * tap)

    def _always_inside(self, below: int, lines: int) -> bool:
        """Whether a tile's line of input number `below` is never padding."""
        conv = self._conv
        last = (conv.height - lines) * conv.stride + below - conv.padding
        return below >= conv.padding and last < conv.input_height

    def _start(self, rows: int, lines: int, place: tuple[Any, Any, Any, Any]) -> emit.Accumulators:
        sums = emit.Accumulators(lines * rows, self._vectors, self._lanes)
        start = self._epilogue.start
        if start is None:
            sums.each(lambda _row, _vector, _lane: tirx.const(0, "float32"))
        else:
            sums.each(lambda row, v, lane: start(self._indices(row, v, lane, rows, place), self._load))
        return sums

    def _indices(self, row: int, v: int, lane: Any, rows: int, place: tuple[Any, Any, Any, Any]) -> list[Any]:
        """Return the output's indices (n, y, x, c) of an element of a tile that starts at `place`."""
        batch, y, x, channel = place
        return [batch, y + row // rows, x + row % rows, channel + (v * self._lanes + lane)]

    def _finish(self, sums: emit.Accumulators, rows: int, place: tuple[Any, Any, Any, Any]) -> None:
        conv, (batch, y, x, channel) = self._conv, place
        target = emit.named(((batch * conv.height + y) * conv.width + x) * conv.channels + channel)
        for row in range(sums.rows):
            for v in range(self._vectors):
                offset = (row // rows * conv.width + row % rows) * conv.channels + v * self._lanes
                with emit.lanes_of(self._lanes) as lane:
                    indices = self._indices(row, v, lane, rows, place)
                    value = self._epilogue.finish(sums.element(row, v, lane), indices, self._load)
                    T.buffer_store(self._target, value, [target + (offset + lane)])

    def _pixel(self, batch: Any, y: Any, x: Any) -> Any:
        conv = self._conv
        return ((batch * conv.input_height + y) * conv.input_width + x) * conv.channels

    def _batch_and(self, index: Any, lines: int) -> tuple[Any, Any]:
        if self._conv.batch == 1:
            return 0, index
        return tirx.floordiv(index, lines), tirx.floormod(index, lines)
