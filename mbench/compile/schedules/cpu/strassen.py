"""Large matrix products by Strassen's algorithm: quarters are multiplied seven times instead of eight.

Rows, reduction and columns are halved; `strassen_layout` has the seven steps. The sums of quarters of the weights are
made when they are packed, those of the rows as a task begins. What a step multiplies is added to sums that wait in an
array, or finished as an output. A task takes some of the rows, whose halves lie side by side, and some of the panels;
where its rows are an odd number, both halves have the one in the middle. The arrays are the thread's own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile import tvm_passes
from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Epilogue, Matmul, float_bytes
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import matmul, tile_loops
from mbench.compile.schedules.cpu.strassen_layout import STEPS, SUMMED, StrassenSplit, StrassenStep, ranked, signed_sum
from mbench.compile.schedules.rule import KernelPlan, Parameters

_ENOUGH = 0.95
"""Of the time of the plain product, as the weights grow by three quarters, and rounding errors a little."""
_LEAST_MACS = 2**20
"""Multiply-adds of the smallest layers that were timed."""
_VECTOR_BITS = 256
"""Vectors for which it was timed and pays; with 512 bits, adding takes twice the share of multiplying."""
_UNROLL = 4
_CHUNK = 64
"""Most steps of the reduction between fetches of the weights that follow."""
_LINE_BYTES = 64


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles and tasks, quickest first by the model of `_cycles`."""
    product = _ours(kernel, machine)
    if product is not None:
        for _, parameters in ranked(product, machine):
            yield parameters


def pays(kernel: Kernel, machine: KernelMachine) -> bool:
    """Whether the cost models predict enough less time than the plain product takes."""
    product = _ours(kernel, machine)
    if product is None or product.rows * product.reduction * product.columns < _LEAST_MACS:
        return False
    ours, plain = ranked(product, machine), matmul.ranked(product, machine)
    return bool(ours and plain) and ours[0][0] < _ENOUGH * plain[0][0]


def _ours(kernel: Kernel, machine: KernelMachine) -> Matmul | None:
    """Return a product whose halves are whole vectors, on a machine of the kind that it was timed on."""
    product = kernel.matmul
    if product is None or kernel.epilogue_of_sum is None or product.rows == 1:
        return None
    if not machine.broadcasts_from_memory or machine.vector_bits > _VECTOR_BITS:
        return None
    whole = 2 * machine.lanes()
    return None if product.reduction % whole or product.columns % whole else product


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    product, epilogue = _ours(kernel, machine), kernel.epilogue_of_sum
    if product is None or epilogue is None:
        return None
    split = StrassenSplit.of(product, machine, parameters)
    writer = emit.Writer(kernel, packed_elements=len(STEPS) * len(split.starts) * split.depth * split.width)
    with writer.function() as arrays, emit.threads(split.row_parts * split.panel_parts):
        _StrassenLayer(writer, epilogue, kernel.parameter_shapes[-1], split, arrays).write()
    return KernelPlan(
        function=writer.result().with_attr(tvm_passes.OWN_ARRAYS, True),
        tile=f"{split.rows}x{split.vectors}x{split.lanes}",
        pack=lambda weights: split.pack(weights.reshape(product.reduction, product.columns)),
        transforms=True,
        lanes=split.lanes,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _QuarterRows:
    """Where a step reads rows: from `start` on, `apart` from each other."""

    array: Any
    start: Any
    apart: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class _PairTask:
    """Which pairs of rows a task has, and where both halves begin."""

    pair: Any
    pairs: Any
    halves: tuple[Any, Any]


class _StrassenLayer:
    """Writes the loops and the tiles of one layer."""

    def __init__(
        self, writer: emit.Writer, epilogue: Epilogue, shape: Sequence[int], split: StrassenSplit, arrays: list[Any]
    ) -> None:
        self._load, self._epilogue, self._shape, self._split = writer.load, epilogue, shape, split
        self._source, self._weights, self._target = arrays[0], arrays[1], arrays[-1]
        self._tasks = split.tasks
        most = self._tasks.most_rows
        self._added = [T.alloc_buffer((most * split.depth,), "float32") for _ in SUMMED]
        self._kept = [T.alloc_buffer((most * split.most_panels * split.width,), "float32") for _ in range(2)]
        self._made = None
        if split.panel_parts > 1:
            self._made = T.alloc_buffer((1,), "int32")
            T.buffer_store(self._made, -1, [0])

    def write(self) -> None:
        """Write the loops over tasks, steps, panels and tiles."""
        split, cut = self._split, self._tasks.cut
        panels = len(split.starts)
        with emit.tasks(cut.count, split.row_parts, panels, split.panel_parts) as ((tile, tiles), (first, count)):
            task = self._task(tile, tiles)
            self._add_up(task)
            for number, step in enumerate(STEPS):
                rows = self._rows(step, task)
                with emit.loop(count) as own:
                    panel = emit.named(first + own)
                    packed = emit.named((first * len(STEPS) + number * count + own) * (split.depth * split.width))
                    for start, size, at in tile_loops.shared(cut, tile, tiles):
                        place = (emit.named(start - task.pair), at - tile)
                        self._tile(step, rows, task, place, (own, panel, packed), size)

    def _task(self, tile: Any, tiles: Any) -> _PairTask:
        """Return a task: its pairs are rows that lie side by side, the first half of them and the second."""
        pair = emit.named(self._tasks.first_row(tile))
        pairs = emit.named(self._tasks.first_row(tile + tiles) - pair)
        second = 2 * pair + pairs
        if self._split.product.rows % 2:
            last = self._split.product.rows - pairs
            second = min(second, last) if isinstance(second, int) else tirx.min(second, last)
        halves = (emit.named(2 * pair), emit.named(second))
        return _PairTask(pair=pair, pairs=pairs, halves=halves)

    def _quarter(self, task: _PairTask, number: int) -> _QuarterRows:
        down, across = divmod(number, 2)
        whole = self._split.product.reduction
        start = emit.named(task.halves[down] * whole + across * self._split.depth)
        return _QuarterRows(array=self._source, start=start, apart=whole)

    def _rows(self, step: StrassenStep, task: _PairTask) -> _QuarterRows:
        """Return where the rows of a step lie."""
        if step.quarter is not None:
            return self._quarter(task, step.quarter)
        return _QuarterRows(array=self._added[SUMMED.index(step)], start=0, apart=self._split.depth)

    def _add_up(self, task: _PairTask) -> None:
        """Add up quarters of the rows, unless they were those of the thread's task before."""
        split = self._split
        with contextlib.ExitStack() as new:
            if self._made is not None:
                end = emit.named(task.pair + task.pairs)
                new.enter_context(T.If(T.bind(self._made[0] != end)))
                new.enter_context(T.Then())
                T.buffer_store(self._made, end, [0])
            quarters = [self._quarter(task, number) for number in range(4)]
            with emit.loop(task.pairs) as row, emit.loop(split.depth // split.lanes) as vector:
                at = emit.named(row * split.depth + vector * split.lanes)
                read = [
                    T.bind(emit.vector(each.array, each.start + row * each.apart + vector * split.lanes, split.lanes))
                    for each in quarters
                ]
                for array, step in zip(self._added, SUMMED, strict=True):
                    emit.store(array, signed_sum(step.rows, read), at, split.lanes)

    def _tile(
        self,
        step: StrassenStep,
        rows: _QuarterRows,
        task: _PairTask,
        place: tuple[Any, Any],
        panels: tuple[Any, Any, Any],
        size: int,
    ) -> None:
        """Write a tile of `size` pairs, from the task's pair `place` on, and of one of its panels."""
        split, (row, tile), (own, panel, packed) = self._split, place, panels
        sums = emit.Accumulators(size, split.vectors, split.lanes)
        kept = emit.named((own * task.pairs + row) * split.width)

        def waiting(which: int, r: int, v: int, lane: Any) -> Any:
            return self._kept[which][kept + (r * split.width + v * split.lanes + lane)]

        def started(r: int, v: int, lane: Any) -> Any:
            first, *others = [waiting(which, r, v, lane) for which in step.begin] or [tirx.const(0, "float32")]
            return first + others[0] if others else first

        sums.each(started)
        self._multiply(sums, rows, row, packed, tile)
        if step.keep is not None:
            for r, v in itertools.product(range(size), range(split.vectors)):
                at = kept + (r * split.width + v * split.lanes)
                emit.store(self._kept[step.keep], sums.vector(r, v), at, split.lanes)
        if step.output is not None:
            plus = None if step.plus is None else functools.partial(waiting, step.plus)
            down, across = step.output
            column = emit.panel_start(panel, split.width, split.columns) + across * split.columns
            self._finish(sums, emit.named(task.halves[down] + row), emit.named(column), plus)

    def _multiply(self, sums: emit.Accumulators, rows: _QuarterRows, row: Any, packed: Any, tile: Any) -> None:
        """Write the sums over the whole depth; meanwhile each tile of a panel fetches a share of the next."""
        split = self._split
        start = emit.named(rows.start + row * rows.apart)
        chunk = next(steps for steps in range(min(_CHUNK, split.depth), 0, -1) if split.depth % steps == 0)
        line = _LINE_BYTES // float_bytes(split.product.dtype)
        ahead = math.ceil(chunk * split.width * split.row_parts / (line * self._tasks.cut.count))
        following = emit.named(packed + split.depth * split.width + tile * (split.depth // chunk * ahead * line))
        with emit.loop(split.depth // chunk) as turn:
            for number in range(ahead):
                emit.prefetch(self._weights, following + (turn * ahead + number) * line)
            self._add(sums, rows, start + turn * chunk, packed + turn * (chunk * split.width), chunk)

    def _add(self, sums: emit.Accumulators, rows: _QuarterRows, start: Any, packed: Any, steps: int) -> None:
        split, unroll = self._split, math.gcd(_UNROLL, steps)
        with emit.loop(steps // unroll) as step:
            for number in range(unroll):
                k = step * unroll + number
                at = packed + k * split.width
                vectors = [emit.vector(self._weights, at + v * split.lanes, split.lanes) for v in range(split.vectors)]
                for r in range(sums.rows):
                    element = emit.broadcast(rows.array[start + r * rows.apart + k], split.lanes)
                    for v in range(split.vectors):
                        sums.add(r, v, element * vectors[v])

    def _finish(self, sums: emit.Accumulators, row: Any, column: Any, plus: Any) -> None:
        split, epilogue = self._split, self._epilogue
        whole = split.product.columns
        target = emit.named(row * whole + column)
        for r, v in itertools.product(range(sums.rows), range(split.vectors)):
            with emit.lanes_of(split.lanes) as lane:
                indices = emit.indices(self._shape, row + r, column + (v * split.lanes + lane))
                value = sums.element(r, v, lane)
                value = value if plus is None else value + plus(r, v, lane)
                if epilogue.start is not None:
                    value = value + epilogue.start(indices, self._load)
                value = epilogue.finish(value, indices, self._load)
                T.buffer_store(self._target, value, [target + (r * whole + v * split.lanes + lane)])
