"""Kernels that reduce along rows, such as softmax and layer norm: row by row, in vectors, one pass a reduction.

What a step computes of a whole row is computed where it is read; but for functions, whose values wait in the output
until the last pass. What does not fill a vector is done in shorter ones.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.rows import RowChain, RowStep
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import tiling
from mbench.compile.schedules.row_values import COMBINE, LEAST, RowValues
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive
from mbench.core import dtypes

_UNROLLED = 4
"""Vectors that a pass has under way."""
_STEP_CYCLES, _CALL_CYCLES = 2, 15
"""Of a vector in each pass: a guess."""


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield numbers of tasks, quickest first."""
    chain = _chain(kernel)
    if chain is None:
        return
    vectors = chain.rows * -(-chain.columns // machine.lanes())
    cycles = vectors * sum(_CALL_CYCLES if step.calls else _STEP_CYCLES for step in chain.steps)
    moved = 8.0 * chain.rows * chain.columns
    for grid in tiling.grids([1] * chain.rows, 1, cycles, moved, machine)[:2]:
        yield {"row_parts": grid.outer}


def _chain(kernel: Kernel) -> RowChain | None:
    return kernel.rows if set(kernel.parameter_dtypes) <= {dtypes.DEFAULT, str(kernel.dtype)} else None


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    chain = _chain(kernel)
    if chain is None:
        return None
    (parts,) = positive(parameters, "row_parts")
    lanes = tiling.vector_lanes(chain.columns, machine, str(kernel.dtype))
    writer = emit.Writer(kernel)
    with writer.function() as arrays, emit.tasks(chain.rows, parts, 1, 1) as ((first, count), _), emit.loop(count) as n:
        row = emit.named(first + n)
        values = RowValues(chain, kernel.function.params, arrays, row, emit.named(row * chain.columns))
        _RowPasses(values, lanes).write()
    return KernelPlan(function=writer.result(), tile=f"1x{_UNROLLED}x{lanes}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _RowPart:
    """`times` turns of `vectors` vectors of `lanes` elements, from column `start` on."""

    start: int
    times: int
    vectors: int
    lanes: int


def _parts(columns: int, lanes: int) -> list[_RowPart]:
    """Split a row: as many vectors as there are, then those of half as many lanes, and so on."""
    found, start = [], 0
    while start < columns:
        if lanes > columns - start:
            lanes //= 2
            continue
        many = (columns - start) // lanes
        vectors = min(many, _UNROLLED)
        found.append(_RowPart(start=start, times=many // vectors, vectors=vectors, lanes=lanes))
        start += many // vectors * vectors * lanes
    return found


class _RowPasses:
    """Writes what is done with one row."""

    def __init__(self, values: RowValues, lanes: int) -> None:
        self._values, self._chain, self._target = values, values.chain, values.target
        self._parts = _parts(values.chain.columns, lanes)

    def write(self) -> None:
        """Write all passes."""
        values = self._values
        *before, last = self._chain.steps
        for step in before:
            if not step.whole:
                values.numbers.append((step.buffer, emit.named(self._number(step))))
        if not last.whole:
            T.buffer_store(self._target, self._number(last), [values.row])
            return
        for part in self._parts:
            with self._vectors(part) as places:
                self._put(last, part, places)

    @contextlib.contextmanager
    def _vectors(self, part: _RowPart) -> Iterator[list[Any]]:
        """Go over a part of the row; yields the columns at which the vectors of a turn start."""
        with emit.loop(part.times) as turn:
            first = part.start + turn * (part.vectors * part.lanes)
            yield [first + vector * part.lanes for vector in range(part.vectors)]

    def _put(self, step: RowStep, part: _RowPart, places: list[Any]) -> None:
        """Write what a step computes to the output."""
        values = self._values
        for place in places:
            with emit.lanes_of(part.lanes) as lane:
                T.buffer_store(self._target, values.value(step, place + lane), [values.start + place + lane])

    def _number(self, step: RowStep) -> Any:
        """Return what a step computes of the row."""
        if step.reduces is None:
            return self._values.value(step, 0)
        waits = self._begins_to_wait(step)
        registers: dict[int, emit.Accumulators] = {}
        for part in self._parts:
            if part.lanes not in registers:  # the first part of so many lanes has the most vectors
                registers[part.lanes] = emit.Accumulators(1, part.vectors, part.lanes)
                registers[part.lanes].each(lambda _row, _vector, _lane: LEAST[str(step.reduces)])
            with self._vectors(part) as places:
                if waits is not None:
                    self._values.waiting = None
                    self._put(waits, part, places)
                    self._values.waiting = waits.buffer
                for vector, place in enumerate(places):
                    self._take(step, registers[part.lanes], vector, place)
        return self._combined(step.reduces, list(registers.values()))

    def _take(self, step: RowStep, sums: emit.Accumulators, vector: int, place: Any) -> None:
        """Reduce one vector of the row into a register."""
        combine = COMBINE[str(step.reduces)]
        with emit.lanes_of(sums.lanes) as lane:
            value = combine(sums.element(0, vector, lane), self._values.value(step, place + lane))
            sums.set(0, vector, lane, value)

    def _combined(self, reduces: str, registers: list[emit.Accumulators]) -> Any:
        """Return what registers hold together: first vector by vector, then lane by lane."""
        for sums in registers:
            for vector in range(1, sums.vectors):
                sums.combine(0, 0, sums.vector(0, vector), COMBINE[reduces])
        lanes = [sums.element(0, 0, lane) for sums in registers for lane in range(sums.lanes)]
        return _tree(COMBINE[reduces], lanes)

    def _begins_to_wait(self, step: RowStep) -> RowStep | None:
        """Return the step whose values are to wait in the output from this pass on."""
        if self._values.waiting is not None or not self._chain.steps[-1].whole:
            return None
        if str(self._target.dtype) != dtypes.DEFAULT:  # where they would be rounded
            return None
        made = (self._values.step(read) for read in step.reads())
        return next((each for each in made if each is not None and each.whole and each.calls), None)


def _tree(combine: Callable[[Any, Any], Any], values: list[Any]) -> Any:
    """Combine values pair by pair, so that few wait for each other."""
    while len(values) > 1:
        pairs = [combine(one, other) for one, other in zip(values[::2], values[1::2], strict=False)]
        values = [*pairs, *values[len(pairs) * 2 :]]
    return values[0]
