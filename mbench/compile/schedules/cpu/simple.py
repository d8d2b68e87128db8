"""Rules for what only moves data, by TVM's own schedules: transposes, reshapes, activations left over."""

from __future__ import annotations

from collections.abc import Iterator

from tvm import tirx

from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.rule import KernelPlan, Parameters


def candidates(kernel: Kernel, _machine: KernelMachine) -> Iterator[Parameters]:
    """Yield the one way there is, for kernels that reduce nothing."""
    if kernel.anchor is None:
        yield {}


def build(kernel: Kernel, machine: KernelMachine, _parameters: Parameters) -> KernelPlan:
    """Make one pass over the output, in vectors, lines shared out to the threads."""
    schedule = kernel.schedule
    for name in kernel.blocks[:-1]:
        schedule.compute_inline(kernel.block(name))
    loops = schedule.get_loops(kernel.block(kernel.blocks[-1]))
    lanes = _dividing_lanes(int(schedule.get(loops[-1]).extent), machine.lanes())
    if lanes > 1:
        _, lane = schedule.split(loops[-1], [None, lanes])
        schedule.vectorize(lane)
    if len(loops) > 1:
        schedule.parallel(schedule.fuse(*loops[: max(1, len(loops) - 2)]))
    return KernelPlan(function=kernel.result())


def _dividing_lanes(extent: int, lanes: int) -> int:
    while extent % lanes:
        lanes //= 2
    return lanes


def fallback(kernel: Kernel, _machine: KernelMachine) -> tirx.PrimFunc:
    """Correct and slow: as TVM made it."""
    return kernel.function
