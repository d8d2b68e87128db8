"""Matrix products on FMA units, float32: a thread adds up `thread_rows` x `thread_columns` elements in registers.

The rows' operand lies transposed in shared memory, so that a step of it is one run. A warp's threads lie 8 columns x 4
rows, so that one load of shared memory brings 8 or 4 different quads to all 32. The rows in shared memory are 4 floats
longer than `rows`: transposed writes then meet in a bank two at a time at most, with 16 steps, and reads stay aligned.
Weights are packed as (panel, step, column). 16 steps of a row are two whole 32-byte sectors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.machine import GpuLimits
from mbench.compile.schedules import emit
from mbench.compile.schedules.gpu import threads as gpu
from mbench.compile.schedules.gpu import tiles
from mbench.compile.schedules.gpu.tiles import Sizes, Tile, Turn
from mbench.compile.schedules.gpu.turns import ThreadBlock

_AT_ONCE = 256
"""Multiply-adds of a thread that are unrolled: more were seen to make nvcc hold too many operands in registers."""
_PAD = 4
"""Floats between the rows of the transposed operand in shared memory."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FmaTile(Tile):
    """The tiling of a matrix product on FMA units."""

    OPERAND: ClassVar[str] = "float32"
    SIZES = Sizes(
        rows=(16, 32, 64, 128),
        columns=(16, 32, 64, 128),
        depths=(8, 16, 32, 64),
        slices=(1, 2, 4, 8),
        parts=((2, 2), (2, 4), (4, 4), (4, 8), (8, 4), (8, 8)),
    )

    thread_rows: int
    thread_columns: int

    @property
    def divides(self) -> bool:
        """Whether its parts divide it."""
        parts = (self.rows % self.thread_rows, self.columns % self.thread_columns, self.depth % self.slices)
        return not any(parts)

    def check(self) -> None:
        """See that the parts divide each other.

        Raises:
            ValueError: they do not.
        """
        if not self.divides:
            raise ValueError(f"{self} has parts that do not divide it")
        if self.depth % gpu.QUAD or self.columns % gpu.QUAD or self.rows % gpu.QUAD:
            raise ValueError(f"{self} is not made of quads of steps, rows and columns")
        if any(own not in (1, 2) and own % gpu.QUAD for own in (self.thread_rows, self.thread_columns)):
            raise ValueError(f"{self} has threads' parts that are not 1, 2, or quads")

    @property
    def down(self) -> int:
        """Threads of a slice, from row to row."""
        return self.rows // self.thread_rows

    @property
    def across(self) -> int:
        """Threads of a slice, from column to column."""
        return self.columns // self.thread_columns

    @property
    def slice_threads(self) -> int:
        """Threads of a slice."""
        return self.down * self.across

    @property
    def lanes(self) -> tuple[int, int]:
        """How the threads of a warp lie: so many down, so many across.

        Raises:
            ValueError: no whole warps make a slice.
        """
        for across in (8, 4, 16, 2, 32, 1):
            if self.across % across == 0 and self.down % (gpu.WARP // across) == 0:
                return gpu.WARP // across, across
        raise ValueError(f"{self} has {self.down} x {self.across} threads in a slice: no whole warps")

    @property
    def pitch(self) -> int:
        """Floats from one step of the rows' operand to the next, in shared memory."""
        return self.rows + _PAD

    @property
    def shared_bytes(self) -> int:
        """Shared memory of a block: two buffers of both operands, or the slices' sums, whichever is more."""
        return max(gpu.FLOAT * 2 * self.depth * (self.pitch + self.columns), self.sums_bytes)

    @property
    def registers(self) -> int:
        """Registers of a thread, about: sums, two steps' operands, what is under way, and addresses."""
        sums = self.thread_rows * self.thread_columns
        under_way = self.depth * (self.rows + self.columns) / self.threads
        return int(sums + 2 * (self.thread_rows + self.thread_columns) + 1.5 * under_way + 40)

    def turn(self, limits: GpuLimits) -> Turn:
        """Return what a turn takes of an SM, part by part."""
        warps = self.threads / limits.warp
        steps = self.depth // self.slices
        sums = self.thread_rows * self.thread_columns
        staged = self.depth * (self.rows * 1.25 + self.columns * 0.5) / self.threads
        brought = sum(-(-own // gpu.QUAD) for own in (self.thread_rows, self.thread_columns))
        issue = limits.warp * gpu.SCHEDULERS / limits.multiply_adds  # cycles between a scheduler's multiply-adds
        busy = sums * issue * max(1.0, warps / gpu.SCHEDULERS)
        return Turn(
            multiply=self.rows * self.columns * self.depth / limits.multiply_adds,
            instructions=warps * (steps * (sums + brought) + 2 * staged + tiles.TURN_INSTRUCTIONS) / gpu.SCHEDULERS,
            shared=warps * steps * self._wavefronts() + 2 * self.depth * (self.rows + self.columns) / limits.warp,
            moved=self.depth * (self.rows + self.columns) * gpu.FLOAT / limits.l2_bytes,
            alone=steps * max(busy, tiles.NEAR_CYCLES / 2) + tiles.BARRIER_CYCLES,
        )

    def _wavefronts(self) -> float:
        """Return the cycles that shared memory is busy with one warp's loads of one step."""
        lanes_down, lanes_across = self.lanes
        return sum(
            max(1.0, lanes * min(gpu.QUAD, own) * gpu.FLOAT / tiles.SHARED_BYTES_A_CYCLE) * -(-own // gpu.QUAD)
            for lanes, own in ((lanes_down, self.thread_rows), (lanes_across, self.thread_columns))
        )


class FmaBlock(ThreadBlock[FmaTile]):
    """Writes a block of threads of which each has elements of its own."""

    def pack(self, weights: np.ndarray) -> np.ndarray:
        """Return weights as (panel, step, column)."""
        return gpu.pack(self._product, self._tile.depth, self._tile.columns, weights)

    def _declare(self) -> None:
        tile = self._tile
        self._shared = self._partial = gpu.shared(tile.shared_bytes // gpu.FLOAT)
        self._sums = gpu.registers(tile.thread_rows * tile.thread_columns)
        gpu.zero(self._sums, tile.thread_rows * tile.thread_columns)
        within, self._slice = self._of_slice()
        down, across = tile.lanes
        lane, warp = tirx.floormod(within, gpu.WARP), tirx.floordiv(within, gpu.WARP)
        wide = tile.across // across
        row = tirx.floordiv(warp, wide) * down + tirx.floordiv(lane, across)
        column = tirx.floormod(warp, wide) * across + tirx.floormod(lane, across)
        self._down = emit.named(row * min(gpu.QUAD, tile.thread_rows))
        self._across = emit.named(column * min(gpu.QUAD, tile.thread_columns))

    # -------------------------------------------------------------------------------------------------------- the turns
    def _put_row(self, buffer: Any, row: Any, step: Any, values: Any, first: int, count: int) -> None:
        for element in range(count):
            T.buffer_store(self._shared, values[first + element], [self._rows_at(buffer, step + element) + row])

    def _put_weights(self, buffer: Any, place: Any, values: Any, first: int) -> None:
        emit.store(
            self._shared, emit.vector(values, first, self._widest), self._columns_at(buffer, 0) + place, self._widest
        )

    def _rows_at(self, buffer: Any, step: Any) -> Any:
        return buffer * (self._tile.depth * self._tile.pitch) + step * self._tile.pitch

    def _columns_at(self, buffer: Any, step: Any) -> Any:
        tile = self._tile
        return 2 * tile.depth * tile.pitch + buffer * (tile.depth * tile.columns) + step * tile.columns

    def _multiply(self, buffer: Any) -> None:
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
        for row, column, wide, index in self._runs():
            self._store(load, target, row, column, wide, self._sums, index)

    def _put_sums(self) -> None:
        tile = self._tile
        gpu.barrier()  # they lie where the operands were
        for row, column, wide, index in self._runs():
            place = self._slice * (tile.rows * tile.columns) + row * tile.columns + column
            emit.store(self._shared, emit.vector(self._sums, index, wide), place, wide)

    def _runs(self) -> Iterator[tuple[Any, Any, int, int]]:
        """Yield row, column and number of the thread's sums that lie side by side in a row, and the first's index."""
        tile = self._tile
        tall, wide = min(gpu.QUAD, tile.thread_rows), min(gpu.QUAD, tile.thread_columns)
        for i in range(tile.thread_rows):
            row = self._down + (i // tall * tile.down * tall + i % tall)
            for quad in range(tile.thread_columns // wide):
                column = self._across + quad * tile.across * wide
                yield row, column, wide, i * tile.thread_columns + quad * wide
