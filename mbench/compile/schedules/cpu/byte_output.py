"""Sums in int32 and what becomes of them: what they begin with, and the bytes that a tile of them gives.

Four registers of sums become one of bytes by saturation, which takes less than storing the lowest byte of each lane.
"""

from __future__ import annotations

import dataclasses
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

_FOUR = 4
_TABLE, _TABLE_LANES = 256, 16
"""Numbers of a table, and the lanes of sums whose bytes are looked up at once."""
_PACKS = {
    16: ("llvm.x86.avx512.packssdw.512", "llvm.x86.avx512.packuswb.512"),
    8: ("llvm.x86.avx2.packssdw", "llvm.x86.avx2.packuswb"),
    4: ("llvm.x86.sse2.packssdw.128", "llvm.x86.sse2.packuswb.128"),
}
"""By lanes: two registers of int32 to one of int16, and two of these to one of uint8, both with saturation."""

Indices = Callable[[int, int, Any], list[Any]]
"""(row, vector, lane) of a tile → the output's indices there."""
LoadElement = Callable[[Any, Sequence[Any]], Any]
"""Loads an element of a parameter."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ByteOutput:
    """What a kernel makes of its sums, and where it puts that."""

    epilogue: Epilogue
    load: LoadElement
    target: Any
    rank: int
    """Axes of the output."""
    has_tables: bool = False
    """Whether the processor looks bytes up in registers."""

    @classmethod
    def of(
        cls, kernel: Kernel, epilogue: Epilogue, writer: emit.Writer, target: Any, machine: KernelMachine
    ) -> ByteOutput:
        """Return that of a kernel that is written."""
        rank = len(kernel.parameter_shapes[-1])
        return cls(epilogue=epilogue, load=writer.load, target=target, rank=rank, has_tables=machine.byte_tables)

    def begun(self, rows: int, vectors: int, lanes: int, indices: Indices) -> emit.Accumulators:
        """Return the sums of a tile, with what they begin with."""
        sums, start = emit.Accumulators(rows, vectors, lanes, "int32"), self.epilogue.start
        sums.each(lambda row, v, lane: start(indices(row, v, lane), self.load) if start else tirx.const(0, "int32"))
        return sums

    def finish(self, sums: emit.Accumulators, row: int, indices: Indices, start: Any) -> None:
        """Write a row of a tile to the output, from `start` on."""
        for first in range(0, sums.vectors, _FOUR):
            four = range(first, min(first + _FOUR, sums.vectors))
            if len(four) == _FOUR and self._narrows(sums.lanes):
                self._saturated(sums, row, four, indices, start)
                continue
            for v in four:
                with emit.lanes_of(sums.lanes) as lane:
                    value = self.epilogue.finish(sums.element(row, v, lane), indices(row, v, lane), self.load)
                    T.buffer_store(self.target, value, [start + (v * sums.lanes + lane)])

    def _narrows(self, lanes: int) -> bool:
        """Return whether the output is uint8 made of an int32, so that saturation does it, or is looked up by that."""
        places = [tirx.Var("i", "int32") for _ in range(self.rank)]

        def element(source: Any, _at: Sequence[Any]) -> Any:
            return tirx.Var("element", str(source.dtype))

        found = self._split(tirx.Var("total", "int32"), places, element)
        return found is not None and (found.table is None or (self.has_tables and lanes == _TABLE_LANES))

    def _split(self, total: Any, places: Sequence[Any], load: LoadElement) -> _SaturatedSum | None:
        """Return the int32 that an output of uint8 is made of by saturation; None for what is made otherwise."""
        looked: list[tuple[Any, Any, Any]] = []

        def loaded(source: Any, at: Sequence[Any]) -> Any:
            if [int(extent) for extent in source.shape] != [_TABLE] or str(source.dtype) != "uint8":
                return load(source, at)
            looked.append((tirx.Var("looked", "uint8"), source, at[0]))
            return looked[-1][0]

        value = self.epilogue.finish(total, places, loaded)
        if not looked:
            wide = _wide(value)
            return None if wide is None else _SaturatedSum(wide, None)
        (variable, table, index), *more = looked
        wide = _wide(windows.uncast(index))  # of int8 it is no cast, but a sum
        return None if more or wide is None or not variable.same_as(value) else _SaturatedSum(wide, table)

    def _saturated(self, sums: emit.Accumulators, row: int, four: Sequence[int], indices: Indices, start: Any) -> None:
        """Write four registers of sums as one of bytes."""
        lanes, table = sums.lanes, None
        for v in four:
            with emit.lanes_of(lanes) as lane:
                found = self._split(sums.element(row, v, lane), indices(row, v, lane), self.load)
                assert found is not None
                table = found.table
                sums.set(row, v, lane, _without_floor(found.wide))
        halves, whole = _PACKS[lanes]
        pairs = [
            tirx.call_llvm_pure_intrin(f"int16x{2 * lanes}", halves, *(sums.vector(row, v) for v in pair))
            for pair in (four[:2], four[2:])
        ]
        packed = tirx.call_llvm_pure_intrin(f"uint8x{_FOUR * lanes}", whole, *pairs)
        found_bytes = T.bind(tirx.Shuffle([packed], _in_order(lanes)))
        if table is not None:
            found_bytes = self._looked_up(table, found_bytes)
        emit.store(self.target, found_bytes, start + four[0] * lanes, _FOUR * lanes)

    def _looked_up(self, table: Any, places: Any) -> Any:
        """Return what a table has for each of 64 bytes: two instructions that know 128 numbers each."""
        array, kind = self.load(table, [0]).source, f"uint8x{_FOUR * _TABLE_LANES}"
        size = _FOUR * _TABLE_LANES
        four = [emit.vector(array, start, size) for start in range(0, _TABLE, size)]
        low, high = (
            tirx.call_llvm_pure_intrin(kind, "llvm.x86.avx512.vpermi2var.qi.512", one, places, other)
            for one, other in (four[:2], four[2:])
        )
        return tirx.Select(places < tirx.Broadcast(tirx.const(_TABLE // 2, "uint8"), size), low, high)


class _SaturatedSum(NamedTuple):
    """An int32 that becomes a byte, and the table that has what stands for this byte, if one does."""

    wide: Any
    table: Any


def _wide(value: Any) -> Any:
    """Return the int32 that an uint8 is made of; None for what is made otherwise."""
    narrows = isinstance(value, prim.Cast) and str(value.ty) == "uint8" and str(value.value.ty) == "int32"
    return value.value if narrows else None


def _without_floor(value: Any) -> Any:
    """Return what has the same saturation to uint8: a floor of 0 before the rounding, as for ReLU, is left out.

    Sums far below then become the smallest int32, and a zero point, which is not negative, is added to that.
    """
    rounded, zero = (value.a, int(value.b)) if isinstance(value, prim.Add) else (value, 0)
    if not isinstance(rounded, tvm.ir.Call) or len(rounded.args) != 2:
        return value
    number, inside = rounded.args
    if not isinstance(inside, prim.Min) or not isinstance(inside.a, prim.Max):
        return value
    floor = inside.a.b
    if not isinstance(floor, prim.FloatImm) or float(floor.value) != -zero:
        return value
    call = tvm.ir.Call(rounded.op, [number, tirx.min(inside.a.a, inside.b)], rounded.attrs, ret_ty=rounded.ty)
    return call + value.b if isinstance(value, prim.Add) else call


def _in_order(lanes: int) -> list[int]:
    """Return the order of bytes that undoes that of saturation, which goes by parts of 16 bytes."""
    parts = lanes // 4
    words = [4 * part + register for register in range(_FOUR) for part in range(parts)]
    return [word * 4 + byte for word in words for byte in range(4)]
