"""Depthwise convolution: each output sums kernel x kernel inputs of one channel, so that moving data costs most.

`sliding` has the tiles. Here are the model that ranks them and the taps, packed panel by panel. With a multiplier each
vector of input channels is spread over as many vectors of output channels.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

from tvm import tirx

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Convolution, float_bytes
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import float_sums, sliding, tiling
from mbench.compile.schedules.cpu.sliding import SlidingLayer
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive
from mbench.core import dtypes

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
_MOST_MULTIPLIER = 4
"""Outputs of a channel up to which it is convolved here; more are a group of a grouped convolution."""


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles and task grids: quickest tiles first by the model of `_cycles`, each with its quickest grids."""
    conv = kernel.convolution
    if conv is not None and takes(conv) and kernel.epilogue_of_sum is not None:
        yield from ranked(conv, machine)


def takes(conv: Convolution) -> bool:
    """Whether this is the rule for a convolution."""
    return conv.depthwise and conv.channels_last and conv.group_channels <= _MOST_MULTIPLIER


def ranked(conv: Convolution, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles and task grids for windows that slide over each channel for itself, quickest first."""
    found = []
    lanes, unit = tiling.vector_lanes(conv.input_channels, machine, conv.dtype), conv.group_channels
    heights, widths = range(1, min(_MAX_LINES, conv.height) + 1), range(1, min(_MAX_ROWS, conv.width) + 1)
    for lines, rows, vectors in itertools.product(heights, widths, (unit, 2 * unit, 4 * unit)):
        if vectors * lanes > conv.channels or lines * rows * vectors > machine.registers * 3 // 4:
            continue
        if lines > 1 and sliding.too_long(conv, lines * rows * vectors):
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
    bodies = len(set(heights)) * len(sliding.runs(conv, rows))  # each is code to compile and to fetch
    return (
        (1 + _BODY_COST * bodies)
        * panels
        * sum(
            down_count * across_count * _tile_cycles(conv, down, across, vectors, lanes, machine)
            for (down, down_count), (across, across_count) in tiles
        )
    )


def _tile_cycles(conv: Convolution, lines: int, rows: int, vectors: int, lanes: int, machine: KernelMachine) -> float:
    columns = (rows - 1) * conv.strides[1] + conv.kernel_width
    pixels = ((lines - 1) * conv.strides[0] + conv.kernel_height) * columns
    multiplies = lines * rows * vectors * conv.kernel_height * conv.kernel_width
    loads = lines * conv.kernel_height * (columns + conv.kernel_width) * vectors
    width_lines = vectors * lanes * float_bytes(conv.dtype) / _LINE_BYTES
    if width_lines < 1 and _crowded(pixels, conv, machine):
        width_lines = 1  # the rest of each line is gone before the next panel needs it
    working = max(multiplies / _FMA_A_CYCLE, loads / _LOADS_A_CYCLE) + _TILE_CYCLES
    if lines in (2, 4) or lines * rows * vectors > machine.registers * 5 // 8:
        working *= _MOVED
    return working + _MISS_CYCLES * pixels * width_lines


def _crowded(pixels: int, conv: Convolution, machine: KernelMachine) -> bool:
    """Whether so many pixels push each other out of the first cache, because their addresses share its sets."""
    ways = machine.l1_bytes / _PAGE_BYTES
    apart = _PAGE_BYTES / math.gcd(_PAGE_BYTES, conv.channels * float_bytes(conv.dtype))
    return pixels / apart > ways


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    conv, epilogue = kernel.convolution, kernel.epilogue_of_sum
    if conv is None or epilogue is None or not takes(conv):
        return None
    lines, rows, vectors = positive(parameters, "lines", "rows", "vectors")
    grid = positive(parameters, "line_parts", "panel_parts")
    lanes = tiling.vector_lanes(conv.input_channels, machine, conv.dtype)
    width = sliding.checked_width(conv, lines, rows, vectors, lanes)
    starts = tiling.panel_starts(conv.channels, width)
    panels = len(starts)
    taps = conv.kernel_height * conv.kernel_width
    writer = emit.Writer(kernel, packed_elements=panels * taps * width)
    with writer.function() as arrays:
        layer = _kind(conv, machine)(writer, epilogue, conv, arrays, vectors, lanes)
        layer.write(rows, lines, panels, grid)
    return KernelPlan(
        function=writer.result(),
        tile=sliding.tile_name(lines, rows, vectors, lanes),
        pack=lambda weights: tiling.pack(weights.reshape(taps, conv.channels), starts, width),
        lanes=lanes,
    )


class _DepthwiseLayer(SlidingLayer):
    """Multiplies by taps, and adds up."""

    def _start(self, row: int, v: int, lane: Any, rows: int, place: tuple[Any, Any, Any, Any]) -> Any:
        start = self._epilogue.start
        if start is None:
            return tirx.const(0, self._sums)
        return start(self._indices(row, v, lane, rows, place), self._load).astype(self._sums)

    def _first_tap(self, panel: Any) -> Any:
        return emit.named(panel * (self._conv.kernel_height * self._conv.kernel_width * self._width))

    def _add_line(self, sums: emit.Accumulators, run: tiling.Run, down: int, start: Any, tap: Any) -> None:
        """Add the line of input at `start`, times the line of the kernel from `tap` on, to line `down` of the tile."""
        conv, lanes = self._conv, self._lanes
        for kx in range(conv.kernel_width):
            for v in range(self._vectors):
                weights = self._wide(emit.floats(self._arrays[1], tap + (kx * self._width + v * lanes), lanes))
                for r in range(run.size):
                    if run.inside[kx][r]:
                        sums.add(down * run.size + r, v, self._wide(self._inputs(start, r, kx, v)) * weights)

    def _line_of_taps(self, tap: Any, ky: Any) -> Any:
        return tap + ky * self._conv.kernel_width * self._width

    def _wide(self, value: Any) -> Any:
        """Return a vector in the type of sums."""
        if self._conv.dtype == self._sums:
            return value
        return value.astype(self._sums if self._lanes == 1 else f"{self._sums}x{self._lanes}")


class _HalfLayer(_DepthwiseLayer):
    """Adds up in float16."""

    _sums = float_sums.HALF

    def _total(self, value: Any) -> Any:
        return value.astype(dtypes.accumulator(self._sums))


def _kind(conv: Convolution, machine: KernelMachine) -> type[_DepthwiseLayer]:
    """Return what writes a layer: few taps of float16 are summed as they are, more of them in float32."""
    few = conv.kernel_height * conv.kernel_width <= machine.half_terms
    return _HalfLayer if conv.dtype == float_sums.HALF and few else _DepthwiseLayer
