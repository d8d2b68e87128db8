"""Fully connected layers of one row or a few: each weight is read once, so that reading them is all that counts.

A block makes `columns` outputs of all rows. Its threads share out the reduction in `slices`: a thread has four columns,
and every `slices`-th step. Weights are packed as (panel, step, column), so that in each step a block reads one run of
memory, four elements a thread; `_UNROLL` steps are under way at once. The sums of the slices meet in shared memory.
Of bytes, a step is a word of four, and each product of words a dot product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Epilogue, Matmul
from mbench.compile.machine import GpuLimits, KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.gpu import byte_words
from mbench.compile.schedules.gpu import threads as gpu
from mbench.compile.schedules.gpu.byte_words import WordWeights
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive
from mbench.core import dtypes

_MOST_ROWS = 8
_COLUMNS = (8, 16, 32, 64)
_THREADS = (64, 128, 256, 512)
_UNROLL = 8


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield numbers of columns and slices, quickest first by the model of `_cycles`."""
    product, limits = kernel.matmul, machine.limits
    if product is None or limits is None or product.rows > _MOST_ROWS or kernel.epilogue_of_sum is None:
        return
    product, found = _in_elements(kernel, product), []
    for columns in _COLUMNS:
        for threads in _THREADS:
            slices = threads // (columns // gpu.QUAD)
            fits = limits.resident(
                threads=threads, registers=_registers(product), shared_bytes=_shared_bytes(product, columns, slices)
            )
            if fits and slices <= max(product.reduction, _THREADS[0] // (columns // gpu.QUAD)):
                found.append((_cycles(product, columns, slices, machine, limits), columns, slices))
    for _, columns, slices in sorted(found):
        yield {"columns": columns, "slices": slices}


def _in_elements(kernel: Kernel, product: Matmul) -> Matmul:
    """Return a product whose steps are elements that are multiplied at once: numbers, or words of bytes."""
    if not byte_words.takes(product.dtype):
        return product
    return WordWeights.of(kernel, product).product(product.rows, product.dtype)


def _element(product: Matmul) -> str:
    """Return the type of an element."""
    return byte_words.TYPE if byte_words.takes(product.dtype) else product.dtype


def _registers(product: Matmul) -> int:
    return gpu.QUAD * product.rows + _UNROLL * (gpu.QUAD + product.rows) + 32


def _shared_bytes(product: Matmul, columns: int, slices: int) -> int:
    return gpu.FLOAT * slices * product.rows * columns


def _cycles(product: Matmul, columns: int, slices: int, machine: KernelMachine, limits: GpuLimits) -> float:
    """Return the cycles of the busiest SM: its weights through memory, or waiting for each turn; then adding up."""
    blocks = -(-product.columns // columns)
    turns = -(-product.reduction // (slices * _UNROLL))
    share = -(-blocks // machine.cores)
    read = share * turns * slices * _UNROLL * columns * dtypes.width(_element(product)) / limits.dram_bytes
    return max(read, turns * gpu.FAR_CYCLES) + gpu.FAR_CYCLES + slices.bit_length() * 100 * product.rows


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    product, limits = kernel.matmul, machine.limits
    if product is None or limits is None or product.rows > _MOST_ROWS or kernel.epilogue_of_sum is None:
        return None
    columns, slices = positive(parameters, "columns", "slices")
    operands = (_DenseWords if byte_words.takes(product.dtype) else _DenseOperands)(
        kernel, product, columns, slices * _UNROLL
    )
    product = operands.product
    shared_bytes = _shared_bytes(product, columns, slices)
    threads = columns // gpu.QUAD * slices
    if columns % gpu.QUAD or not limits.resident(
        threads=threads, registers=_registers(product), shared_bytes=shared_bytes
    ):
        raise ValueError(f"{columns} columns in {slices} slices are no quads, or over the GPU's limits")
    writer = emit.Writer(kernel, packed_elements=operands.packed_elements)
    with writer.function() as arrays:
        _write(kernel, operands, kernel.epilogue_of_sum, (columns, slices), arrays, writer.load)
    return KernelPlan(
        function=writer.result(),
        tile=f"{product.rows}x{columns}x{slices}",
        pack=operands.pack,
    )


class _DenseOperands:
    """Rows and weights, element by element."""

    def __init__(self, kernel: Kernel, product: Matmul, columns: int, depth: int) -> None:
        self.product, self._columns, self._depth = _in_elements(kernel, product), columns, depth
        self.element, self.sums = _element(product), dtypes.sums(product.dtype)

    @property
    def packed_elements(self) -> int:
        """How many numbers packed weights are."""
        return gpu.packed_elements(self.product, self._depth, self._columns)

    def pack(self, weights: np.ndarray) -> np.ndarray:
        """Return weights as (panel, step, column)."""
        return gpu.pack(self.product, self._depth, self._columns, weights)

    def begin(self, source: Any, weights: Any) -> None:
        """Take the arrays to read."""
        self._source, self.weights = source, weights

    def load(self, step: Any, row: int) -> Any:
        """Return an element of a row; zero beyond the last."""
        there = None if self.product.reduction % self._depth == 0 else step < self.product.reduction
        return gpu.guarded(there, self._source[step + row * self.product.reduction], 1, self.element)

    def added(self, total: Any, value: Any, weight: Any) -> Any:
        """Return a sum with a product added."""
        return total + gpu.wide(value) * gpu.wide(weight)

    def begun(self, total: Any, _column: Any) -> Any:
        """Return the sum of a column with what is added to all of its sums."""
        return total


class _DenseWords(_DenseOperands):
    """Rows and weights of bytes."""

    def __init__(self, kernel: Kernel, product: Matmul, columns: int, depth: int) -> None:
        super().__init__(kernel, product, columns, depth)
        self._packed = WordWeights.of(kernel, product)

    @property
    def packed_elements(self) -> int:
        """How many numbers packed weights are, with what sums begin with."""
        return byte_words.WORD * (super().packed_elements + self._packed.more)

    def pack(self, weights: np.ndarray) -> np.ndarray:
        """Return weights as (panel, step, column), in words; behind them is what sums begin with."""
        return self._packed.packed(super().pack(self._packed.in_words(weights)), weights)

    def begin(self, source: Any, weights: Any) -> None:
        """Take the arrays to read, as words."""
        super().begin(source, byte_words.viewed(weights, self.packed_elements))
        self._view = byte_words.viewed(source, self.product.rows * self._packed.reduction)

    def load(self, step: Any, row: int) -> Any:
        """Return a word of a row; what lies beyond the last meets weights of 0."""
        given, whole = self._packed, self._packed.fills(self._depth)

        def position(number: Any) -> tuple[Any, Any]:
            return number + row * given.reduction, None if whole else number < given.reduction

        several = min(1, byte_words.at_once(given.reduction))
        return byte_words.loaded(self._source, self._view, position, given.own(step), several, 0)

    def added(self, total: Any, value: Any, weight: Any) -> Any:
        """Return a sum with a dot product added."""
        return byte_words.dot(value, weight, total, self.product.dtype)

    def begun(self, total: Any, column: Any) -> Any:
        """Return the sum of a column with what zero points add to it."""
        return total + self.weights[super().packed_elements + column] if self._packed.starts else total


def _write(
    kernel: Kernel,
    operands: _DenseOperands,
    epilogue: Epilogue,
    cut: tuple[int, int],
    arrays: list[Any],
    load: Callable[..., Any],
) -> None:
    """Write what a block does: each thread its steps, then all of them the sums."""
    (columns, slices), (source, weights, *_, target), product = cut, arrays, operands.product
    quads, area = columns // gpu.QUAD, product.rows * columns
    turns = -(-product.reduction // (slices * _UNROLL))
    with gpu.launch((-(-product.columns // columns),), quads * slices) as ((panel,), thread):
        operands.begin(source, weights)
        part, quad = emit.named(tirx.floordiv(thread, quads)), emit.named(tirx.floormod(thread, quads) * gpu.QUAD)
        shared = gpu.shared(slices * area, operands.sums)
        sums = gpu.registers(product.rows * gpu.QUAD, operands.sums)
        gpu.zero(sums, product.rows * gpu.QUAD)
        start = emit.named(panel * (turns * slices * _UNROLL * columns) + quad)
        with T.serial(turns) as turn:
            _add_turn(operands, sums, (turn * (slices * _UNROLL) + part, start, slices, columns))
        for row in range(product.rows):
            emit.store(
                shared, emit.vector(sums, row * gpu.QUAD, gpu.QUAD), part * area + row * columns + quad, gpu.QUAD
            )
        places = [row * columns + quad + lane for row in range(product.rows) for lane in range(gpu.QUAD)]
        gpu.add_up(shared, part, slices, area, places)
        gpu.barrier()
        for first in range(0, area, quads * slices):
            _finish(kernel, operands, epilogue, target, load, (shared, first + thread, panel * columns, columns))


def _add_turn(operands: _DenseOperands, sums: Any, at: tuple[Any, Any, int, int]) -> None:
    """Read `_UNROLL` steps' weights and inputs, then multiply and add them."""
    (first, start, slices, columns), rows = at, operands.product.rows
    taps, inputs = gpu.registers(_UNROLL * gpu.QUAD, operands.element), gpu.registers(_UNROLL * rows, operands.element)
    with gpu.each(_UNROLL) as number:
        step = first + number * slices
        emit.store(taps, emit.vector(operands.weights, start + step * columns, gpu.QUAD), number * gpu.QUAD, gpu.QUAD)
        for row in range(rows):
            T.buffer_store(inputs, operands.load(step, row), [number * rows + row])
    with gpu.each(_UNROLL) as number, gpu.each(rows) as row, gpu.each(gpu.QUAD) as lane:
        index = row * gpu.QUAD + lane
        value = operands.added(sums[index], inputs[number * rows + row], taps[number * gpu.QUAD + lane])
        T.buffer_store(sums, value, [index])


def _finish(
    kernel: Kernel,
    operands: _DenseOperands,
    epilogue: Epilogue,
    target: Any,
    load: Callable[..., Any],
    at: tuple[Any, Any, Any, int],
) -> None:
    """Write one element a thread to the output."""
    (shared, element, start, columns), product = at, operands.product
    row, column = tirx.floordiv(element, columns), start + tirx.floormod(element, columns)
    inside = tirx.And(element < product.rows * columns, column < product.columns)
    with gpu.where(inside):
        indices = emit.indices(kernel.parameter_shapes[-1], row, column)
        value = operands.begun(shared[element], column)
        if epilogue.start is not None:
            value = value + epilogue.start(indices, load)
        T.buffer_store(target, epilogue.finish(value, indices, load), [row * product.columns + column])
