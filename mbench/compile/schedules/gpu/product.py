"""A matrix product, as pointwise, dense and standard convolutions share it: tiles in shared memory and registers.

A block of threads makes `rows` x `columns` elements of the output. In turns it brings `depth` steps of the reduction
into shared memory, the rows' operand transposed, and each thread adds up its `thread_rows` x `thread_columns` elements
in registers. The next turn's data are under way in registers meanwhile, and there are two buffers, so that a turn needs
one barrier. Small layers fill the machine by `slices`: so many groups of threads share the steps of a turn, and the
block adds up their sums in shared memory at the end. That keeps one kernel and one order of summation, which splitting
the reduction over blocks, with a second kernel or atomics, would not.

Memory: weights are packed at compile time as (panel, step, column), padded with zeros, so that all a block's reads of
them are one run of 16-byte loads. Rows are read in 16 bytes along the reduction: `depth` floats of a row in one go,
16 steps being two whole 32-byte sectors. A warp's threads lie 8 columns x 4 rows, so that one load of shared memory
brings 8 or 4 different quads to all 32. The rows in shared memory are 4 floats longer than `rows`: transposed writes
then meet in a bank two at a time at most, with 16 steps, and reads stay aligned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Epilogue, Kernel, Matmul
from mbench.compile.schedules import Machine, Parameters, Plan, emit
from mbench.compile.schedules.gpu import threads as gpu
from mbench.compile.schedules.gpu.tiles import Tile

_AT_ONCE = 256
"""Multiply-adds of a thread that are unrolled: more were seen to make nvcc hold too many operands in registers."""


class Rows(Protocol):
    """How the left operand is read. `vector` elements along the reduction come at once: 4, or 1 where they cannot."""

    vector: int

    def place(self, row: Any) -> Any:
        """Compute, once and before all turns, what is to be known about a row, which may lie beyond the last."""

    def load(self, place: Any, step: Any) -> Any:
        """Return `vector` elements from `step` on; zeros beyond the last step."""


def plan(
    kernel: Kernel,
    machine: Machine,
    product: Matmul,
    parameters: Parameters,
    rows: Callable[[Any, Tile], Rows],
) -> Plan:
    """Write the kernel of a product; `rows` says how to read the left operand, given the flat array that it is in.

    Raises:
        ValueError: the parameters make no tile, or one that the GPU does not take.
    """
    tile = Tile.of(parameters)
    if machine.limits is None or not tile.fits(machine.limits):
        raise ValueError(f"{tile} is over the GPU's limits, or no whole warps make a slice of it")
    assert kernel.epilogue_of_sum is not None
    elements, pack = gpu.packed(product, tile.depth, tile.columns)
    writer = emit.Writer(kernel, packed_elements=elements)
    with writer.function() as arrays:
        block = _Block(product, tile, kernel.parameter_shapes[-1], kernel.epilogue_of_sum)
        block.write(rows(arrays[0], tile), writer, arrays[1], arrays[-1])
    words = [tile.rows, tile.columns, tile.depth, *([tile.slices] if tile.slices > 1 else [])]
    return Plan(function=writer.result(), tile="x".join(map(str, words)), pack=pack)


class _Block:
    """Writes what a block of threads does."""

    def __init__(self, product: Matmul, tile: Tile, shape: tuple[int, ...], epilogue: Epilogue) -> None:
        self._product, self._tile, self._shape, self._epilogue = product, tile, shape, epilogue
        self._turns = -(-product.reduction // tile.depth)

    def write(self, rows: Rows, writer: emit.Writer, weights: Any, target: Any) -> None:
        """Write the grid, the turns and the end."""
        tile, product = self._tile, self._product
        grid = (-(-product.rows // tile.rows), -(-product.columns // tile.columns))
        with gpu.launch(grid, tile.threads) as ((block_row, panel), thread):
            self._thread = thread
            self._row, self._column = emit.named(block_row * tile.rows), emit.named(panel * tile.columns)
            self._shared = gpu.shared(tile.shared_bytes // gpu.FLOAT)
            self._sums = gpu.registers(tile.thread_rows * tile.thread_columns)
            self._places()
            self._take_turns(rows, weights, emit.named(panel * (self._turns * tile.depth * tile.columns)))
            if tile.slices == 1:
                self._finish(writer.load, target)
            else:
                self._add_slices(writer.load, target)

    def _places(self) -> None:
        """Compute where the thread's elements begin in the tile, and which slice it belongs to."""
        tile = self._tile
        group = tile.down * tile.across
        within = self._thread if tile.slices == 1 else tirx.floormod(self._thread, group)
        self._slice = 0 if tile.slices == 1 else emit.named(tirx.floordiv(self._thread, group))
        down, across = tile.lanes
        lane, warp = tirx.floormod(within, gpu.WARP), tirx.floordiv(within, gpu.WARP)
        wide = tile.across // across
        row = tirx.floordiv(warp, wide) * down + tirx.floordiv(lane, across)
        column = tirx.floormod(warp, wide) * across + tirx.floormod(lane, across)
        self._down = emit.named(row * min(gpu.QUAD, tile.thread_rows))
        self._across = emit.named(column * min(gpu.QUAD, tile.thread_columns))

    # -------------------------------------------------------------------------------------------------------- the turns
    def _take_turns(self, rows: Rows, weights: Any, panel: Any) -> None:
        tile = self._tile
        self._row_loads = self._share(tile.rows * tile.depth // rows.vector)
        self._weight_loads = self._share(tile.columns * tile.depth // gpu.QUAD)
        self._staged_rows = gpu.registers(len(self._row_loads) * rows.vector)
        self._staged_weights = gpu.registers(len(self._weight_loads) * gpu.QUAD)
        places = self._row_places(rows)
        gpu.zero(self._sums, tile.thread_rows * tile.thread_columns)
        self._fetch(rows, places, weights, panel, 0)
        self._put(rows, 0)
        gpu.barrier()
        if self._turns > 1:
            with T.serial(self._turns - 1) as turn:
                self._fetch(rows, places, weights, panel, turn + 1)
                self._multiply(tirx.floormod(turn, 2))
                self._put(rows, tirx.floormod(turn + 1, 2))
                gpu.barrier()
        self._multiply((self._turns - 1) % 2)

    def _share(self, loads: int) -> list[tuple[int, Any]]:
        """Return (first, condition) of a thread's loads: its own number beyond each `first`, the last for some."""
        threads = self._tile.threads
        return [
            (first, None if first + threads <= loads else self._thread + first < loads)
            for first in range(0, loads, threads)
        ]

    def _row_places(self, rows: Rows) -> list[Any]:
        """Return what is to be known of each load's row; loads of the same row share it."""
        known: dict[int, Any] = {}
        for first, _ in self._row_loads:
            moved, row, _ = self._position(first, rows)
            if moved not in known:
                known[moved] = rows.place(self._row + row)
        return [known[self._position(first, rows)[0]] for first, _ in self._row_loads]

    def _position(self, first: int, rows: Rows) -> tuple[int, Any, Any]:
        """Return a load's row and step: quads go along the reduction, single elements along the rows.

        Before them stands what tells its row from other loads' rows, for all threads.
        """
        tile = self._tile
        if rows.vector == 1:
            beyond, outer, inner = self._cut(first, tile.rows)
            return beyond[1], inner, outer
        beyond, outer, inner = self._cut(first, tile.depth // gpu.QUAD)
        return beyond[0], outer, inner * gpu.QUAD

    def _cut(self, first: int, extent: int) -> tuple[tuple[int, int], Any, Any]:
        """Return (thread + first) // extent and % extent, and what in them depends on `first`, where that is all."""
        threads = self._tile.threads
        if threads % extent == 0:
            return (
                (first // extent, 0),
                tirx.floordiv(self._thread, extent) + first // extent,
                tirx.floormod(self._thread, extent),
            )
        if extent % threads == 0:
            return (first // extent, first % extent), first // extent, self._thread + first % extent
        number = self._thread + first
        return (first, first), tirx.floordiv(number, extent), tirx.floormod(number, extent)

    def _fetch(self, rows: Rows, places: list[Any], weights: Any, panel: Any, turn: Any) -> None:
        """Start the loads of a turn, into registers."""
        tile = self._tile
        for index, ((first, wanted), place) in enumerate(zip(self._row_loads, places, strict=True)):
            with gpu.where(wanted):
                value = rows.load(place, turn * tile.depth + self._position(first, rows)[2])
                emit.store(self._staged_rows, value, index * rows.vector, rows.vector)
        start = panel + turn * (tile.depth * tile.columns)
        for index, (first, wanted) in enumerate(self._weight_loads):
            with gpu.where(wanted):
                value = emit.vector(weights, start + (self._thread + first) * gpu.QUAD, gpu.QUAD)
                emit.store(self._staged_weights, value, index * gpu.QUAD, gpu.QUAD)

    def _put(self, rows: Rows, buffer: Any) -> None:
        """Write what was fetched to a buffer in shared memory."""
        for index, (first, wanted) in enumerate(self._row_loads):
            _, row, step = self._position(first, rows)
            with gpu.where(wanted):
                for element in range(rows.vector):
                    value = self._staged_rows[index * rows.vector + element]
                    T.buffer_store(self._shared, value, [self._rows_at(buffer, step + element) + row])
        for index, (first, wanted) in enumerate(self._weight_loads):
            with gpu.where(wanted):
                value = emit.vector(self._staged_weights, index * gpu.QUAD, gpu.QUAD)
                place = self._columns_at(buffer, 0) + (self._thread + first) * gpu.QUAD
                emit.store(self._shared, value, place, gpu.QUAD)

    def _rows_at(self, buffer: Any, step: Any) -> Any:
        return buffer * (self._tile.depth * self._tile.pitch) + step * self._tile.pitch

    def _columns_at(self, buffer: Any, step: Any) -> Any:
        tile = self._tile
        return 2 * tile.depth * tile.pitch + buffer * (tile.depth * tile.columns) + step * tile.columns

    def _multiply(self, buffer: Any) -> None:
        """Add the products of a turn's steps, of the thread's slice of them."""
        tile = self._tile
        steps = tile.depth // tile.slices
        left, right = gpu.registers(tile.thread_rows), gpu.registers(tile.thread_columns)
        with gpu.some(steps, min(steps, max(2, _AT_ONCE // (tile.thread_rows * tile.thread_columns)))) as number:
            step = number if tile.slices == 1 else self._slice * steps + number
            self._bring(left, tile.thread_rows, tile.down, self._rows_at(buffer, step) + self._down)
            self._bring(right, tile.thread_columns, tile.across, self._columns_at(buffer, step) + self._across)
            with gpu.each(tile.thread_rows) as i, gpu.each(tile.thread_columns) as j:
                index = i * tile.thread_columns + j
                T.buffer_store(self._sums, self._sums[index] + left[i] * right[j], [index])

    def _bring(self, array: Any, count: int, threads: int, start: Any) -> None:
        """Load a thread's part of one step: quads, each from the next group of all threads' quads."""
        lanes = min(gpu.QUAD, count)
        for quad in range(count // lanes):
            emit.store(array, emit.vector(self._shared, start + quad * threads * lanes, lanes), quad * lanes, lanes)

    # ---------------------------------------------------------------------------------------------------------- the end
    def _finish(self, load: Callable[..., Any], target: Any) -> None:
        """Write the thread's elements to the output."""
        tile = self._tile
        tall, wide = min(gpu.QUAD, tile.thread_rows), min(gpu.QUAD, tile.thread_columns)
        for i in range(tile.thread_rows):
            row = self._down + (i // tall * tile.down * tall + i % tall)
            for quad in range(tile.thread_columns // wide):
                column = self._across + quad * tile.across * wide
                self._store(load, target, row, column, wide, self._sums, i * tile.thread_columns + quad * wide)

    def _add_slices(self, load: Callable[..., Any], target: Any) -> None:
        """Add up the slices' sums in shared memory, each thread some quads of the tile, and write them."""
        tile = self._tile
        tall, wide = min(gpu.QUAD, tile.thread_rows), min(gpu.QUAD, tile.thread_columns)
        area = tile.rows * tile.columns
        gpu.barrier()
        for i in range(tile.thread_rows):
            row = self._down + (i // tall * tile.down * tall + i % tall)
            for quad in range(tile.thread_columns // wide):
                place = self._slice * area + row * tile.columns + self._across + quad * tile.across * wide
                value = emit.vector(self._sums, i * tile.thread_columns + quad * wide, wide)
                emit.store(self._shared, value, place, wide)
        gpu.barrier()
        total = gpu.registers(gpu.QUAD)
        for first, wanted in self._share(area // gpu.QUAD):
            number = self._thread + first
            with gpu.where(wanted):
                emit.store(total, emit.vector(self._shared, number * gpu.QUAD, gpu.QUAD), 0, gpu.QUAD)
                for other in range(1, tile.slices):
                    part = emit.vector(self._shared, other * area + number * gpu.QUAD, gpu.QUAD)
                    emit.store(total, emit.vector(total, 0, gpu.QUAD) + part, 0, gpu.QUAD)
                row = tirx.floordiv(number, tile.columns // gpu.QUAD)
                column = tirx.floormod(number, tile.columns // gpu.QUAD) * gpu.QUAD
                self._store(load, target, row, column, gpu.QUAD, total, 0)

    def _store(
        self, load: Callable[..., Any], target: Any, row: Any, column: Any, count: int, sums: Any, first: int
    ) -> None:
        """Finish `count` sums from `first` on, and write them to a row of the output, if they are in it."""
        product, tile, epilogue = self._product, self._tile, self._epilogue
        row, column = self._row + row, self._column + column
        lanes = count if product.columns % count == 0 else 1
        there = None if product.rows % tile.rows == 0 else row < product.rows
        for element in range(0, count, lanes):
            own = column + element
            inside = None if product.columns % tile.columns == 0 else own < product.columns
            with gpu.where(gpu.both(there, inside)), emit.lanes_of(lanes) as lane:
                indices = emit.indices(self._shape, row, own + lane)
                value = sums[first + element + lane]
                if epilogue.start is not None:
                    value = value + epilogue.start(indices, load)
                T.buffer_store(target, epilogue.finish(value, indices, load), [row * product.columns + own + lane])
