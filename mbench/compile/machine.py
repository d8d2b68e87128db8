"""The machine that kernels are made for: all that schedules may depend on, read off a target. Imports no TVM.

It is hashed whole into the digest of an artifact, so that a new field can never leave a stale artifact in use.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from mbench.core import dtypes
from mbench.core.machine_types import Cache, Multiprocessor, Processor, Target
from mbench.hardware import half_sums, platforms

_REGISTERS_GRANTED = 256
"""Registers are granted to warps in multiples of so many (CUDA Occupancy Calculator, all of the architectures here)."""
_SHARED_TAKEN = 1024
"""Bytes of shared memory that CUDA keeps for itself in each block (CUDA C++ Programming Guide, 8.x and 9.0)."""
_USUAL = {"threads": 1024, "blocks": 16, "registers": 65536, "shared_bytes": 65536}
"""For a target that does not state it: no more than any architecture since 7.0 has (CUDA C++ Programming Guide)."""


_PAIRS = {"avx512bw": 512, "avx2": 256, "ssse3": 128}
"""Features of x86 processors, and the bits of the vectors whose pairs of bytes they multiply."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GpuLimits:
    """Limits of a thread, of a block of threads, and of a streaming multiprocessor (SM)."""

    warp: int
    registers_a_thread: int
    threads_a_block: int
    shared_bytes_a_block: int
    threads: int
    blocks: int
    registers: int
    shared_bytes: int
    """What an SM holds of each at once."""
    multiply_adds: float
    """float32 multiply-adds that an SM does in a cycle."""
    half_multiply_adds: float
    """float16 ones, on tensor cores."""
    byte_multiply_adds: float
    """Of 8 bits, on tensor cores."""
    l2_bytes: float
    dram_bytes: float
    """What an SM gets from each in a cycle, when all of them read."""

    @classmethod
    def of(cls, target: Target) -> GpuLimits:
        """Read them off a GPU target: `tvm` (of a block), `processor`, `peaks`; their sources are there."""
        tvm, processor = target.tvm, target.processor
        held = _held(processor.multiprocessor)
        known = processor.flops_per_cycle
        per_cycle, half, of_bytes = (known.get(dtype) for dtype in ("float32", "float16", dtypes.INT8))
        multiply_adds = per_cycle.value / 2 if per_cycle else 64
        half_multiply_adds = half.value / 2 if half else 2 * multiply_adds
        return cls(
            warp=int(tvm.get("thread_warp_size", 32)),
            registers_a_thread=processor.vector_registers or 255,
            threads_a_block=int(tvm.get("max_threads_per_block", 1024)),
            shared_bytes_a_block=int(tvm.get("max_shared_memory_per_block", 48 * 2**10)),
            multiply_adds=multiply_adds,
            half_multiply_adds=half_multiply_adds,
            byte_multiply_adds=of_bytes.value / 2 if of_bytes else 2 * half_multiply_adds,
            l2_bytes=_of_an_sm(target, "L2") or 32,
            dram_bytes=_of_an_sm(target, "DRAM") or 8,
            **held,
        )

    def resident(self, *, threads: int, registers: int, shared_bytes: int) -> int:
        """Return how many blocks an SM holds at once; 0 for a block that is over a limit.

        Args:
            threads: of a block.
            registers: of a thread.
            shared_bytes: of a block.
        """
        if threads > self.threads_a_block or shared_bytes > self.shared_bytes_a_block:
            return 0
        if registers > self.registers_a_thread:
            return 0
        warps = -(-threads // self.warp)
        granted = -(-registers * self.warp // _REGISTERS_GRANTED) * _REGISTERS_GRANTED * warps
        by_shared = self.shared_bytes // (shared_bytes + _SHARED_TAKEN)
        return min(self.blocks, self.threads // (warps * self.warp), self.registers // granted, by_shared)


def _of_an_sm(target: Target, level: str) -> float | None:
    """Return a level's bytes a cycle and SM; None where the target does not state it."""
    peak, frequency = target.peaks.bytes_per_s.get(level), target.processor.frequency_hz
    return peak.value / (target.processor.cores * frequency.value) if peak and frequency else None


def _held(multiprocessor: Multiprocessor | None) -> dict[str, Any]:
    if multiprocessor is None:
        return _USUAL
    return {name: int(getattr(multiprocessor, name).value) for name in _USUAL}


@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelMachine:
    """What the rules may depend on; all of it goes into the artifact's digest."""

    kind: str
    vector_bits: int
    """Of a vector register."""
    registers: int
    broadcasts_from_memory: bool
    """Whether an element is broadcast as it is loaded (x86), or multiplied by as a lane of a register (arm)."""
    l1_bytes: int
    l2_bytes: int
    """What one core has for itself of each."""
    cores: int
    limits: GpuLimits | None = None
    """Of a GPU."""
    dots: tuple[str, ...] = ()
    """Instructions that multiply bytes and add the dot products, four by four, to int32; the quickest first."""
    dot_bits: int = 0
    """Of the widest vectors that these take; 0: there are none."""
    byte_tables: bool = False
    """Whether 64 bytes at once can be looked up in a table of registers."""
    half_terms: int = 0
    """Multiply-adds of float16 that are summed in float16 before the sum is added to one of float32; 0: none are."""

    @property
    def multiplies_signed(self) -> bool:
        """Whether it multiplies int8 by int8, and uint8 only after a step that makes them int8."""
        return "smull" in self.dots and "usdot" not in self.dots

    def multiplies(self, dtype: str) -> bool:
        """Return whether kernels multiply numbers of a type as they are."""
        return dtype != half_sums.TYPE or self.half_terms > 0 or self.limits is not None

    def lanes(self, dtype: str = dtypes.DEFAULT) -> int:
        """Return how many numbers of a type a vector register holds."""
        return dtypes.of(dtype).lanes(self.vector_bits)

    def sum_lanes(self, dtype: str) -> int:
        """Return how many sums of multiply-adds of a type a vector register holds."""
        return self.lanes(dtype if dtype == half_sums.TYPE and self.half_terms else dtypes.DEFAULT)

    @classmethod
    def of(cls, target: Target) -> KernelMachine:
        """Read it off a target's description."""
        processor, platform = target.processor, platforms.of(target)
        dots, bits = _dots(processor)
        return cls(
            kind=platform.processor,
            vector_bits=processor.vector_bits,
            registers=processor.vector_registers or 16,
            broadcasts_from_memory=platform.broadcasts_from_memory,
            l1_bytes=_of_one_core(processor.l1d, 32 * 2**10),
            l2_bytes=_of_one_core(processor.l2, 256 * 2**10),
            cores=processor.cores,
            limits=None if platform.on_host else GpuLimits.of(target),
            dots=dots,
            dot_bits=bits,
            byte_tables="avx512vbmi" in processor.requires,
            half_terms=half_sums.of_target(target),
        )


def _dots(processor: Processor) -> tuple[tuple[str, ...], int]:
    """Return the instructions that multiply bytes and add them to int32, and the bits of the vectors that they take."""
    known = set(processor.requires)
    pairs = ("vpmaddubsw", "vpmaddwd")
    if {"avx512_vnni", "avx512vl", "avx512bw"} <= known:
        return ("vpdpbusd", *pairs), processor.vector_bits
    if {"avx_vnni", "avx2"} <= known:
        return ("vpdpbusd", *pairs), 256
    if "asimd" in known:
        names = ("usmmla", "usdot") * ("i8mm" in known) + ("sdot",) * ("asimddp" in known) + ("smull",)
        return names, processor.vector_bits
    for feature, bits in _PAIRS.items():
        if feature in known and processor.vector_bits >= bits:
            return pairs, bits
    return (), 0


def _of_one_core(cache: Cache | None, usual: int) -> int:
    return usual if cache is None else int(cache.bytes.value / cache.shared_by)
