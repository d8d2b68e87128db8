"""Matrix products on tensor cores: float16 operands, float32 sums; each warp multiplies tiles by `mma.sync.m16n8k16`.

Or bytes, four to an element, with sums in int32, by `mma.sync.m16n8k32`: registers hold the same rows and columns.

What the instruction calls row, column and step is ours to choose, since sums do not depend on the order of steps and
weights are packed at compile time. Of each 32 steps (of words 16), a thread holds 8 (4) that lie side by side, for two
instructions: so its rows come as 16 bytes of shared memory, and its weights, packed in the order of threads, too. Its
columns in up to four instructions lie side by side as well, so that it writes 16 bytes of the output.

The rows' operand lies in shared memory as it does in global memory, each row 64 bytes, or 64 more than a multiple of
128: eight threads, which read or write at once, then meet in no bank.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Matmul
from mbench.compile.machine import GpuLimits
from mbench.compile.schedules import emit
from mbench.compile.schedules.gpu import byte_words, tiles
from mbench.compile.schedules.gpu import threads as gpu
from mbench.compile.schedules.gpu.byte_words import WordWeights
from mbench.compile.schedules.gpu.tiles import Sizes, Tile, Turn
from mbench.compile.schedules.gpu.turns import ThreadBlock
from mbench.core import dtypes

_ROWS, _COLUMNS = 16, 8
_STEPS_BYTES = 32
"""What an instruction multiplies: 16 rows by 8 columns, so many bytes of each."""
_SUMS = _ROWS * _COLUMNS // gpu.WARP
_HELD_BYTES, _REGISTER_BYTES = 16, 4
"""What a thread holds of a row in a group of steps, and what a register has of that."""
_ACROSS = 4
"""Threads from column to column in a warp, and the most instructions whose columns lie side by side."""
_LATENCY_CYCLES = 35
"""Of an instruction: a guess, of the order that Sun et al. measured on Ampere (arXiv:2206.02874)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MmaTile(Tile):
    """The tiling of a matrix product on tensor cores."""

    OPERAND: ClassVar[str] = "float16"
    SIZES = Sizes(
        rows=(16, 32, 64, 128),
        columns=(16, 32, 64, 128),
        depths=(32, 64, 128),
        slices=(1, 2, 4),
        parts=((16, 8), (16, 16), (16, 32), (32, 16), (32, 32), (32, 64), (64, 32)),
    )

    warp_rows: int
    warp_columns: int

    @property
    def element_bytes(self) -> int:
        """Of an element of both operands."""
        return dtypes.width(self.OPERAND)

    @property
    def held(self) -> int:
        """Elements that a thread holds of a row in a group of steps."""
        return _HELD_BYTES // self.element_bytes

    @property
    def group(self) -> int:
        """Steps of two instructions, of which each of the four threads of a row holds 16 bytes."""
        return 2 * _STEPS_BYTES // self.element_bytes

    @property
    def divides(self) -> bool:
        """Whether its parts divide it, and whole groups of steps make a slice."""
        parts = (self.rows % self.warp_rows, self.columns % self.warp_columns, self.depth % (self.slices * self.group))
        return not any(parts)

    def check(self) -> None:
        """See that the parts divide each other, and are made of what an instruction multiplies.

        Raises:
            ValueError: they do not, or are not.
        """
        if not self.divides:
            raise ValueError(f"{self} has parts that do not divide it")
        if self.warp_rows % _ROWS or self.warp_columns % _COLUMNS:
            raise ValueError(f"{self} has warps' parts that are not made of {_ROWS} x {_COLUMNS}")

    @property
    def down(self) -> int:
        """Instructions of a warp, from row to row."""
        return self.warp_rows // _ROWS

    @property
    def across(self) -> int:
        """Instructions of a warp, from column to column."""
        return self.warp_columns // _COLUMNS

    @property
    def beside(self) -> int:
        """Instructions whose columns lie side by side."""
        return next(count for count in (_ACROSS, 2, 1) if self.across % count == 0)

    @property
    def slice_threads(self) -> int:
        """Threads of a slice."""
        return gpu.WARP * (self.rows // self.warp_rows) * (self.columns // self.warp_columns)

    @property
    def pitch(self) -> int:
        """Elements from one row to the next, in shared memory."""
        return self.depth + (0 if self.depth % (2 * self.group) == self.group else self.group)

    @property
    def operand_bytes(self) -> int:
        """Shared memory of two buffers of both operands."""
        return 2 * self.element_bytes * (self.rows * self.pitch + self.depth * self.columns)

    @property
    def shared_bytes(self) -> int:
        """Shared memory of a block: operands, and the slices' sums."""
        return self.operand_bytes + self.sums_bytes

    @property
    def registers(self) -> int:
        """Registers of a thread, about: sums, a group's operands, what is under way, and addresses.

        For MobileNetV1 1.0 224 nvcc takes 0.4 to 1.4 times as many, mostly fewer.
        """
        sums = self.warp_rows * self.warp_columns // gpu.WARP
        under_way = self.depth * (self.rows + self.columns) / self.threads * self.element_bytes / _REGISTER_BYTES
        return int(sums + 8 * self.down + 8 + under_way + 44)

    def rate(self, limits: GpuLimits) -> float:
        """Return the multiply-adds of an SM in a cycle."""
        return limits.half_multiply_adds

    def turn(self, limits: GpuLimits) -> Turn:
        """Return what a turn takes of an SM, part by part."""
        warps, groups = self.threads / limits.warp, self.depth // self.slices // self.group
        loads, products = 2 * self.down + self.across, 2 * self.down * self.across
        bytes_moved = self.depth * (self.rows + self.columns) * self.element_bytes
        staged = bytes_moved / _HELD_BYTES / self.threads
        issued = warps * (groups * (loads + products) + 3 * staged + tiles.TURN_INSTRUCTIONS)
        steps = _STEPS_BYTES // self.element_bytes * self.NUMBERS
        one_cycles = _ROWS * _COLUMNS * steps * gpu.SCHEDULERS / self.rate(limits)
        busy = products * one_cycles * max(1.0, warps / gpu.SCHEDULERS)
        return Turn(
            multiply=self.rows * self.columns * self.depth * self.NUMBERS / self.rate(limits),
            instructions=issued / gpu.SCHEDULERS,
            shared=(warps * groups * loads * gpu.WARP * _HELD_BYTES + bytes_moved) / tiles.SHARED_BYTES_A_CYCLE,
            moved=bytes_moved / limits.l2_bytes,
            alone=groups * max(busy, tiles.NEAR_CYCLES + _LATENCY_CYCLES) + tiles.BARRIER_CYCLES,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ByteMmaTile(MmaTile):
    """The tiling of a matrix product of bytes on tensor cores; steps are words of four."""

    OPERAND: ClassVar[str] = byte_words.TYPE
    NUMBERS: ClassVar[int] = byte_words.WORD
    SIZES = MmaTile.SIZES._replace(depths=(16, 32, 64))

    def rate(self, limits: GpuLimits) -> float:
        """Return the multiply-adds of an SM in a cycle."""
        return limits.byte_multiply_adds


class MmaBlock(ThreadBlock[MmaTile]):
    """Writes a block of warps of which each has a tile of its own."""

    @property
    def _kind(self) -> tuple[str, ...]:
        """The instruction's shape, and the order and types of rows, columns and sums."""
        return "m16n8k16", "row", "col", "fp16", "fp16", "fp32"

    def pack(self, weights: np.ndarray) -> np.ndarray:
        """Return weights as (panel, group of steps, instruction, thread, step), padded with zeros.

        Thread 4n + t of an instruction has the steps from 8t on of the group, and of `beside` instructions' columns the
        one that its sums are of: see `_run`.
        """
        product, tile = self._product, self._tile
        steps = self._turns * tile.depth
        panels = -(-product.columns // tile.columns)
        whole = np.zeros((steps, panels * tile.columns), weights.dtype)
        whole[: product.reduction, : product.columns] = weights.reshape(product.reduction, product.columns)
        beside, held = tile.beside, tile.held
        # step = (group, thread across, step); column = (panel, run of instructions, thread, instruction, one of two)
        cut = whole.reshape(
            steps // tile.group, _ACROSS, held, panels, tile.columns // (_COLUMNS * beside), _COLUMNS // 2, beside, 2
        )
        group, across, step, panel, run, pair, instruction, one = range(8)
        order = (panel, group, run, instruction, pair, one, across, step)
        return np.ascontiguousarray(cut.transpose(order)).ravel()

    def _declare(self) -> None:
        tile = self._tile
        self._shared = gpu.shared(tile.operand_bytes // tile.element_bytes, tile.OPERAND)
        if tile.slices > 1:
            self._partial = gpu.shared(tile.sums_bytes // gpu.FLOAT, self._sums_type)
        self._sums = gpu.registers(tile.down * tile.across * _SUMS, self._sums_type)
        gpu.zero(self._sums, tile.down * tile.across * _SUMS)
        within, self._slice = self._of_slice()
        lane, warp = tirx.floormod(within, gpu.WARP), tirx.floordiv(within, gpu.WARP)
        self._lane = emit.named(lane)
        self._lane_row = emit.named(tirx.floordiv(lane, _ACROSS))
        self._lane_column = emit.named(tirx.floormod(lane, _ACROSS))
        warps_across = tile.columns // tile.warp_columns
        self._warp_row = emit.named(tirx.floordiv(warp, warps_across) * tile.warp_rows)
        self._warp_column = emit.named(tirx.floormod(warp, warps_across) * tile.warp_columns)

    # -------------------------------------------------------------------------------------------------------- the turns
    def _put_row(self, buffer: Any, row: Any, step: Any, values: Any, first: int, count: int) -> None:
        emit.store(self._shared, emit.vector(values, first, count), self._rows_at(buffer, row) + step, count)

    def _put_weights(self, buffer: Any, place: Any, values: Any, first: int) -> None:
        held = self._tile.held
        emit.store(self._shared, emit.vector(values, first, held), self._weights_at(buffer) + place, held)

    def _rows_at(self, buffer: Any, row: Any) -> Any:
        return buffer * (self._tile.rows * self._tile.pitch) + row * self._tile.pitch

    def _weights_at(self, buffer: Any) -> Any:
        tile = self._tile
        return 2 * tile.rows * tile.pitch + buffer * (tile.depth * tile.columns)

    def _multiply(self, buffer: Any) -> None:
        tile, held = self._tile, self._tile.held
        groups = tile.depth // tile.slices // tile.group
        left = gpu.registers(tile.down * 2 * held, tile.OPERAND)
        right = gpu.registers(held, tile.OPERAND)
        with gpu.each(groups) as number:
            group = number + self._slice * groups
            for i in range(tile.down):
                self._bring_rows(left, i * 2 * held, buffer, i * _ROWS, group)
            for j in range(tile.across):
                place = group * tile.columns + self._warp_column + j * _COLUMNS
                place = self._weights_at(buffer) + place * tile.group + self._lane * held
                emit.store(right, emit.vector(self._shared, place, held), 0, held)
                for i, half in itertools.product(range(tile.down), range(2)):
                    first = (i * 2 + half) * held
                    self._instruction(left, first, right, half * held // 2, (i * tile.across + j) * _SUMS)

    def _bring_rows(self, left: Any, first: int, buffer: Any, row: int, group: Any) -> None:
        """Load what two instructions take of the rows: pairs of steps of a row, and of the eighth row after it."""
        tile, held = self._tile, self._tile.held
        near, far = gpu.registers(held, tile.OPERAND), gpu.registers(held, tile.OPERAND)
        for array, below in ((near, 0), (far, _ROWS // 2)):
            own = self._warp_row + self._lane_row + (row + below)
            place = self._rows_at(buffer, own) + group * tile.group + self._lane_column * held
            emit.store(array, emit.vector(self._shared, place, held), 0, held)
        own = _REGISTER_BYTES // tile.element_bytes
        for number, (offset, array) in itertools.product(range(held // own), ((0, near), (own, far))):
            emit.store(left, emit.vector(array, own * number, own), first + 2 * own * number + offset, own)

    def _instruction(self, left: Any, left_at: int, right: Any, right_at: int, sums_at: int) -> None:
        """Add a product of a warp's registers to its sums; PTX ISA, "Matrix Fragments for mma.m16n8k16", and k32."""
        T.evaluate(
            T.ptx_legacy.mma(
                *self._kind, left.data, left_at, right.data, right_at, self._sums.data, sums_at, False,
                dtype=self._sums_type,
            )
        )  # fmt: skip

    # ---------------------------------------------------------------------------------------------------------- the end
    def _finish(self, load: Callable[..., Any], target: Any) -> None:
        count = 2 * self._tile.beside
        run = gpu.registers(count, self._sums_type)
        for row, column, indices in self._runs():
            for number, index in enumerate(indices):
                T.buffer_store(run, self._sums[index], [number])
            self._store(load, target, row, column, count, run, 0)

    def _put_sums(self) -> None:
        tile = self._tile
        for row, column, indices in self._runs():
            place = self._slice * (tile.rows * tile.columns) + row * tile.columns + column
            for number in range(0, len(indices), 2):
                emit.store(self._partial, emit.vector(self._sums, indices[number], 2), place + number, 2)

    def _runs(self) -> Iterator[tuple[Any, Any, list[int]]]:
        """Yield row, column and indices of the thread's sums that lie side by side in a row.

        Of each instruction a thread has two columns, of its row and of the eighth after it.
        """
        tile = self._tile
        for i, below, first in itertools.product(range(tile.down), range(2), range(0, tile.across, tile.beside)):
            row = self._warp_row + self._lane_row + (i * _ROWS + below * _ROWS // 2)
            column = self._warp_column + first * _COLUMNS + self._lane_column * (2 * tile.beside)
            blocks = range(first, first + tile.beside)
            yield row, column, [(i * tile.across + j) * _SUMS + 2 * below + one for j in blocks for one in range(2)]


class ByteMmaBlock(MmaBlock):
    """Writes a block of warps that multiply bytes."""

    def __init__(self, kernel: Kernel, product: Matmul, tile: MmaTile) -> None:
        self._weights = WordWeights.of(kernel, product)
        super().__init__(kernel, self._weights.product(product.rows, product.dtype), tile)

    @property
    def _kind(self) -> tuple[str, ...]:
        return "m16n8k32", "row", "col", self._product.dtype, "int8", "int32"

    @property
    def packed_elements(self) -> int:
        """How many numbers packed weights are, with what sums begin with."""
        return byte_words.WORD * (super().packed_elements + self._weights.more)

    def pack(self, weights: np.ndarray) -> np.ndarray:
        """Return weights as `MmaBlock.pack` does, in words; behind them is what sums begin with."""
        return self._weights.packed(super().pack(self._weights.in_words(weights)), weights)

    def _seen(self, weights: Any) -> Any:
        self._view = byte_words.viewed(weights, self.packed_elements)
        return self._view

    def _begun(self, total: Any, column: Any) -> Any:
        return total + self._view[super().packed_elements + column] if self._weights.starts else total
