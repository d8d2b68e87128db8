"""The fall-back: any kernel, by TVM's own schedules. Correct, shared out to the threads, in vectors where lines allow.

Each block is a pass of its own, but for what works element by element between two others. Its lines are shared out; of
what it reduces, a vector of the last axis is summed up before the next is begun.
"""

from __future__ import annotations

import math
from typing import Any

from tvm import tirx
from tvm.s_tir.schedule import ScheduleError

from mbench.compile.expressions import is_reduction
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import tiling

_UNVECTORIZED = 2
"""Lanes up to which a line is left to LLVM, which finds vectors of any length in simple ones."""


def fallback(kernel: Kernel, machine: KernelMachine) -> tirx.PrimFunc:
    """Schedule a kernel block by block; what TVM refuses of it is left as it is."""
    _inline(kernel)
    for name in kernel.blocks:
        try:
            block = kernel.block(name)
        except ScheduleError:  # it is part of another by now
            continue
        _spread(kernel, block, machine)
    return kernel.result()


def _inline(kernel: Kernel) -> None:
    """Compute what reduces nothing where it is read, unless that reduces: it would be computed many times."""
    for name in kernel.blocks[:-1]:
        block = kernel.block(name)
        if _reduces(kernel, block) or any(_reduces(kernel, each) for each in kernel.schedule.get_consumers(block)):
            continue
        try:
            kernel.schedule.compute_inline(block)
        except ScheduleError:
            continue


def _reduces(kernel: Kernel, block: Any) -> bool:
    return any(map(is_reduction, kernel.schedule.get(block).iter_vars))


def _spread(kernel: Kernel, block: Any, machine: KernelMachine) -> None:
    """Share a block out to the threads, and take its last axis in vectors."""
    schedule = kernel.schedule
    loops, axes = schedule.get_loops(block), schedule.get(block).iter_vars
    if len(loops) != len(axes):
        return
    spatial = [loop for loop, axis in zip(loops, axes, strict=True) if not is_reduction(axis)]
    reduced = [loop for loop, axis in zip(loops, axes, strict=True) if is_reduction(axis)]
    if not spatial:
        return
    work = math.prod(int(axis.dom.extent) for axis in axes)
    *outer, line = spatial
    lanes = _dividing_lanes(int(schedule.get(line).extent), machine.lanes())
    inner = [line]
    if lanes > _UNVECTORIZED:
        inner = list(schedule.split(line, [None, lanes]))
        schedule.vectorize(inner[-1])
        outer, inner = [*outer, *inner[:-1]], inner[-1:]
    if reduced:
        schedule.reorder(*outer, *reduced, *inner)
    if outer and work > tiling.MIN_TASK_CYCLES:
        schedule.parallel(schedule.fuse(*outer) if len(outer) > 1 else outer[0])
    if reduced:
        schedule.decompose_reduction(block, reduced[0])


def _dividing_lanes(extent: int, lanes: int) -> int:
    while extent % lanes:
        lanes //= 2
    return lanes
