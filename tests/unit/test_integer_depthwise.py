"""Depthwise convolutions of bytes, every byte as the exact reference has it."""

from __future__ import annotations

import dataclasses

import byte_layers as layers
import kernel_cases as kernels
import pytest
from byte_layers import VNNI, ByteConv
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import Window

from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import integer_depthwise

RULE = "cpu.integer_depthwise"


@pytest.fixture(autouse=True, scope="module")
def processor() -> None:
    layers.needs_dot_products()


@kernels.repeatable(16)
@given(
    layer=layers.any_layers(least_channels=8), window=kernels.windows(kernels=(1, 2, 3, 3, 5, 7)),
    machine=layers.machines(), number=st.integers(0, 40),
)  # fmt: skip
def test_depthwise_convolutions_are_exact(layer: ByteConv, window: Window, machine: KernelMachine, number: int) -> None:
    whole = dataclasses.replace(layer, **dataclasses.asdict(window), inputs=layer.channels, groups=layer.channels)
    whole.check(RULE, machine, number)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("dtype", "zero_point"), [("uint8", 0), ("uint8", 9), ("int8", 0), ("int8", -128)])
@pytest.mark.parametrize("kernel", [3, 5])
def test_layers_of_networks(stride: int, dtype: str, zero_point: int, kernel: int) -> None:
    """Padding of 0 adds nothing, but where int8 values are multiplied as uint8."""
    half = kernel // 2
    ByteConv(
        height=14, width=14, inputs=96, channels=96, groups=96, kernel=(kernel, kernel), strides=(stride, stride),
        padding=(half, half, half, half), zero_point=zero_point, dtype=dtype,
    ).check(RULE, VNNI)  # fmt: skip


@pytest.mark.parametrize("machine", [VNNI, layers.VNNI_256, layers.AVX2])
@pytest.mark.parametrize("channels", [8, 12, 15])
def test_half_a_register_is_enough(channels: int, machine: KernelMachine) -> None:
    layer = ByteConv(channels=channels, inputs=channels, groups=channels, kernel=(3, 3), padding=(1, 1, 1, 1))
    layer.check(RULE, machine)


def test_few_channels_are_not_taken() -> None:
    graph = ByteConv(channels=7, groups=7, inputs=7).graph()
    program = layers.exact(graph, *layers.drawn(graph), VNNI)
    assert RULE not in program.rules.values()
    assert integer_depthwise.candidates.__doc__
