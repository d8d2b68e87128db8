from __future__ import annotations

import dataclasses

import kernel_cases as kernels
import numpy as np
import planted_faults
import pytest
from epilogue_cases import FOLLOWING
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import AVX2, AVX512, NEON, Conv, Dense, Layer

from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import strassen, strassen_layout
from mbench.compile.schedules.cpu.strassen_layout import STEPS, StrassenSplit
from mbench.compile.schedules.dispatch import schedule
from mbench.hardware import targets

RULE = "cpu.strassen"
UNPADDED = (0, 0, 0, 0)
X86 = {name: kernels.MACHINES[name] for name in ("sse", "avx2")}
LARGE = Conv(height=14, width=14, inputs=512, channels=512, kernel=1, padding=UNPADDED)


def machines() -> st.SearchStrategy[KernelMachine]:
    return st.builds(
        lambda kind, cores: dataclasses.replace(X86[kind], cores=cores),
        st.sampled_from(sorted(X86)),
        st.sampled_from([1, 2, 4]),
    )


@st.composite
def products(draw: st.DrawFn) -> Layer:
    """Draw a product that any of the machines takes: halves of 16 channels at least."""
    inputs, channels = (32 * draw(st.integers(1, 5)) for _ in range(2))
    epilogue = draw(st.sampled_from(kernels.EPILOGUES))
    if draw(st.booleans()):
        return Dense(rows=draw(st.integers(2, 30)), reduction=inputs, columns=channels, epilogue=epilogue)
    return Conv(
        batch=draw(st.integers(1, 3)), height=draw(kernels.sides()), width=draw(kernels.sides(2)), inputs=inputs,
        channels=channels, kernel=1, padding=UNPADDED, epilogue=epilogue,
    )  # fmt: skip


@kernels.repeatable(16)
@given(data=st.data(), layer=products(), machine=machines())
def test_products_are_what_torch_computes(data: st.DataObject, layer: Layer, machine: KernelMachine) -> None:
    kernels.check_any(data, RULE, layer, machine)


def error(layer: Layer, parameters: dict[str, int], *, whole_numbers: bool) -> float:
    """Return the largest error against PyTorch in float64, over the largest magnitude."""
    arrays = kernels.drawn(layer)
    if whole_numbers:
        arrays = [np.rint(4 * array) for array in arrays]
    output = kernels.executed(kernels.built(RULE, layer, AVX2, parameters), layer, arrays)
    expected = FOLLOWING[layer.epilogue].value(layer.expected(arrays), kernels.others(layer, arrays))
    return float(np.abs(output - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize(
    ("rows", "row_parts"),
    [(49, 1), (49, 4), (50, 1), (50, 5), (3, 1), (2, 1)],
    ids=["odd", "odd, in parts", "even", "even, in parts", "three", "two"],
)
def test_of_whole_numbers_it_is_exact(rows: int, row_parts: int) -> None:
    layer = Dense(rows=rows, reduction=96, columns=80, epilogue="bias+relu")
    parameters = {"rows": min(3, rows // 2), "vectors": 2, "row_parts": row_parts, "panel_parts": 3}
    assert error(layer, parameters, whole_numbers=True) == 0


def test_errors_are_those_of_float32() -> None:
    """MobileNetV1's layers have up to 2e-6, and 9e-7 by plain kernels (Zen 5). Wrong weights show over 1e-2."""
    layer = Dense(rows=24, reduction=512, columns=64, epilogue="none")
    parameters = {"rows": 6, "vectors": 2, "row_parts": 1, "panel_parts": 1}
    assert 0 < error(layer, parameters, whole_numbers=False) < 2e-6


@pytest.mark.parametrize("step", range(len(STEPS)))
def test_wrong_weights_in_any_step_are_seen(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    steps = list(STEPS)
    first, *others = steps[step].weights
    steps[step] = dataclasses.replace(steps[step], weights=(*others, first))  # type: ignore[arg-type]
    monkeypatch.setattr(strassen_layout, "STEPS", tuple(steps))
    layer = Dense(rows=4, reduction=32, columns=32, epilogue="none")
    assert error(layer, {"rows": 2, "vectors": 1, "row_parts": 1, "panel_parts": 1}, whole_numbers=False) > 1e-2


@pytest.mark.parametrize("name", planted_faults.OF_TILES)
def test_a_planted_fault_is_seen(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    layer = Conv(height=5, width=7, inputs=48, channels=80, kernel=1, padding=UNPADDED)
    parameters = {"rows": 4, "vectors": 2, "row_parts": 1, "panel_parts": 2}
    planted_faults.check_seen(monkeypatch, planted_faults.OF_TILES[name], RULE, layer, parameters)


def test_the_weights_are_seven_quarters() -> None:
    plan = kernels.built(RULE, LARGE, AVX2, kernels.candidates(RULE, LARGE, AVX2)[0])
    assert plan.transforms
    assert plan.pack is not None
    assert plan.pack(np.zeros(LARGE.weights_shape, "float32")).size == 512 * 512 * 7 // 4


@pytest.mark.parametrize(
    ("layer", "machine"),
    [
        (dataclasses.replace(LARGE, inputs=520), AVX2),
        (dataclasses.replace(LARGE, channels=520), AVX2),
        (LARGE, AVX512),
        (dataclasses.replace(LARGE, height=1, width=1), AVX2),
        (dataclasses.replace(LARGE, kernel=3), AVX2),
        (LARGE, NEON),
    ],
    ids=["half inputs", "half channels", "512 bits", "one row", "3x3", "Arm"],
)
def test_what_is_not_taken(layer: Conv, machine: KernelMachine) -> None:
    assert kernels.candidates(RULE, layer, machine) == []


def test_large_products_are_taken_and_small_ones_and_those_of_few_rows_are_not() -> None:
    """Few rows do not hide that more weights are read: 16 x 768 x 768 took twice the time (Zen 5)."""
    machine = KernelMachine.of(targets.load("x86_64_v3"))
    few = dataclasses.replace(LARGE, height=4, width=4, inputs=768, channels=768)
    small = dataclasses.replace(LARGE, inputs=32, channels=32)
    found = [schedule(layer.function(), machine).rule for layer in (LARGE, few, small)]
    assert found == [RULE, "cpu.matmul", "cpu.matmul"]


@pytest.mark.parametrize(("name", "value"), [("rows", 99), ("vectors", 33)])
def test_a_tile_larger_than_half_of_a_product_is_refused(name: str, value: int) -> None:
    parameters = {"rows": 6, "vectors": 2, "row_parts": 1, "panel_parts": 1, name: value}
    with pytest.raises(ValueError, match="larger than half of each, 98 x 256"):
        strassen.build(Kernel(LARGE.function()), AVX2, parameters)


@pytest.mark.parametrize(("name", "value"), [("row_parts", 18), ("panel_parts", 17)])
def test_more_parts_than_there_are_are_refused(name: str, value: int) -> None:
    """Of 98 pairs in tiles of 6, and of 256 columns in panels of 16."""
    parameters = {"rows": 6, "vectors": 2, "row_parts": 1, "panel_parts": 1, name: value}
    with pytest.raises(ValueError, match=r"of 17 x 16 tiles and panels, expected at most one of each"):
        strassen.build(Kernel(LARGE.function()), AVX2, parameters)


def test_arrays_of_a_task_stay_near_the_second_cache() -> None:
    """On one core nothing else asks for small tasks of a large product."""
    machine = dataclasses.replace(KernelMachine.of(targets.load("x86_64_v3")), cores=1)
    large = dataclasses.replace(LARGE, height=112, width=112, inputs=512, channels=512)
    product = Kernel(large.function()).matmul
    assert product is not None
    found = [StrassenSplit.of(product, machine, each) for _, each in strassen_layout.ranked(product, machine)]
    assert found
    assert max(split.scratch_bytes for split in found) <= 4 * machine.l2_bytes
