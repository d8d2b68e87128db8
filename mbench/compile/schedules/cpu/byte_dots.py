"""Which dot product of bytes a kernel has on a machine, if any: the quickest that is exact for it."""

from __future__ import annotations

from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import arm_dots, x86_dots
from mbench.compile.schedules.cpu.dots import DotProduct
from mbench.core import dtypes


def of(kernel: Kernel, machine: KernelMachine) -> DotProduct | None:
    """Return how a kernel's bytes are multiplied by its weights; None for other kernels, and where a machine cannot."""
    if not machine.dots or kernel.dtype not in dtypes.EIGHT_BITS or kernel.epilogue_of_sum is None:
        return None
    if machine.broadcasts_from_memory:
        return x86_dots.of(kernel, machine)
    return arm_dots.of(kernel, machine)
