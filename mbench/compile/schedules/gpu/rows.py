"""Kernels that reduce along rows, such as softmax and layer norm: `threads` threads a row share out its columns.

They meet in shared memory for each reduction. Functions are computed again where they are read: cheaper than memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.machine import GpuLimits, KernelMachine
from mbench.compile.rows import RowChain, RowStep
from mbench.compile.schedules import emit
from mbench.compile.schedules.gpu import threads as gpu
from mbench.compile.schedules.row_values import COMBINE, LEAST, RowValues
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive

_THREADS = (32, 64, 128, 256, 512)
_BLOCK = 128
"""Threads of a block, at least: short rows share one."""
_REGISTERS = 40
_STEP_CYCLES = 60
"""Of a barrier with what is done between two: a guess."""


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield numbers of threads, quickest first by the model of `_cycles`."""
    chain, limits = kernel.rows, machine.limits
    if chain is None or limits is None:
        return
    found = [
        (_cycles(chain, threads, machine, limits), threads)
        for threads in _THREADS
        if threads == _THREADS[0] or threads <= chain.columns
    ]
    for _, threads in sorted(found):
        yield {"threads": threads}


def _rows(threads: int) -> int:
    """Return how many rows a block has."""
    return max(1, _BLOCK // threads)


def _cycles(chain: RowChain, threads: int, machine: KernelMachine, limits: GpuLimits) -> float:
    """Return the cycles of the busiest SM: waves of blocks, each as long as its loads and its trees."""
    block = _rows(threads) * threads
    share = -(-chain.rows // (_rows(threads) * machine.cores))
    held = min(share, limits.resident(threads=block, registers=_REGISTERS, shared_bytes=block * gpu.FLOAT))
    turns, reductions = -(-chain.columns // threads), sum(step.reduces is not None for step in chain.steps)
    waiting = (reductions + 1) * gpu.FAR_CYCLES * -(-turns // 4) + reductions * threads.bit_length() * _STEP_CYCLES
    return -(-share // held) * max(waiting, held * block / limits.warp * turns * len(chain.steps) * 4)


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    chain, limits = kernel.rows, machine.limits
    if chain is None or limits is None:
        return None
    (threads,) = positive(parameters, "threads")
    if threads not in _THREADS:
        raise ValueError(f"{threads} threads a row are none of {', '.join(map(str, _THREADS))} within the limits")
    rows = _rows(threads)
    writer = emit.Writer(kernel)
    with (
        writer.function() as arrays,
        gpu.launch((-(-chain.rows // rows),), rows * threads) as ((block,), thread),
    ):
        own, part = emit.named(tirx.floordiv(thread, threads)), emit.named(tirx.floormod(thread, threads))
        number = emit.named(block * rows + own)
        row = number if chain.rows % rows == 0 else emit.named(tirx.min(number, chain.rows - 1))
        values = RowValues(chain, kernel.function.params, arrays, row, emit.named(row * chain.columns))
        there = None if chain.rows % rows == 0 else number < chain.rows
        _RowThread(values, threads, rows, (own, part)).write(there)
    return KernelPlan(function=writer.result(), tile=f"{rows}x{threads}")


class _RowThread:
    """Writes what a thread does for its row."""

    def __init__(self, values: RowValues, threads: int, rows: int, place: tuple[Any, Any]) -> None:
        self._values, self._chain, self._threads = values, values.chain, threads
        self._own, self._part = place
        self._shared = gpu.shared(rows * threads)
        self._sum = gpu.registers(1)

    def write(self, there: Any) -> None:
        """Write all steps; what lies in no row is computed of the last one, and not written."""
        values = self._values
        *before, last = self._chain.steps
        for step in before:
            if not step.whole:
                values.numbers.append((step.buffer, self._number(step)))
        if not last.whole:
            number = self._number(last)
            with gpu.where(gpu.both(there, self._part < 1)):
                T.buffer_store(values.target, number, [values.row])
            return
        with T.serial(self._turns) as turn:
            column = turn * self._threads + self._part
            with gpu.where(gpu.both(there, self._inside(column))):
                T.buffer_store(values.target, values.value(last, column), [values.start + column])

    @property
    def _turns(self) -> int:
        return -(-self._chain.columns // self._threads)

    def _inside(self, column: Any) -> Any:
        return None if self._chain.columns % self._threads == 0 else column < self._chain.columns

    def _number(self, step: RowStep) -> Any:
        """Return what a step computes of the row, in a register of each of its threads."""
        values = self._values
        if step.reduces is None:
            return emit.named(values.value(step, 0))
        combine = COMBINE[step.reduces]
        T.buffer_store(self._sum, LEAST[step.reduces], [0])
        with T.serial(self._turns) as turn:
            column = turn * self._threads + self._part
            with gpu.where(self._inside(column)):
                T.buffer_store(self._sum, combine(self._sum[0], values.value(step, column)), [0])
        first = emit.named(self._own * self._threads)
        place = emit.named(first + self._part)
        T.buffer_store(self._shared, self._sum[0], [place])
        half = self._threads // 2
        while half:
            gpu.barrier()
            with gpu.where(self._part < half):
                both = combine(self._shared[place], self._shared[place + half])
                T.buffer_store(self._shared, both, [place])
            half //= 2
        gpu.barrier()
        number = emit.named(self._shared[first])
        gpu.barrier()  # the next reduction writes where this one is read
        return number
