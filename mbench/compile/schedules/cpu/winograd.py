"""Convolution 3x3 with stride 1 by Winograd's minimal filtering: transform, many matrix products, transform back.

The image is cut into tiles of size x size outputs. Each position of a transformed tile is an element of a matrix
(tiles, input channels), which is multiplied by that position's own weights in register tiles as in `matmul`. Row tiles
are made, multiplied and finished in blocks, so that a block stays in the second cache; a block that takes all of them
is made by all threads first, and then the groups of panels are shared out. The weights lie in the order they are used.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Convolution, Epilogue, Kernel
from mbench.compile.schedules import Machine, Parameters, Plan
from mbench.compile.schedules.cpu import emit, matmul, tiling
from mbench.compile.schedules.cpu.winograd_transforms import KERNEL, TRANSFORMS, Transform

_FLOAT = 4
_LINE = 16
"""Floats of a line of cache."""
_UNROLL = 4
PREFETCH = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """How a layer is cut: tiles into row tiles, row tiles into blocks, panels of channels into groups."""

    conv: Convolution
    transform: Transform
    rows: int
    vectors: int
    lanes: int
    block: int
    groups: int
    tasks: int

    @classmethod
    def of(cls, conv: Convolution, machine: Machine, parameters: Parameters) -> Layout:
        """Check the parameters against the layer.

        Raises:
            ValueError: they do not fit it.
        """
        transform = TRANSFORMS.get(parameters["size"])
        if transform is None:
            raise ValueError(f"tiles of {parameters['size']} outputs are not known; known are {', '.join(map(str, TRANSFORMS))}")
        lanes = tiling.vector_lanes(conv.channels, machine)
        numbers = {name: parameters[name] for name in ("rows", "vectors", "block", "groups", "tasks")}
        layout = cls(conv=conv, transform=transform, lanes=lanes, **numbers)
        units = layout.groups if layout.whole else -(-layout.row_tiles // layout.block) if layout.block > 0 else 0
        limits = (("rows", layout.tiles), ("vectors", conv.channels // lanes), ("block", layout.row_tiles))
        for name, most in (*limits, ("groups", layout.panels), ("tasks", units)):
            if not 1 <= numbers[name] <= most:
                raise ValueError(f"{name} is {numbers[name]}, but must be 1 to {most}")
        return layout

    @property
    def down(self) -> int:
        return -(-self.conv.height // self.transform.size)

    @property
    def across(self) -> int:
        return -(-self.conv.width // self.transform.size)

    @property
    def tiles(self) -> int:
        return self.conv.batch * self.down * self.across

    @property
    def row_tiles(self) -> int:
        """The last one may overlap the one before it."""
        return -(-self.tiles // self.rows)

    @property
    def width(self) -> int:
        """Channels of a panel."""
        return self.vectors * self.lanes

    @property
    def panels(self) -> int:
        return -(-self.conv.channels // self.width)

    @property
    def group_panels(self) -> int:
        """Panels of the largest group."""
        return -(-self.panels // self.groups)

    @property
    def whole(self) -> bool:
        """Whether one block takes all row tiles, so that the threads share groups, not blocks."""
        return self.block >= self.row_tiles

    @property
    def inputs_apart(self) -> int:
        """Floats from one position of a block's transformed inputs to the next."""
        return _apart(self.block * self.rows * self.conv.input_channels)

    @property
    def sums_apart(self) -> int:
        """Floats from one position of a block's products to the next."""
        return _apart(self.block * self.rows * self.group_panels * self.width)

    def pack(self, weights: np.ndarray) -> np.ndarray:
        """Return (3, 3, ci, c) weights, transformed, flat: groups x (positions, panels of the group, ci, width)."""
        made = self.transform.of_weights(weights)
        starts = tiling.panel_starts(self.conv.channels, self.width)
        ends = [group * self.panels // self.groups for group in range(self.groups + 1)]
        pieces = [
            tiling.pack(position, starts[begin:end], self.width)
            for begin, end in zip(ends, ends[1:], strict=False)
            for position in made
        ]
        return np.concatenate(pieces)


def _apart(floats: int) -> int:
    """Round up to an odd number of cache lines, so that positions do not meet in the same sets."""
    return (-(-floats // _LINE) | 1) * _LINE


def candidates(kernel: Kernel, machine: Machine) -> Iterator[Parameters]:
    """Yield sizes, tiles, blocks and groups, quickest first by the model of `_cycles`."""
    return iter(())


def _ours(kernel: Kernel) -> Convolution | None:
    conv = kernel.convolution
    if conv is None or conv.depthwise or not conv.channels_last or kernel.epilogue_of_sum is None:
        return None
    if (conv.kernel_height, conv.kernel_width, conv.stride) != (KERNEL, KERNEL, 1) or conv.padding > 1:
        return None
    return conv


def build(kernel: Kernel, machine: Machine, parameters: Parameters) -> Plan | None:
    """Write the kernel."""
    conv, epilogue = _ours(kernel), kernel.epilogue_of_sum
    if conv is None or epilogue is None:
        return None
    layout = Layout.of(conv, machine, parameters)
    packed = layout.panels * layout.width * conv.input_channels * layout.transform.positions
    writer = emit.Writer(kernel, packed_elements=packed)
    with writer.function() as arrays:
        _Layer(writer, epilogue, layout, machine, arrays).write()
    return Plan(
        function=writer.result(),
        tile=f"{layout.rows}x{layout.vectors}x{layout.lanes}",
        pack=layout.pack,
        lanes=layout.lanes,
    )


class _Vectors:
    """Vectors that are kept in registers, or near them."""

    def __init__(self, count: int, lanes: int) -> None:
        self._array = T.alloc_buffer((count * lanes,), "float32", scope="local")
        self._lanes, self._next = lanes, 0

    def keep(self, value: Any) -> Any:
        start = self._next
        self._next += self._lanes
        emit.store(self._array, value, start, self._lanes)
        return emit.vector(self._array, start, self._lanes)

    def element(self, number: int, lane: Any) -> Any:
        return self._array[number * self._lanes + lane]


class _Layer:
    """Writes the loops and the three stages of one layer."""

    def __init__(
        self, writer: emit.Writer, epilogue: Epilogue, layout: Layout, machine: Machine, arrays: list[Any]
    ) -> None:
        self._load, self._epilogue, self._layout, self._conv = writer.load, epilogue, layout, layout.conv
        self._source, self._weights, self._target = arrays[0], arrays[1], arrays[-1]
        self._by_lane = not machine.broadcasts_from_memory and layout.lanes == machine.lanes
        self._input_lanes = tiling.vector_lanes(layout.conv.input_channels, machine)
        positions, tasks = layout.transform.positions, layout.tasks
        self._inputs_of_task = 0 if layout.whole else positions * layout.inputs_apart
        self._sums_of_task = positions * layout.sums_apart
        inputs = positions * layout.inputs_apart * (1 if layout.whole else tasks)
        self._inputs = T.alloc_buffer((inputs,), "float32")
        self._sums = T.alloc_buffer((self._sums_of_task * tasks,), "float32")

    def write(self) -> None:
        """Write the loops over tasks, blocks and groups."""
        layout = self._layout
        if layout.whole:
            with _shares(layout.row_tiles, min(layout.tasks, layout.row_tiles)) as (_, first, count):
                self._transform_inputs(0, first, first, count)
            with _shares(layout.groups, layout.tasks) as (task, first, count), emit.loop(count) as number:
                self._group(task, first + number, 0, layout.row_tiles)
            return
        with _shares(-(-layout.row_tiles // layout.block), layout.tasks) as (task, first, count):
            with emit.loop(count) as number:
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
            y, x = emit.named(y - conv.padding), emit.named(x - conv.padding)
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
                    self._transform_edge((y, x), source, place)

    def _checks(self, y: Any, x: Any) -> list[Any]:
        """Return what makes a tile from (y, x) on lie inside the image, where it is not known to."""
        conv, layout, tile = self._conv, self._layout, self._layout.transform.tile
        checks = [y >= 0, x >= 0] if conv.padding else []
        if layout.down * layout.transform.size + 2 - conv.padding > conv.input_height:
            checks.append(y + tile <= conv.input_height)
        if layout.across * layout.transform.size + 2 - conv.padding > conv.input_width:
            checks.append(x + tile <= conv.input_width)
        return checks

    def _transform_inside(self, source: Any, place: Any) -> None:
        conv = self._conv
        with _channels(conv.input_channels, self._input_lanes) as channel:
            start = emit.named(source + channel)
            strides = (conv.input_width * conv.input_channels, conv.input_channels)
            self._transform_input(self._source, start, strides, place + channel)

    def _transform_edge(self, corner: tuple[Any, Any], source: Any, place: Any) -> None:
        """Copy the tile between zeros first."""
        conv, tile, lanes = self._conv, self._layout.transform.tile, self._input_lanes
        patch = T.alloc_buffer((tile * tile * lanes,), "float32", scope="local")
        with _channels(conv.input_channels, lanes) as channel:
            with T.serial(tile) as i, T.serial(tile) as j:
                y, x = corner[0] + i, corner[1] + j
                within = tirx.all(y >= 0, y < conv.input_height, x >= 0, x < conv.input_width)
                here = (i * tile + j) * lanes
                with T.If(T.bind(within)):
                    with T.Then():
                        pixel = source + (i * conv.input_width + j) * conv.input_channels + channel
                        emit.store(patch, emit.vector(self._source, pixel, lanes), here, lanes)
                    with T.Else():
                        emit.store(patch, emit.broadcast(tirx.const(0, "float32"), lanes), here, lanes)
            self._transform_input(patch, 0, (tile * lanes, lanes), place + channel)

    def _transform_input(self, array: Any, start: Any, strides: tuple[int, int], place: Any) -> None:
        """Write B^T d B of one vector of channels."""
        transform, lanes = self._layout.transform, self._input_lanes
        tile = transform.tile
        kept = _Vectors(4 * tile * tile, lanes)
        place = emit.named(place)
        columns = []
        for x in range(tile):
            line = [emit.vector(array, start + (y * strides[0] + x * strides[1]), lanes) for y in range(tile)]
            columns.append([kept.keep(value) for value in transform.input([kept.keep(v) for v in line], kept.keep)])
        for p in range(tile):
            for q, value in enumerate(transform.input([column[p] for column in columns], kept.keep)):
                emit.store(self._inputs, value, place + (p * tile + q) * self._layout.inputs_apart, lanes)

    # ------------------------------------------------------------------------------------------------ products
    def _multiply(self, task: Any, first: Any, panels: Any, tiles: Any) -> None:
        """Write the products of all positions with `panels` panels from `first` on."""
        layout, conv = self._layout, self._conv
        chunk = conv.input_channels * layout.width
        group = emit.named(first * (layout.transform.positions * chunk))
        with emit.loop(layout.transform.positions) as position:
            inputs = emit.named(task * self._inputs_of_task + position * layout.inputs_apart)
            sums = emit.named(task * self._sums_of_task + position * layout.sums_apart)
            with emit.loop(panels) as panel:
                weights = emit.named(group + (position * panels + panel) * chunk)
                with T.serial(tiles) as tile:
                    row = tile * layout.rows
                    target = sums + (row * layout.group_panels + panel) * layout.width
                    self._tile(inputs + row * conv.input_channels, weights, target, tile)

    def _tile(self, source: Any, weights: Any, target: Any, tile: Any) -> None:
        layout, lanes, reduction = self._layout, self._layout.lanes, self._conv.input_channels
        sums = emit.Accumulators(layout.rows, layout.vectors, lanes)
        sums.each(lambda _row, _vector, _lane: tirx.const(0, "float32"))
        source, target = emit.named(source), emit.named(target)
        unroll = next(step for step in (_UNROLL, 2, 1) if reduction % step == 0)
        with emit.loop(reduction // unroll) as step:
            k = step * unroll
            inputs = [self._elements(source + r * reduction + k, unroll) for r in range(layout.rows)]
            self._prefetch(weights, tile, step, unroll)
            for number in range(unroll):
                offset = weights + (k + number) * layout.width
                lines = [emit.vector(self._weights, offset + v * lanes, lanes) for v in range(layout.vectors)]
                for r in range(layout.rows):
                    for v in range(layout.vectors):
                        sums.add(r, v, inputs[r][number] * lines[v])
        for r in range(layout.rows):
            for v in range(layout.vectors):
                with T.vectorized(lanes) as lane:
                    place = target + (r * layout.group_panels * layout.width + v * lanes + lane)
                    T.buffer_store(self._sums, sums.element(r, v, lane), [place])

    def _prefetch(self, weights: Any, tile: Any, step: Any, unroll: int) -> None:
        """Ask for a share of the next panel's weights: few row tiles do not hide the way from memory."""
        layout, reduction = self._layout, self._conv.input_channels
        lines = unroll * layout.width / _LINE
        if layout.block > lines or not PREFETCH:
            return
        count = -(-int(lines) // layout.block)
        first = weights + reduction * layout.width + (tile * (reduction // unroll) + step) * (count * _LINE)
        for number in range(count):
            address = T.address_of(self._weights[first + number * _LINE])
            T.evaluate(tirx.call_intrin("void", "tirx.prefetch", address, 0, PREFETCH, 1))

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
        kept = _Vectors(4 * transform.positions, lanes)
        columns = []
        for q in range(transform.tile):
            starts = [place + (p * transform.tile + q) * layout.sums_apart for p in range(transform.tile)]
            line = [kept.keep(emit.vector(self._sums, start, lanes)) for start in starts]
            columns.append([kept.keep(value) for value in transform.output(line, kept.keep)])
        sums = _Vectors(transform.size**2, lanes)
        for i in range(transform.size):
            for value in transform.output([column[i] for column in columns], kept.keep):
                sums.keep(value)
        self._finish(sums, corner, channel)

    def _finish(self, sums: _Vectors, corner: tuple[Any, Any, Any], channel: Any) -> None:
        conv, layout, epilogue = self._conv, self._layout, self._epilogue
        batch, y, x = corner
        target = ((batch * conv.height + y) * conv.width + x) * conv.channels + channel
        target = emit.named(target)
        for i in range(layout.transform.size):
            with emit.inside(y + i, (0, conv.height), always=conv.height % layout.transform.size == 0):
                for j in range(layout.transform.size):
                    with emit.inside(x + j, (0, conv.width), always=conv.width % layout.transform.size == 0):
                        with T.vectorized(layout.lanes) as lane:
                            indices = [batch, y + i, x + j, channel + lane]
                            value = sums.element(i * layout.transform.size + j, lane)
                            if epilogue.start is not None:
                                value = value + epilogue.start(indices, self._load)
                            value = epilogue.finish(value, indices, self._load)
                            place = target + ((i * conv.width + j) * conv.channels + lane)
                            T.buffer_store(self._target, value, [place])

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
