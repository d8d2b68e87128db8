"""What sums become on Arm: rounded, narrowed by saturation twice, and clamped as bytes, 16 of them at once.

`fcvtns` rounds halves to even and saturates, as do the steps to 16 and to 8 bits, and the addition of the zero point in
between: limits that are those of the type need no instruction. Where what is rounded is known to fit into 16 bits, the
lower halves of two registers are taken by one instruction, where saturation takes two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu.rounded_sum import RoundedSum

LANES = 4
_MOST = 4
_TABLE, _QUARTER = 256, 64


def rounded(found: RoundedSum) -> Any:
    """Return the int32 that is narrowed, before the zero point is added."""
    return tirx.call_llvm_pure_intrin("int32", "llvm.aarch64.neon.fcvtns", found.value)


def store(
    sums: emit.Accumulators, row: int, columns: Sequence[int], found: RoundedSum, table: Any, target: Any, start: Any
) -> None:
    """Write at most four registers of rounded int32 as bytes, side by side; `table`: what stands for each of them."""
    pairs = [columns[at : at + 2] for at in range(0, len(columns), 2)]
    narrow = _halved if found.short else _narrow
    parts = [(_saturated(narrow(sums, row, pair), found), len(pair) * LANES) for pair in pairs]
    if len(columns) == _MOST:
        parts = [(tirx.Shuffle([part for part, _ in parts], [*range(16)]), 16)]
    for number, (part, count) in enumerate(parts):
        clamped = found.clamped(part, max(count, 2 * LANES))
        if table is not None:
            clamped = _looked_up(table, clamped, signed=found.dtype == "int8")
        if count == LANES:
            clamped = tirx.Shuffle([clamped], [*range(LANES)])
        emit.store(target, clamped, start + number * 2 * LANES, count)


def _looked_up(table: Any, places: Any, *, signed: bool) -> Any:
    """Return what a table has for each of 16 bytes: a quarter of it at once."""
    known: Any = None
    if signed:
        flip = tirx.Broadcast(tirx.const(_TABLE // 2, "uint8"), 16)
        places = T.bind(tirx.bitwise_xor(tirx.reinterpret("uint8x16", places), flip))
    for first in range(0, _TABLE, _QUARTER):
        four = [emit.vector(table, first + at, 16) for at in range(0, _QUARTER, 16)]
        here = places - tirx.Broadcast(tirx.const(first, "uint8"), 16) if first else places
        given = (*four, here) if known is None else (known, *four, here)
        known = tirx.call_llvm_pure_intrin(
            f"{table.dtype}x16", f"llvm.aarch64.neon.tb{'l' if known is None else 'x'}4", *given
        )  # fmt: skip
    return known


def _narrow(sums: emit.Accumulators, row: int, pair: Sequence[int]) -> Any:
    """Return one or two registers of int32 as one of int16."""
    narrow = [tirx.call_llvm_pure_intrin("int16x4", "llvm.aarch64.neon.sqxtn", sums.vector(row, v)) for v in pair]
    return tirx.Shuffle([*narrow, narrow[-1]][:2], [*range(2 * LANES)])


def _halved(sums: emit.Accumulators, row: int, pair: Sequence[int]) -> Any:
    """Return one or two registers of int32 that fit into 16 bits as one of int16: `uzp1` takes every second of both."""
    halves = [tirx.reinterpret(f"int16x{2 * LANES}", sums.vector(row, v)) for v in pair]
    return tirx.Shuffle([*halves, halves[-1]][:2], [*range(0, 4 * LANES, 2)])


def _saturated(value: Any, found: RoundedSum) -> Any:
    """Add the zero point to eight int16, and narrow them to 8 bits, both with saturation."""
    if found.zero and not found.flips:
        zero = tirx.Broadcast(tirx.const(found.zero, "int16"), 2 * LANES)
        value = tirx.call_llvm_pure_intrin(f"int16x{2 * LANES}", "llvm.aarch64.neon.sqadd", value, zero)
    unsigned = found.flips or found.dtype == "uint8"
    kind = f"{'uint8' if unsigned else 'int8'}x{2 * LANES}"
    name = f"llvm.aarch64.neon.{'sqxtun' if unsigned else 'sqxtn'}"
    return tirx.call_llvm_pure_intrin(kind, name, value)
