"""Transposed convolutions on CPUs: each way to write one, beside PyTorch."""

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
from kernel_cases import AVX2, NEON, Conv, Transposed

from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import cpu
from mbench.compile.schedules.cpu import transposed
from mbench.compile.schedules.dispatch import schedule
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder

RULE = "cpu.transposed"
few = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def layers(draw: st.DrawFn) -> Transposed:
    """Draw one: half of them as networks have them, where windows lie side by side."""
    groups = draw(st.sampled_from([1, 1, 2]))
    beside = draw(st.booleans())
    strides = draw(few)
    kernel = strides if beside else draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    layer = Transposed(
        batch=draw(st.integers(1, 2)), height=draw(st.integers(1, 9)), width=draw(st.integers(1, 20)),
        inputs=groups * draw(st.integers(1, 12)), channels=groups * draw(kernels.channels() | st.integers(1, 9)),
        kernel=kernel, strides=strides, dilation=(1, 1) if beside else draw(few), groups=groups,
        padding=(0, 0, 0, 0), channels_last=draw(st.booleans()),
        added=(0, 0) if beside else draw(st.tuples(st.integers(0, 2), st.integers(0, 2))),
        epilogue=draw(st.sampled_from(["none", "relu", "bias", "bias+relu6", "bias+residual", "twice"])),
    )  # fmt: skip
    _, height, width, _ = layer.output_shape
    most = (0, 0, 0, 0) if beside else ((height - 1) // 2, (width - 1) // 2) * 2
    padding = tuple(draw(st.integers(0, min(each, 2))) for each in most)
    return dataclasses.replace(layer, padding=padding)  # type: ignore[arg-type]


@kernels.repeatable(20)
@given(data=st.data(), layer=layers(), machine=kernels.machines())
def test_transposed_convolutions_are_what_torch_computes(
    data: st.DataObject, layer: Transposed, machine: KernelMachine
) -> None:
    kernels.check_any(data, RULE, layer, machine)


@kernels.repeatable(10)
@given(layer=layers())
def test_as_it_is_written_it_is_what_torch_computes(layer: Transposed) -> None:
    arrays = kernels.drawn(layer)
    output = kernels.run(kernels.compiled(layer.function()), arrays, layer.output_shape)
    assert kernels.wrong(layer, output, arrays) is None


@kernels.repeatable(20)
@given(layer=layers())
def test_it_is_read_off_its_blocks(layer: Transposed) -> None:
    kernel = Kernel(layer.function())
    given = kernel.transposed
    assert given is not None
    assert kernel.convolution is None
    assert (given.batch, *given.sides, given.channels) == layer.output_shape
    assert (given.input_sides, given.input_channels) == ((layer.height, layer.width), layer.inputs)
    assert (given.kernel, given.strides, given.padding) == (layer.kernel, layer.strides, layer.padding)
    assert (given.dilation, given.groups) == (layer.dilation, layer.groups)


def test_other_kernels_are_none() -> None:
    assert Kernel(Conv().function()).transposed is None
    assert not list(cpu.RULES[RULE].candidates(Kernel(Conv().function()), NEON))


def test_few_channels_side_by_side_fill_vectors() -> None:
    layer = Transposed(height=8, width=8, inputs=24, channels=1, kernel=(2, 2), strides=(2, 2), padding=(0,) * 4)
    scheduled = schedule(layer.function(), AVX2)
    assert (scheduled.rule, scheduled.plan.lanes) == (RULE, 2)
    wide = dataclasses.replace(layer, channels=12)
    assert schedule(wide.function(), AVX2).plan.lanes == 8


# ------------------------------------------------------------------------------------------------------- whole numbers
def of_bytes(layer: Transposed, *, dtype: str, zero_points: tuple[int, int], to: str) -> Graph:
    """Return a layer of whole numbers, whose sums become floats as they are, or bytes."""
    builder = GraphBuilder()
    shape = (layer.batch, layer.inputs, layer.height, layer.width)
    x = byte_layers.image(builder, "x", shape, last=layer.channels_last, dtype=dtype)
    own = layer.channels // layer.groups
    read = [builder.parameter("weight", (layer.inputs, own, *layer.kernel), dtype="int8")]
    read += [builder.parameter("bias", (layer.channels,), dtype="int32")] if "bias" in layer.epilogue else []
    zero, other = zero_points
    known = {**layer.attributes, "zero_point": zero, "other_zero_point": other}
    sums = builder.add("conv2d_transpose", "up", x, *read, **known)
    scale = builder.parameter("scale", (1, layer.channels, 1, 1))
    if to == "float32":
        return builder.graph(builder.add("dequantize", "out", sums, scale))
    more: dict[str, Any] = {"scale": 1.0, "zero_point": 5, "to": to, "low": 0, "high": 255}
    return builder.graph(builder.add("requantize", "out", sums, scale, **more))


@kernels.repeatable(6)
@given(
    layer=layers(), machine=kernels.machines(), dtype=st.sampled_from(["uint8", "int8"]), zero=st.integers(0, 127),
    other=st.sampled_from([0, 0, -3]), to=st.sampled_from(["float32", "uint8"]),
)  # fmt: skip
def test_whole_numbers_are_what_the_reference_has(
    layer: Transposed, machine: KernelMachine, dtype: str, zero: int, other: int, to: str
) -> None:
    graph = of_bytes(layer, dtype=dtype, zero_points=(zero, other), to=to)
    program = byte_layers.exact(graph, *byte_layers.drawn(graph), machine)
    assert RULE in program.rules.values()


@pytest.mark.parametrize("bias", [0, 123_456_789])
def test_sums_that_float32_has_not_are_exact(bias: int) -> None:
    layer = Transposed(inputs=600, kernel=(2, 2), padding=(0, 0, 0, 0), epilogue="bias" if bias else "none")
    graph = of_bytes(layer, dtype="uint8", zero_points=(0, 0), to="float32")
    parameters, inputs = byte_layers.drawn(graph)
    inputs["x"][:], parameters["weight"][:] = 255, 127
    parameters["weight"][::7] = 126
    parameters |= {"scale": np.ones_like(parameters["scale"])}
    parameters |= {"bias": np.full_like(parameters["bias"], bias)} if bias else {}
    assert RULE in byte_layers.exact(graph, parameters, inputs, AVX2).rules.values()


# ------------------------------------------------------------------------------------------------------- other kernels
def test_many_phases_are_left_to_the_fallback() -> None:
    layer = Transposed(height=2, width=2, kernel=(8, 8), strides=(5, 4))
    scheduled = schedule(layer.function(), AVX2)
    assert scheduled.rule == "fallback"
    assert cpu.RULES[RULE].build(Kernel(layer.function()), AVX2, {}) is None


def test_a_tile_that_does_not_fit_is_refused() -> None:
    parameters = {"rows": 99, "vectors": 1, "line_parts": 1, "panel_parts": 1}
    with pytest.raises(ValueError, match="a tile of 99 outputs x 1 vectors does not fit"):
        cpu.RULES[RULE].build(Kernel(Transposed().function()), AVX2, parameters)


# ------------------------------------------------------------------------------------------------------- planted faults
LAYER = Transposed(batch=2, height=7, width=9, inputs=5, channels=20, kernel=(3, 4), padding=(1, 1, 0, 2))
PARAMETERS = {"rows": 4, "vectors": 2, "line_parts": 2, "panel_parts": 1}
FAULTS = {**planted_faults.OF_TAPS, **planted_faults.OF_TILES}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_seen(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    planted_faults.check_seen(monkeypatch, FAULTS[name], RULE, LAYER, PARAMETERS)


def test_weights_of_another_phase_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(whole: transposed._Whole, array: object) -> object:
        return array[::-1]  # type: ignore[index]

    kernels.check(RULE, LAYER, AVX2, PARAMETERS)
    monkeypatch.setattr(transposed._Whole, "weights", other)
    with pytest.raises(AssertionError, match="the worst"):
        kernels.check(RULE, LAYER, AVX2, PARAMETERS)
