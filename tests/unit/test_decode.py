"""What instructions do, as the manuals say; the bytes come from the GNU assembler, not from the decoder."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import require

from mbench.core.errors import MeasureError, UsageError
from mbench.measure import decode
from mbench.measure.decode import Decoder, InstructionCost

V = {"vector_instructions": 1}
ARM64 = {
    "fmla v0.4s, v1.4s, v2.s[1]": InstructionCost(1, **V, fma_instructions=1, flops=8),
    "fmla v0.2s, v1.2s, v2.2s": InstructionCost(1, **V, fma_instructions=1, flops=4),
    "fmla v0.8h, v1.8h, v2.h[7]": InstructionCost(1, **V, fma_instructions=1, flops=16),
    "fmla v0.4h, v1.4h, v2.4h": InstructionCost(1, **V, fma_instructions=1, flops=8),
    "fminnm v0.8h, v1.8h, v2.8h": InstructionCost(1, **V, flops=8),
    "fcvtl2 v0.4s, v1.8h": InstructionCost(1, **V),
    "fmadd h0, h1, h2, h3": InstructionCost(1, fma_instructions=1, flops=2),
    "ld1r {v0.8h}, [x0]": InstructionCost(1, loads=1, load_bytes=2, **V),
    "fmadd s0, s1, s2, s3": InstructionCost(1, fma_instructions=1, flops=2),
    "fadd v0.4s, v1.4s, v2.4s": InstructionCost(1, **V, flops=4),
    "fmax v0.4s, v1.4s, v2.4s": InstructionCost(1, **V, flops=4),
    "fmul s0, s1, s2": InstructionCost(1, flops=1),
    "fmla v0.2d, v1.2d, v2.2d": InstructionCost(1, **V, fma_instructions=1, flops=4),
    "ldr q0, [x1, #16]": InstructionCost(1, loads=1, load_bytes=16, **V),
    "ldur q0, [x1, #-3]": InstructionCost(1, loads=1, load_bytes=16, **V),
    "ldp q0, q1, [x1], #32": InstructionCost(1, loads=1, load_bytes=32, **V),
    "stp q0, q1, [x1]": InstructionCost(1, stores=1, store_bytes=32, **V),
    "stp x29, x30, [sp, #-16]!": InstructionCost(1, stores=1, store_bytes=16),
    "ldp d8, d9, [sp], #16": InstructionCost(1, loads=1, load_bytes=16),
    "ldr s0, [x1, x2, lsl #2]": InstructionCost(1, loads=1, load_bytes=4),
    "ldr w0, [x1]": InstructionCost(1, loads=1, load_bytes=4),
    "ldrb w0, [x1]": InstructionCost(1, loads=1, load_bytes=1),
    "ldrsh x0, [x1]": InstructionCost(1, loads=1, load_bytes=2),
    "ldrsw x0, [x1]": InstructionCost(1, loads=1, load_bytes=4),
    "ldpsw x0, x1, [x2]": InstructionCost(1, loads=1, load_bytes=8),
    "strh w0, [x1]": InstructionCost(1, stores=1, store_bytes=2),
    "str wzr, [x1]": InstructionCost(1, stores=1, store_bytes=4),
    "ld1 {v0.4s, v1.4s}, [x0]": InstructionCost(1, loads=1, load_bytes=32, **V),
    "ld1 {v0.s}[2], [x0]": InstructionCost(1, loads=1, load_bytes=4, **V),
    "ld1 {v0.b}[15], [x0], #1": InstructionCost(1, loads=1, load_bytes=1, **V),
    "st2 {v0.b, v1.b}[10], [x0]": InstructionCost(1, stores=1, store_bytes=2, **V),
    "faddp s0, v1.2s": InstructionCost(1, **V, flops=1),
    "fmaxnmp v0.4s, v1.4s, v2.4s": InstructionCost(1, **V, flops=4),
    "ld1r {v0.4s}, [x0]": InstructionCost(1, loads=1, load_bytes=4, **V),
    "ld4 {v0.4s, v1.4s, v2.4s, v3.4s}, [x0]": InstructionCost(1, loads=1, load_bytes=64, **V),
    "st1 {v0.2s}, [x0]": InstructionCost(1, stores=1, store_bytes=8, **V),
    "st2 {v0.4s, v1.4s}, [x0], #32": InstructionCost(1, stores=1, store_bytes=32, **V),
    "stxr w0, x1, [x2]": InstructionCost(1, stores=1, store_bytes=8),
    "sdot v0.4s, v1.16b, v2.16b": InstructionCost(1, **V, fma_instructions=1, integer_operations=32),
    "sdot v0.4s, v1.16b, v2.4b[3]": InstructionCost(1, **V, fma_instructions=1, integer_operations=32),
    "udot v0.2s, v1.8b, v2.8b": InstructionCost(1, **V, fma_instructions=1, integer_operations=16),
    "usdot v0.4s, v1.16b, v2.16b": InstructionCost(1, **V, fma_instructions=1, integer_operations=32),
    "sudot v0.4s, v1.16b, v2.4b[1]": InstructionCost(1, **V, fma_instructions=1, integer_operations=32),
    "smmla v0.4s, v1.16b, v2.16b": InstructionCost(1, **V, fma_instructions=1, integer_operations=64),
    "usmmla v0.4s, v1.16b, v2.16b": InstructionCost(1, **V, fma_instructions=1, integer_operations=64),
    "smull v0.8h, v1.8b, v2.8b": InstructionCost(1, **V, integer_operations=16),
    "smlal2 v0.8h, v1.16b, v2.16b": InstructionCost(1, **V, fma_instructions=1, integer_operations=16),
    "umlal v0.4s, v1.4h, v2.h[5]": InstructionCost(1, **V, fma_instructions=1, integer_operations=8),
    "smlal v0.2d, v1.2s, v2.2s": InstructionCost(1, **V),  # of 32 bits
    "mla v0.8h, v1.8h, v2.8h": InstructionCost(1, **V, fma_instructions=1, integer_operations=16),
    "mul v0.8h, v1.8h, v2.h[1]": InstructionCost(1, **V, integer_operations=16),
    "mul v0.4s, v1.4s, v2.4s": InstructionCost(1, **V),
    "mul x0, x1, x2": InstructionCost(1),
    "smull x0, w1, w2": InstructionCost(1),
    "sadalp v0.4s, v1.8h": InstructionCost(1, **V),
    "sqxtun2 v0.16b, v1.8h": InstructionCost(1, **V),
    "fcvtns v0.4s, v1.4s": InstructionCost(1, **V),
    "sdot z0.s, z1.b, z2.b": InstructionCost(1, **V, fma_instructions=1, integer_operations=32),
    "dup v0.4s, v1.s[0]": InstructionCost(1, **V),
    "add x0, x1, x2": InstructionCost(1),
    "bfi w8, w17, #5, #1": InstructionCost(1),
    "prfm pldl1keep, [x0]": InstructionCost(1),
    "ret": InstructionCost(1),
}
X86 = {
    "vfmadd231ps (%rax), %ymm1, %ymm0": InstructionCost(1, loads=1, load_bytes=32, **V, fma_instructions=1, flops=16),
    "vpdpbusd %zmm2, %zmm1, %zmm0": InstructionCost(1, **V, fma_instructions=1, integer_operations=128),
    "vpdpbusd (%rax), %ymm1, %ymm0": InstructionCost(
        1, loads=1, load_bytes=32, **V, fma_instructions=1, integer_operations=64
    ),
    "vpmaddubsw %ymm2, %ymm1, %ymm0": InstructionCost(1, **V, integer_operations=64),
    "vpmaddwd %ymm2, %ymm1, %ymm0": InstructionCost(1, **V, integer_operations=32),
    "pmaddwd %xmm2, %xmm1": InstructionCost(1, **V, integer_operations=16),
    "vpmullw %ymm2, %ymm1, %ymm0": InstructionCost(1, **V, integer_operations=32),
    "vpaddd %ymm2, %ymm1, %ymm0": InstructionCost(1, **V),
    "vbroadcasti128 (%rax), %ymm0": InstructionCost(1, loads=1, load_bytes=16, **V),
    "vpbroadcastd (%rax), %ymm0": InstructionCost(1, loads=1, load_bytes=4, **V),
    "vpmovzxbw (%rax), %ymm0": InstructionCost(1, loads=1, load_bytes=16, **V),
    "vfmadd213ps %xmm2, %xmm1, %xmm0": InstructionCost(1, **V, fma_instructions=1, flops=8),
    "vfmadd231ss %xmm2, %xmm1, %xmm0": InstructionCost(1, fma_instructions=1, flops=2),
    "vfmadd231pd %ymm2, %ymm1, %ymm0": InstructionCost(1, **V, fma_instructions=1, flops=8),
    "vaddps %ymm2, %ymm1, %ymm0": InstructionCost(1, **V, flops=8),
    "vmaxps (%rdi), %xmm1, %xmm0": InstructionCost(1, loads=1, load_bytes=16, **V, flops=4),
    "vmulss %xmm2, %xmm1, %xmm0": InstructionCost(1, flops=1),
    "addps %xmm1, %xmm0": InstructionCost(1, **V, flops=4),
    "vmovups (%rdi), %ymm0": InstructionCost(1, loads=1, load_bytes=32, **V),
    "vmovups %ymm0, (%rdi)": InstructionCost(1, stores=1, store_bytes=32, **V),
    "vmovaps %xmm0, (%rdi)": InstructionCost(1, stores=1, store_bytes=16, **V),
    "movups %xmm0, (%rdi)": InstructionCost(1, stores=1, store_bytes=16, **V),
    "vmovss %xmm0, (%rdi)": InstructionCost(1, stores=1, store_bytes=4),
    "vmovss (%rdi), %xmm0": InstructionCost(1, loads=1, load_bytes=4),
    "vbroadcastss (%rdi), %ymm0": InstructionCost(1, loads=1, load_bytes=4, **V),
    "vextractf128 $1, %ymm0, (%rdi)": InstructionCost(1, stores=1, store_bytes=16, **V),
    "mov %rax, (%rdi)": InstructionCost(1, stores=1, store_bytes=8),
    "mov (%rdi), %eax": InstructionCost(1, loads=1, load_bytes=4),
    "add %rax, (%rdi)": InstructionCost(1, loads=1, stores=1, load_bytes=8, store_bytes=8),
    "cmp %rax, (%rdi)": InstructionCost(1, loads=1, load_bytes=8),
    "push %rbp": InstructionCost(1, stores=1, store_bytes=8),
    "ret": InstructionCost(1, loads=1, load_bytes=8),
    "lea 8(%rdi), %rax": InstructionCost(1),
    "prefetcht0 (%rdi)": InstructionCost(1),
    "nopw 0(%rax,%rax,1)": InstructionCost(1),
    "vxorps %xmm0, %xmm0, %xmm0": InstructionCost(1, **V),
}
REFUSED = {
    "aarch64": (
        *(
            "faddv s0, p0, z1.s",
            "faddp z0.s, p0/m, z0.s, z1.s",
            "ld1w {z0.s}, p0/z, [x0]",
            "fmlal v0.4s, v1.4h, v2.4h",
            "swp x0, x1, [x2]",
        ),
        *("bfdot v0.4s, v1.8h, v2.8h", "bfmmla v0.4s, v1.8h, v2.8h"),
    ),
    "x86_64": ("vhaddps %ymm2, %ymm1, %ymm0", "vgatherdps %ymm0, (%rax,%ymm1,4), %ymm2", "rep movsb"),
}
ASSEMBLERS = {"aarch64": ("aarch64-linux-gnu-as", "-march=armv8.5-a+sve2+fp16fml+dotprod+i8mm+bf16"), "x86_64": ("as",)}
OBJCOPY = {"aarch64": "aarch64-linux-gnu-objcopy", "x86_64": "objcopy"}


def assembled(architecture: str, text: str, folder: Path) -> str:
    """Return the machine code of one instruction, in hexadecimal."""
    command = ASSEMBLERS[architecture]
    require(shutil.which(command[0]), f"{command[0]} is not on PATH")
    subprocess.run([*command, "-o", folder / "a.o", "-"], input=f"{text}\n", text=True, check=True)
    subprocess.run([OBJCOPY[architecture], "-O", "binary", "-j", ".text", folder / "a.o", folder / "a.bin"], check=True)
    return (folder / "a.bin").read_bytes().hex()


@pytest.mark.parametrize(("architecture", "text"), [("aarch64", text) for text in ARM64] + [("x86_64", x) for x in X86])
def test_an_instruction_does_what_its_manual_says(architecture: str, text: str, tmp_path: Path) -> None:
    expected = (ARM64 if architecture == "aarch64" else X86)[text]
    assert Decoder(architecture).cost(assembled(architecture, text, tmp_path)) == expected


@pytest.mark.parametrize(("architecture", "text"), [(name, text) for name in REFUSED for text in REFUSED[name]])
def test_what_cannot_be_counted_exactly_is_an_error(architecture: str, text: str, tmp_path: Path) -> None:
    code = assembled(architecture, text, tmp_path)
    with pytest.raises(MeasureError, match="not one that is counted exactly"):
        Decoder(architecture).cost(code)


@pytest.mark.parametrize("architecture", ["aarch64", "x86_64"])
def test_what_is_no_instruction_is_an_error(architecture: str) -> None:
    with pytest.raises(MeasureError, match="cannot be decoded"):
        Decoder(architecture).cost("ffffffff" if architecture == "aarch64" else "ff")


def test_costs_add_up() -> None:
    one, other = InstructionCost(*range(1, 10)), InstructionCost(*range(9, 0, -1))
    assert one + other == InstructionCost(*(10,) * 9)
    assert one * 3 == InstructionCost(*range(3, 28, 3))


def test_capstone_is_asked_for_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    decode.check_installed()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"needs capstone; install: pip install 'mobilenet-bench\[emulation\]'"):
        decode.check_installed()
