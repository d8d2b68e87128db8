"""Pools of windows, the largest element or the mean: tiles that slide over each channel, as `sliding` has them.

Of 8-bit values, the largest are found in their own type, and sums are of int32.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from tvm import tirx

from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import depthwise, float_sums, sliding, tiling
from mbench.compile.schedules.cpu.sliding import SlidingLayer
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive
from mbench.core import dtypes

_BYTES_IN_LANE = 4


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles and task grids, by the model of depthwise convolution."""
    if kernel.pooling is not None and kernel.epilogue_of_sum is not None:
        yield from depthwise.ranked(kernel.pooling.window, _in_lanes(kernel, machine))


def _in_lanes(kernel: Kernel, machine: KernelMachine) -> KernelMachine:
    """Return a machine whose vectors have as many elements as a kernel's: four times as many where they are bytes."""
    if kernel.dtype == float_sums.HALF and kernel.anchor != "pool_max":
        return float_sums.whole_registers(machine)
    if kernel.dtype not in dtypes.EIGHT_BITS or kernel.anchor != "pool_max":
        return machine
    return dataclasses.replace(machine, vector_bits=_BYTES_IN_LANE * machine.vector_bits)


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    pool, epilogue = kernel.pooling, kernel.epilogue_of_sum
    if pool is None or epilogue is None:
        return None
    lines, rows, vectors = positive(parameters, "lines", "rows", "vectors")
    grid = positive(parameters, "line_parts", "panel_parts")
    lanes = tiling.vector_lanes(pool.window.channels, _in_lanes(kernel, machine), pool.window.dtype)
    width = sliding.checked_width(pool.window, lines, rows, vectors, lanes)
    writer = emit.Writer(kernel)
    with writer.function() as arrays:
        kind = _LargestLayer if pool.largest else _SumLayer
        layer = kind(kernel, writer, epilogue, pool.window, arrays, vectors, lanes)
        layer.write(rows, lines, -(-pool.window.channels // width), grid)
    return KernelPlan(
        function=writer.result(), tile=sliding.tile_name(lines, rows, vectors, lanes), lanes=lanes
    )  # fmt: skip


class _SumLayer(SlidingLayer):
    """Adds up what windows hold."""

    def __init__(self, kernel: Kernel, *given: Any) -> None:
        super().__init__(*given)
        stored = str(kernel.store(kernel.anchor).buffer.dtype)
        self._sums = stored if stored in dtypes.EIGHT_BITS else dtypes.sums(stored)
        self._is_wider, self._zero = self._sums != kernel.dtype, kernel.reduced_zero_point

    def _start(self, row: int, v: int, lane: Any, rows: int, place: tuple[Any, Any, Any, Any]) -> Any:
        start = self._epilogue.start
        if start is None:
            return tirx.const(0, self._sums)
        return start(self._indices(row, v, lane, rows, place), self._load)

    def _first_tap(self, _panel: Any) -> Any:
        return 0

    def _line_of_taps(self, tap: Any, _ky: Any) -> Any:
        return tap

    def _add_line(self, sums: emit.Accumulators, run: tiling.Run, down: int, start: Any, _tap: Any) -> None:
        for kx in range(self._conv.kernel_width):
            for v in range(self._vectors):
                for r in range(run.size):
                    if run.inside[kx][r]:
                        self._take(sums, down * run.size + r, v, self._inputs(start, r, kx, v))

    def _take(self, sums: emit.Accumulators, row: int, v: int, value: Any) -> None:
        if self._is_wider:
            value = value.astype(self._sums if self._lanes == 1 else f"{self._sums}x{self._lanes}")
        sums.add(
            row, v, value - emit.broadcast(tirx.const(self._zero, self._sums), self._lanes) if self._zero else value
        )


class _LargestLayer(_SumLayer):
    """Keeps the largest element of each window."""

    def _start(self, _row: int, _v: int, _lane: Any, _rows: int, _place: tuple[Any, Any, Any, Any]) -> Any:
        return tirx.min_value(self._sums)

    def _take(self, sums: emit.Accumulators, row: int, v: int, value: Any) -> None:
        sums.keep_largest(row, v, value)
