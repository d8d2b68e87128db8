"""Sums in int32 and what becomes of them: what they begin with, and the bytes that a tile of them gives.

Two or four registers of sums become bytes by saturation, which takes less than storing the lowest byte of each lane.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tvm
from tvm import tirx
from tvm.ir.prim import expr as prim
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile import windows
from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Epilogue
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import arm_output, lookup, x86_output
from mbench.compile.schedules.cpu.rounded_sum import RoundedSum
from mbench.compile.schedules.rule import Parameters
from mbench.core import dtypes

_FOUR = 4

Indices = Callable[[int, int, Any], list[Any]]
"""(row, vector, lane) of a tile → the output's indices there."""
LoadElement = Callable[[Any, Sequence[Any]], Any]
"""Loads an element of a parameter."""


def _unread(source: Any, _at: Sequence[Any]) -> Any:
    """Stand for an element where only what is made of it matters."""
    return tirx.Var("element", str(source.dtype))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ByteOutput:
    """What a kernel makes of its sums, and where it puts that."""

    epilogue: Epilogue
    rank: int
    """Axes of the output."""
    load: LoadElement = _unread
    target: Any = None
    has_tables: bool = False
    """Whether the processor looks 64 bytes up at once in tables of 128."""
    on_arm: bool = False
    interleaved: bool = False
    """Whether the lanes of four registers have channels as `dots.interleaved` gives them, as four pixels do."""
    halves: bool = False
    """Whether lower halves are taken of what fits into 16 bits: without dot products LLVM keeps more on the stack."""

    @classmethod
    def of(
        cls, kernel: Kernel, epilogue: Epilogue, writer: emit.Writer, target: Any, machine: KernelMachine,
        *, interleaved: bool = False,
    ) -> ByteOutput:  # fmt: skip
        """Return that of a kernel that is written."""
        known = cls._known(kernel, epilogue, machine)
        return dataclasses.replace(known, load=writer.load, target=target, interleaved=interleaved)

    @classmethod
    def interleaves(
        cls, kernel: Kernel, epilogue: Epilogue, machine: KernelMachine, *, vectors: int, lanes: int
    ) -> bool:
        """Return whether rows of so many registers may have the channels in their lanes interleaved."""
        known = cls._known(kernel, epilogue, machine)
        return vectors == _FOUR and not known.on_arm and known._narrows(lanes, vectors)

    @classmethod
    def _known(cls, kernel: Kernel, epilogue: Epilogue, machine: KernelMachine) -> ByteOutput:
        """Return it as far as it is known before the kernel is written."""
        return cls(
            epilogue=epilogue, rank=len(kernel.parameter_shapes[-1]), has_tables=machine.byte_tables,
            on_arm=not machine.broadcasts_from_memory, halves="sdot" in machine.dots,
        )  # fmt: skip

    def begun(self, rows: int, vectors: int, lanes: int, indices: Indices) -> emit.Accumulators:
        """Return the sums of a tile, with what they begin with."""
        sums, start = emit.Accumulators(rows, vectors, lanes, "int32"), self.epilogue.start
        sums.each(lambda row, v, lane: start(indices(row, v, lane), self.load) if start else tirx.const(0, "int32"))
        return sums

    def finish_all(self, sums: emit.Accumulators, indices: Indices, start: Any, apart: int) -> None:
        """Write all rows of a tile to the output, so many numbers apart: as one where they lie side by side."""
        if self.on_arm or apart != sums.vectors * sums.lanes:
            for row in range(sums.rows):
                self.finish(sums, row, indices, start + row * apart)
            return
        vectors = sums.vectors
        self.finish(sums.in_one_row(), 0, lambda _, v, lane: indices(v // vectors, v % vectors, lane), start)

    def finish(self, sums: emit.Accumulators, row: int, indices: Indices, start: Any) -> None:
        """Write a row of a tile to the output, from `start` on."""
        first = 0
        while first < sums.vectors:
            left = sums.vectors - first
            count = min(left, _FOUR) if self.on_arm else next(count for count in x86_output.TOGETHER if count <= left)
            some = range(first, first + count)
            if self.on_arm and self._rounds(sums.lanes, count):
                self._rounded(sums, row, some, indices, start)
            elif not self.on_arm and self._narrows(sums.lanes, count):
                self._saturated(sums, row, some, indices, start)
            else:
                self._apart(sums, row, some, indices, start)
            first += count

    def _apart(self, sums: emit.Accumulators, row: int, some: Sequence[int], indices: Indices, start: Any) -> None:
        """Write registers of sums one by one."""
        for v in some:
            with emit.lanes_of(sums.lanes) as lane:
                value = self.epilogue.finish(sums.element(row, v, lane), indices(row, v, lane), self.load)
                clamped_first = _clamped_first(value.value) if isinstance(value, prim.Cast) else None
                value = value if clamped_first is None else clamped_first.astype(str(value.ty))
                T.buffer_store(self.target, value, [start + (v * sums.lanes + lane)])

    def _narrows(self, lanes: int, count: int) -> bool:
        """Return whether so many registers become bytes by saturation of an int32, and by a table after that."""
        found = self._of_any()
        if found is None:
            return False
        return lookup.takes(lanes * count) if found.table is not None else count > 1

    def _of_any(self) -> _SaturatedSum | None:
        """Return what the output is made of, whatever it reads."""
        places = [tirx.Var("i", "int32") for _ in range(self.rank)]
        return self._split(tirx.Var("total", "int32"), places, _unread)

    def _rounds(self, lanes: int, count: int) -> bool:
        """Return whether so many registers become bytes as Arm does it best."""
        found = self._of_any()
        if found is None or lanes != arm_output.LANES or (found.table is not None and count < _FOUR):
            return False
        return RoundedSum.read(found.wide, found.dtype) is not None

    def _rounded(self, sums: emit.Accumulators, row: int, some: Sequence[int], indices: Indices, start: Any) -> None:
        """Write at most four registers of sums as bytes side by side, as Arm does it best."""
        last, array = self._round(sums, row, some, indices)
        arm_output.store(sums, row, some, last, array, self.target, start + some[0] * sums.lanes)

    def _saturated(self, sums: emit.Accumulators, row: int, some: Sequence[int], indices: Indices, start: Any) -> None:
        """Write one, two or four registers of sums as bytes side by side, as x86 does it best."""
        last, array = self._round(sums, row, some, indices)
        table = None
        if array is not None:
            table = lookup.Table(array=array, signed=last.dtype == "int8", by_halves=self.has_tables)
        start = start + some[0] * sums.lanes
        x86_output.store(sums, row, some, last, self.target, start, table, interleaved=self.interleaved)

    def _round(
        self, sums: emit.Accumulators, row: int, some: Sequence[int], indices: Indices
    ) -> tuple[RoundedSum, Any]:
        """Round registers of sums where they are; return how, and the array of the table that follows, or None."""
        rounded = arm_output.rounded if self.on_arm else x86_output.rounded
        last, table = None, None
        for v in some:
            with emit.lanes_of(sums.lanes) as lane:
                found = self._split(sums.element(row, v, lane), indices(row, v, lane), self.load)
                assert found is not None
                short, table = found.short and (self.halves or not self.on_arm), found.table
                last = RoundedSum.read(found.wide, found.dtype, short=short)
                last = last or RoundedSum.whole(found.wide, found.dtype)
                sums.set(row, v, lane, rounded(last))
        assert last is not None
        return last, None if table is None else self.load(table, [0]).source

    def _split(self, total: Any, places: Sequence[Any], load: LoadElement) -> _SaturatedSum | None:
        """Return the int32 that an output of 8 bits is made of by saturation; None for what is made otherwise."""
        looked: list[tuple[Any, Any, Any]] = []

        def loaded(source: Any, at: Sequence[Any]) -> Any:
            if not lookup.is_table(source.shape, str(source.dtype)):
                return load(source, at)
            looked.append((tirx.Var("looked", str(source.dtype)), source, at[0]))
            return looked[-1][0]

        value = self.epilogue.finish(total, places, loaded)
        if not looked:
            return _SaturatedSum.of(value, None)
        (variable, table, index), *more = looked
        if more or not variable.same_as(value):
            return None
        return _SaturatedSum.of(windows.uncast(windows.less(index)[0]), table)


def with_tables(
    kernel: Kernel, machine: KernelMachine, lanes: int, ranked: Sequence[tuple[float, Parameters]]
) -> list[tuple[float, Parameters]]:
    """Return what is ranked, quickest first with what tables take; that last that looks some bytes up one by one.

    Args:
        kernel: to be written.
        machine: that it is for.
        lanes: of a register of sums.
        ranked: cycles and parameters, quickest first; `vectors` are the registers of a tile's row.
    """
    *pixels, channels = kernel.parameter_shapes[-1]

    def known(cycles: float, parameters: Parameters) -> tuple[bool, float]:
        vectors, rows = int(parameters["vectors"]), 1
        panels = -(-channels // (vectors * lanes))
        if machine.broadcasts_from_memory and channels == vectors * lanes:  # rows lie side by side
            rows = int(parameters["rows"])
        alone = None in _lookups(kernel, machine, rows * vectors, lanes)
        parts = math.prod(count for name, count in parameters.items() if name.endswith("_parts"))
        turns = math.prod(pixels) * panels / rows / min(parts, machine.cores)
        return alone, cycles + turns * table_cycles(kernel, machine, rows * vectors, lanes)

    found = [(known(cycles, parameters), parameters) for cycles, parameters in ranked]
    return [(cycles, parameters) for (_, cycles), parameters in sorted(found, key=lambda each: each[0])]


def table_cycles(kernel: Kernel, machine: KernelMachine, vectors: int, lanes: int) -> float:
    """Return what it takes to look up so many registers side by side, where that is not byte by byte."""
    return sum(cycles or 0.0 for cycles in _lookups(kernel, machine, vectors, lanes))


def _lookups(kernel: Kernel, machine: KernelMachine, vectors: int, lanes: int) -> list[float | None]:
    """Return the cycles of each look at a table, of so many registers side by side; None: it is byte by byte."""
    given = zip(kernel.parameter_shapes, kernel.parameter_dtypes, strict=True)
    if not any(lookup.is_table(shape, dtype) for shape, dtype in given):
        return []
    if not machine.broadcasts_from_memory:
        return [None] if vectors % _FOUR else []
    found: list[float | None] = []
    while vectors:
        count = next(count for count in x86_output.TOGETHER if count <= vectors)
        found.append(lookup.cycles(lanes * count, by_halves=machine.byte_tables))
        vectors -= count
    return found


class _SaturatedSum(NamedTuple):
    """An int32 that becomes 8 bits by saturation, their type, and the table that has what stands for them, if any."""

    wide: Any
    dtype: str
    table: Any
    short: bool
    """Whether what is rounded fits into 16 bits, whatever it is made of."""

    @classmethod
    def of(cls, value: Any, table: Any) -> _SaturatedSum | None:
        """Return the int32 that a number of 8 bits is made of; None for one that is made otherwise."""
        if not isinstance(value, prim.Cast) or str(value.ty) not in dtypes.EIGHT_BITS:
            return None
        clamped_first = _clamped_first(value.value)
        wide = _as_int32(value.value if clamped_first is None else clamped_first)
        return None if wide is None else cls(wide, str(value.ty), table, clamped_first is not None)


def _clamped_first(value: Any) -> Any:
    """Return what is rounded to 16 bits and then clamped as what is clamped and then rounded; None for others."""
    if isinstance(value, prim.Add | prim.Sub) and isinstance(value.b, prim.IntImm):
        inside = _clamped_first(value.a)
        return inside if inside is None else inside + value.b if isinstance(value, prim.Add) else inside - value.b
    if not isinstance(value, prim.Min) or not isinstance(value.a, prim.Max):
        return None
    limits, wide = (value.a.b, value.b), value.a.a
    short = wide.value if isinstance(wide, prim.Cast) else None
    call = short.value if isinstance(short, prim.Cast) and str(short.ty) == "int16" else None
    constant = all(isinstance(limit, prim.IntImm) for limit in limits)
    if not isinstance(call, tvm.ir.Call) or len(call.args) != 2 or not constant:
        return None
    name, number = call.args
    low, high = (tirx.const(float(int(limit)), str(number.ty)) for limit in limits)
    return tvm.ir.Call(call.op, [name, tirx.min(tirx.max(number, low), high)], call.attrs, ret_ty=call.ty)


def _as_int32(value: Any) -> Any:
    """Return a number as int32, in which TVM computes no place of a table: there sums are of int64; None for others."""
    if str(value.ty) == "int32":
        return value
    if isinstance(value, prim.Cast) and str(value.value.ty) == "int32":
        return value.value
    if isinstance(value, prim.Add | prim.Sub) and isinstance(value.b, prim.IntImm) and isinstance(value.a, prim.Cast):
        inside, number = _as_int32(value.a), tirx.const(int(value.b), "int32")
        return None if inside is None else inside + number if isinstance(value, prim.Add) else inside - number
    return None
