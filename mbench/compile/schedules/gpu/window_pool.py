"""Pools of windows, the largest element or the mean: tiles as depthwise convolution's, without taps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Pooling
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.gpu import byte_words, depthwise
from mbench.compile.schedules.gpu import threads as gpu
from mbench.compile.schedules.gpu.depthwise import ByteZeros, SlidingThread
from mbench.compile.schedules.rule import KernelPlan, Parameters


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles, by the model of depthwise convolution."""
    if kernel.pooling is not None and kernel.epilogue_of_sum is not None:
        yield from depthwise.ranked(kernel.pooling.window, machine)


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    pool, epilogue = kernel.pooling, kernel.epilogue_of_sum
    if pool is None or epilogue is None or machine.limits is None:
        return None
    lines, columns, vector = depthwise.checked(pool.window, parameters)
    zeros = _zeros(kernel, pool) if byte_words.takes(pool.window.dtype) else ByteZeros()
    writer = emit.Writer(kernel)
    with writer.function() as (source, *_, target):
        thread = (_LargestThread if pool.largest else _SumThread)(pool.window, epilogue, lines, columns, vector, zeros)
        thread.write(source, None, target, writer.load)
    return KernelPlan(function=writer.result(), tile=f"{lines}x{columns}x{vector}")


def _zeros(kernel: Kernel, pool: Pooling) -> ByteZeros:
    """Return what pads an image of bytes, and what is taken off them."""
    if pool.largest:
        return ByteZeros(outside=int(np.iinfo(pool.window.dtype).min))
    return ByteZeros(outside=kernel.reduced_zero_point, of_input=kernel.reduced_zero_point)


class _SumThread(SlidingThread):
    """Adds up what windows hold."""

    def _add_line(self, sums: Any, line: Any, _taps: Any, _weights: Any, at: tuple[int, int, Any]) -> None:
        conv, vector, first = self._conv, self._vector, at[0] * self._columns * self._vector
        with gpu.each(conv.kernel_width) as kx, gpu.each(self._columns) as column, gpu.each(vector) as lane:
            index = first + column * vector + lane
            place = column * conv.strides[1] + (kx if conv.dilation[1] == 1 else kx * conv.dilation[1])
            value = self._pixel(line, place, lane)
            T.buffer_store(sums, self._taken(sums[index], value), [index])

    def _taken(self, total: Any, value: Any) -> Any:
        return total + value


class _LargestThread(_SumThread):
    """Keeps the largest element of each window."""

    def _begin(self, sums: Any, count: int) -> None:
        with gpu.each(count) as index:
            T.buffer_store(sums, tirx.min_value(self._sums_type), [index])

    def _outside(self) -> Any:
        return tirx.min_value(self._conv.dtype)

    def _taken(self, total: Any, value: Any) -> Any:
        return tirx.max(total, value)

    def _total(self, value: Any) -> Any:
        return value.astype(self._conv.dtype)
