"""Convolution 3x3 or 5x5 with stride 1 or 2, Winograd's algorithm: transform, many matrix products, transform back.

The image is split into tiles of size x size outputs. Each position of a transformed tile is an element of a matrix
(tiles, input channels), which is multiplied by that position's own weights in register tiles as in `matmul`. Row tiles
are made, multiplied and finished in blocks, so that a block stays in the second cache; a block that takes all of them
is made by all threads first, and then the groups of panels are shared out. The weights lie in the order they are used.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Convolution, Epilogue
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import convolution, tiling, winograd_layout
from mbench.compile.schedules.cpu.winograd_layout import LINE, Layout
from mbench.compile.schedules.rule import KernelPlan, Parameters

_UNROLL = 4
_ENOUGH = 0.75
_WAYS = 2
"""Of a register tile, that are worth a measurement."""
_PREFETCHED = 4
"""Row tiles for each line of weights that a step reads, up to which the next panel is asked for."""


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield layouts, quickest first by their model; both sizes in turns, the better one first."""
    conv = _ours(kernel)
    if conv is None:
        return
    in_order = sorted(_by_size(conv, machine), key=lambda ways: ways[0][0])
    for several in itertools.zip_longest(*map(_varied, in_order)):
        yield from (parameters for parameters in several if parameters is not None)


def pays(kernel: Kernel, machine: KernelMachine) -> bool:
    """Whether the cost models predict enough less time than the direct way, as the weights grow up to ninefold."""
    conv = _ours(kernel)
    if conv is None:
        return False
    quickest = [ways[0][0] for ways in _by_size(conv, machine)]
    direct = convolution.ranked(kernel, machine)
    return bool(quickest and direct) and min(quickest) < _ENOUGH * direct[0][0]


def lighter(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> Parameters | None:
    """Return the quickest layout of smaller tiles, whose weights grow less; None where too little is predicted."""
    conv = _ours(kernel)
    direct = convolution.ranked(kernel, machine)
    if conv is None or not direct:
        return None
    smaller = (ways[0] for ways in _by_size(conv, machine) if ways[0][1]["size"] < parameters["size"])
    quicker = (way for way in smaller if way[0] < _ENOUGH * direct[0][0])
    return next((each for _, each in sorted(quicker, key=lambda way: way[0])), None)


def _by_size(conv: Convolution, machine: KernelMachine) -> list[list[tuple[float, Parameters]]]:
    """Return the layouts of each size of tile that has some, quickest first."""
    found = [winograd_layout.layouts(conv, machine, size) for size in winograd_layout.sizes(conv)]
    ranked = [sorted(ways, key=lambda way: way[0]) for ways in found]
    return [ways for ways in ranked if ways]


def _varied(ways: list[tuple[float, Parameters]]) -> list[Parameters]:
    """Return the first few ways of each register tile."""
    seen: Counter[tuple[int, int]] = Counter()
    kept = []
    for _, parameters in ways:
        tile = (parameters["rows"], parameters["vectors"])
        seen[tile] += 1
        if seen[tile] <= _WAYS:
            kept.append(parameters)
    return kept


def _ours(kernel: Kernel) -> Convolution | None:
    conv = kernel.convolution
    if conv is None or not (conv.plain and conv.channels_last) or kernel.epilogue_of_sum is None:
        return None
    top, left, *_ = conv.padding
    if top != left or top > conv.kernel_height // 2:
        return None
    return conv if winograd_layout.sizes(conv) else None


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    conv, epilogue = _ours(kernel), kernel.epilogue_of_sum
    if conv is None or epilogue is None:
        return None
    layout = Layout.of(conv, machine, parameters)
    writer = emit.Writer(kernel, packed_elements=layout.weights)
    with writer.function() as arrays:
        _WinogradLayer(writer, epilogue, layout, machine, arrays).write()
    return KernelPlan(
        function=writer.result(),
        tile=f"{layout.rows}x{layout.vectors}x{layout.lanes}",
        pack=layout.pack,
        transforms=True,
        lanes=layout.lanes,
    )


class _Registers:
    """`rows` x `vectors` registers of `lanes` elements, each a small array of its own.

    TVM takes arrays of scope "local" from the heap, whence LLVM cannot always bring them to registers; small arrays of
    the scope "global" it leaves on the stack, whence it can.
    """

    def __init__(self, rows: int, vectors: int, lanes: int) -> None:
        self._lanes = lanes
        self._arrays = [[T.alloc_buffer((lanes,), "float32") for _ in range(vectors)] for _ in range(rows)]

    def set(self, row: int, column: int, value: Any) -> None:
        """Set a register to a vector."""
        emit.store(self._arrays[row][column], value, 0, self._lanes)

    def get(self, row: int, column: int) -> Any:
        """Return a register."""
        return emit.vector(self._arrays[row][column], 0, self._lanes)

    def element(self, row: int, column: int, lane: Any) -> Any:
        """Return one element."""
        return self._arrays[row][column][lane]


class _WinogradLayer:
    """Writes the loops and the three stages of one layer."""

    def __init__(
        self, writer: emit.Writer, epilogue: Epilogue, layout: Layout, machine: KernelMachine, arrays: list[Any]
    ) -> None:
        self._load, self._epilogue, self._layout, self._conv = writer.load, epilogue, layout, layout.conv
        self._source, self._weights, self._target = arrays[0], arrays[1], arrays[-1]
        self._by_lane = not machine.broadcasts_from_memory and layout.lanes == machine.lanes()
        self._input_lanes = tiling.vector_lanes(layout.conv.input_channels, machine)
        positions, tasks = layout.transform.positions, layout.tasks
        self._inputs_of_task = 0 if layout.blocks == 1 else positions * layout.inputs_apart
        self._sums_of_task = positions * layout.sums_apart
        inputs = positions * layout.inputs_apart * (1 if layout.blocks == 1 else tasks)
        self._inputs = T.alloc_buffer((inputs,), "float32")
        self._sums = T.alloc_buffer((self._sums_of_task * tasks,), "float32")
        self._patch = T.alloc_buffer((positions * self._input_lanes * tasks,), "float32")

    def write(self) -> None:
        """Write the loops over tasks, blocks and groups."""
        layout = self._layout
        if layout.blocks == 1:
            with _shares(layout.row_tiles, min(layout.tasks, layout.row_tiles)) as (task, first, count):
                self._transform_inputs(task, first, first, count)
            with _shares(layout.groups, layout.tasks) as (task, first, count), emit.loop(count) as number:
                self._group(task, first + number, 0, layout.row_tiles)
            return
        with _shares(layout.blocks, layout.tasks) as (task, first, count), emit.loop(count) as number:
            begin = emit.named((first + number) * layout.block)
            tiles = emit.named(tirx.min(layout.row_tiles - begin, layout.block))
            self._transform_inputs(task, begin, 0, tiles)
            with emit.loop(layout.groups) as group:
                self._group(task, group, begin, tiles)

    def _group(self, task: Any, group: Any, begin: Any, tiles: Any) -> None:
        first, panels = emit.part(group, self._layout.groups, self._layout.panels)
        first, panels = emit.named(first), emit.named(panels)
        self._multiply(task, first, panels, tiles)
        self._transform_outputs(task, first, panels, begin, tiles)

    # ------------------------------------------------------------------------------------------------ inputs
    def _transform_inputs(self, task: Any, begin: Any, slot: Any, count: Any) -> None:
        """Transform `count` row tiles from `begin` on, the first to row tile `slot` of the block."""
        layout, conv = self._layout, self._conv
        with emit.loop(count) as number, emit.loop(layout.rows) as row:
            batch, y, x = self._corner(begin + number, row)
            y, x = (emit.named(where * conv.strides[0] - conv.padding[0]) for where in (y, x))
            place = ((slot + number) * layout.rows + row) * conv.input_channels
            place = emit.named(place + task * self._inputs_of_task)
            source = emit.named(((batch * conv.input_height + y) * conv.input_width + x) * conv.input_channels)
            checks = self._checks(y, x)
            if not checks:
                self._transform_inside(source, place)
                return
            with T.If(T.bind(tirx.all(*checks))):
                with T.Then():
                    self._transform_inside(source, place)
                with T.Else():
                    self._transform_edge(task, (y, x), source, place)

    def _checks(self, y: Any, x: Any) -> list[Any]:
        """Return what makes a tile from (y, x) on lie inside the image, where it is not known to."""
        conv, layout, transform = self._conv, self._layout, self._layout.transform
        apart, tile = conv.strides[0] * transform.size, transform.tile
        checks = [y >= 0, x >= 0] if conv.padding[0] else []
        if (layout.down - 1) * apart + tile - conv.padding[0] > conv.input_height:
            checks.append(y + tile <= conv.input_height)
        if (layout.across - 1) * apart + tile - conv.padding[0] > conv.input_width:
            checks.append(x + tile <= conv.input_width)
        return checks

    def _transform_inside(self, source: Any, place: Any) -> None:
        conv = self._conv
        with _channels(conv.input_channels, self._input_lanes) as channel:
            start = emit.named(source + channel)
            strides = (conv.input_width * conv.input_channels, conv.input_channels)
            self._transform_input(self._source, start, strides, place + channel)

    def _transform_edge(self, task: Any, corner: tuple[Any, Any], source: Any, place: Any) -> None:
        """Copy the tile between zeros first."""
        conv, tile, lanes = self._conv, self._layout.transform.tile, self._input_lanes
        patch = emit.named(task * (tile * tile * lanes))
        with _channels(conv.input_channels, lanes) as channel:
            with T.serial(tile) as i, T.serial(tile) as j:
                y, x = corner[0] + i, corner[1] + j
                within = tirx.all(y >= 0, y < conv.input_height, x >= 0, x < conv.input_width)
                here = patch + (i * tile + j) * lanes
                with T.If(T.bind(within)):
                    with T.Then():
                        pixel = source + (i * conv.input_width + j) * conv.input_channels + channel
                        emit.store(self._patch, emit.vector(self._source, pixel, lanes), here, lanes)
                    with T.Else():
                        emit.store(self._patch, emit.broadcast(tirx.const(0, "float32"), lanes), here, lanes)
            self._transform_input(self._patch, patch, (tile * lanes, lanes), place + channel)

    def _transform_input(self, array: Any, start: Any, strides: tuple[int, int], place: Any) -> None:
        """Write B^T d B of one vector of channels."""
        transform, lanes = self._layout.transform, self._input_lanes
        tile = transform.tile
        keep = T.bind
        place = emit.named(place)
        columns = []
        for x in range(tile):
            line = [emit.vector(array, start + (y * strides[0] + x * strides[1]), lanes) for y in range(tile)]
            columns.append([keep(value) for value in transform.input([keep(v) for v in line], keep)])
        for p in range(tile):
            for q, value in enumerate(transform.input([column[p] for column in columns], keep)):
                emit.store(self._inputs, value, place + (p * tile + q) * self._layout.inputs_apart, lanes)

    # ------------------------------------------------------------------------------------------------ matrix products
    def _multiply(self, task: Any, first: Any, panels: Any, tiles: Any) -> None:
        """Write the matrix products of all positions with `panels` panels from `first` on."""
        layout, conv = self._layout, self._conv
        group = emit.named(first * (layout.transform.positions * layout.chunk))
        with emit.loop(layout.transform.positions) as position:
            inputs = emit.named(task * self._inputs_of_task + position * layout.inputs_apart)
            sums = emit.named(task * self._sums_of_task + position * layout.sums_apart)
            with emit.loop(panels) as panel:
                weights = emit.named(group + (position * panels + panel) * layout.chunk)
                with T.serial(tiles) as tile:
                    row = tile * layout.rows
                    target = sums + (row * layout.group_panels + panel) * layout.width
                    self._tile(inputs + row * conv.input_channels, weights, target, tile)

    def _tile(self, source: Any, weights: Any, target: Any, tile: Any) -> None:
        layout, lanes, reduction = self._layout, self._layout.lanes, self._conv.input_channels
        sums = _Registers(layout.rows, layout.vectors, lanes)
        places = [(r, v) for r in range(layout.rows) for v in range(layout.vectors)]
        for r, v in places:
            sums.set(r, v, emit.broadcast(tirx.const(0, "float32"), lanes))
        source, target = emit.named(source), emit.named(target)
        unroll = next(step for step in (_UNROLL, 2, 1) if reduction % step == 0)
        with emit.loop(reduction // unroll) as step:
            k = step * unroll
            inputs = [self._elements(source + r * reduction + k, unroll) for r in range(layout.rows)]
            self._prefetch(weights, tile, step, unroll)
            for number in range(unroll):
                offset = weights + (k + number) * layout.width
                lines = [emit.vector(self._weights, offset + v * lanes, lanes) for v in range(layout.vectors)]
                for r, v in places:
                    sums.set(r, v, sums.get(r, v) + inputs[r][number] * lines[v])
        for r, v in places:
            emit.store(self._sums, sums.get(r, v), target + (r * layout.group_panels * layout.width + v * lanes), lanes)

    def _prefetch(self, weights: Any, tile: Any, step: Any, unroll: int) -> None:
        """Ask for a share of the next panel's weights: few row tiles do not hide the way from memory."""
        layout, lines = self._layout, unroll * self._layout.width / LINE
        if layout.block > _PREFETCHED * lines:
            return
        count = -(-int(lines) // layout.block)
        steps = self._conv.input_channels // unroll
        first = weights + layout.chunk + (tile * steps + step) * (count * LINE)
        for number in range(count):
            emit.prefetch(self._weights, first + number * LINE)

    def _elements(self, start: Any, count: int) -> list[Any]:
        """Return `count` elements of the inputs from `start`, each in all lanes of a vector."""
        lanes = self._layout.lanes
        if self._by_lane and count == lanes:
            loaded = emit.vector(self._inputs, start, lanes)
            return [emit.lane(loaded, number, lanes) for number in range(count)]
        return [emit.broadcast(self._inputs[start + number], lanes) for number in range(count)]

    # ------------------------------------------------------------------------------------------------ outputs
    def _transform_outputs(self, task: Any, first: Any, panels: Any, begin: Any, tiles: Any) -> None:
        """Finish `panels` panels from `first` on, of `tiles` row tiles from `begin` on."""
        layout, conv = self._layout, self._conv
        with emit.loop(tiles) as number, emit.loop(layout.rows) as row:
            batch, y, x = self._corner(begin + number, row)
            batch, y, x = emit.named(batch), emit.named(y), emit.named(x)
            place = (number * layout.rows + row) * (layout.group_panels * layout.width)
            place = emit.named(task * self._sums_of_task + place)
            with emit.loop(panels) as panel, emit.loop(layout.vectors) as vector:
                start = (first + panel) * layout.width
                if conv.channels % layout.width:
                    start = tirx.min(start, conv.channels - layout.width)
                channel = emit.named(start + vector * layout.lanes)
                self._transform_output(place + (panel * layout.vectors + vector) * layout.lanes, (batch, y, x), channel)

    def _transform_output(self, place: Any, corner: tuple[Any, Any, Any], channel: Any) -> None:
        """Write A^T m A of one vector of channels, and what follows."""
        layout, lanes = self._layout, self._layout.lanes
        transform, place = layout.transform, emit.named(place)
        keep = T.bind
        columns = []
        for q in range(transform.tile):
            starts = [place + (p * transform.tile + q) * layout.sums_apart for p in range(transform.tile)]
            line = [keep(emit.vector(self._sums, start, lanes)) for start in starts]
            columns.append([keep(value) for value in transform.output(line, keep)])
        lines = [transform.output([column[i] for column in columns], keep) for i in range(transform.size)]
        sums = _Registers(transform.size, transform.size, lanes)
        for i, line in enumerate(lines):
            for j, value in enumerate(line):
                sums.set(i, j, value)
        self._finish(sums, corner, channel)

    def _finish(self, sums: _Registers, corner: tuple[Any, Any, Any], channel: Any) -> None:
        conv, layout, epilogue = self._conv, self._layout, self._epilogue
        batch, y, x = corner
        target = ((batch * conv.height + y) * conv.width + x) * conv.channels + channel
        target = emit.named(target)
        size = layout.transform.size
        for i in range(size):
            with emit.inside(y + i, (0, conv.height), always=conv.height % size == 0):
                for j in range(size):
                    beside = emit.inside(x + j, (0, conv.width), always=conv.width % size == 0)
                    with beside, T.vectorized(layout.lanes) as lane:
                        indices = [batch, y + i, x + j, channel + lane]
                        value = sums.element(i, j, lane)
                        if epilogue.start is not None:
                            value = value + epilogue.start(indices, self._load)
                        value = epilogue.finish(value, indices, self._load)
                        T.buffer_store(self._target, value, [target + ((i * conv.width + j) * conv.channels + lane)])

    # ------------------------------------------------------------------------------------------------ both
    def _corner(self, row_tile: Any, row: Any) -> tuple[Any, Any, Any]:
        """Return image, line and column of the first output of a tile."""
        layout = self._layout
        start = row_tile * layout.rows
        if layout.tiles % layout.rows:
            start = tirx.min(start, layout.tiles - layout.rows)
        tile = emit.named(start + row)
        line = tirx.floordiv(tile, layout.across)
        x = tirx.floormod(tile, layout.across) * layout.transform.size
        if self._conv.batch == 1:
            return 0, line * layout.transform.size, x
        return tirx.floordiv(line, layout.down), tirx.floormod(line, layout.down) * layout.transform.size, x


@contextlib.contextmanager
def _shares(extent: int, tasks: int) -> Iterator[tuple[Any, Any, Any]]:
    """Share out `extent` steps to tasks; yields the task, its first step and how many it has."""
    if tasks == 1:
        yield 0, 0, extent
        return
    with T.parallel(tasks) as task:
        first, count = emit.part(task, tasks, extent)
        yield task, emit.named(first), emit.named(count)


@contextlib.contextmanager
def _channels(channels: int, lanes: int) -> Iterator[Any]:
    """Go over the channels vector by vector; the last vector ends at the last channel, and may overlap."""
    with emit.loop(-(-channels // lanes)) as number:
        start = number * lanes
        yield emit.named(tirx.min(start, channels - lanes) if channels % lanes else start)
