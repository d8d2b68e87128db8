"""Windows that slide over an image, each channel for itself: depthwise convolution, and pooling.

A tile is `lines` x `rows` pixels x `vectors` registers of channels; each vector of input is loaded once for all the
sums that it enters. Panels of channels are innermost, so that memory is read in order. Nothing is padded: taps that
fall left and right of the image are left out when the kernel is written, those above and below when it runs. The lines
of a large window are a loop.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel_kinds import Convolution, Epilogue
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import float_sums, tile_loops, tiling

_LONG = 700
"""Multiply-adds of a tile from which on the lines of its window are a loop: each is a statement to compile."""


def too_long(conv: Convolution, registers: int) -> bool:
    """Whether the window of a tile of so many registers is not written out."""
    return conv.kernel_height * conv.kernel_width * registers > _LONG


def runs(conv: Convolution, rows: int) -> list[tiling.Run]:
    """Split a line of outputs into tiles of at most `rows`."""
    return tiling.runs(
        outputs=conv.width,
        inputs=conv.input_width,
        kernel=conv.kernel_width,
        stride=conv.strides[1],
        padding=conv.padding[1],
        dilation=conv.dilation[1],
        limit=rows,
    )


def tile_name(lines: int, rows: int, vectors: int, lanes: int) -> str:
    """Return a tile for people."""
    return f"{rows}x{vectors}x{lanes}" if lines == 1 else f"{lines}x{rows}x{vectors}x{lanes}"


def checked_width(conv: Convolution, lines: int, rows: int, vectors: int, lanes: int) -> int:
    """Return the channels of a panel.

    Raises:
        ValueError: a tile does not fit the layer.
    """
    width = vectors * lanes
    if width > conv.channels or rows > conv.width or lines > conv.height:
        shape = f"{conv.height} x {conv.width} x {conv.channels}"
        raise ValueError(f"a tile of {lines} lines x {rows} outputs x {width} channels is larger than {shape}")
    if vectors % conv.group_channels:
        raise ValueError(f"{vectors} vectors are not {conv.group_channels} outputs of each channel")
    return width


class SlidingLayer(ABC):
    """Writes the loops and the tiles of one layer. Subclasses say what a tap does, and in which type."""

    _sums = "float32"

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
        self._arrays, self._source, self._target = arrays, arrays[0], arrays[-1]
        self._vectors, self._lanes, self._width = vectors, lanes, vectors * lanes

    @abstractmethod
    def _start(self, row: int, v: int, lane: Any, rows: int, place: tuple[Any, Any, Any, Any]) -> Any:
        """Return what an element of a tile at `place` begins with."""

    @abstractmethod
    def _first_tap(self, panel: Any) -> Any:
        """Return where the taps of a panel lie."""

    @abstractmethod
    def _line_of_taps(self, tap: Any, ky: Any) -> Any:
        """Return where those of line `ky` of the kernel lie, the first being at `tap`."""

    @abstractmethod
    def _add_line(self, sums: emit.Accumulators, run: tiling.Run, down: int, start: Any, tap: Any) -> None:
        """Add the line of input at `start` to line `down` of the tile."""

    def write(self, rows: int, lines: int, panels: int, grid: tuple[int, ...]) -> None:
        """Write the loops over groups of lines, tiles across them, and panels."""
        conv = self._conv
        groups = tiling.Cut.of(conv.height, lines)
        with (
            emit.tasks(conv.batch * groups.count, grid[0], panels, grid[1]) as ((first, many), (panel, count)),
            emit.loop(many) as down,
        ):
            batch, group = map(emit.named, self._batch_and(first + down, groups.count))
            for y, size in tile_loops.one(groups, group):
                for run in runs(conv, rows):
                    with emit.loop(run.count) as across, emit.loop(count) as number:
                        x = emit.named(run.start + across * run.size)
                        self._tile(run, size, batch, y, x, panel + number)

    def _tile(self, run: tiling.Run, lines: int, batch: Any, y: Any, x: Any, panel: Any) -> None:
        """Write one tile."""
        conv, channel = self._conv, emit.named(emit.panel_start(panel, self._width, self._conv.channels))
        place, (top, left, *_) = (batch, y, x, channel), conv.padding
        sums = emit.Accumulators(lines * run.size, self._vectors, self._lanes, self._sums)
        sums.each(lambda row, v, lane: self._start(row, v, lane, run.size, place))
        corner = self._pixel(batch, y * conv.strides[0] - top, x * conv.strides[1] - left)
        read = channel if conv.group_channels == 1 else tirx.floordiv(channel, conv.group_channels)
        source = emit.named(corner + read)
        tap = self._first_tap(panel)
        if lines == 1 and too_long(conv, sums.rows * self._vectors):
            self._lines_in_a_loop(sums, run, y, source, tap)
        else:
            self._lines_written_out(sums, run, y, source, tap)
        self._finish(sums, run.size, place)

    def _lines_written_out(self, sums: emit.Accumulators, run: tiling.Run, y: Any, source: Any, tap: Any) -> None:
        """Read each line of input once and add it to all the lines of output that it reaches."""
        conv, lines = self._conv, sums.rows // run.size
        step, apart = conv.strides[0], conv.dilation[0]
        reached = {down * step + ky * apart for down in range(lines) for ky in range(conv.kernel_height)}
        for below in sorted(reached):
            line = y * step + (below - conv.padding[0])
            with emit.inside(line, (0, conv.input_height), always=self._always_inside(below, lines)):
                for down in range(lines):
                    ky, between = divmod(below - down * step, apart)
                    if not between and 0 <= ky < conv.kernel_height:
                        start = source + self._pixel(0, below, 0)
                        self._add_line(sums, run, down, start, self._line_of_taps(tap, ky))

    def _lines_in_a_loop(self, sums: emit.Accumulators, run: tiling.Run, y: Any, source: Any, tap: Any) -> None:
        """Add the lines of the kernel that lie inside of the image to the one line of output, in turns."""
        conv = self._conv
        first, end = inside_lines(conv, y)
        with T.serial(tirx.max(end - first, 0)) as turn:
            ky = emit.named(first + turn)
            start = emit.named(source + self._pixel(0, ky * conv.dilation[0], 0))
            self._add_line(sums, run, 0, start, emit.named(self._line_of_taps(tap, ky)))

    def _inputs(self, start: Any, r: int, kx: int, v: int) -> Any:
        """Return vector `v` of what pixel `r` of a line of a tile reads for tap `kx`."""
        conv, lanes, unit = self._conv, self._lanes, self._conv.group_channels
        offset = (r * conv.strides[1] + kx * conv.dilation[1]) * conv.input_channels
        if unit == 1:
            return emit.floats(self._source, start + (offset + v * lanes), lanes)
        read = emit.floats(self._source, start + (offset + v // unit * lanes), lanes)
        spread = [(v % unit * lanes + lane) // unit for lane in range(lanes)]
        return read if lanes == 1 else tirx.Shuffle([read], spread)

    def _always_inside(self, below: int, lines: int) -> bool:
        """Whether a tile's line of input number `below` is never padding."""
        conv, top = self._conv, self._conv.padding[0]
        last = (conv.height - lines) * conv.strides[0] + below - top
        return below >= top and last < conv.input_height

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
                    total = self._total(sums.element(row, v, lane))
                    value = float_sums.stored(self._epilogue.finish(total, indices, self._load))
                    T.buffer_store(self._target, value, [target + (offset + lane)])

    def _total(self, value: Any) -> Any:
        """Return an element of a sum as the epilogue reads it."""
        return value

    def _pixel(self, batch: Any, y: Any, x: Any) -> Any:
        conv = self._conv
        return ((batch * conv.input_height + y) * conv.input_width + x) * conv.input_channels

    def _batch_and(self, index: Any, lines: int) -> tuple[Any, Any]:
        if self._conv.batch == 1:
            return 0, index
        return tirx.floordiv(index, lines), tirx.floormod(index, lines)


def inside_lines(conv: Convolution, y: Any) -> tuple[Any, Any]:
    """Return the first line of the kernel that lies inside of the image for line `y` of the output, and the end."""
    top, step, apart = conv.padding[0], conv.strides[0], conv.dilation[0]
    above, below = top - y * step, conv.input_height + top - y * step
    if apart > 1:
        above, below = (tirx.floordiv(each + (apart - 1), apart) for each in (above, below))
    return emit.named(tirx.max(above, 0)), tirx.min(below, conv.kernel_height)
