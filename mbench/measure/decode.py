"""What one machine instruction does, as far as counting goes: memory it moves, vectors, floating-point operations.

Decoding is capstone's (extra `emulation`); here its words are sorted into kinds. An instruction that may touch memory
or compute, and that is not known here, is an error: a count that leaves something out would look exact and be wrong.

Sources: Arm Architecture Reference Manual (DDI 0487), chapter C7 and C8; Intel 64 and IA-32 Architectures Software
Developer's Manual, volume 2.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import re
from typing import Any

from mbench.core.errors import MeasureError, UsageError

NEEDS = "capstone"
SVE_BYTES = 16
"""A scalable vector, as `sve-default-vector-length=16` makes it: the width of all targets here."""


@dataclasses.dataclass(frozen=True)
class InstructionCost:
    """What one execution of an instruction, or of a block of them, does."""

    instructions: int = 0
    loads: int = 0
    stores: int = 0
    load_bytes: int = 0
    store_bytes: int = 0
    vector_instructions: int = 0
    fma_instructions: int = 0
    flops: int = 0
    integer_operations: int = 0

    def __add__(self, other: InstructionCost) -> InstructionCost:
        return InstructionCost(*(mine + theirs for mine, theirs in zip(self.values(), other.values(), strict=True)))

    def __mul__(self, times: int) -> InstructionCost:
        return InstructionCost(*(times * mine for mine in self.values()))

    def values(self) -> tuple[int, ...]:
        """Return the counts in the order of the fields."""
        return tuple(getattr(self, field.name) for field in dataclasses.fields(self))


def check_installed() -> None:
    """Notice before any work that capstone is missing.

    Raises:
        UsageError: it is.
    """
    if importlib.util.find_spec(NEEDS) is None:
        raise UsageError("counting instructions needs capstone; install: pip install 'mobilenet-bench[emulation]'")


class Decoder:
    """Decodes the instructions of one architecture (`aarch64` or `x86_64`)."""

    def __init__(self, architecture: str) -> None:
        import capstone

        arm = architecture == "aarch64"
        self._engine = (
            capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_LITTLE_ENDIAN)
            if arm
            else capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        )
        self._engine.detail = not arm
        self._cost_of = _arm64 if arm else _x86
        self.cost = functools.cache(self._decoded)

    def _decoded(self, code: str) -> InstructionCost:
        """Return the cost of one instruction.

        Args:
            code: its bytes in hexadecimal.

        Raises:
            MeasureError: it is not known.
        """
        found = list(self._engine.disasm(bytes.fromhex(code), 0))
        if len(found) != 1:
            raise MeasureError(f"the instruction {code} cannot be decoded; counts would leave it out")
        return self._cost_of(found[0])


# ---------------------------------------------------------------------------------------------------------------- arm64
_WIDTHS = {"b": 1, "h": 2, "s": 4, "d": 8, "q": 16, "w": 4, "x": 8}
_ARM_MEMORY = re.compile(
    r"(?P<kind>ld|st)(?:r|ur|p|np|psw|ar|lr|xr|axr|lxr|tr)?(?P<part>s?[bhw])?|(?P<vector>(?:ld|st)[1-4])(?P<splat>r)?"
    r"|(?P<sve>(?:ld|st)(?:nt|ff|nf)?1)(?P<sve_part>r?s?[bhwd])"
)
_ARM_MULTIPLY_ADD = {
    *("fmla", "fmls", "fmadd", "fmsub", "fnmadd", "fnmsub", "fmad", "fmsb", "fnmla", "fnmls", "fnmad", "fnmsb"),
}
_ARM_ARITHMETIC = {
    *("fadd", "fsub", "fmul", "fnmul", "fmax", "fmin", "fmaxnm", "fminnm", "fdiv", "fsqrt", "fabd", "fsubr", "fdivr"),
    *("fmulx", "frecpe", "frecps", "frsqrte", "frsqrts"),
}
_ARM_PAIRS = re.compile(r"f(add|max|min|maxnm|minnm)p")
"""One operation for each number of the destination, a scalar as well; LLVM makes them of sums that no rule writes."""
_ARM_ACROSS = re.compile(
    r"f(add|max|min|maxnm|minnm)v|fcmla|fcadd|fadda|bf(dot|mmla|mlal[bt])|fmlal.*|fmlsl.*|f(dot|mmla)"
)
"""Sums across a vector and dot products of floats: not made by the rules' kernels, so not counted by guess."""
_ARM_INTEGER = re.compile(
    r"(?P<dot>(?:s|u|us|su)dot)|(?P<matrix>(?:s|u|us)mmla)|(?P<long>[su]m(?:ull|lal|lsl)[2bt]?)|(?P<same>mul|mla|mls)"
)
"""Multiplications of whole numbers: sums of four and of eight to a lane; to a lane of twice the width, or the same."""
_ARM_TERMS = {"dot": 4, "matrix": 8, "long": 1, "same": 1}
"""Multiplications for each lane of the destination."""
_ARM_NARROW = {"dot": "sd", "matrix": "s", "long": "hs", "same": "bh"}
"""Types of the destination's lanes of which the factors have 8 or 16 bits."""
_ARM_VECTOR = re.compile(r"\bv\d+\b|\bq\d+\b|\bz\d+\b")


def _arm64(instruction: Any) -> InstructionCost:
    name, operands = instruction.mnemonic, instruction.op_str
    vector = int(bool(_ARM_VECTOR.search(operands)))
    memory = _ARM_MEMORY.fullmatch(name)
    if memory:
        moved = _arm_bytes(instruction, memory)
        load = name.startswith("ld")
        return InstructionCost(1, int(load), int(not load), moved * load, moved * (not load), vector)
    pairs = bool(_ARM_PAIRS.fullmatch(name))
    predicated = pairs and operands.startswith("z")
    if name.startswith(("ld", "st", "cas", "swp", "gld", "sst")) or _ARM_ACROSS.fullmatch(name) or predicated:
        raise _unknown(instruction)
    multiplied = _arm_multiplied(name, operands)
    whole = bool(multiplied) and not name.startswith(("mul", "smull", "umull"))
    multiply_add = name in _ARM_MULTIPLY_ADD
    flops = _arm_lanes(operands) * (2 if multiply_add else int(pairs or name in _ARM_ARITHMETIC))
    return InstructionCost(
        1, vector_instructions=vector, fma_instructions=int(multiply_add or whole), flops=flops,
        integer_operations=2 * multiplied,
    )  # fmt: skip


def _arm_multiplied(name: str, operands: str) -> int:
    """Return how many pairs of numbers of 8 or 16 bits a vector instruction multiplies."""
    found = _ARM_INTEGER.fullmatch(name)
    if not found:
        return 0
    kind = str(found.lastgroup)
    known = re.match(r"(?:v\d+\.\d+|z\d+\.)([bhsd])", operands)
    return _ARM_TERMS[kind] * _arm_lanes(operands) if known and known[1] in _ARM_NARROW[kind] else 0


def _arm_bytes(instruction: Any, memory: re.Match[str]) -> int:
    """Return the bytes that a load or store moves."""
    operands = instruction.op_str
    registers, _, _ = operands.rpartition("[")
    if memory["sve"] or re.match(r"\{?\s*[zp]\d", operands):
        if re.match(r"\{?\s*p\d", operands) or "/z" in operands or re.search(r"\bp\d+\b", registers):
            raise _unknown(instruction)  # under a predicate: how many lanes moved, only the processor knows
        return SVE_BYTES * len(re.findall(r"\bz\d+", registers))
    if memory["part"]:
        return _WIDTHS[memory["part"][-1]] * (2 if instruction.mnemonic == "ldpsw" else 1)
    if memory["splat"]:
        return _WIDTHS[re.findall(r"\.\d*([bhsd])", registers)[0]] * int(memory["vector"][-1])
    lane = re.search(r"\.([bhsd])\s*\}\s*\[\w+\]", operands)  # from 10 on capstone writes [0xa]
    if lane:
        return _WIDTHS[lane[1]] * int(memory["vector"][-1])
    found = re.findall(r"\b([bhsdqwx])(?:\d+|zr)\b|\bv\d+\.(\d+)([bhsd])", registers)
    if instruction.mnemonic.startswith("stxr") or instruction.mnemonic.startswith("stlxr"):
        found = found[1:]  # the first one takes the status
    if not found:
        raise _unknown(instruction)
    return sum(_WIDTHS[scalar] if scalar else int(lanes) * _WIDTHS[part] for scalar, lanes, part in found)


def _arm_lanes(operands: str) -> int:
    """Return how many numbers the destination holds."""
    fixed = re.match(r"v\d+\.(\d+)[bhsd]", operands)
    if fixed:
        return int(fixed[1])
    scalable = re.match(r"z\d+\.([bhsd])", operands)
    return SVE_BYTES // _WIDTHS[scalable[1]] if scalable else 1


# --------------------------------------------------------------------------------------------------------------- x86-64
_X86_NO_ACCESS = ("lea", "nop", "prefetch", "endbr", "clflush")
_X86_MULTIPLY_ADD = re.compile(r"vf(n?m(add|sub)|maddsub|msubadd)(132|213|231)([ps])([sd])")
_X86_ARITHMETIC = re.compile(r"v?(add|sub|mul|max|min|div|sqrt|rcp14|rcp|rsqrt14|rsqrt)([ps])([sd])")
_X86_ACROSS = re.compile(
    r"v?(hadd|hsub|addsub|dp)p[sd]|vp?(gather|scatter|compress|expand).*|v?p?maskmov.*"
    r"|(rep\w* )?(movs|stos|cmps|scas|lods)[bwq]"
)
_X86_INTEGER = {
    "vpdpbusd": (4, 4), "vpdpbusds": (4, 4), "vpdpwssd": (4, 2), "vpdpwssds": (4, 2), "vpmaddubsw": (2, 2),
    "vpmaddwd": (4, 2), "pmaddubsw": (2, 2), "pmaddwd": (4, 2), "vpmullw": (2, 1), "pmullw": (2, 1),
}  # fmt: skip
"""Multiplications of numbers of 8 or 16 bits: bytes of a lane of the destination, and pairs that a lane sums."""
_X86_SUMMING = ("vpdp",)
"""How those begin that add to what the destination holds."""
_X86_STACK = {"push": (0, 1), "pop": (1, 0), "call": (0, 1), "ret": (1, 0), "leave": (1, 0)}
_X86_VECTORS = {"xmm": 16, "ymm": 32, "zmm": 64}


def _x86(instruction: Any) -> InstructionCost:
    import capstone

    name, operands = instruction.mnemonic, instruction.op_str
    if _X86_ACROSS.fullmatch(name) or "{k" in operands:
        raise _unknown(instruction)
    loads, stores = _X86_STACK.get(name, (0, 0))
    load_bytes, store_bytes = 8 * loads, 8 * stores
    for place, operand in enumerate(instruction.operands if not name.startswith(_X86_NO_ACCESS) else ()):
        if operand.type == capstone.x86.X86_OP_MEM:
            reads, writes = bool(operand.access & capstone.CS_AC_READ), bool(operand.access & capstone.CS_AC_WRITE)
            if place == 0 and re.search(r"\b[xyz]mm\d+", operands):
                reads, writes = False, True  # a store; capstone 5 says that AVX's read
            if place and name.startswith("vbroadcast"):
                reads = True  # capstone 5 leaves it out
            if not (reads or writes):
                raise _unknown(instruction)
            loads, stores = loads + reads, stores + writes
            load_bytes, store_bytes = load_bytes + operand.size * reads, store_bytes + operand.size * writes
    multiply_add, arithmetic = _X86_MULTIPLY_ADD.fullmatch(name), _X86_ARITHMETIC.fullmatch(name)
    found = multiply_add or arithmetic
    flops = _x86_lanes(found, operands) * (2 if multiply_add else 1) if found else 0
    vector = _x86_is_vector(name, operands, bool(found and found.groups()[-2] == "s"))
    summing = bool(multiply_add) or name.startswith(_X86_SUMMING)
    whole = 2 * _x86_multiplied(name, operands)
    return InstructionCost(1, loads, stores, load_bytes, store_bytes, int(vector), int(summing), flops, whole)


def _x86_multiplied(name: str, operands: str) -> int:
    """Return how many pairs of numbers of 8 or 16 bits an instruction multiplies."""
    if name not in _X86_INTEGER:
        return 0
    lane_bytes, pairs = _X86_INTEGER[name]
    return max(_X86_VECTORS[word] for word in re.findall(r"\b([xyz]mm)\d+", operands)) // lane_bytes * pairs


def _x86_lanes(found: re.Match[str], operands: str) -> int:
    packed, kind = found.groups()[-2:]
    if packed == "s":
        return 1
    widest = max(_X86_VECTORS[word] for word in re.findall(r"\b([xyz]mm)\d+", operands))
    return widest // (4 if kind == "s" else 8)


def _x86_is_vector(name: str, operands: str, scalar: bool) -> bool:
    if re.search(r"\b[yz]mm\d+", operands):
        return True
    return "xmm" in operands and not scalar and not re.fullmatch(r"v?(mov|cvt|comi|ucomi|round)\w*(ss|sd|si|d|q)", name)


def _unknown(instruction: Any) -> MeasureError:
    return MeasureError(
        f"the instruction '{instruction.mnemonic} {instruction.op_str}' is not one that is counted exactly; report it"
    )
