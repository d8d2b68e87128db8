"""What both kinds of product share: a block of threads brings its operands into shared memory, in turns.

A block makes `rows` x `columns` elements of the output. In turns it brings `depth` steps of the reduction into shared
memory. The next turn's data are under way in registers meanwhile, and there are two buffers, so that a turn needs one
barrier. Small layers fill the machine by `slices`: so many groups of threads share the steps of a turn, and the block
adds up their sums in shared memory at the end. That keeps one kernel and one order of summation, which splitting the
reduction over blocks, with a second kernel or atomics, would not.

Weights are packed at compile time in the order in which blocks read them, padded with zeros, in 16-byte loads. Rows are
read in 16 bytes along the reduction, where they are aligned.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Matmul
from mbench.compile.schedules import emit
from mbench.compile.schedules.gpu import threads as gpu
from mbench.compile.schedules.gpu.tiles import Tile
from mbench.core import dtypes

_Tile = TypeVar("_Tile", bound=Tile)


class Rows(Protocol):
    """How the left operand is read. `vector` elements along the reduction come at once: 16 bytes, or one element."""

    vector: int

    def begin(self, column: Any) -> None:
        """Compute, once for a block, what is to be known about its columns, the first of which is given."""

    def place(self, row: Any) -> Any:
        """Compute, once and before all turns, what is to be known about a row, which may lie beyond the last."""

    def load(self, place: Any, step: Any) -> Any:
        """Return `vector` elements from `step` on; zeros beyond the last step."""


class ThreadBlock(ABC, Generic[_Tile]):
    """Writes what a block of threads does."""

    def __init__(self, kernel: Kernel, product: Matmul, tile: _Tile) -> None:
        assert kernel.epilogue_of_sum is not None
        self._epilogue = kernel.epilogue_of_sum
        self._shape, self._dtype = kernel.parameter_shapes[-1], kernel.parameter_dtypes[-1]
        self._product, self._tile = product, tile
        self._turns = -(-product.reduction // tile.depth)
        self._widest = gpu.widest(tile.OPERAND)
        self._sums_type = dtypes.sums(product.dtype)

    @property
    def packed_elements(self) -> int:
        """How many elements packed weights are."""
        return gpu.packed_elements(self._product, self._tile.depth, self._tile.columns)

    @abstractmethod
    def pack(self, weights: np.ndarray) -> np.ndarray:
        """Return weights in the order in which blocks read them: panels of `columns`, of turns of `depth` steps."""

    def write(self, rows: Rows, writer: emit.Writer, weights: Any, target: Any) -> None:
        """Write the grid, the turns and the end."""
        tile, product = self._tile, self._product
        grid = (-(-product.rows // tile.rows), -(-product.columns // tile.columns))
        with gpu.launch(grid, tile.threads) as ((block_row, panel), thread):
            self._thread = thread
            self._row, self._column = emit.named(block_row * tile.rows), emit.named(panel * tile.columns)
            rows.begin(self._column)
            weights = self._seen(weights)
            self._declare()
            self._take_turns(rows, weights, emit.named(panel * (self._turns * tile.depth * tile.columns)))
            if tile.slices == 1:
                self._finish(writer.load, target)
            else:
                self._add_slices(writer.load, target)

    def _seen(self, weights: Any) -> Any:
        """Return the packed weights as an array of elements."""
        return weights

    @abstractmethod
    def _declare(self) -> None:
        """Declare shared memory and sums, set to zero, and compute where the thread's elements lie in the tile."""

    @abstractmethod
    def _put_row(self, buffer: Any, row: Any, step: Any, values: Any, first: int, count: int) -> None:
        """Write `count` fetched elements of a row, from `step` on, to a buffer in shared memory."""

    @abstractmethod
    def _put_weights(self, buffer: Any, place: Any, values: Any, first: int) -> None:
        """Write 16 bytes of fetched weights, the elements of the turn from `place` on, to a buffer in shared memory."""

    @abstractmethod
    def _multiply(self, buffer: Any) -> None:
        """Add the multiply-adds of a turn's steps, of the thread's slice of them."""

    @abstractmethod
    def _finish(self, load: Callable[..., Any], target: Any) -> None:
        """Write the thread's elements to the output."""

    @abstractmethod
    def _put_sums(self) -> None:
        """Write the thread's sums to shared memory, as (slice, row, column) of `_partial`."""

    _partial: Any
    """Where the slices' sums meet: an array in shared memory."""

    def _of_slice(self) -> tuple[Any, Any]:
        """Return the thread's number in its slice, and the slice."""
        if self._tile.slices == 1:
            return self._thread, 0
        group = self._tile.slice_threads
        return tirx.floormod(self._thread, group), emit.named(tirx.floordiv(self._thread, group))

    # -------------------------------------------------------------------------------------------------------- the turns
    def _take_turns(self, rows: Rows, weights: Any, panel: Any) -> None:
        tile, dtype = self._tile, self._tile.OPERAND
        self._row_loads = self._share(tile.rows * tile.depth // rows.vector)
        self._weight_loads = self._share(tile.columns * tile.depth // self._widest)
        self._staged_rows = gpu.registers(len(self._row_loads) * rows.vector, dtype)
        self._staged_weights = gpu.registers(len(self._weight_loads) * self._widest, dtype)
        places = self._row_places(rows)
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
        """Return a load's row and step: vectors go along the reduction, single elements along the rows.

        Before them stands what distinguishes its row from other loads' rows, for all threads.
        """
        tile = self._tile
        if rows.vector == 1:
            beyond, outer, inner = self._cut(first, tile.rows)
            return beyond[1], inner, outer
        beyond, outer, inner = self._cut(first, tile.depth // rows.vector)
        return beyond[0], outer, inner * rows.vector

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
                value = emit.vector(weights, start + (self._thread + first) * self._widest, self._widest)
                emit.store(self._staged_weights, value, index * self._widest, self._widest)

    def _put(self, rows: Rows, buffer: Any) -> None:
        """Write what was fetched to a buffer in shared memory."""
        for index, (first, wanted) in enumerate(self._row_loads):
            _, row, step = self._position(first, rows)
            with gpu.where(wanted):
                self._put_row(buffer, row, step, self._staged_rows, index * rows.vector, rows.vector)
        for index, (first, wanted) in enumerate(self._weight_loads):
            with gpu.where(wanted):
                place = (self._thread + first) * self._widest
                self._put_weights(buffer, place, self._staged_weights, index * self._widest)

    # ---------------------------------------------------------------------------------------------------------- the end
    def _add_slices(self, load: Callable[..., Any], target: Any) -> None:
        """Add up the slices' sums in shared memory, each thread some quads of the tile, and write them."""
        tile = self._tile
        area = tile.rows * tile.columns
        self._put_sums()
        gpu.barrier()
        total = gpu.registers(gpu.QUAD, self._sums_type)
        for first, wanted in self._share(area // gpu.QUAD):
            number = self._thread + first
            with gpu.where(wanted):
                emit.store(total, emit.vector(self._partial, number * gpu.QUAD, gpu.QUAD), 0, gpu.QUAD)
                for other in range(1, tile.slices):
                    part = emit.vector(self._partial, other * area + number * gpu.QUAD, gpu.QUAD)
                    emit.store(total, emit.vector(total, 0, gpu.QUAD) + part, 0, gpu.QUAD)
                row = tirx.floordiv(number, tile.columns // gpu.QUAD)
                column = tirx.floormod(number, tile.columns // gpu.QUAD) * gpu.QUAD
                self._store(load, target, row, column, gpu.QUAD, total, 0)

    def _store(
        self, load: Callable[..., Any], target: Any, row: Any, column: Any, count: int, sums: Any, first: int
    ) -> None:
        """Finish `count` sums from `first` on, and write them to a row of the output, if they are in it."""
        product, tile = self._product, self._tile
        row, column = self._row + row, self._column + column
        lanes = min(count, gpu.widest(self._dtype)) if product.columns % count == 0 else 1
        there = None if product.rows % tile.rows == 0 else row < product.rows
        for element in range(0, count, lanes):
            own = column + element
            inside = None if product.columns % tile.columns == 0 else own < product.columns
            place = row * product.columns + own
            with gpu.where(gpu.both(there, inside)):
                if lanes <= gpu.QUAD:
                    self._finish_lanes(load, target, place, (row, own), lanes, sums, first + element)
                else:
                    done = gpu.registers(lanes, self._dtype)
                    for quad in range(0, lanes, gpu.QUAD):
                        at = (row, own + quad)
                        self._finish_lanes(load, done, quad, at, gpu.QUAD, sums, first + element + quad)
                    emit.store(target, emit.vector(done, 0, lanes), place, lanes)

    def _begun(self, total: Any, _column: Any) -> Any:
        """Return the sum of a column with what is added to all of its sums; by default nothing is."""
        return total

    def _finish_lanes(
        self, load: Callable[..., Any], array: Any, place: Any, at: tuple[Any, Any], lanes: int, sums: Any, first: int
    ) -> None:
        """Finish the sums of the row and columns `at`, from `first` on, and write them to an array from `place` on."""
        row, column = at
        with emit.lanes_of(lanes) as lane:
            indices = emit.indices(self._shape, row, column + lane)
            value = self._begun(sums[first + lane], column + lane)
            if self._epilogue.start is not None:
                value = value + self._epilogue.start(indices, load)
            T.buffer_store(array, self._epilogue.finish(value, indices, load), [place + lane])
