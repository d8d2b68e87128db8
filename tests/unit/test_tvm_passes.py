"""The passes from kernels to machine code, and what code they make of the kernels that matter most."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import kernel_cases as kernels
import pytest
import tvm
from kernel_cases import AVX2, NEON, Conv, Layer, Pool

from mbench.compile import tvm_passes
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.dispatch import schedule
from mbench.compile.schedules.rule import KernelPlan
from mbench.hardware import targets

UNPADDED = (0, 0, 0, 0)


def test_written_kernels_have_no_blocks_and_tvms_have() -> None:
    function = Conv().function()
    assert tvm_passes.has_blocks(function)
    assert not tvm_passes.has_blocks(schedule(function, AVX2).plan.function)
    assert not any(tvm_passes.has_blocks(lowered) for lowered in lowered_blocks(function).functions.values())


def lowered_blocks(function: tvm.tirx.PrimFunc) -> tvm.IRModule:
    with kernels.host_target():
        return tvm_passes.lower_blocks()(tvm.IRModule({"main": function.with_attr("global_symbol", "main")}))


@pytest.mark.parametrize(
    "layer", [Conv(), Conv(inputs=16, groups=16), Conv(dilation=2, strides=(1, 2)), Pool()], ids=str
)
def test_kernels_as_tvm_made_them_are_right(layer: Layer) -> None:
    arrays = kernels.drawn(layer)
    output = kernels.run(kernels.compiled(layer.function()), arrays, layer.output_shape)
    assert kernels.wrong(layer, output, arrays) is None


def test_a_module_may_hold_kernels_of_both_kinds() -> None:
    layers = {"written": Conv(), "blocks": Conv(dilation=2)}
    plans = {"written": schedule(layers["written"].function(), AVX2).plan}
    plans["blocks"] = KernelPlan(function=layers["blocks"].function())
    assert [tvm_passes.has_blocks(plan.function) for plan in plans.values()] == [False, True]
    tvm_passes.register()
    functions = {name: plan.function.with_attr("global_symbol", name) for name, plan in plans.items()}
    library = tvm.tirx.build(tvm.IRModule(functions), target=kernels.host_target(), pipeline=tvm_passes.PIPELINE)
    for name, layer in layers.items():
        arrays = kernels.drawn(layer)
        pack = plans[name].pack
        packed = [arrays[0], pack(arrays[1]) if pack else arrays[1], arrays[2]]
        output = kernels.run({"main": library[name]}, packed, layer.output_shape)
        assert kernels.wrong(layer, output, arrays) is None, name


def test_the_same_kernel_gives_the_same_code() -> None:
    codes = {kernels.compiled(schedule(Conv().function(), AVX2).plan.function).inspect_source("asm") for _ in range(2)}
    assert len(codes) == 1


# ---------------------------------------------------------------------------------------------- code of the inner loop
POINTWISE = Conv(height=14, width=14, inputs=128, channels=128, kernel=1, padding=UNPADDED)
STANDARD = Conv(height=14, width=14, inputs=64, channels=64)


def inner_loop(assembly: str, operation: str) -> list[str]:
    """Return the instructions of the loop, a label and what follows up to the jump back, with most of an operation."""
    best: list[str] = []
    for block in re.split(r"\n(?=\.LBB[0-9_]+:)", assembly):
        lines = [line.strip() for line in block.splitlines()]
        label = lines[0].split(":")[0]
        code = [line for line in lines[1:] if line and not line.startswith((".", "#", "//")) and not line.endswith(":")]
        back = next((number for number, line in enumerate(code) if re.search(rf"\s{re.escape(label)}\b", line)), None)
        loop = [] if back is None else code[: back + 1]
        if sum(line.startswith(operation) for line in loop) > sum(line.startswith(operation) for line in best):
            best = loop
    return best


PRODUCTS = [
    pytest.param("cpu.matmul", POINTWISE, id="pointwise"),
    pytest.param("cpu.convolution", STANDARD, id="standard"),
]


def assembly(rule: str, layer: Layer, target: str, machine: KernelMachine) -> tuple[str, str]:
    """Return a kernel's tile and its code, as a rule makes it first."""
    plan = kernels.built(rule, layer, machine, kernels.candidates(rule, layer, machine)[0])
    code = kernels.compiled(plan.function, tvm.target.Target(targets.load(target).tvm))
    return plan.tile, str(code.inspect_source("asm"))


def share(loop: Sequence[str], operation: str) -> float:
    return sum(line.startswith(operation) for line in loop) / len(loop)


@pytest.mark.parametrize(("rule", "layer"), PRODUCTS)
def test_the_inner_loop_of_cortex_a72_multiplies_by_lanes_and_spills_nothing(rule: str, layer: Conv) -> None:
    _, code = assembly(rule, layer, "arm64_cortex_a72", NEON)
    loop = inner_loop(code, "fmla")
    products = [line for line in loop if line.startswith("fmla")]
    assert len(products) >= 32
    assert all(re.fullmatch(r"fmla\s+v\d+\.4s, v\d+\.4s, v\d+\.s\[[0-3]\]", line) for line in products)
    assert not any("[sp" in line for line in loop)
    assert share(loop, "fmla") >= 1 / 1.6


@pytest.mark.parametrize(("rule", "layer"), PRODUCTS)
def test_the_inner_loop_of_cortex_a76_multiplies_halves_by_lanes_and_spills_nothing(rule: str, layer: Conv) -> None:
    machine = KernelMachine.of(targets.load("arm64_cortex_a76"))
    _, code = assembly(rule, dataclasses.replace(layer, dtype="float16"), "arm64_cortex_a76", machine)
    loop = inner_loop(code, "fmla")
    products = [line for line in loop if line.startswith("fmla")]
    assert len(products) >= 64
    assert all(re.fullmatch(r"fmla\s+v\d+\.8h, v\d+\.8h, v\d+\.h\[[0-7]\]", line) for line in products)
    assert not any("[sp" in line for line in loop)
    assert share(loop, "fmla") >= 1 / 1.25


@pytest.mark.parametrize(("rule", "layer"), PRODUCTS)
def test_the_inner_loop_of_avx2_loads_and_multiplies_and_does_nothing_else(rule: str, layer: Conv) -> None:
    tile, code = assembly(rule, layer, "x86_64_v3", AVX2)
    rows, vectors, _ = map(int, tile.split("x"))
    loop = inner_loop(code, "vfmadd")
    products = [line for line in loop if line.startswith("vfmadd")]
    assert len(products) >= 32
    assert all("ps" in line.split()[0] and "%ymm" in line for line in products)
    assert not any("%rsp" in line for line in loop)
    steps = len(products) / (rows * vectors)
    counting = 4  # two pointers, a comparison, the jump
    assert len(loop) <= steps * (rows * vectors + rows + vectors) + counting


def test_a_tile_that_does_not_fit_the_registers_is_seen_to_spill() -> None:
    parameters = {"rows": 14, "vectors": 4, "row_parts": 1, "panel_parts": 1}
    plan = kernels.built("cpu.matmul", POINTWISE, NEON, parameters)
    target = tvm.target.Target(targets.load("arm64_cortex_a72").tvm)
    loop = inner_loop(str(kernels.compiled(plan.function, target).inspect_source("asm")), "fmla")
    assert any("[sp" in line for line in loop)
    assert share(loop, "fmla") < 1 / 1.6


# ----------------------------------------------------------------------------------------------------- nothing is lost
def test_vectors_longer_than_the_processors_are_split() -> None:
    layer = Conv(height=4, width=4, inputs=8, channels=32, kernel=1, padding=UNPADDED)
    plan = schedule(layer.function(), kernels.AVX512).plan
    assert plan.lanes == 16
    code = str(kernels.compiled(plan.function, tvm.target.Target(targets.load("x86_64_v2").tvm)).inspect_source("asm"))
    assert "mulps" in code
    assert not re.search(r"%[yz]mm", code)


def test_the_anchor_is_gone_after_lowering() -> None:
    kernel = Kernel(Conv().function())
    assert kernel.anchor == "conv2d_nhwc"
    assert "sblock" not in lowered_blocks(kernel.function)["main"].script()
