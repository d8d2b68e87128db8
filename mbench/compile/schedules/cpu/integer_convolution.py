"""Convolutions of 8-bit values on processors with dot products of bytes: any kernel and stride, without groups.

Four channels of a pixel are a word. Where the image is padded, lies channels first, or its channels fill no words, it
is first laid out anew, with its padding: a pass that is small beside the sums. A tile is `rows` pixels of a line x
`vectors` registers of channels.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Convolution
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import byte_images, dots, tiling
from mbench.compile.schedules.cpu.byte_images import ByteImage
from mbench.compile.schedules.cpu.byte_output import ByteOutput
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive

_GRIDS = 2
_WRITTEN_OUT = 12
"""Words of a window up to which no loop is written."""
_UNROLL = 4


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles and task grids, quickest first."""
    conv = kernel.convolution if dots.takes(kernel, machine) else None
    if conv is not None and conv.groups == 1:
        for _, parameters in _ranked(conv, machine):
            yield parameters


def _ranked(conv: Convolution, machine: KernelMachine) -> list[tuple[float, Parameters]]:
    """Return (cycles of the busiest core, parameters), quickest first."""
    found: list[tuple[float, Parameters]] = []
    lanes, lines = dots.lanes_of(conv.channels, machine), [1] * (conv.batch * conv.height)
    steps = conv.kernel_height * conv.kernel_width * dots.words(conv.input_channels)
    for rows, vectors in dots.tiles(machine) if lanes else ():
        if vectors * lanes > conv.channels or rows > conv.width:
            continue
        panels = -(-conv.channels // (vectors * lanes))
        tiles = sum(dots.tile_cycles(size, vectors, steps) for size in tiling.even_parts(conv.width, rows))
        cycles, moved = len(lines) * panels * tiles, conv.moved_bytes / 4
        for grid in itertools.islice(tiling.grids(lines, panels, cycles, moved, machine), _GRIDS):
            parameters = {"rows": rows, "vectors": vectors, "line_parts": grid.outer, "panel_parts": grid.inner}
            found.append((grid.cycles(cycles, moved), parameters))
    return sorted(found, key=lambda pair: pair[0])


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    conv, epilogue = kernel.convolution, kernel.epilogue_of_sum
    if conv is None or epilogue is None or conv.groups > 1:
        return None
    rows, vectors, *grid = positive(parameters, "rows", "vectors", "line_parts", "panel_parts")
    lanes = dots.lanes_of(conv.channels, machine)
    width = vectors * lanes
    if not lanes or width > conv.channels or rows > conv.width:
        raise ValueError(f"a tile of {rows} outputs x {width} channels is larger than {conv.width} x {conv.channels}")
    starts = tiling.panel_starts(conv.channels, width)
    taps = conv.kernel_height * conv.kernel_width
    writer = emit.Writer(
        kernel, packed_elements=len(starts) * taps * dots.words(conv.input_channels) * dots.WORD * width
    )
    with writer.function() as arrays:
        image = byte_images.of(conv, arrays[0], kernel.outside)
        image.write(grid[0])
        output = ByteOutput.of(kernel, epilogue, writer, arrays[-1], machine)
        layer = _ByteLayer(conv, image, output, arrays[1], vectors, lanes)
        layer.write(rows, len(starts), grid)
    return KernelPlan(
        function=writer.result(),
        tile=f"{rows}x{vectors}x{lanes}",
        pack=lambda weights: dots.pack(weights, starts, width),
        lanes=lanes,
    )


class _ByteLayer:
    """Writes the loops and the tiles of one layer."""

    def __init__(
        self, conv: Convolution, image: ByteImage, output: ByteOutput, weights: Any, vectors: int, lanes: int
    ) -> None:
        self._conv, self._image, self._output, self._weights = conv, image, output, weights
        self._vectors, self._lanes, self._width = vectors, lanes, vectors * lanes

    def write(self, rows: int, panels: int, grid: list[int]) -> None:
        """Write the loops over panels, lines, and tiles of a line."""
        conv = self._conv
        with (
            emit.tasks(conv.batch * conv.height, grid[0], panels, grid[1]) as ((first, lines), (panel, count)),
            emit.loop(count) as number,
            emit.loop(lines) as down,
        ):
            line = emit.named(first + down)
            batch, y = (0, line) if conv.batch == 1 else emit.divided(line, conv.height)
            for part in tiling.Cut.of(conv.width, rows).parts:
                with emit.loop(part.end - part.begin) as across:
                    x = emit.named(part.start + across * part.size)
                    self._tile(part.size, (batch, y, x), panel + number)

    def _tile(self, rows: int, place: tuple[Any, Any, Any], panel: Any) -> None:
        conv, lanes, (batch, y, x) = self._conv, self._lanes, place
        channel = emit.named(emit.panel_start(panel, self._width, conv.channels))

        def indices(r: int, v: int, lane: Any) -> list[Any]:
            return [batch, y, x + r, channel + (v * lanes + lane)]

        sums = self._output.begun(rows, self._vectors, lanes, indices)
        self._add_window(sums, emit.named(self._image.pixel(batch, y, x) * self._image.words), panel)
        target = emit.named(((batch * conv.height + y) * conv.width + x) * conv.channels + channel)
        for r in range(rows):
            self._output.finish(sums, r, indices, target + r * conv.channels)

    def _add_window(self, sums: emit.Accumulators, corner: Any, panel: Any) -> None:
        """Add all taps of the window whose first word is at `corner`."""
        conv, words = self._conv, self._image.words
        down, across = conv.dilation[0] * self._image.width * words, conv.dilation[1] * words
        size = dots.WORD * self._width
        taps = emit.named(panel * (conv.kernel_height * conv.kernel_width * words * size))
        if conv.kernel_height * conv.kernel_width * words <= _WRITTEN_OUT:
            for ky, kx, number in itertools.product(range(conv.kernel_height), range(conv.kernel_width), range(words)):
                tap = (ky * conv.kernel_width + kx) * words + number
                self._step(sums, corner + (ky * down + kx * across + number), taps + tap * size)
            return
        unroll = next(step for step in (_UNROLL, 2, 1) if words % step == 0)
        with emit.loop(conv.kernel_height) as ky, emit.loop(conv.kernel_width) as kx:
            first = emit.named(corner + ky * down + kx * across)
            weights = emit.named(taps + (ky * conv.kernel_width + kx) * (words * size))
            with emit.loop(words // unroll) as step:
                for number in range(unroll):
                    at = step * unroll + number
                    self._step(sums, first + at, weights + at * size)

    def _step(self, sums: emit.Accumulators, first: Any, line: Any) -> None:
        """Add what one word of each row gives with its weights."""
        size, apart = dots.WORD * self._lanes, self._conv.strides[1] * self._image.words
        weights = [emit.vector(self._weights, line + v * size, size) for v in range(self._vectors)]
        for r in range(sums.rows):
            values = T.bind(dots.everywhere(self._image.word(first + r * apart), self._lanes))
            for v in range(self._vectors):
                dots.add(sums, r, v, values, weights[v])
