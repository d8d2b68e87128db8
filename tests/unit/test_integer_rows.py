"""Sums of rows on Arm processors without dot products, every byte as the exact reference has it; under QEMU."""

from __future__ import annotations

import dataclasses

import byte_layers as layers
import emulated_bytes as emulated
import kernel_cases as kernels
import numpy as np
import pytest
from byte_layers import ByteConv
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import Window

from mbench.compile.schedules.cpu import arm_dots, integer_rows
from mbench.networks.graph_builder import GraphBuilder

RULE = "cpu.integer_rows"


@pytest.fixture(autouse=True, scope="module")
def emulator() -> None:
    emulated.needs_emulator()


@kernels.repeatable(10)
@given(
    layer=layers.any_layers(), window=kernels.windows(kernels=(1, 1, 2, 3, 3, 5)),
    inputs=st.sampled_from([1, 3, 4, 6, 8, 16, 24, 36]), channels_last=st.booleans(), symmetric=st.booleans(),
    number=st.integers(0, 40),
)  # fmt: skip
def test_convolutions_are_exact(
    layer: ByteConv, window: Window, inputs: int, channels_last: bool, symmetric: bool, number: int
) -> None:
    known = {**dataclasses.asdict(window), "inputs": inputs, "channels_last": channels_last, "other_zero_point": 0}
    whole = dataclasses.replace(layer, **known, symmetric=symmetric)
    emulated.check(whole, RULE, "smull", number=number, cores=2)


@pytest.mark.parametrize("symmetric", [False, True])
def test_extremes_are_exact(symmetric: bool) -> None:
    """Two multiplications of -128 by -128 do not fit into 16 bits together."""
    graph = ByteConv(inputs=64, channels=48, symmetric=symmetric).graph()
    parameters, inputs = layers.drawn(graph)
    parameters["weight"][:] = np.where(np.arange(48).reshape(48, 1, 1, 1) % 2, -127 if symmetric else -128, 127)
    inputs["x"][:] = np.where(inputs["x"] > 127, 255, 0)
    inputs["x"][:, :, 0] = 0
    program = emulated.exact(graph, parameters, inputs, "smull")
    assert RULE in program.rules.values()


def test_weights_that_are_not_as_the_layer_says_are_refused() -> None:
    dot = arm_dots.RowPairs(name="smull", lanes=(4,), registers=32, symmetric=True)
    weights = np.full((4, 4, 4), -128, np.int16)
    with pytest.raises(ValueError, match="weights reach -128, expected at least -127"):
        dot.laid(weights, 4)
    assert dataclasses.replace(dot, symmetric=False).laid(weights, 4).dtype == np.int8


def test_sixteen_weights_of_a_channel_lie_side_by_side() -> None:
    dot = arm_dots.RowPairs(name="smull", lanes=(4,), registers=32, symmetric=True)
    weights = np.arange(8 * 4 * 4).reshape(8, 4, 4) % 100  # words, channels, 4
    laid = dot.laid(weights, 4).reshape(2, 4, 16)
    assert laid[1, 2].tolist() == weights[4:, 2].ravel().tolist()


@pytest.mark.parametrize(("rows", "reduction", "columns"), [(1, 64, 100), (3, 37, 33), (1, 3, 5)])
def test_linear_layers_are_exact(rows: int, reduction: int, columns: int) -> None:
    builder = GraphBuilder()
    read = [builder.input("x", (rows, reduction), dtype="uint8")]
    read.append(builder.parameter("weight", (columns, reduction), dtype="int8"))
    sums = builder.add("linear", "fc", *read, zero_point=77)
    graph = builder.graph(builder.add("dequantize", "out", sums, builder.parameter("scale", (columns,))))
    program = emulated.exact(graph, *layers.drawn(graph), "smull")
    assert set(program.rules.values()) == {RULE}


@pytest.mark.parametrize("layer", [ByteConv(channels=3), ByteConv(groups=4), ByteConv(other_zero_point=5)])
def test_others_are_not_taken(layer: ByteConv) -> None:
    graph = layer.graph()
    program = emulated.exact(graph, *layers.drawn(graph), "smull")
    assert RULE not in program.rules.values()
    assert integer_rows.build.__doc__
