"""Measure the peak of a CPU in multiply-adds of bytes, with the quickest instructions that its target has for them.

The kernel is built by TVM for the same target as the networks and runs as those of `cpu_peaks` do. Where one
instruction adds a dot product to a sum, its operands stay in registers. Where several stand for it, what they multiply
is read from the first cache: the same product again and again would be computed once.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import numpy as np
import tvm
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.schedules import emit
from mbench.core import dtypes
from mbench.core.errors import MeasureError
from mbench.core.machine_types import Calibration, Target
from mbench.core.progress import Fraction
from mbench.hardware import byte_instructions
from mbench.hardware.byte_instructions import ByteInstructions
from mbench.measure import cpu_peaks
from mbench.measure.cpu_peaks import PeakPlace
from mbench.measure.probe import Probe, sample_in_turn

CHAINS, STEPS = 12, 20_480
"""Independent sums on each thread, and how often each is added to."""
_LINES = 32
"""Lines of the data that are read from the first cache: 24 KiB of vectors of 512 bits."""
_SUM_BITS = 32
_X86_BYTES = {
    512: "llvm.x86.avx512.pmaddubs.w.512", 256: "llvm.x86.avx2.pmadd.ub.sw", 128: "llvm.x86.ssse3.pmadd.ub.sw.128",
}  # fmt: skip
_X86_WORDS = {512: "llvm.x86.avx512.pmaddw.d.512", 256: "llvm.x86.avx2.pmadd.wd", 128: "llvm.x86.sse2.pmadd.wd"}
ByteStep = Callable[[Any, Any, Any, int], Any]
"""(sums, values, weights, bits) → sums."""


def method(found: ByteInstructions) -> str:
    """Return what is measured."""
    return (
        f"int8: operations/s of {CHAINS} independent sums on each thread by {' + '.join(found.mnemonics)} on "
        f"{found.bits} bits, two a multiply-add"
    )


def calibrate(
    target: Target, threads: int, *, progress: Fraction = lambda _: None, place: PeakPlace | None = None
) -> Calibration:
    """Measure the peak of a machine, by default this one; the answer has that alone.

    Raises:
        MeasureError: no way is known in which the target multiplies bytes.
    """
    found = byte_instructions.of(target.family, target.processor)
    if found is None:
        raise MeasureError(f"target '{target.name}' has no instructions that multiply bytes and are known here")
    place = place or cpu_peaks.Here()
    probe = _probe(found, threads, target, place)
    sample_in_turn([probe], progress)
    return Calibration(
        method=method(found),
        measured_at_utc=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        threads=threads,
        flops_per_s={dtypes.INT8: probe.rate()},
        bytes_per_s={},
        working_set_bytes={},
        others_busy=place.others_busy(),
    )


def _probe(found: ByteInstructions, threads: int, target: Target, place: PeakPlace) -> Probe:
    signed = found.signed
    values, weights, sums = sizes(found, threads)
    module = place.load(
        tvm.IRModule({"main": kernel(found, threads, signed=signed)}), tvm.target.Target(target.tvm_options)
    )
    arguments = []
    for size, dtype in ((values, _values(signed=signed)), (weights, "int8"), (sums, "int32")):
        array = tvm.runtime.empty((size,), dtype, place.device)
        array.copyfrom(np.ones(size, dtype))
        arguments.append(array)
    return Probe(module, place.device, arguments, work=2 * threads * CHAINS * STEPS * found.multiply_adds)


def _values(*, signed: bool) -> str:
    return "int8" if signed else "uint8"


def _lines(found: ByteInstructions) -> tuple[int, int]:
    """Return how many lines of values there are, and how many vectors each has."""
    return (1, 1) if found.is_dot_product else (_LINES, CHAINS)


def sizes(found: ByteInstructions, threads: int) -> tuple[int, int, int]:
    """Return the elements of the values, of the weights and of the sums."""
    lines, vectors = _lines(found)
    size = found.bits // 8
    return threads * lines * vectors * size, threads * size, threads * CHAINS * (found.bits // _SUM_BITS)


def kernel(found: ByteInstructions, threads: int, *, signed: bool) -> tirx.PrimFunc:
    """Return chains of multiply-adds of bytes on each thread."""
    step, lanes, size = _STEPS[found.mnemonics[0]], found.bits // _SUM_BITS, found.bits // 8
    lines, vectors = _lines(found)
    dtypes_of = (_values(signed=signed), "int8", "int32")
    builder = IRBuilder()
    with builder, T.prim_func():
        T.func_attr({"tirx.noalias": True, "global_symbol": "main"})
        x, w, y = (
            T.arg(name, T.buffer((elements,), dtype))
            for name, elements, dtype in zip("xwy", sizes(found, threads), dtypes_of, strict=True)
        )
        with T.parallel(threads) as thread:
            sums = emit.Accumulators(CHAINS, 1, lanes, "int32")
            start = thread * (CHAINS * lanes)
            sums.each(lambda chain, _, lane: y[start + chain * lanes + lane])
            weights = emit.vector(w, thread * size, size)
            with T.serial(STEPS // lines), emit.loop(lines) as line:
                for chain in range(CHAINS):
                    place = ((thread * lines + line) * vectors + chain % vectors) * size
                    values = emit.vector(x, place, size)
                    sums.combine(chain, 0, values, lambda total, read: step(total, read, weights, found.bits))
            for chain in range(CHAINS):
                emit.store(y, sums.vector(chain, 0), start + chain * lanes, lanes)
    return builder.get()


def _vpdpbusd(total: Any, values: Any, weights: Any, bits: int) -> Any:
    name = f"llvm.x86.avx512.vpdpbusd.{bits}"
    return tirx.call_llvm_pure_intrin(f"int32x{bits // _SUM_BITS}", name, total, values, weights)


def _pairs(total: Any, values: Any, weights: Any, bits: int) -> Any:
    words = tirx.call_llvm_pure_intrin(f"int16x{bits // 16}", _X86_BYTES[bits], values, weights)
    ones = tirx.Broadcast(tirx.const(1, "int16"), bits // 16)
    return total + tirx.call_llvm_pure_intrin(f"int32x{bits // _SUM_BITS}", _X86_WORDS[bits], words, ones)


def _neon(name: str) -> ByteStep:
    def step(total: Any, values: Any, weights: Any, _bits: int) -> Any:
        return tirx.call_llvm_pure_intrin("int32x4", f"llvm.aarch64.neon.{name}.v4i32.v16i8", total, values, weights)

    return step


def _long(total: Any, values: Any, weights: Any, _bits: int) -> Any:
    """Multiply both halves to 16 bits, the second on top of the first, and add pairs of these."""
    words: Any = None
    for part in (0, 1):
        halves = [tirx.Shuffle([each], list(range(8 * part, 8 * part + 8))) for each in (values, weights)]
        product = tirx.call_llvm_pure_intrin("int16x8", "llvm.aarch64.neon.smull.v8i16", *halves)
        words = product if words is None else words + product
    return total + tirx.call_llvm_pure_intrin("int32x4", "llvm.aarch64.neon.saddlp.v4i32.v8i16", words)


_STEPS: dict[str, ByteStep] = {
    "vpdpbusd": _vpdpbusd,
    "vpmaddubsw": _pairs,
    "smmla": _neon("smmla"),
    "sdot": _neon("sdot"),
    "smull": _long,
}
"""By the first of the instructions."""
