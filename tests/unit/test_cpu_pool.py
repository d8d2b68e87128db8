from __future__ import annotations

import dataclasses
from typing import Any

import byte_layers
import kernel_cases as kernels
import numpy as np
import planted_faults
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import AVX2, NEON, Conv, Pool
from planted_faults import Fault
from tvm import relax, te

from mbench.compile import axis_computations
from mbench.compile.axis_computations import Laid
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import cpu, emit
from mbench.compile.schedules.cpu import tiling
from mbench.compile.schedules.dispatch import schedule
from mbench.networks.graph_builder import GraphBuilder


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    return Pool(
        batch=draw(st.integers(1, 3)),
        height=draw(kernels.sides()),
        width=draw(kernels.sides()),
        channels=draw(kernels.channels()),
    )


@kernels.repeatable(16)
@given(data=st.data(), layer=pools(), machine=kernels.machines())
def test_means_are_what_torch_computes(data: st.DataObject, layer: Pool, machine: KernelMachine) -> None:
    kernels.check_any(data, "cpu.pool", layer, machine)


POOL = Pool(batch=2, height=3, width=5, channels=20)
WHOLE = {"vectors": 2, "image_parts": 1, "panel_parts": 1}


def too_few_vectors(sums: emit.Accumulators, row: int, column: int, value: Any) -> None:
    if column == 0:
        add(sums, row, column, value)


add = emit.Accumulators.add
FAULTS = {
    "a vector left out": Fault(emit.Accumulators, "add", too_few_vectors, "the worst"),
    "a panel beyond the last channel": Fault(
        emit, "panel_start", planted_faults.panels_unmoved, "outside of its output|the worst|not written"
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_seen(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    planted_faults.check_seen(monkeypatch, FAULTS[name], "cpu.pool", POOL, WHOLE)


def test_a_tile_of_more_channels_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="a tile of 32 channels is larger than 20"):
        kernels.built("cpu.pool", POOL, AVX2, {**WHOLE, "vectors": 4})


@pytest.mark.parametrize(
    ("operator", "axes"), [("mean", [1]), ("mean", [2, 3]), ("min", [1, 2]), ("prod", [1, 2]), ("variance", [1, 2])]
)
def test_other_reductions_are_not_taken_for_a_mean_over_pixels(operator: str, axes: list[int]) -> None:
    x = np.random.default_rng(4).standard_normal((2, 3, 5, 4), dtype=np.float32)
    expected = getattr(np, {"variance": "var"}.get(operator, operator))(x, axis=tuple(axes), keepdims=True)
    reduce = getattr(relax.op, operator)
    [function] = kernels.lowered({"x": x.shape}, lambda builder, a: builder.emit(reduce(a["x"], axes, keepdims=True)))
    scheduled = schedule(function, AVX2)
    assert scheduled.rule in ("fallback", "cpu.rows")
    output = kernels.run(kernels.compiled(scheduled.plan.function), [x], expected.shape)
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)


def test_pooling_many_images_is_shared_out_to_the_cores() -> None:
    machine = dataclasses.replace(AVX2, cores=8)
    offered = kernels.candidates("cpu.pool", Pool(batch=8, height=28, width=28, channels=64), machine)
    tasks = [parameters["image_parts"] * parameters["panel_parts"] for parameters in offered]
    assert min(tasks) >= 4
    assert kernels.candidates("cpu.pool", Pool(channels=16), machine)[0]["panel_parts"] == 1
    assert tiling.MIN_TASK_CYCLES > 7 * 7 * 16 / 8


def test_a_kernel_of_another_kind_is_left_to_others() -> None:
    assert not list(cpu.RULES["cpu.pool"].candidates(Kernel(Conv().function()), NEON))


@pytest.mark.parametrize("how", ["max", "sum"])
@pytest.mark.parametrize("machine", ["sse", "avx512"])
def test_what_reduces_all_pixels_is_taken_without_the_axes_of_1(how: str, machine: str) -> None:
    x = te.placeholder((2, 5, 6, 44), name="x")
    function = te.create_prim_func([x, axis_computations.reduced(Laid(x, last=True), how, (2, 3), (0, 1))])
    scheduled = schedule(function, kernels.MACHINES[machine])
    assert scheduled.rule == "cpu.pool"
    given = np.random.default_rng(1).standard_normal((2, 5, 6, 44), dtype=np.float32) - 3
    output = kernels.run(kernels.compiled(scheduled.plan.function), [given], (2, 44))
    expected = given.max((1, 2)) if how == "max" else given.sum((1, 2))
    np.testing.assert_allclose(output, expected, rtol=1e-5)


def test_other_ways_to_reduce_pixels_are_left_to_others() -> None:
    x = te.placeholder((2, 5, 6, 44), name="x")
    for how, axes, order in (("min", (2, 3), (0, 1)), ("sum", (3,), (0, 2, 1)), ("sum", (1, 2), (0, 3))):
        function = te.create_prim_func([x, axis_computations.reduced(Laid(x, last=True), how, axes, order)])
        assert Kernel(function).reduced_pixels is None


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("machine", ["sse", "avx512"])
def test_sums_of_bytes_are_exact(dtype: str, machine: str) -> None:
    """All bytes at one end, so that sums in fewer bits would wrap around."""
    builder = GraphBuilder()
    x = builder.input("x", (2, 44, 40, 30), dtype=dtype)
    x = builder.add("max_pool2d", "image", x, kernel=(1, 1), strides=(1, 1), padding=(0, 0, 0, 0))
    sums = builder.add("global_sum_pool", "sums", x, zero_point=17)
    known: dict[str, Any] = {"scale": 1.0, "zero_point": 3, "to": "uint8", "low": 0, "high": 255}
    y = builder.add("requantize", "mean", sums, builder.parameter("multiplier", (1, 1, 1, 1)), **known)
    graph = builder.graph(builder.add("reshape", "flat", y, shape=(2, 44)))
    parameters, inputs = byte_layers.drawn(graph)
    parameters["multiplier"] = np.full((1, 1, 1, 1), 1 / 1200, np.float32)
    inputs["x"][:, ::2] = np.iinfo(dtype).max
    program = byte_layers.exact(graph, parameters, inputs, kernels.MACHINES[machine])
    assert "cpu.pool" in program.rules.values()


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("keepdims", [True, False])
def test_the_largest_of_bytes_is_taken(dtype: str, keepdims: bool) -> None:
    builder = GraphBuilder()
    x = builder.input("x", (2, 44, 5, 6), dtype=dtype)
    x = builder.add("max_pool2d", "image", x, kernel=(1, 1), strides=(1, 1), padding=(0, 0, 0, 0))
    largest = builder.add("reduce_max", "largest", x, axes=(2, 3), keepdims=keepdims)
    graph = builder.graph(builder.add("dequantize", "out", largest, scale=0.5, zero_point=7))
    _, inputs = byte_layers.drawn(graph)
    inputs["x"][:, ::2] = np.iinfo(dtype).min
    program = byte_layers.exact(graph, {}, inputs)
    assert "cpu.pool" in program.rules.values()
    [output] = program.run(inputs)
    expected = np.float32(0.5) * (inputs["x"].astype(np.int32).max((2, 3)) - 7)
    np.testing.assert_array_equal(output.reshape(2, 44), expected)
