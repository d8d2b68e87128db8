"""How processors multiply bytes: the quickest way that a target has. Facts of instruction sets; no code is made here.

Sources: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2 (VPDPBUSD, VPMADDUBSW, VPMADDWD); Arm
Architecture Reference Manual (DDI 0487), chapter C7 (SDOT, SMMLA, SMULL, SMLAL, SADALP).
"""

from __future__ import annotations

import dataclasses
import math

from mbench.core.machine_types import Processor


@dataclasses.dataclass(frozen=True, kw_only=True)
class ByteInstructions:
    """What multiplies bytes and adds them up in int32."""

    mnemonics: tuple[str, ...]
    """One is a dot product; several, in turn, stand for one."""
    bits: int
    """Of the vectors that they take."""
    multiply_adds: int
    """That all of them do together."""

    @property
    def is_dot_product(self) -> bool:
        """Whether one instruction does it."""
        return len(self.mnemonics) == 1

    @property
    def signed(self) -> bool:
        """Whether both factors are int8; on x86 the first is uint8."""
        return not self.mnemonics[0].startswith("v")

    def against_floats(self, vector_bits: int) -> float:
        """Return the multiply-adds of each instruction, over those of float32 in vectors of so many bits."""
        return self.multiply_adds / len(self.mnemonics) / (vector_bits / 32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _RequiredFor:
    requires: frozenset[str]
    mnemonics: tuple[str, ...]
    bits: float
    """At most; a target with narrower vectors has those."""
    each: int = 8
    """Bits of a vector for each multiply-add."""


_PAIRS = ("vpmaddubsw", "vpmaddwd", "vpaddd")
_WAYS = {
    "x86": (
        _RequiredFor(requires=frozenset({"avx512_vnni", "avx512vl"}), mnemonics=("vpdpbusd",), bits=math.inf),
        _RequiredFor(requires=frozenset({"avx_vnni"}), mnemonics=("vpdpbusd",), bits=256),
        _RequiredFor(requires=frozenset({"avx512bw"}), mnemonics=_PAIRS, bits=512),
        _RequiredFor(requires=frozenset({"avx2"}), mnemonics=_PAIRS, bits=256),
        _RequiredFor(requires=frozenset({"ssse3"}), mnemonics=_PAIRS, bits=128),
    ),
    "arm": (
        _RequiredFor(requires=frozenset({"i8mm"}), mnemonics=("smmla",), bits=128, each=4),
        _RequiredFor(requires=frozenset({"asimddp"}), mnemonics=("sdot",), bits=128),
        _RequiredFor(requires=frozenset({"asimd"}), mnemonics=("smull", "smlal", "sadalp"), bits=128),
    ),
}
"""By family, the quickest first. `vpmaddubsw` and its like are exact for weights of 7 bits alone."""


def of(family: str, processor: Processor) -> ByteInstructions | None:
    """Return the quickest way in which a processor multiplies bytes; None where none is known."""
    known = set(processor.requires)
    way = next((way for way in _WAYS.get(family, ()) if way.requires <= known), None)
    if way is None:
        return None
    bits = int(min(way.bits, processor.vector_bits))
    return ByteInstructions(mnemonics=way.mnemonics, bits=bits, multiply_adds=bits // way.each)
