"""Fully connected layers of one row or a few: each weight is read once, so that reading them is all that counts.

A block makes `columns` outputs of all rows. Its threads share out the reduction in `slices`: a thread has four columns,
and every `slices`-th step. Weights are packed as (panel, step, column), so that in each step a block reads one run of
memory, four elements a thread; `_UNROLL` steps are under way at once. The sums of the slices meet in shared memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Epilogue, Matmul
from mbench.compile.machine import GpuLimits, KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.gpu import threads as gpu
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
    found = []
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


def _registers(product: Matmul) -> int:
    return gpu.QUAD * product.rows + _UNROLL * (gpu.QUAD + product.rows) + 32


def _shared_bytes(product: Matmul, columns: int, slices: int) -> int:
    return gpu.FLOAT * slices * product.rows * columns


def _cycles(product: Matmul, columns: int, slices: int, machine: KernelMachine, limits: GpuLimits) -> float:
    """Return the cycles of the busiest SM: its weights through memory, or waiting for each turn; then adding up."""
    blocks = -(-product.columns // columns)
    turns = -(-product.reduction // (slices * _UNROLL))
    share = -(-blocks // machine.cores)
    read = share * turns * slices * _UNROLL * columns * dtypes.of(product.dtype).bytes / limits.dram_bytes
    return max(read, turns * gpu.FAR_CYCLES) + gpu.FAR_CYCLES + slices.bit_length() * 100 * product.rows


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    product, limits = kernel.matmul, machine.limits
    if product is None or limits is None or product.rows > _MOST_ROWS or kernel.epilogue_of_sum is None:
        return None
    columns, slices = positive(parameters, "columns", "slices")
    shared_bytes = _shared_bytes(product, columns, slices)
    threads = columns // gpu.QUAD * slices
    if columns % gpu.QUAD or not limits.resident(
        threads=threads, registers=_registers(product), shared_bytes=shared_bytes
    ):
        raise ValueError(f"{columns} columns in {slices} slices are no quads, or over the GPU's limits")
    depth = slices * _UNROLL
    writer = emit.Writer(kernel, packed_elements=gpu.packed_elements(product, depth, columns))
    with writer.function() as arrays:
        _write(kernel, product, kernel.epilogue_of_sum, (columns, slices), arrays, writer.load)
    return KernelPlan(
        function=writer.result(),
        tile=f"{product.rows}x{columns}x{slices}",
        pack=partial(gpu.pack, product, depth, columns),
    )


def _write(
    kernel: Kernel,
    product: Matmul,
    epilogue: Epilogue,
    cut: tuple[int, int],
    arrays: list[Any],
    load: Callable[..., Any],
) -> None:
    """Write what a block does: each thread its steps, then all of them the sums."""
    (columns, slices), (source, weights, *_, target) = cut, arrays
    quads, area = columns // gpu.QUAD, product.rows * columns
    turns = -(-product.reduction // (slices * _UNROLL))
    with gpu.launch((-(-product.columns // columns),), quads * slices) as ((panel,), thread):
        part, quad = emit.named(tirx.floordiv(thread, quads)), emit.named(tirx.floormod(thread, quads) * gpu.QUAD)
        shared = gpu.shared(slices * area)
        sums = gpu.registers(product.rows * gpu.QUAD)
        gpu.zero(sums, product.rows * gpu.QUAD)
        start = emit.named(panel * (turns * slices * _UNROLL * columns) + quad)
        with T.serial(turns) as turn:
            _add_turn(product, sums, source, weights, (turn * (slices * _UNROLL) + part, start, slices, columns))
        for row in range(product.rows):
            emit.store(
                shared, emit.vector(sums, row * gpu.QUAD, gpu.QUAD), part * area + row * columns + quad, gpu.QUAD
            )
        places = [row * columns + quad + lane for row in range(product.rows) for lane in range(gpu.QUAD)]
        gpu.add_up(shared, part, slices, area, places)
        gpu.barrier()
        for first in range(0, area, quads * slices):
            _finish(kernel, product, epilogue, target, load, (shared, first + thread, panel * columns, columns))


def _add_turn(product: Matmul, sums: Any, source: Any, weights: Any, at: tuple[Any, Any, int, int]) -> None:
    """Read `_UNROLL` steps' weights and inputs, then multiply and add them."""
    first, start, slices, columns = at
    dtype = product.dtype
    taps, inputs = gpu.registers(_UNROLL * gpu.QUAD, dtype), gpu.registers(_UNROLL * product.rows, dtype)
    whole = product.reduction % (slices * _UNROLL) == 0
    with gpu.each(_UNROLL) as number:
        step = first + number * slices
        emit.store(taps, emit.vector(weights, start + step * columns, gpu.QUAD), number * gpu.QUAD, gpu.QUAD)
        for row in range(product.rows):
            there = None if whole else step < product.reduction
            value = gpu.guarded(there, source[step + row * product.reduction], 1, dtype)
            T.buffer_store(inputs, value, [number * product.rows + row])
    with gpu.each(_UNROLL) as number, gpu.each(product.rows) as row, gpu.each(gpu.QUAD) as lane:
        index = row * gpu.QUAD + lane
        value = gpu.wide(inputs[number * product.rows + row]) * gpu.wide(taps[number * gpu.QUAD + lane])
        T.buffer_store(sums, sums[index] + value, [index])


def _finish(
    kernel: Kernel,
    product: Matmul,
    epilogue: Epilogue,
    target: Any,
    load: Callable[..., Any],
    at: tuple[Any, Any, Any, int],
) -> None:
    """Write one element a thread to the output."""
    shared, element, start, columns = at
    row, column = tirx.floordiv(element, columns), start + tirx.floormod(element, columns)
    inside = tirx.And(element < product.rows * columns, column < product.columns)
    with gpu.where(inside):
        indices = emit.indices(kernel.parameter_shapes[-1], row, column)
        value = shared[element]
        if epilogue.start is not None:
            value = value + epilogue.start(indices, load)
        T.buffer_store(target, epilogue.finish(value, indices, load), [row * product.columns + column])
