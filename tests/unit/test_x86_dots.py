"""Dot products of bytes by the instructions of x86: how weights lie for each, and that the code has no other."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tvm
from byte_layers import AVX2, ByteConv, kernels_of, panels
from tvm import tirx

from mbench.compile import codegen, tvm_passes
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import x86_dots
from mbench.compile.schedules.dispatch import schedule
from mbench.core.errors import BuildError
from mbench.hardware import targets


def test_weights_of_16_bits_lie_by_first_and_second_of_a_pair() -> None:
    weights = np.arange(8 * 4).reshape(8, 4)
    packed = panels(AVX2, ByteConv(channels=4), 2).packed(weights)
    found = packed.view(np.int16).reshape(2, 2, 4, 2)
    assert found[0, 0, 1].tolist() == [1, 9]
    assert found[1, 1, 3].tolist() == [23, 31]


def test_weights_that_are_not_as_narrow_as_the_layer_says_are_refused() -> None:
    known = panels(AVX2, ByteConv(channels=4, narrow=True), 1)
    assert known.packed(np.full((4, 4), -64)).tolist() == [-64] * 16
    with pytest.raises(BuildError, match="weights reach 65, expected at most 64"):
        known.packed(np.full((4, 4), 65))


def assembly(target: str, layer: ByteConv) -> str:
    described = targets.load(target)
    machine = dataclasses.replace(KernelMachine.of(described), cores=1)
    made = codegen.tvm_target(described, str(described.tvm["mtriple"]))
    tvm_passes.register()
    with made:
        plan = schedule(kernels_of(layer)[1].function, machine).plan
        module = tvm.IRModule({"kernel": plan.function.with_attr("global_symbol", "kernel")})
        return str(tirx.build(module, target=made, pipeline=tvm_passes.PIPELINE).inspect_source("asm"))


INSTRUCTIONS = ("vpdpbusd", "vpmaddubsw", "vpmaddwd", "vpdpwssd")


@pytest.mark.parametrize(
    ("target", "layer", "expected", "register"),
    [
        ("x86_64_v4_vnni", ByteConv(), {"vpdpbusd"}, "%zmm"),
        ("x86_64_v3_vnni", ByteConv(), {"vpdpbusd"}, "%ymm"),
        ("x86_64_v3_vnni", ByteConv(dtype="int8"), {"vpdpbusd"}, "%ymm"),
        ("x86_64_v4", ByteConv(), {"vpmaddwd"}, "%zmm"),
        ("x86_64_v4", ByteConv(narrow=True), {"vpmaddubsw", "vpmaddwd"}, "%zmm"),
        ("x86_64_v3", ByteConv(), {"vpmaddwd"}, "%ymm"),
        ("x86_64_v3", ByteConv(narrow=True), {"vpmaddubsw", "vpmaddwd"}, "%ymm"),
    ],
)
def test_code_for_a_target_has_its_instructions_and_no_others(
    target: str, layer: ByteConv, expected: set[str], register: str
) -> None:
    code = assembly(target, layer).replace("{vex}", "")  # of AVX-VNNI
    lines = [line.split(None, 1) for line in code.splitlines() if line.strip()]
    used = {line[0]: line[1] for line in lines if line[0] in INSTRUCTIONS}
    assert set(used) == expected
    assert all(register in operands for operands in used.values())
    assert "%zmm" not in str(lines) or register == "%zmm"


def test_the_widest_registers_are_asked_first() -> None:
    found = x86_dots.of(kernels_of(ByteConv())[1], AVX2)
    assert found is not None
    assert (found.lanes, found.registers, found.planes) == ((8, 4), 16, 2)
