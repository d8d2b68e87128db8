"""Tables of 256 bytes on x86, many bytes looked up at once: 128 entries by an instruction (VBMI), or 16 (`pshufb`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.schedules import emit
from mbench.core import dtypes

_SIZE, _ROW = 256, 16
_HALVES = 64
"""Bytes that are looked up at once in halves of the table."""
_ROWS = {16: "llvm.x86.ssse3.pshuf.b.128", 32: "llvm.x86.avx2.pshuf.b", 64: "llvm.x86.avx512.pshuf.b.512"}
"""By how many bytes are looked up at once: the instruction that has a row of the table."""
_HALVES_CYCLES, _ROWS_CYCLES = 6.0, 40.0
"""16 rows take a shuffle and a choice each."""


def is_table(shape: Sequence[Any], dtype: str) -> bool:
    """Return whether a parameter is a table: of one axis, with a number of 8 bits for each of 8 bits."""
    return [int(extent) for extent in shape] == [_SIZE] and dtype in dtypes.EIGHT_BITS


def takes(count: int) -> bool:
    """Return whether so many bytes can be looked up at once."""
    return count in _ROWS


def cycles(count: int, *, by_halves: bool) -> float | None:
    """Return the cycles of so many bytes; None for a number that is not looked up at once."""
    if not takes(count):
        return None
    return _HALVES_CYCLES if by_halves and count == _HALVES else _ROWS_CYCLES


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """A table that bytes are looked up in."""

    array: Any
    """Of 256 bytes."""
    signed: bool
    """Whether it is looked up by int8, the smallest first."""
    by_halves: bool
    """Whether the processor has VBMI."""

    def looked_up(self, places: Any, count: int) -> Any:
        """Return what it has for each of so many bytes."""
        if self.signed:
            sign = _all(_SIZE // 2, count)
            places = T.bind(tirx.bitwise_xor(tirx.reinterpret(f"uint8x{count}", places), sign))
        if self.by_halves and count == _HALVES:
            return _in_halves(self.array, places)
        return _in_rows(self.array, places, count)


def _in_halves(table: Any, places: Any) -> Any:
    kind = _kind(table, _HALVES)
    four = [emit.vector(table, start, _HALVES) for start in range(0, _SIZE, _HALVES)]
    low, high = (
        tirx.call_llvm_pure_intrin(kind, "llvm.x86.avx512.vpermi2var.qi.512", one, places, other)
        for one, other in (four[:2], four[2:])
    )
    return tirx.Select(places < _all(_SIZE // 2, _HALVES), low, high)


def _in_rows(table: Any, places: Any, count: int) -> Any:
    """Look the lower four bits up in each of 16 rows; the upper four choose among the rows."""
    below = T.bind(tirx.bitwise_and(places, _all(_ROW - 1, count)))
    found = []
    for start in range(0, _SIZE, _ROW):
        row = tirx.Shuffle([emit.vector(table, start, _ROW)] * (count // _ROW), list(range(count)))
        found.append(tirx.call_llvm_pure_intrin(_kind(table, count), _ROWS[count], row, below))
    for bit in (16, 32, 64, 128):
        which = T.bind(tirx.bitwise_and(places, _all(bit, count)))
        pairs = zip(found[::2], found[1::2], strict=True)
        found = [T.bind(tirx.Select(which < _all(bit, count), lower, upper)) for lower, upper in pairs]
    return found[0]


def _kind(table: Any, count: int) -> str:
    return f"{table.dtype}x{count}"


def _all(number: int, count: int) -> Any:
    return tirx.Broadcast(tirx.const(number, "uint8"), count)
