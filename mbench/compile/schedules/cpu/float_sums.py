"""Sums of multiply-adds in registers: of float32 throughout, or in parts that sums of another type add up.

An instruction that multiplies numbers of float16 adds to float16. So no more than `KernelMachine.half_terms` of them
are summed in a register, and float32 adds up the parts. Whole numbers of 8 bits are multiplied as float32, which has
all whole numbers up to 2^24: int32 adds up parts that stay below. The whole sums wait in memory meanwhile: they would
fill all registers.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from tvm import tirx
from tvm.ir.prim import expr as prim

from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import tiling
from mbench.core import dtypes
from mbench.hardware import half_sums

HALF = half_sums.TYPE
TYPES = (dtypes.DEFAULT, HALF)
"""Operands of the rules that sum here."""
_HALVES = (HALF, dtypes.accumulator(HALF))
_EXACT = 1 << 24
"""Up to here float32 has all whole numbers."""
_UNROLL = 4
_UNROLL_HALVES = 8
"""Steps of a reduction that are written out: as many as a vector of Arm has lanes."""
Start = Callable[[int, int, Any], Any]
"""(row, vector, lane) → what the sum begins with."""


def unrolled(dtype: str, steps: int = 0) -> int:
    """Return how many steps of a reduction are written out, as a power of two that divides them all."""
    return math.gcd(_UNROLL_HALVES if dtype == HALF else _UNROLL, steps)


def whole_registers(machine: KernelMachine) -> KernelMachine:
    """Return a machine with half of the registers: a vector of float16 that float32 sums up takes two."""
    return dataclasses.replace(machine, registers=machine.registers // 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepSpan:
    """`count` times `size` steps of a reduction, from step `start` on; all of them share one body of code."""

    start: int
    size: int
    count: int


class FloatSums(emit.Accumulators):
    """Sums in the type of their registers, float32."""

    def begin(self, start: Start | None) -> None:
        """Begin with what `start` gives, of float32; with zero where there is none."""
        zero = tirx.const(0, self.dtype)
        self.each(lambda row, v, lane: start(row, v, lane).astype(self.dtype) if start else zero)

    def spans(self, steps: int) -> list[StepSpan]:
        """Split steps of a reduction into those that `part` can take."""
        return [StepSpan(start=0, size=steps, count=1)]

    @contextlib.contextmanager
    def part(self, _terms: int) -> Iterator[None]:
        """Add up so many multiply-adds in what follows."""
        yield

    def total(self, row: int, column: int, lane: Any) -> Any:
        """Return an element of the whole sum, in float32."""
        return self.element(row, column, lane)


class PartSums(FloatSums):
    """Sums of at most `most` multiply-adds each; with more `terms` in all, those of another type add up the parts.

    `types`: of a part, and of the whole.
    """

    def __init__(
        self, rows: int, vectors: int, lanes: int, *, terms: int, most: int, types: tuple[str, str] = _HALVES
    ) -> None:
        super().__init__(rows, vectors, lanes, types[0])
        self._most, self._in_part, self._wide = most, False, types[1]
        self._whole = emit.Accumulators(rows, vectors, lanes, self._wide) if terms > most else None

    def begin(self, start: Start | None) -> None:
        """Begin the whole sum; of few terms it is that of a part, unless it begins with any whole number."""
        if self._whole is None and (start is None or self._wide == dtypes.DEFAULT):
            super().begin(start)
            return
        self._whole = self._whole or emit.Accumulators(self.rows, self.vectors, self.lanes, self._wide)
        zero = tirx.const(0, self._wide)
        self._whole.each(lambda row, v, lane: start(row, v, lane) if start else zero)

    def spans(self, steps: int) -> list[StepSpan]:
        """Split steps into as few parts as can be; up to twice as many where all of them then have one size."""
        if self._whole is None or self._in_part or steps <= self._most:
            return super().spans(steps)
        unit = unrolled(self.dtype, steps)
        units, limit = steps // unit, max(self._most // unit, 1)
        fewest = -(-units // limit)
        even = next((count for count in range(fewest, 2 * fewest + 1) if units % count == 0), None)
        if even is not None:
            return [StepSpan(start=0, size=units // even * unit, count=even)]
        parts = tiling.Cut.of(units, limit).parts
        return [
            StepSpan(start=part.start * unit, size=part.size * unit, count=part.end - part.begin) for part in parts
        ]  # fmt: skip

    @contextlib.contextmanager
    def part(self, terms: int) -> Iterator[None]:
        """Add up so many multiply-adds as a part, if that may be; else those inside of it are parts of their own."""
        whole = self._whole
        if whole is None or self._in_part or terms > self._most:
            yield
            return
        self.each(lambda _row, _vector, _lane: tirx.const(0, self.dtype))
        self._in_part = True
        yield
        self._in_part = False
        for row in range(self.rows):
            for column in range(self.vectors):
                with emit.lanes_of(self.lanes) as lane:
                    part = self.element(row, column, lane).astype(whole.dtype)
                    whole.set(row, column, lane, whole.element(row, column, lane) + part)

    def total(self, row: int, column: int, lane: Any) -> Any:
        """Return an element of the whole sum, in its type."""
        if self._whole is not None:
            return self._whole.element(row, column, lane)
        return self.element(row, column, lane).astype(self._wide)


def new(
    dtype: str, machine: KernelMachine, tile: tuple[int, int, int], terms: int, *, reach: int | None = None
) -> FloatSums:
    """Return the sums of a tile (rows, vectors, lanes) of `terms` multiply-adds each.

    `reach`: of whole numbers that are multiplied as float32, the largest magnitude that a multiplication gives.
    """
    if reach is not None:
        return PartSums(*tile, terms=terms, most=_EXACT // reach, types=(dtypes.DEFAULT, dtypes.sums(dtypes.INT8)))
    if dtype == HALF:
        return PartSums(*tile, terms=terms, most=machine.half_terms)
    return FloatSums(*tile)


def stored(value: Any) -> Any:
    """Return what is stored of a value: of one rounded to float16, limits are kept after it is rounded.

    That is the same, as limits of float16 are numbers that rounding does not pass, and takes half of the vectors.
    """
    return _rounded(value.value) if _is_half(value) and isinstance(value, prim.Cast) else value


def _is_half(value: Any) -> bool:
    return str(value.ty) == HALF


def _rounded(value: Any) -> Any:
    """Return a value of float32 as float16."""
    if isinstance(value, prim.Cast) and _is_half(value.value):
        return value.value
    if isinstance(value, prim.Max | prim.Min):
        for one, limit in ((value.a, value.b), (value.b, value.a)):
            if isinstance(limit, prim.FloatImm) and float(np.float16(limit.value)) == float(limit.value):
                keep = tirx.max if isinstance(value, prim.Max) else tirx.min
                return keep(_rounded(one), tirx.const(float(limit.value), HALF))
    return value.astype(HALF)
