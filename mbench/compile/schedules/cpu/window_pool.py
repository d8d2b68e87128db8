"""Pools of windows, the largest element or the mean: tiles that slide over each channel, as `sliding` has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tvm import tirx

from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import depthwise, sliding, tiling
from mbench.compile.schedules.cpu.sliding import SlidingLayer
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles and task grids, by the model of depthwise convolution."""
    if kernel.pooling is not None and kernel.epilogue_of_sum is not None:
        yield from depthwise.ranked(kernel.pooling.window, machine)


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    pool, epilogue = kernel.pooling, kernel.epilogue_of_sum
    if pool is None or epilogue is None:
        return None
    lines, rows, vectors = positive(parameters, "lines", "rows", "vectors")
    grid = positive(parameters, "line_parts", "panel_parts")
    lanes = tiling.vector_lanes(pool.window.channels, machine)
    width = sliding.checked_width(pool.window, lines, rows, vectors, lanes)
    writer = emit.Writer(kernel)
    with writer.function() as arrays:
        layer = (_LargestLayer if pool.largest else _SumLayer)(writer, epilogue, pool.window, arrays, vectors, lanes)
        layer.write(rows, lines, -(-pool.window.channels // width), grid)
    return KernelPlan(
        function=writer.result(), tile=sliding.tile_name(lines, rows, vectors, lanes), lanes=lanes
    )  # fmt: skip


class _SumLayer(SlidingLayer):
    """Adds up what windows hold."""

    def _start(self, row: int, v: int, lane: Any, rows: int, place: tuple[Any, Any, Any, Any]) -> Any:
        start = self._epilogue.start
        if start is None:
            return tirx.const(0, "float32")
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
        sums.add(row, v, value)


class _LargestLayer(_SumLayer):
    """Keeps the largest element of each window."""

    def _start(self, _row: int, _v: int, _lane: Any, _rows: int, _place: tuple[Any, Any, Any, Any]) -> Any:
        return tirx.min_value("float32")

    def _take(self, sums: emit.Accumulators, row: int, v: int, value: Any) -> None:
        sums.keep_largest(row, v, value)
