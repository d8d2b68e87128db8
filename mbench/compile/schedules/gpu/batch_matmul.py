"""Matrix products whose operands are computed, as in attention: tiles in shared memory, operands as they lie.

A block of 16 x 16 threads makes `rows` x `columns` elements of one product, a thread every sixteenth of both. In turns
it brings 16 steps of the reduction of both operands into shared memory, zeros where they end.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import BatchMatmul, Epilogue
from mbench.compile.machine import GpuLimits, KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.gpu import threads as gpu
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive
from mbench.core import dtypes

_SIDE = 16
_THREADS = _SIDE * _SIDE
_DEPTH = 16
_SIZES = (16, 32, 64)
_PAD = 1
"""Elements between the rows of the left operand in shared memory, so that threads below each other meet no bank."""


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles, quickest first by the model of `_cycles`."""
    product, limits = kernel.batch_matmul, machine.limits
    if product is None or limits is None or kernel.epilogue_of_sum is None:
        return
    found = []
    for rows, columns in itertools.product(_SIZES, _SIZES):
        if _fits(product, rows, columns, limits):
            found.append((_cycles(product, rows, columns, machine, limits), rows, columns))
    for _, rows, columns in sorted(found):
        yield {"rows": rows, "columns": columns}


def _shared_elements(rows: int, columns: int) -> int:
    return rows * (_DEPTH + _PAD) + _DEPTH * columns


def _resident(product: BatchMatmul, rows: int, columns: int, limits: GpuLimits) -> int:
    own = (rows // _SIDE) * (columns // _SIDE)
    return limits.resident(
        threads=_THREADS,
        registers=2 * own + 40,
        shared_bytes=_shared_elements(rows, columns) * dtypes.of(product.dtype).bytes,
    )


def _fits(product: BatchMatmul, rows: int, columns: int, limits: GpuLimits) -> bool:
    return rows in _SIZES and columns in _SIZES and bool(_resident(product, rows, columns, limits))


def _cycles(product: BatchMatmul, rows: int, columns: int, machine: KernelMachine, limits: GpuLimits) -> float:
    """Return the cycles of the busiest SM: waves of blocks, each turn a wait for memory and its multiply-adds."""
    blocks = product.batch * -(-product.rows // rows) * -(-product.columns // columns)
    share = -(-blocks // machine.cores)
    held = min(share, _resident(product, rows, columns, limits))
    turn = max(gpu.FAR_CYCLES, held * rows * columns * _DEPTH / limits.multiply_adds)
    return -(-share // held) * (-(-product.reduction // _DEPTH) * turn + gpu.FAR_CYCLES)


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    product, epilogue, limits = kernel.batch_matmul, kernel.epilogue_of_sum, machine.limits
    if product is None or epilogue is None or limits is None:
        return None
    rows, columns = positive(parameters, "rows", "columns")
    if not _fits(product, rows, columns, limits):
        raise ValueError(f"a tile of {rows} rows x {columns} columns is none of {_SIZES}, or over the GPU's limits")
    writer = emit.Writer(kernel)
    with writer.function() as arrays:
        _ProductBlock(product, epilogue, kernel.parameter_shapes[-1], rows, columns).write(arrays, writer.load)
    return KernelPlan(function=writer.result(), tile=f"{rows}x{columns}x{_DEPTH}")


class _ProductBlock:
    """Writes what a block of threads does."""

    def __init__(self, product: BatchMatmul, epilogue: Epilogue, shape: Sequence[int], rows: int, columns: int) -> None:
        self._product, self._epilogue, self._shape = product, epilogue, shape
        self._rows, self._columns = rows, columns
        self._down, self._across = rows // _SIDE, columns // _SIDE

    def write(self, arrays: list[Any], load: Callable[..., Any]) -> None:
        """Write the grid, the turns and the end."""
        product = self._product
        tiles = -(-product.rows // self._rows)
        grid = (product.batch * tiles, -(-product.columns // self._columns))
        with gpu.launch(grid, _THREADS) as ((block, panel), thread):
            number = emit.named(tirx.floordiv(block, tiles))
            self._row = emit.named(tirx.floormod(block, tiles) * self._rows)
            self._column = emit.named(panel * self._columns)
            lead = list(map(emit.named, emit.unraveled(number, product.lead)))
            left = emit.named(emit.matrix_of(lead, product.left) * (product.rows * product.reduction))
            right = emit.named(emit.matrix_of(lead, product.right) * (product.reduction * product.columns))
            own, other = emit.named(tirx.floordiv(thread, _SIDE)), emit.named(tirx.floormod(thread, _SIDE))
            shared = (
                gpu.shared(self._rows * (_DEPTH + _PAD), product.dtype),
                gpu.shared(_DEPTH * self._columns, product.dtype),
            )
            sums = gpu.registers(self._down * self._across)
            gpu.zero(sums, self._down * self._across)
            with T.serial(-(-product.reduction // _DEPTH)) as turn:
                self._fetch(shared, arrays, (left, right), thread, emit.named(turn * _DEPTH))
                gpu.barrier()
                self._multiply(shared, sums, own, other)
                gpu.barrier()
            self._finish(sums, arrays[-1], load, (number, lead, own, other))

    def _fetch(
        self, shared: tuple[Any, Any], arrays: list[Any], starts: tuple[Any, Any], thread: Any, step: Any
    ) -> None:
        """Bring both operands' steps from `step` on into shared memory."""
        product = self._product
        for first in range(0, self._rows * _DEPTH, _THREADS):
            element = thread + first
            row, k = tirx.floordiv(element, _DEPTH), tirx.floormod(element, _DEPTH)
            there = gpu.both(self._row + row < product.rows, step + k < product.reduction)
            place = starts[0] + (self._row + row) * product.reduction + (step + k)
            value = gpu.guarded(there, arrays[0][place], 1, product.dtype)
            T.buffer_store(shared[0], value, [row * (_DEPTH + _PAD) + k])
        for first in range(0, self._columns * _DEPTH, _THREADS):
            element = thread + first
            k, column = tirx.floordiv(element, self._columns), tirx.floormod(element, self._columns)
            there = gpu.both(step + k < product.reduction, self._column + column < product.columns)
            place = starts[1] + (step + k) * product.columns + (self._column + column)
            value = gpu.guarded(there, arrays[1][place], 1, product.dtype)
            T.buffer_store(shared[1], value, [k * self._columns + column])

    def _multiply(self, shared: tuple[Any, Any], sums: Any, own: Any, other: Any) -> None:
        """Add the multiply-adds of a turn's steps."""
        with gpu.each(_DEPTH) as k, gpu.each(self._down) as i, gpu.each(self._across) as j:
            left = gpu.wide(shared[0][(own + i * _SIDE) * (_DEPTH + _PAD) + k])
            right = gpu.wide(shared[1][k * self._columns + other + j * _SIDE])
            index = i * self._across + j
            T.buffer_store(sums, sums[index] + left * right, [index])

    def _finish(self, sums: Any, target: Any, load: Callable[..., Any], place: tuple[Any, list[Any], Any, Any]) -> None:
        """Write the thread's elements to the output, if they are in it."""
        product, (number, lead, own, other) = self._product, place
        for i, j in itertools.product(range(self._down), range(self._across)):
            row, column = emit.named(self._row + own + i * _SIDE), emit.named(self._column + other + j * _SIDE)
            with gpu.where(tirx.And(row < product.rows, column < product.columns)):
                indices = [*lead[len(lead) - (len(self._shape) - 2) :], row, column]
                value = sums[i * self._across + j]
                if self._epilogue.start is not None:
                    value = value + self._epilogue.start(indices, load)
                at = (number * product.rows + row) * product.columns + column
                T.buffer_store(target, self._epilogue.finish(value, indices, load), [at])
