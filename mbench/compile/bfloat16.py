"""bfloat16 in kernels: 16 bits in memory, the upper half of a float32, which everything but dot products computes with.

A kernel that a rule writes has arrays of uint16, or of int32 where it reads pairs as words; TVM's own bfloat16 is what
the rules read off. A shift widens a number; one instruction rounds a vector of them, to nearest even. TVM generates no
code with bfloat16 in it, so that rounding and dot products are functions in LLVM's language, which a kernel imports.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2 (VDPBF16PS, VCVTNEPS2BF16).
"""

from __future__ import annotations

import contextlib
import functools
import struct
from collections.abc import Iterator
from typing import Any

import tvm
from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.core import dtypes

STORED, WORD = "uint16", "int32"
"""What numbers are declared as in memory, one by one or in pairs."""
PAIR = dtypes.of(dtypes.BFLOAT16).depth
_NAME = dtypes.BFLOAT16
ROUNDED = "mbench.bfloat16"
"""The operation that rounds; TVM knows it by this name."""
_ROUND, _DOT = "mbench_bfloat16", "mbench_dot_bfloat16"
_ROUNDED_LANES, _DOT_LANES = (1, 2, 4, 8, 16, 32, 64), (4, 8, 16)
_LEAST_LANES = _DOT_LANES[0]
"""Of a register that the instruction takes; fewer sums are added up in float32."""
_LEVEL = 10
BITS = 16
"""Of a number."""


def stored(dtype: str) -> str:
    """Return what a parameter of a type is declared as."""
    return STORED if dtype == _NAME else dtype


def widened(value: Any) -> Any:
    """Return numbers as they lie in memory as float32; all others as they are."""
    kind, lanes = _kind(value)
    if kind != STORED:
        return value
    return tirx.reinterpret(f"float32{lanes}", value.astype(f"uint32{lanes}") * _all(1 << BITS, "uint32", lanes))


def rounded(value: Any) -> Any:
    """Return float32 as it lies in memory, rounded to nearest even; in a kernel that has `functions`."""
    _, lanes = _kind(value)
    return tvm.ir.Call(_operation(), [value], ret_ty=f"{STORED}{lanes}")


def as_stored(value: Any, dtype: str) -> Any:
    """Return a value as a parameter of a type holds it: float32 rounded for bfloat16, all else as it is."""
    return rounded(value) if dtype == _NAME and _kind(value)[0] == "float32" else value


def constant(number: float) -> Any:
    """Return a number that bfloat16 holds exactly, as it lies in memory."""
    [bits] = struct.unpack("<I", struct.pack("<f", number))
    return tirx.const(bits >> BITS, STORED)


def cast(expression: Any, value: Any) -> Any:
    """Return what a cast makes of its operand, which is `value` in the kernel that is written."""
    to, source = str(expression.ty), str(expression.value.ty)
    if source == _NAME and _kind(value)[0] == STORED:
        value = value if to == _NAME else widened(value)
    elif to == _NAME:
        value = rounded(value if source == "float32" else tirx.Cast("float32", value))
    return value if str(value.ty) == to or to == _NAME else tirx.Cast(expression.ty, value)


def dot(total: Any, words: Any, weights: Any, lanes: int) -> Any:
    """Return sums plus the dot products of pairs: `words` and `weights` are vectors of int32, a pair in each lane."""
    if lanes < _LEAST_LANES:
        for one, other in zip(_halves(words), _halves(weights), strict=True):
            total = total + one * other
        return total
    return tirx.call_pure_extern(f"float32x{lanes}", f"{_DOT}_{lanes}", total, words, weights)


@contextlib.contextmanager
def functions() -> Iterator[None]:
    """Write what follows in a kernel that may round and add dot products."""
    with T.attr(tirx.const(0), "pragma_import_llvm", tvm.ir.StringImm(_code())):
        yield


@functools.cache
def register() -> None:
    """Let TVM call the function that rounds, once vectors are vectors."""
    _operation()
    tirx.op.register_intrin_lowering(ROUNDED, "llvm", f=_lowered, level=_LEVEL)


def _lowered(call: Any) -> Any:
    lanes = int(str(call.ty).partition("x")[2] or 1)
    return tirx.call_pure_extern(str(call.ty), f"{_ROUND}_{lanes}", *call.args)


@functools.cache
def _operation() -> Any:
    """Return the operation that rounds: of each lane for itself, and without effects, as `exp` is."""
    tvm.ir._ffi_api.RegisterOp(ROUNDED, "float32 to bfloat16, as 16 bits")
    like = tvm.ir.Op.get("tirx.exp")
    for attribute in ("TVectorizable", "TCallEffectKind"):
        tvm.ir.register_op_attr(ROUNDED, attribute, like.get_attr(attribute))
    tvm.ir.register_op_attr(ROUNDED, "TScriptPrinterName", ROUNDED.rpartition(".")[2])
    return tvm.ir.Op.get(ROUNDED)


@functools.cache
def _code() -> str:
    """Return the functions in LLVM's language."""
    written = []
    for lanes in _ROUNDED_LANES:
        source, made, bits = (f"<{lanes} x {kind}>" if lanes > 1 else kind for kind in ("float", "bfloat", "i16"))
        written.append(
            f"define {bits} @{_ROUND}_{lanes}({source} %x) {{\n  %y = fptrunc {source} %x to {made}\n"
            f"  %z = bitcast {made} %y to {bits}\n  ret {bits} %z\n}}"
        )
    for lanes in _DOT_LANES:
        sums, words, pairs = f"<{lanes} x float>", f"<{lanes} x i32>", f"<{PAIR * lanes} x bfloat>"
        called = f"{sums} @llvm.x86.avx512bf16.dpbf16ps.{32 * lanes}"
        written.append(
            f"declare {called}({sums}, {pairs}, {pairs})\n"
            f"define {sums} @{_DOT}_{lanes}({sums} %c, {words} %a, {words} %b) {{\n"
            f"  %x = bitcast {words} %a to {pairs}\n  %y = bitcast {words} %b to {pairs}\n"
            f"  %r = call {called}({sums} %c, {pairs} %x, {pairs} %y)\n  ret {sums} %r\n}}"
        )
    return "\n".join(written)


def _halves(words: Any) -> tuple[Any, Any]:
    """Return the first and the second of each pair as float32."""
    _, lanes = _kind(words)
    bits = tirx.reinterpret(f"uint32{lanes}", words)
    first = bits * _all(1 << BITS, "uint32", lanes)
    second = tirx.bitwise_and(bits, _all(0xFFFF0000, "uint32", lanes))
    return tirx.reinterpret(f"float32{lanes}", first), tirx.reinterpret(f"float32{lanes}", second)


def _kind(value: Any) -> tuple[str, str]:
    """Return the type of an expression without its lanes, and these as they are written: `x16`, or nothing."""
    kind, x, lanes = str(value.ty).partition("x")
    return kind, f"{x}{lanes}"


def _all(number: int, dtype: str, lanes: str) -> Any:
    value = tirx.const(number, dtype)
    return tirx.Broadcast(value, int(lanes[1:])) if lanes else value
