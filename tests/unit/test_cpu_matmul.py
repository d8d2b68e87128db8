from __future__ import annotations

import dataclasses
from typing import Any

import kernel_cases as kernels
import planted_faults
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import AVX2, AVX512, NEON, Conv, Dense

from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import matmul, tiling

RULE = "cpu.matmul"
UNPADDED = (0, 0, 0, 0)


@st.composite
def pointwise(draw: st.DrawFn) -> Conv:
    return Conv(
        batch=draw(st.integers(1, 3)),
        height=draw(kernels.sides()),
        width=draw(kernels.sides()),
        inputs=draw(kernels.channels()),
        channels=draw(kernels.channels()),
        kernel=1,
        padding=UNPADDED,
        epilogue=draw(st.sampled_from(kernels.EPILOGUES)),
    )


@st.composite
def dense(draw: st.DrawFn) -> Dense:
    return Dense(
        rows=draw(st.integers(1, 4)),
        reduction=draw(kernels.channels() | st.sampled_from([64, 128, 256, 320])),
        columns=draw(kernels.channels()),
        epilogue=draw(st.sampled_from(kernels.EPILOGUES)),
    )


@kernels.repeatable(16)
@given(data=st.data(), layer=pointwise(), machine=kernels.machines())
def test_pointwise_convolutions_are_what_torch_computes(
    data: st.DataObject, layer: Conv, machine: KernelMachine
) -> None:
    kernels.check_any(data, RULE, layer, machine)


@kernels.repeatable(12)
@given(data=st.data(), layer=dense(), machine=kernels.machines())
def test_dense_layers_are_what_torch_computes(data: st.DataObject, layer: Dense, machine: KernelMachine) -> None:
    kernels.check_any(data, RULE, layer, machine)


@pytest.mark.parametrize(
    ("machine", "inputs", "row_parts", "fetches"),
    [
        (AVX2, 128, 1, True),
        (AVX2, 136, 3, True),  # two tiles a task, and no multiple of a chunk
        (AVX2, 128, 6, False),  # one tile is too little to hide it behind
        (AVX512, 128, 3, False),  # and so are two of 512 bits
        (AVX512, 97, 1, False),  # a prime number has no chunks
        (NEON, 128, 1, True),
        (NEON, 128, 3, False),
    ],
)
def test_weights_that_are_fetched_ahead_change_nothing(
    monkeypatch: pytest.MonkeyPatch, machine: KernelMachine, inputs: int, row_parts: int, fetches: bool
) -> None:
    fetched = []

    def counted(array: Any, index: Any) -> None:
        fetched.append(index)
        prefetch(array, index)

    prefetch = emit.prefetch
    monkeypatch.setattr(emit, "prefetch", counted)
    layer = Conv(height=12, width=5, inputs=inputs, channels=89, kernel=1, padding=UNPADDED)
    small = dataclasses.replace(machine, l2_bytes=4096)
    kernels.check(RULE, layer, small, {"rows": 10, "vectors": 2, "row_parts": row_parts, "panel_parts": 1})
    assert bool(fetched) == fetches


@pytest.mark.parametrize(("rows", "vectors"), [(1, 1), (14, 1), (7, 4)])
def test_the_smallest_tile_and_the_largest(rows: int, vectors: int) -> None:
    layer = Conv(batch=2, height=5, width=7, inputs=44, channels=179, kernel=1, padding=UNPADDED)
    kernels.check(RULE, layer, AVX512, {"rows": rows, "vectors": vectors, "row_parts": 3, "panel_parts": 2})


@pytest.mark.parametrize("epilogue", kernels.EPILOGUES)
def test_a_single_channel_takes_no_vector(epilogue: str) -> None:
    layer = Conv(height=3, width=5, inputs=7, channels=1, kernel=1, padding=UNPADDED, epilogue=epilogue)
    parameters = {"rows": 4, "vectors": 1, "row_parts": 1, "panel_parts": 1}
    plan = kernels.built(RULE, layer, AVX2, parameters)
    assert (plan.lanes, "vectorized" in plan.function.script()) == (1, False)
    kernels.check(RULE, layer, AVX2, parameters)


# ------------------------------------------------------------------------------------------------------- planted faults
LAYER = Conv(height=5, width=7, inputs=24, channels=44, kernel=1, padding=UNPADDED)
PARAMETERS = {"rows": 4, "vectors": 2, "row_parts": 2, "panel_parts": 2}


@pytest.mark.parametrize("name", planted_faults.OF_TILES)
def test_a_planted_fault_is_seen(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    planted_faults.check_seen(monkeypatch, planted_faults.OF_TILES[name], RULE, LAYER, PARAMETERS)


# ----------------------------------------------------------------------------------------------------------- candidates
@kernels.repeatable(40)
@given(layer=pointwise(), machine=kernels.machines())
def test_candidates_fit_the_registers_and_the_layer(layer: Conv, machine: KernelMachine) -> None:
    offered = kernels.candidates(RULE, layer, machine)
    assert offered
    batch, height, width, channels = layer.output_shape
    lanes = tiling.vector_lanes(channels, machine)
    for parameters in offered:
        rows, vectors = parameters["rows"], parameters["vectors"]
        inputs = 1 if machine.broadcasts_from_memory else rows
        assert rows * vectors + vectors + inputs <= machine.registers
        assert rows <= batch * height * width
        assert vectors * lanes <= channels
        assert 1 <= parameters["row_parts"] <= -(-batch * height * width // rows)
        assert 1 <= parameters["panel_parts"] <= -(-channels // (vectors * lanes))
    assert len({tuple(parameters.values()) for parameters in offered}) == len(offered)


def test_cortex_a72_gets_no_tile_that_was_seen_to_spill() -> None:
    # Counted under emulation: of two vectors 1.74 instructions for each multiply-add; three spill
    layer = Conv(height=56, width=56, inputs=64, channels=128, kernel=1, padding=UNPADDED)
    offered = kernels.candidates(RULE, layer, NEON)
    assert {parameters["vectors"] for parameters in offered} == {1, 2}
    assert offered[0]["vectors"] == 2


def test_by_the_model_larger_tiles_take_fewer_cycles_a_multiply_add_and_crowded_ones_more_to_end() -> None:
    assert matmul.step_cycles(6, 2) / 12 < matmul.step_cycles(3, 2) / 6 < matmul.step_cycles(1, 1)
    waiting = [matmul.waiting_cycles(rows, 2, 100, AVX2) / rows for rows in (4, 5, 6)]
    assert waiting[0] > waiting[1] > waiting[2] > matmul.waiting_cycles(4, 2, 100, AVX512) == 0.0
    ends = [matmul.tile_cycles(rows, 1, 100, AVX2) - 100 * matmul.step_cycles(rows, 1) for rows in (4, 8, 10, 12)]
    assert ends[0] == ends[1] < ends[2] < ends[3]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"vectors": 6}, "a tile of 4 rows x 48 columns is larger than 35 x 44"),
        ({"rows": 36}, "a tile of 36 rows x 16 columns is larger than 35 x 44"),
    ],
)
def test_a_tile_larger_than_the_product_is_refused(changed: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        kernels.built(RULE, LAYER, AVX2, {**PARAMETERS, **changed})


def test_more_tasks_than_there_are_steps_leave_some_idle() -> None:
    kernels.check(RULE, LAYER, AVX2, {**PARAMETERS, "row_parts": 40, "panel_parts": 9})


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_below_one_are_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"parameter '{name}' is {value}; it has to be a positive whole number"):
        kernels.built(RULE, LAYER, AVX2, {**PARAMETERS, name: value})


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"parameter '{name}' is missing"):
        kernels.built(RULE, LAYER, AVX2, {other: value for other, value in PARAMETERS.items() if other != name})
