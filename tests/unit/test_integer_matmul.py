"""Pointwise convolutions and linear layers of bytes, every byte as the exact reference has it."""

from __future__ import annotations

import dataclasses

import byte_layers as layers
import kernel_cases as kernels
import numpy as np
import pytest
from byte_layers import AVX2, VNNI, ByteConv
from hypothesis import given
from hypothesis import strategies as st

from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import integer_matmul

RULE = "cpu.integer_matmul"


@pytest.fixture(autouse=True, scope="module")
def processor() -> None:
    layers.needs_dot_products()


@kernels.repeatable(16)
@given(
    layer=layers.any_layers(), height=kernels.sides(), width=kernels.sides(), inputs=kernels.channels(),
    machine=layers.machines(), number=st.integers(0, 40),
)  # fmt: skip
def test_pointwise_convolutions_are_exact(
    layer: ByteConv, height: int, width: int, inputs: int, machine: KernelMachine, number: int
) -> None:
    dataclasses.replace(layer, height=height, width=width, inputs=inputs).check(RULE, machine, number)


@pytest.mark.parametrize("machine", [VNNI, AVX2])
@pytest.mark.parametrize(("rows", "reduction", "columns"), [(1, 64, 100), (3, 37, 33), (1, 3, 5), (2, 1, 16)])
def test_linear_layers_are_exact(rows: int, reduction: int, columns: int, machine: KernelMachine) -> None:
    graph = layers.linear(rows, reduction, columns)
    program = layers.exact(graph, *layers.drawn(graph), machine)
    assert set(program.rules.values()) == {RULE}


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("ends", [(-128, 127), (-64, 64)])
@pytest.mark.parametrize("name", layers.MACHINES)
def test_extremes_are_exact(name: str, ends: tuple[int, int], dtype: str) -> None:
    """All bytes and all weights at their ends, and multipliers with which sums leave the range of 32 bits."""
    limits = np.iinfo(dtype)
    layer = ByteConv(inputs=64, channels=48, zero_point=limits.max, narrow=ends == (-64, 64), dtype=dtype)
    graph = layer.graph()
    parameters, inputs = layers.drawn(graph)
    parameters["weight"][:] = np.where(np.arange(48).reshape(48, 1, 1, 1) % 2, *ends)
    parameters["multiplier"][0, ::3] = 1e9
    inputs["x"][:] = np.where(inputs["x"] > limits.max // 2, limits.max, limits.min)
    layers.exact(graph, parameters, inputs, layers.MACHINES[name])


@pytest.mark.parametrize("layer", [ByteConv(channels=3), ByteConv(kernel=(3, 3)), ByteConv(groups=4)])
def test_others_are_not_taken(layer: ByteConv) -> None:
    graph = layer.graph()
    program = layers.exact(graph, *layers.drawn(graph), VNNI)
    assert RULE not in program.rules.values()


@pytest.mark.parametrize("zero_point", [0, 9])
@pytest.mark.parametrize(("channels", "machine"), [(1, VNNI), (3, VNNI), (32, kernels.AVX512)])
def test_few_channels_and_processors_without_dot_products_have_another_rule(
    channels: int, machine: KernelMachine, zero_point: int
) -> None:
    graph = ByteConv(inputs=300, channels=channels, zero_point=zero_point).graph()
    program = layers.exact(graph, *layers.drawn(graph), machine)
    assert "cpu.batch_matmul" in program.rules.values()
    assert RULE not in program.rules.values()


def test_floats_are_not_taken() -> None:
    assert not list(integer_matmul.candidates(Kernel(kernels.Conv(kernel=1).function()), VNNI))
