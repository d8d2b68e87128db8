"""What sums become on x86: rounded, two registers narrowed to one by saturation, twice, and clamped as bytes.

The zero point is added between the two steps, with saturation, to half as many registers as there are sums. Limits
that are those of the type then need no instruction, unless what is rounded may be too large for an int32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import lookup
from mbench.compile.schedules.cpu.rounded_sum import RoundedSum

TOGETHER = (4, 2, 1)
"""Registers of sums that become one of bytes."""
_FOUR = 4
_PACKS = {
    16: ("llvm.x86.avx512.packssdw.512", "llvm.x86.avx512.pack{}wb.512"),
    8: ("llvm.x86.avx2.packssdw", "llvm.x86.avx2.pack{}wb"),
    4: ("llvm.x86.sse2.packssdw.128", "llvm.x86.sse2.pack{}wb.128"),
}
"""By lanes: two registers of int32 to one of int16, and two of these to one of 8 bits, both with saturation."""


def rounded(found: RoundedSum) -> Any:
    """Return the int32 that is narrowed: halves to even; what is far too small becomes the smallest int32."""
    if str(found.value.ty) == "int32":
        return found.value
    value = found.value if found.short else tirx.min(found.value, tirx.const(float(found.high - found.zero), "float32"))
    return tirx.call_llvm_pure_intrin("int32", "llvm.lrint", value)


def store(
    sums: emit.Accumulators, row: int, columns: Sequence[int], found: RoundedSum, target: Any, start: Any,
    table: lookup.Table | None, *, interleaved: bool,
) -> None:  # fmt: skip
    """Write one, two or four registers of rounded int32 as bytes, side by side from `start` on.

    `table`: what stands for each. `interleaved`: the lanes of four have channels as saturation puts them in order.
    """
    lanes = sums.lanes
    halves, whole = _PACKS[lanes]
    read = [T.bind(sums.vector(row, v)) for v in columns]
    read = [read[min(place, len(read) - 1)] for place in ((0, 1, 2, 3) if len(read) == _FOUR else (0, 1, 0, 1))]
    pairs = [_shifted(halves, pair, found, 2 * lanes) for pair in (read[:2], read[2:])]
    unsigned = found.flips or found.dtype == "uint8"
    kind = f"{'uint8' if unsigned else 'int8'}x{_FOUR * lanes}"
    packed = tirx.call_llvm_pure_intrin(kind, whole.format("us" if unsigned else "ss"), *pairs)
    count = len(columns) * lanes
    ordered = packed if interleaved else tirx.Shuffle([packed], _in_order(lanes)[:count])
    made = found.clamped(T.bind(ordered), count)
    emit.store(target, made if table is None else table.looked_up(made, count), start, count)


def _shifted(name: str, pair: Sequence[Any], found: RoundedSum, lanes: int) -> Any:
    """Narrow two registers to int16, and add the zero point, which flipping the highest bit does as well."""
    narrow = T.bind(tirx.call_llvm_pure_intrin(f"int16x{lanes}", name, *pair))
    if not found.zero or found.flips:
        return narrow
    zero = tirx.Broadcast(tirx.const(found.zero, "int16"), lanes)
    return T.bind(tirx.call_llvm_pure_intrin(f"int16x{lanes}", "llvm.sadd.sat", narrow, zero))


def _in_order(lanes: int) -> list[int]:
    """Return the order of bytes that undoes that of saturation, which goes by parts of 16 bytes."""
    parts = lanes // 4
    words = [4 * part + register for register in range(_FOUR) for part in range(parts)]
    return [word * 4 + byte for word in words for byte in range(4)]
