"""Convolution of any kernel, stride and groups, by register tiles as in a matrix product, for each tap in turn.

A tile is `rows` pixels of a line x `vectors` registers of channels, summed over taps and input channels. Nothing is
padded: taps left and right of the image are left out when the kernel is written, those above and below when it runs.
A panel's weights stay in the second cache while the lines go by; where they outgrow it, the input channels are taken
in `blocks`, and the sums wait in the output meanwhile. The input may have its channels first, as images come. A panel
lies within a group.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile import bfloat16
from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Convolution, Epilogue, float_bytes
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import depthwise, float_sums, matmul, pairs, sliding, tiling
from mbench.compile.schedules.cpu.float_sums import FloatSums
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive
from mbench.core import dtypes

_GRIDS = 2
_BODY_COST = 0.005
_UNROLL = 4
_WAITING = (dtypes.DEFAULT,)
"""Types of outputs in which sums can wait: they are those of the sums."""
_WRITTEN_OUT = 4
"""Blocks of input channels up to which each is code of its own; of more, those between first and last are a loop."""
_L2_BYTES_A_CYCLE = 64
_FAR_BYTES_A_CYCLE = 16


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles and task grids, quickest first by the model of `cycles_of`."""
    for _, parameters in ranked(kernel, machine):
        yield parameters


def ranked(kernel: Kernel, machine: KernelMachine) -> list[tuple[float, Parameters]]:
    """Return (cycles of the busiest core, parameters), quickest first; none for a kernel of another kind."""
    conv = kernel.convolution
    if conv is None or depthwise.takes(conv) or kernel.epilogue_of_sum is None:
        return []
    conv = pairs.of_convolution(conv)
    found: list[tuple[float, Parameters]] = []
    lanes = tiling.vector_lanes(conv.group_channels, machine, conv.dtype)
    lines = [1] * (conv.batch * conv.height)
    for rows, vectors in matmul.register_tiles(machine):
        if vectors * lanes > conv.group_channels or rows > conv.width:
            continue
        panels = panel_count(conv, vectors * lanes)
        for blocks in _blocks(conv, vectors * lanes, machine):
            cycles = cycles_of(conv, rows, vectors, blocks, lanes, machine)
            grids = tiling.grids(lines, panels, cycles, conv.moved_bytes, machine)
            safe = (grid for grid in grids if _apart(conv, vectors * lanes, blocks, grid.inner))
            for grid in itertools.islice(safe, _GRIDS):
                parameters = {
                    "rows": rows,
                    "vectors": vectors,
                    "blocks": blocks,
                    "line_parts": grid.outer,
                    "panel_parts": grid.inner,
                }
                found.append((grid.cycles(cycles, conv.moved_bytes), parameters))
    return sorted(found, key=lambda pair: pair[0])


def _blocks(conv: Convolution, width: int, machine: KernelMachine) -> Iterator[int]:
    """Yield numbers of blocks of input channels: one, and enough for a panel's weights to fit the second cache.

    Up to twice as many where the channels divide into them evenly. Not more: the next divisor of 1402 is 701.
    """
    yield 1
    if conv.dtype not in _WAITING:
        return
    wanted = -(-conv.reduction * width * float_bytes(conv.dtype) // (machine.l2_bytes * 3 // 4))
    wanted = min(wanted, -(-conv.group_inputs // _UNROLL))
    if wanted > 1:
        enough = range(wanted, 2 * wanted + 1)
        yield next((count for count in enough if conv.group_inputs % count == 0), wanted)


def panel_count(conv: Convolution, width: int) -> int:
    """Return how many panels all groups have."""
    return conv.groups * -(-conv.group_channels // width)


def panel_starts(conv: Convolution, width: int) -> list[int]:
    """Return where each panel starts."""
    own = tiling.panel_starts(conv.group_channels, width)
    return [group * conv.group_channels + start for group in range(conv.groups) for start in own]


def _apart(conv: Convolution, width: int, blocks: int, parts: int) -> bool:
    """Return whether no two tasks add to the same outputs.

    Where `width` does not divide the channels, the last panel overlaps the one before it; with blocks both add to what
    waits in the output. They have to be in one task, which does one after the other: the last of the `parts` has both
    if there are fewer parts than panels.
    """
    if parts == 1 or blocks == 1 or conv.group_channels % width == 0:
        return True
    return conv.groups == 1 and panel_count(conv, width) > parts


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChannelBlocks:
    """`count` blocks of `size` input channels in a row, from channel `start`; all of them share one body of code."""

    start: int
    size: int
    count: int = 1


def _cut(channels: int, blocks: int) -> list[ChannelBlocks]:
    """Split input channels into blocks of one size; where they do not divide evenly, the last is smaller.

    Raises:
        ValueError: there cannot be so many blocks.
    """
    unit = 1 if channels % blocks == 0 else _UNROLL
    units = -(-channels // unit)
    if blocks > units:
        raise ValueError(f"{channels} input channels do not fit {blocks} blocks")
    size = -(-units // blocks) * unit
    starts = range(0, channels, size)
    if len(starts) <= _WRITTEN_OUT:
        return [ChannelBlocks(start=start, size=min(size, channels - start)) for start in starts]
    last = ChannelBlocks(start=starts[-1], size=channels - starts[-1])
    return [ChannelBlocks(start=0, size=size), ChannelBlocks(start=size, size=size, count=len(starts) - 2), last]


def cycles_of(conv: Convolution, rows: int, vectors: int, blocks: int, lanes: int, machine: KernelMachine) -> float:
    """Model of the whole layer on one core: its tiles, and the weights that each takes from beyond the first cache."""
    panels = panel_count(conv, vectors * lanes)
    sizes = tiling.even_parts(conv.width, rows)
    lines = conv.batch * conv.height
    compute = (
        lines
        * panels
        * blocks
        * sum(matmul.tile_cycles(size, vectors, conv.reduction // blocks, machine) for size in sizes)
    )
    block_bytes = conv.reduction // blocks * vectors * lanes * float_bytes(conv.dtype)
    read = lines * len(sizes) * panels * blocks * block_bytes
    if block_bytes > machine.l2_bytes * 3 / 4:
        compute += read / _FAR_BYTES_A_CYCLE
    elif block_bytes > machine.l1_bytes / 2:
        compute += read / _L2_BYTES_A_CYCLE
    return compute * (1 + _BODY_COST * len(sliding.runs(conv, rows)))


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    given, epilogue = kernel.convolution, kernel.epilogue_of_sum
    if given is None or epilogue is None or depthwise.takes(given):
        return None
    conv = pairs.of_convolution(given)
    rows, vectors, blocks = positive(parameters, "rows", "vectors", "blocks")
    grid = positive(parameters, "line_parts", "panel_parts")
    lanes = tiling.vector_lanes(conv.group_channels, machine, conv.dtype)
    width = vectors * lanes
    if width > conv.group_channels or rows > conv.width:
        shape = f"{conv.width} x {conv.group_channels}"
        raise ValueError(f"a tile of {rows} outputs x {width} channels does not fit {shape}")
    if not _apart(conv, width, blocks, grid[1]):
        whole = conv.group_channels
        raise ValueError(f"panels of {width} of {whole} channels overlap; {grid[1]} parts share their sums")
    if blocks > 1 and conv.dtype not in _WAITING:
        raise ValueError(f"{blocks} blocks: sums would be rounded to {conv.dtype} between them; expected 1")
    cut = _cut(conv.group_inputs, blocks)
    starts = panel_starts(conv, width)
    in_words = _in_words(given)
    writer = emit.Writer(kernel, packed_elements=len(starts) * conv.reduction * width, words=in_words)
    with writer.function() as arrays:
        if in_words and 0 not in in_words:
            arrays[0] = _laid_in_words(arrays[0], given, grid[0])
        layer = ConvolutionLayer(writer, epilogue, conv, machine, arrays, vectors, lanes)
        layer.write(sliding.runs(conv, rows), cut, len(starts), grid)
    return KernelPlan(
        function=writer.result(),
        tile=f"{rows}x{vectors}x{lanes}",
        pack=lambda weights: tiling.pack(
            pairs.packed(weights, given.group_inputs, conv.channels, conv.dtype), starts, width
        ),
        lanes=lanes,
    )


def _in_words(conv: Convolution) -> tuple[int, ...]:
    """Return the parameters that are read in words; none of a type without pairs."""
    if not pairs.taken(conv.dtype):
        return ()
    return (0, 1) if conv.channels_last and conv.group_inputs % bfloat16.PAIR == 0 else (1,)


def _laid_in_words(source: Any, conv: Convolution, parts: int) -> Any:
    """Write a pass that lays the image out in words; return the array of these."""
    pixels, lines = conv.input_height * conv.input_width, conv.batch * conv.groups
    if conv.channels_last:
        return pairs.in_rows(source, lines * pixels, conv.group_inputs, parts)
    return pairs.in_planes(source, lines, conv.group_inputs, pixels, parts)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutputPlaces:
    """Where outputs lie in an image of `sides`: from pixel `first` on, `steps` apart, down and across."""

    sides: tuple[int, int]
    first: tuple[int, int] = (0, 0)
    steps: tuple[int, int] = (1, 1)

    def at(self, axis: int, place: Any) -> Any:
        """Return the line or column of an output."""
        apart = place if self.steps[axis] == 1 else place * self.steps[axis]
        return apart if self.first[axis] == 0 else apart + self.first[axis]


class ConvolutionLayer:
    """Writes the loops and the tiles of one layer.

    `places`: where its outputs lie, if not side by side. `weights_start`: where its packed weights begin.
    `reach`: of whole numbers multiplied as float32, as `float_sums.new` has it.
    """

    reach: int | None = None

    def __init__(
        self,
        writer: emit.Writer,
        epilogue: Epilogue,
        conv: Convolution,
        machine: KernelMachine,
        arrays: list[Any],
        vectors: int,
        lanes: int,
        places: OutputPlaces | None = None,
        weights_start: int = 0,
    ) -> None:
        self._load, self._epilogue, self._conv = writer.load, epilogue, conv
        self._places = places or OutputPlaces(sides=(conv.height, conv.width))
        self._apart, self._weights_start = self._places.steps[1] * conv.channels, weights_start
        self._source, self._weights, self._target = arrays[0], arrays[1], arrays[-1]
        self._vectors, self._lanes, self._width = vectors, lanes, vectors * lanes
        self._machine = machine
        whole = lanes == machine.sum_lanes(conv.dtype)
        self._by_lane = not machine.broadcasts_from_memory and whole and conv.channels_last
        size = conv.input_height * conv.input_width
        if conv.channels_last:
            self._strides = (conv.input_width * conv.input_channels, conv.input_channels, 1)
        else:
            self._strides = (conv.input_width, 1, size)

    def write(self, runs: list[tiling.Run], cut: list[ChannelBlocks], panels: int, grid: tuple[int, ...]) -> None:
        """Write the loops over panels, blocks of input channels, lines, and tiles of a line."""
        conv = self._conv
        with (
            emit.tasks(conv.batch * conv.height, grid[0], panels, grid[1]) as ((first, lines), (panel, count)),
            emit.loop(count) as number,
        ):
            for blocks in cut:
                with emit.loop(blocks.count) as block, emit.loop(lines) as down:
                    batch, y = self._batch_and_line(first + down)
                    for run in runs:
                        with emit.loop(run.count) as across:
                            x = run.start + across * run.size
                            self.tile(run, (batch, y, x), panel + number, blocks, block)

    def tile(self, run: tiling.Run, place: tuple[Any, Any, Any], panel: Any, blocks: ChannelBlocks, block: Any) -> None:
        """Write a tile's sums over one of the blocks of input channels."""
        conv, (batch, y, x) = self._conv, place
        channel, group_start = self._channel(panel)
        target = emit.named(self._pixel(batch, y, x) * conv.channels + channel)
        sums = self._start(run.size, place, channel, target, first_block=blocks.start == 0)
        line_terms = conv.kernel_width * blocks.size
        first, end = sliding.inside_lines(conv, y)
        down, right, _ = self._strides
        corner = batch * (conv.input_height * conv.input_width * conv.input_channels)
        inputs = blocks.start + block * blocks.size
        (step_down, step_across), (top, left, *_) = conv.strides, conv.padding
        with T.serial(tirx.max(end - first, 0)) as turn, sums.part(line_terms):
            ky = first + turn
            reached = ky if conv.dilation[0] == 1 else ky * conv.dilation[0]
            line = corner + (y * step_down + reached - top) * down + (x * step_across - left) * right
            if conv.groups > 1:
                line = line + group_start * self._strides[2]
            source, taps = emit.named(line), emit.named((panel * conv.kernel_height + ky) * conv.kernel_width)
            for kx in range(conv.kernel_width):
                weights = (taps + kx) * (conv.group_inputs * self._width)
                weights = weights + self._weights_start if self._weights_start else weights
                for span in sums.spans(blocks.size):
                    with emit.loop(span.count) as step, sums.part(span.size):
                        begin = inputs + (span.start + step * span.size)
                        self._tap(sums, run, kx, source, weights, begin, span.size)
        last = blocks.start + blocks.size * blocks.count == conv.group_inputs
        self._finish(sums, place, channel, target, last=last)

    def _pixel(self, batch: Any, y: Any, x: Any) -> Any:
        """Return which pixel of the whole output one is."""
        height, width = self._places.sides
        return (batch * height + self._places.at(0, y)) * width + self._places.at(1, x)

    def _channel(self, panel: Any) -> tuple[Any, Any]:
        """Return the first output channel of a panel, and the first input channel of its group."""
        conv = self._conv
        if conv.groups == 1:
            return emit.named(emit.panel_start(panel, self._width, conv.channels)), 0
        count = -(-conv.group_channels // self._width)
        group, own = emit.named(tirx.floordiv(panel, count)), tirx.floormod(panel, count)
        start = emit.panel_start(own, self._width, conv.group_channels)
        return emit.named(group * conv.group_channels + start), group * conv.group_inputs

    def _tap(
        self, sums: emit.Accumulators, run: tiling.Run, kx: int, source: Any, weights: Any, first: Any, inputs: int
    ) -> None:
        """Add the multiply-adds of one tap with `inputs` channels of the input from `first` on."""
        conv, lanes = self._conv, self._lanes
        unroll = inputs if inputs <= _UNROLL else float_sums.unrolled(conv.dtype, inputs)
        _, right, apart = self._strides
        rows = [r for r in range(run.size) if run.inside[kx][r]]
        start = source + kx * conv.dilation[1] * right
        with emit.loop(inputs // unroll) as step:
            channel = step * unroll + first
            elements = {r: self._elements(start + r * conv.strides[1] * right + channel * apart, unroll) for r in rows}
            for number in range(unroll):
                line = weights + (channel + number) * self._width
                vectors = [emit.vector(self._weights, line + v * lanes, lanes) for v in range(self._vectors)]
                for r in rows:
                    for v in range(self._vectors):
                        pairs.add(sums, r, v, elements[r][number], vectors[v])

    def _elements(self, start: Any, count: int) -> list[Any]:
        """Return `count` input channels of one pixel, each in all lanes of a vector."""
        apart = self._strides[2]
        if self._by_lane and count == self._lanes:
            loaded = emit.vector(self._source, start, self._lanes)
            return [emit.lane(loaded, number, self._lanes) for number in range(count)]
        return [emit.broadcast(self._source[start + number * apart], self._lanes) for number in range(count)]

    def _start(
        self, rows: int, place: tuple[Any, Any, Any], channel: Any, target: Any, *, first_block: bool
    ) -> FloatSums:
        conv, start = self._conv, self._epilogue.start
        tile = (rows, self._vectors, self._lanes)
        sums = float_sums.new(conv.dtype, self._machine, tile, conv.reduction, reach=self.reach)
        if not first_block:
            sums.each(lambda r, v, lane: self._target[target + (r * self._apart + v * self._lanes + lane)])
        elif start is None:
            sums.begin(None)
        else:
            sums.begin(lambda r, v, lane: start(self._indices(place, channel, r, v, lane), self._load))
        return sums

    def _finish(self, sums: FloatSums, place: tuple[Any, Any, Any], channel: Any, target: Any, *, last: bool) -> None:
        for r in range(sums.rows):
            for v in range(self._vectors):
                with emit.lanes_of(self._lanes) as lane:
                    value = sums.total(r, v, lane)
                    if last:
                        value = self._epilogue.finish(value, self._indices(place, channel, r, v, lane), self._load)
                        value = float_sums.stored(value)
                    T.buffer_store(self._target, value, [target + (r * self._apart + v * self._lanes + lane)])

    def _indices(self, place: tuple[Any, Any, Any], channel: Any, r: int, v: int, lane: Any) -> list[Any]:
        batch, y, x = place
        line, column = self._places.at(0, y), self._places.at(1, x + r)
        return [batch, line, column, channel + (v * self._lanes + lane)]

    def _batch_and_line(self, line: Any) -> tuple[Any, Any]:
        if self._conv.batch == 1:
            return 0, line
        return tirx.floordiv(line, self._conv.height), tirx.floormod(line, self._conv.height)
