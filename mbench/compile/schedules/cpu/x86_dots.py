"""Dot products of bytes on x86: VNNI's one instruction, or two multiplications of pairs, of bytes or of 16 bits.

| instruction | takes | multiplications, additions |
|---|---|---|
| `vpdpbusd` (VNNI) | uint8, or int8 with 128 added; weights of int8 | one for all |
| `vpmaddubsw` | the same; weights from -64 to 64, so that two multiplied fit into 16 bits | 2, 1 |
| `vpmaddwd` | the same as `vpdpbusd`; any weights, with a zero point too, in 16 bits | 2, 2 |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu.dots import WORD, DotProduct, as_lanes
from mbench.core.errors import BuildError
from mbench.networks.quantization import NARROW_WEIGHT

_BYTE_PAIRS = {
    16: "llvm.x86.avx512.pmaddubs.w.512", 8: "llvm.x86.avx2.pmadd.ub.sw", 4: "llvm.x86.ssse3.pmadd.ub.sw.128",
}  # fmt: skip
_WORD_PAIRS = {16: "llvm.x86.avx512.pmaddw.d.512", 8: "llvm.x86.avx2.pmadd.wd", 4: "llvm.x86.sse2.pmadd.wd"}
_SIGN = 128
_LOW_BYTE, _LOW_BYTES, _BYTE_BITS = 0xFF, 0x00FF00FF, 8
_WIDEST = 16
_WINDOW = 224
"""Of Cascade Lake; later processors look further ahead."""


class Vnni(DotProduct):
    """`vpdpbusd`, of AVX-512 VNNI or AVX-VNNI.

    Of 512 bits some cores do one in a cycle and others two: latency is that of the latter, in the former's cycles.
    """

    def summed(self, total: Any, operand: Any, weights: Any, lanes: int) -> Any:
        """Add all four by one instruction."""
        name = f"llvm.x86.avx512.vpdpbusd.{32 * lanes}"
        return tirx.call_llvm_pure_intrin(f"int32x{lanes}", name, total, operand, weights)


class NarrowPairs(DotProduct):
    """`vpmaddubsw`: pairs of bytes to 16 bits, which are exact for narrow weights; then pairs of these to 32."""

    def summed(self, total: Any, operand: Any, weights: Any, lanes: int) -> Any:
        """Add pairs of pairs."""
        pairs = tirx.call_llvm_pure_intrin(f"int16x{2 * lanes}", _BYTE_PAIRS[lanes], operand, weights)
        ones = tirx.Broadcast(tirx.const(1, "int16"), 2 * lanes)
        return total + tirx.call_llvm_pure_intrin(f"int32x{lanes}", _WORD_PAIRS[lanes], pairs, ones)

    def laid(self, weights: np.ndarray, lanes: int) -> np.ndarray:
        """Return the weights as they are.

        Raises:
            BuildError: some are not narrow; the node that they are of said that all are.
        """
        if np.abs(weights).max(initial=0) > NARROW_WEIGHT:
            raise BuildError(f"weights reach {np.abs(weights).max()}, expected at most {NARROW_WEIGHT}")
        return super().laid(weights, lanes)


class WidePairs(DotProduct):
    """`vpmaddwd`: bytes are widened to 16 bits, the first and third of a word apart from the second and fourth."""

    def split(self, word: Any) -> list[Any]:
        """Return the first and third byte as 16 bits each, and the others."""
        [word] = super().split(word)
        low = as_lanes(_LOW_BYTES, word)
        upper = tirx.shift_right(word, as_lanes(_BYTE_BITS, word))
        return [tirx.bitwise_and(each, low) for each in (word, upper)]

    def operand(self, values: Any, lanes: int) -> Any:
        """Return two vectors of 16 bits, computed as such: LLVM computes with int32 in scalars what is broadcast."""
        count = 2 * lanes
        whole = T.bind(tirx.reinterpret(f"uint16x{count}", super().operand(values, lanes)))
        low, eight = (tirx.Broadcast(tirx.const(number, "uint16"), count) for number in (_LOW_BYTE, _BYTE_BITS))
        parts = tirx.bitwise_and(whole, low), tirx.shift_right(whole, eight)
        return tuple(T.bind(tirx.reinterpret(f"int16x{count}", each)) for each in parts)

    def everywhere(self, parts: Sequence[Any], lanes: int) -> Any:
        """Return two vectors of 16 bits."""
        return tuple(T.bind(tirx.reinterpret(f"int16x{2 * lanes}", emit.broadcast(part, lanes))) for part in parts)

    def summed(self, total: Any, operand: Any, weights: Any, lanes: int) -> Any:
        """Add pair by pair."""
        for pair, part in zip(operand, weights, strict=True):
            total = total + tirx.call_llvm_pure_intrin(f"int32x{lanes}", _WORD_PAIRS[lanes], pair, part)
        return total

    def read(self, array: Any, start: Any, lanes: int) -> Any:
        """Load two vectors of 16 bits."""
        size = WORD * lanes
        loads = [emit.vector(array, start + part * size, size) for part in range(2)]
        return tuple(T.bind(tirx.reinterpret(f"int16x{2 * lanes}", each)) for each in loads)

    def laid(self, weights: np.ndarray, lanes: int) -> np.ndarray:
        """Return the weights in 16 bits: of each register the first and third of all words, then the others."""
        lines, channels, _ = weights.shape
        split = weights.astype(np.int16).reshape(lines, channels // lanes, lanes, 2, 2)
        return np.ascontiguousarray(split.transpose(0, 1, 4, 2, 3)).view(np.int8)


def of(kernel: Kernel, machine: KernelMachine) -> DotProduct | None:
    """Return the quickest dot product of a machine that is exact for a kernel; None where it has none."""
    widest = machine.dot_bits // 32
    lanes = tuple(each for each in (16, 8, 4) if each <= widest)
    known: dict[str, Any] = {"lanes": lanes, "registers": machine.registers}
    wide, shift = widest == _WIDEST, _SIGN if kernel.dtype == "int8" else 0
    if not kernel.zero_points[1]:
        if "vpdpbusd" in machine.dots:
            units: dict[str, Any] = {"cycles": 1.0, "latency": 10, "spare": 3} if wide else {"cycles": 0.5}
            return Vnni(name="vpdpbusd", shift=shift, window=_WINDOW, **units, **known)
        if kernel.reach_of_weights <= NARROW_WEIGHT:
            return NarrowPairs(
                name="vpmaddubsw", shift=shift, cycles=2.0 if wide else 1.0, latency=2, spare=3, **known
            )  # fmt: skip
    return WidePairs(
        name="vpmaddwd", shift=shift, cycles=2.0 if wide else 1.0, latency=2, weight_bytes=2 * WORD, planes=2, spare=3,
        **known,
    )  # fmt: skip
