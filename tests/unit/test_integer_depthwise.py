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


@kernels.repeatable(25)
@given(
    layer=layers.any_layers(least_channels=16), window=kernels.windows(kernels=(1, 2, 3, 3, 5, 7)),
    machine=layers.machines(), number=st.integers(0, 40),
)  # fmt: skip
def test_depthwise_convolutions_are_exact(layer: ByteConv, window: Window, machine: KernelMachine, number: int) -> None:
    known = {**dataclasses.asdict(window), "dilation": (1, 1)}
    whole = dataclasses.replace(layer, **known, inputs=layer.channels, groups=layer.channels)
    whole.check(RULE, machine, number)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("zero_point", [0, 9])
@pytest.mark.parametrize("kernel", [3, 5])
def test_layers_of_networks(stride: int, zero_point: int, kernel: int) -> None:
    half = kernel // 2
    ByteConv(
        height=14, width=14, inputs=96, channels=96, groups=96, kernel=(kernel, kernel), strides=(stride, stride),
        padding=(half, half, half, half), zero_point=zero_point,
    ).check(RULE, VNNI)  # fmt: skip


FEW, APART = ByteConv(channels=8, groups=8), ByteConv(inputs=32, groups=32, dilation=(2, 2), kernel=(3, 3))


@pytest.mark.parametrize("layer", [FEW, APART])
def test_few_channels_and_taps_apart_are_not_taken(layer: ByteConv) -> None:
    graph = layer.graph()
    program = layers.exact(graph, *layers.drawn(graph), VNNI)
    assert RULE not in program.rules.values()
    assert integer_depthwise.candidates.__doc__
