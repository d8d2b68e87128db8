"""Depthwise convolution of 8-bit values on processors with dot products of bytes: four pixels of a line at once.

The bytes of four pixels are interleaved, so that each lane has one channel of all four; weights stand for the taps that
fall on them, and 0 for the rest. At stride 1 the same four pixels serve two outputs, w0 w1 w2 0 and 0 w0 w1 w2, and all
lines of output that the line reaches. A tile is `lines` x `rows` outputs x the bytes of a register, or half. Where the
channels of a pixel fill no register, several outputs side by side are handled as one: see `byte_taps.merged`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Convolution
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import (
    arm_dots,
    byte_bias,
    byte_dots,
    byte_output,
    byte_taps,
    dots,
    panel_parameters,
    tiling,
)
from mbench.compile.schedules.cpu.arm_dots import TapPairs
from mbench.compile.schedules.cpu.byte_bias import SpreadBias
from mbench.compile.schedules.cpu.byte_output import ByteOutput
from mbench.compile.schedules.cpu.byte_taps import ByteTaps, PackedTaps, PlainTaps, TapRun
from mbench.compile.schedules.cpu.dots import DotProduct, WeightPanels
from mbench.compile.schedules.cpu.panel_parameters import PanelParameters
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive

_VECTORS = (4, 2)
"""Registers of sums that the bytes of a pixel become, most first: two of four lanes are for fewer than 16 channels."""
_NARROW_LANES = 4
_MOST_TAPS, _SPLIT_TAPS = 7, 3
_TILES = ((2, 2), (1, 2), (2, 1), (1, 1))
_PANEL_COST, _LANE_CYCLES = 16, 3.0
"""What a panel takes beside its lanes and a table, in lanes: on most processors registers of all widths take as long.
And the cycles of a lane."""
_PIXELS, _WRITTEN_PANELS, _UNSHARED = (1, 2, 4, 8), 2, 1.4
"""How many outputs side by side are handled as one, with at most so many panels; and what these take more, which do not
share pixels that are interleaved."""
_CODE_CYCLES = 40.0
"""Of a dot product that is written: to fetch it once, and three times as much for what it takes to compile."""
_OUTPUT_CYCLES, _SHUFFLES = 16.0, 12.0
"""Of a register of sums to finish, and of four pixels to interleave."""


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles and task grids, quickest first."""
    conv, dot = kernel.convolution, _dot_of(kernel, machine)
    if conv is None or dot is None or not _takes(conv):
        return
    way = _way(kernel, conv, dot, machine)
    if not way.lanes:
        return
    conv, vectors, lanes = way
    found = []
    for lines, rows in _TILES:
        if lines > conv.height or rows > conv.width or not _fits(lines, rows, vectors, dot):
            continue
        panels = -(-conv.channels // (vectors * lanes))
        cycles = conv.pixels * panels * _output_cycles(conv, dot, vectors, (lines, rows))
        shared, written = (panels, 1) if byte_taps.pixels_of(conv) == 1 else (1, panels)
        cycles += _CODE_CYCLES * vectors * written * _dots_written(conv, lines, rows)
        groups = conv.batch * tiling.even_parts(conv.height, lines)
        grid = tiling.grids(groups, shared, cycles, conv.moved_bytes / 4, machine)[0]
        parameters = {"lines": lines, "rows": rows, "line_parts": grid.outer, "panel_parts": grid.inner}
        found.append((grid.cycles(cycles, conv.moved_bytes / 4), parameters))
    for _, parameters in sorted(found, key=lambda pair: pair[0]):
        yield parameters


def _dot_of(kernel: Kernel, machine: KernelMachine) -> DotProduct | None:
    return arm_dots.of_taps(kernel, machine) or byte_dots.of(kernel, machine)


def _takes(conv: Convolution) -> bool:
    """Return whether this is the rule for a convolution."""
    alone = conv.depthwise and conv.group_channels == 1 and conv.channels_last
    return alone and conv.kernel_width <= _MOST_TAPS


def _fits(lines: int, rows: int, vectors: int, dot: DotProduct) -> bool:
    """Return whether the sums of a tile are at most half of the registers."""
    return lines * rows * vectors <= dot.registers // 2


class _PanelWay(NamedTuple):
    """How a layer is done: several of its outputs as one, perhaps, in panels of so many registers of so many lanes."""

    conv: Convolution
    vectors: int
    lanes: int
    """0: no panel is narrow enough."""


def _way(kernel: Kernel, conv: Convolution, dot: DotProduct, machine: KernelMachine) -> _PanelWay:
    """Return the way that takes the least."""
    ways = sorted(_ways(kernel, conv, dot, machine), key=lambda pair: pair[0])
    if ways:
        return ways[0][1]
    fewer = _VECTORS[1]
    return _PanelWay(
        conv, fewer, _NARROW_LANES if _NARROW_LANES in dot.lanes and fewer * _NARROW_LANES <= conv.channels else 0
    )


def _ways(
    kernel: Kernel, conv: Convolution, dot: DotProduct, machine: KernelMachine
) -> Iterator[tuple[float, _PanelWay]]:
    """Yield ways, and what an output's panels take in each."""
    merges = conv.strides[1] == conv.dilation[1] == 1 and panel_parameters.places(kernel) is not None
    for pixels in _PIXELS if merges else _PIXELS[:1]:
        if conv.width % pixels:
            continue
        wide = byte_taps.merged(conv, pixels)
        for lanes in dot.lanes:
            panels, vectors = -(-wide.channels // (_VECTORS[0] * lanes)), _VECTORS[0]
            if vectors * lanes > min(wide.channels, conv.input_width * conv.channels):
                continue
            if pixels > 1 and (panels > _WRITTEN_PANELS or not _interleaves(kernel, machine, vectors, lanes)):
                continue
            table = byte_output.table_cycles(kernel, machine, vectors, lanes) / _LANE_CYCLES
            cost = panels * (lanes + _PANEL_COST + table) / pixels
            yield cost * (_UNSHARED if pixels > 1 else 1.0), _PanelWay(wide, vectors, lanes)


def _interleaves(kernel: Kernel, machine: KernelMachine, vectors: int, lanes: int) -> bool:
    """Return whether results are written as well where the lanes of a panel have its channels as interleaving does."""
    epilogue = kernel.epilogue_of_sum
    return epilogue is not None and ByteOutput.interleaves(kernel, epilogue, machine, vectors=vectors, lanes=lanes)


def _dots_written(conv: Convolution, lines: int, rows: int) -> int:
    """Return how many dot products the code has for each register of a panel: of tiles of all sizes and paddings."""
    quads = sum(len(ByteTaps.of(conv, row).quads) for run in byte_taps.runs(conv, rows) for row in range(run.size))
    return conv.kernel_height * quads * sum({*tiling.even_parts(conv.height, lines)})


def _output_cycles(conv: Convolution, dot: DotProduct, vectors: int, tile: tuple[int, int]) -> float:
    """Model of an output of a tile: its dot products, its share of interleaved pixels, and to finish it."""
    lines, rows = tile
    places = [ByteTaps.of(conv, row) for row in range(rows)]
    read = len(byte_taps.lines_read(conv, lines))
    quads = len({quad for place in places for quad in place.quads})
    dot_products = vectors * conv.kernel_height * sum(len(place.quads) for place in places) * lines
    return (dot_products * dot.cycles + read * quads * _SHUFFLES) / (lines * rows) + _OUTPUT_CYCLES


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Band:
    """Groups `begin` to `end` of the lines of a part; `inner`: whether all lines that they read are there."""

    part: tiling.TilePart
    begin: int
    end: int
    inner: bool


def _bands(conv: Convolution, groups: tiling.Cut, dot: DotProduct) -> list[_Band]:
    """Split the groups of lines into those that read no padding above and below, and the others.

    On Arm alone: the code is longer. Larger windows are not split, whose tests are few beside their taps.
    """
    splits = conv.kernel_height <= _SPLIT_TAPS and (dot.group > 1 or isinstance(dot, TapPairs))
    found = list[_Band]()
    for part in groups.parts:
        read = byte_taps.lines_read(conv, part.size)[-1] + 1
        for group in range(part.begin, part.end):
            first = part.at(group) * conv.strides[0] - conv.padding[0]
            inner = splits and first >= 0 and first + read <= conv.input_height
            if found and (found[-1].part, found[-1].inner) == (part, inner):
                found[-1] = dataclasses.replace(found[-1], end=group + 1)
            else:
                found.append(_Band(part=part, begin=group, end=group + 1, inner=inner))
    return found


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    conv, epilogue, dot = kernel.convolution, kernel.epilogue_of_sum, _dot_of(kernel, machine)
    if conv is None or epilogue is None or dot is None or not _takes(conv):
        return None
    lines, rows, *grid = positive(parameters, "lines", "rows", "line_parts", "panel_parts")
    conv, vectors, lanes = _way(kernel, conv, dot, machine)
    if lines > conv.height or rows > conv.width or not _fits(lines, rows, vectors, dot):
        raise ValueError(f"a tile of {lines} lines x {rows} outputs does not fit {conv.height} x {conv.width}")
    pixels = byte_taps.pixels_of(conv)
    if pixels > 1 and grid[1] > 1:
        raise ValueError(f"{grid[1]} parts of panels, expected 1 where {pixels} outputs are handled as one")
    taps = PlainTaps.of(conv) if isinstance(dot, TapPairs) else PackedTaps.of(conv)
    panels = WeightPanels.of(
        kernel, dot, channels=conv.channels, lanes=lanes, vectors=vectors, words=taps.words
    )  # fmt: skip
    ordered = None
    if _interleaves(kernel, machine, vectors, lanes):
        order = tuple(dots.interleaved_channels(panels.width))
        ordered = PanelParameters.of(kernel, dataclasses.replace(panels, order=order))
    panels = ordered.panels if ordered else panels
    spread = SpreadBias.of(kernel, epilogue, panels, lines * rows)
    sizes, packs = byte_bias.packed_elements(panels, spread), byte_bias.packs(spread)
    if ordered:
        sizes, packs = {**sizes, **ordered.elements}, ordered.packs
    writer = emit.Writer(kernel, packed_elements=sizes)
    with writer.function() as arrays:
        output = ByteOutput.of(kernel, epilogue, writer, arrays[-1], machine, interleaved=ordered is not None)
        _ByteDepthwise(conv, kernel.outside, taps, panels, output, arrays, spread).write((lines, rows), grid)

    def pack(weights: np.ndarray) -> np.ndarray:
        return panels.packed(np.tile(weights, pixels), words=taps.in_words)

    return KernelPlan(
        function=writer.result(),
        tile=f"{lines}x{rows}x{vectors}x{lanes}",
        pack=pack,
        packs=packs,
        lanes=lanes,
    )


class _LineRead(NamedTuple):
    """A line of input that a tile reads: which one of them it is, where its bytes begin, and from which channel on."""

    below: int
    source: Any
    inside: Any
    """Whether it lies in the image; None: it does."""
    channel: Any


class _ByteDepthwise:
    """Writes the loops and the tiles of one layer."""

    def __init__(
        self, conv: Convolution, outside: int, taps: PackedTaps | PlainTaps, panels: WeightPanels, output: ByteOutput,
        arrays: Sequence[Any], spread: SpreadBias | None,
    ) -> None:  # fmt: skip
        self._conv, self._outside, self._taps, self._panels = conv, outside, taps, panels
        self._output, self._arrays, self._spread = output, arrays, spread

    def write(self, tile: tuple[int, int], grid: Sequence[int]) -> None:
        """Write the loops over groups of lines, tiles across them, and panels."""
        panels = len(self._panels.starts)
        conv, groups = self._conv, tiling.Cut.of(self._conv.height, tile[0])
        with (
            emit.tasks(conv.batch * groups.count, grid[0], panels, grid[1]) as ((first, many), (panel, count)),
            emit.loop(many) as down,
        ):
            at = emit.named(first + down)
            batch, group = (0, at) if conv.batch == 1 else emit.divided(at, groups.count)
            bands = _bands(conv, groups, self._panels.dot)
            for band in bands:
                with emit.inside(group, (band.begin, band.end), always=len(bands) == 1):
                    y = emit.named(band.part.at(group))
                    for run in byte_taps.runs(conv, tile[1]):
                        with emit.loop(run.count) as across:
                            x = emit.named(run.start + across * run.size)
                            for each in self._of_task(panel, count):
                                self._tile(run, band, (batch, y, x), each)

    def _of_task(self, first: Any, count: Any) -> Iterator[Any]:
        """Yield the panels of a task inside of a loop; written out where outputs are handled as one."""
        if byte_taps.pixels_of(self._conv) > 1:
            yield from range(len(self._panels.starts))
            return
        for number in emit.turns(count):
            yield emit.named(first + number)

    def _tile(self, run: TapRun, band: _Band, place: tuple[Any, Any, Any], panel: Any) -> None:
        conv, (batch, y, x), lines = self._conv, place, band.part.size
        lanes, (_, channel) = self._panels.lanes, self._panels.start(panel)
        first = emit.named(panel * self._panels.width) if self._output.interleaved else channel

        def indices(row: int, v: int, lane: Any) -> list[Any]:
            down, across = divmod(row, run.size)
            return [batch, y + down, x + across, first + (v * lanes + lane)]

        if self._spread is not None:
            sums = self._spread.begun(self._arrays[self._spread.place], panel, lines * run.size)
        else:
            sums = self._output.begun(lines * run.size, self._panels.vectors, lanes, indices)
        self._panels.begin(sums, self._arrays[1], panel)
        weights = emit.named(panel * self._panels.panel_bytes)
        for below in byte_taps.lines_read(conv, lines):
            line = y * conv.strides[0] + (below - conv.padding[0])
            last = (conv.height - lines) * conv.strides[0] + below - conv.padding[0]
            always = band.inner or (below >= conv.padding[0] and last < conv.input_height)
            for at, inside in self._read(line, always=always):
                pixel = (batch * conv.input_height + at) * conv.input_width + x * conv.strides[1] - conv.padding[1]
                source = emit.named(pixel * conv.input_channels + channel)
                self._add_line(sums, run, _LineRead(below, source, inside, channel), weights)
        target = emit.named(((batch * conv.height + y) * conv.width + x) * conv.channels + channel)
        for row in range(sums.rows):
            down, across = divmod(row, run.size)
            self._output.finish(sums, row, indices, target + (down * conv.width + across) * conv.channels)

    def _read(self, line: Any, *, always: bool) -> Iterator[tuple[Any, Any]]:
        """Yield, for code that reads a line, which one it is, and whether that lies in the image; None: it does.

        Padding that adds nothing is not read; other padding is chosen instead of the nearest line of the image.
        """
        height, nothing = self._conv.input_height, self._outside + self._panels.dot.shift == 0
        if isinstance(line, int) and not always:
            always = 0 <= line < height
            if not always and not nothing:
                yield 0, tirx.const(value=False, dtype="bool")
        elif not always:
            inside = T.bind(tirx.And(line >= 0, line < height))
            if nothing:
                with T.If(inside), T.Then():
                    yield line, None
            else:
                yield emit.named(tirx.max(tirx.min(line, height - 1), 0)), inside
        if always:
            yield line, None

    def _add_line(self, sums: emit.Accumulators, run: TapRun, read: _LineRead, weights: Any) -> None:
        """Add a line of input to all lines of the tile that it reaches."""
        conv, dot, lanes = self._conv, self._panels.dot, self._panels.lanes
        if isinstance(dot, TapPairs) or isinstance(self._taps, PlainTaps):
            assert isinstance(dot, TapPairs)
            self._add_taps(dot, sums, run, read, weights)
            return
        interleaved: dict[int, list[Any]] = {}
        pixels: dict[int, Any] = {}
        for row in range(sums.rows):
            down, across = divmod(row, run.size)
            ky, between = divmod(read.below - down * conv.strides[0], conv.dilation[0])
            place = ByteTaps.of(conv, across)
            if between or not 0 <= ky < conv.kernel_height:
                continue
            for number, quad in enumerate(place.quads):
                if quad not in interleaved:
                    places = [quad + number * conv.dilation[1] for number in range(dots.WORD)]
                    for pixel in places:
                        pixels.setdefault(pixel, self._pixel(run, read, pixel))
                    four = [pixels[pixel] for pixel in places]
                    interleaved[quad] = [
                        dot.operand(each, lanes) for each in dots.interleaved(four, self._panels.width)
                    ]
                line = weights + self._taps.word(ky, place.shift, number) * self._panels.line_bytes
                for v, taps in enumerate(self._panels.read(self._arrays[1], line)):
                    dot.add(sums, row, v, interleaved[quad][v], taps)

    def _add_taps(self, dot: TapPairs, sums: emit.Accumulators, run: TapRun, read: _LineRead, weights: Any) -> None:
        """Add a line pixel by pixel, without interleaving."""
        conv, width, pixels = self._conv, self._panels.width, dict[int, Any]()
        for row in range(sums.rows):
            down, across = divmod(row, run.size)
            ky, between = divmod(read.below - down * conv.strides[0], conv.dilation[0])
            if between or not 0 <= ky < conv.kernel_height:
                continue
            places = [across * conv.strides[1] + kx * conv.dilation[1] for kx in range(conv.kernel_width)]
            for pixel in places:
                if pixel not in pixels:
                    pixels[pixel] = dot.operand(self._pixel(run, read, pixel), width // dots.WORD)
            first = weights + ky * conv.kernel_width * width
            taps = [emit.vector(self._arrays[1], first + kx * width, width) for kx in range(conv.kernel_width)]
            dot.add_taps(sums, row, [pixels[pixel] for pixel in places], taps)

    def _pixel(self, run: TapRun, line: _LineRead, pixel: int) -> Any:
        """Return the bytes of a pixel of a line in the order that interleaving wants; what no tap meets may be any."""
        width, conv = self._panels.width, self._conv
        padding = tirx.Broadcast(tirx.const(self._outside & 0xFF, "uint8"), width)
        pixels = byte_taps.pixels_of(conv)
        there = run.inside[pixel : pixel + pixels]
        if len(there) < pixels or not any(there):
            return padding
        shift, known = 0, [True] * width
        if pixels > 1:
            shift, known = byte_taps.seen(there, conv.input_channels, (line.channel, width))
            if not any(known):
                return padding
        read = emit.vector(self._arrays[0], line.source + pixel * conv.input_channels + shift, width)
        if conv.dtype != "uint8":
            read = tirx.reinterpret(f"uint8x{width}", read)
        if not all(known):
            order = [byte - shift if known[byte] else width + byte for byte in range(width)]
            read = tirx.Shuffle([read, padding], order)
        if line.inside is not None:
            read = tirx.Select(tirx.Broadcast(line.inside, width), read, padding)
        if self._output.interleaved:
            return T.bind(read)
        return T.bind(tirx.Shuffle([read], dots.interleaving_order(width)))
