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

from mbench.compile import to_relax
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import integer_depthwise
from mbench.compile.schedules.dispatch import schedule_all
from mbench.networks import folding

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


WIDE = (((3, 3), (1, 1, 1, 1)), ((5, 5), (2, 2, 2, 2)), ((3, 4), (0, 1, 2, 2)), ((1, 7), (0, 3, 0, 3)))


@pytest.mark.parametrize(
    ("channels", "machine", "number"),
    [(8, VNNI, 0), (16, layers.AVX2, 1), (24, VNNI, 2), (32, VNNI, 3), (40, VNNI, 0), (16, layers.VNNI_256, 3)],
)
def test_outputs_side_by_side_share_a_register(channels: int, machine: KernelMachine, number: int) -> None:
    """Windows reach beyond both sides, in an image of one tile and of several; padding may be other than 0."""
    kernel, padding = WIDE[number]
    for width in (8, 24):
        layer = ByteConv(
            channels=channels, inputs=channels, groups=channels, kernel=kernel, padding=padding, height=3,
            width=width, zero_point=7, dtype=("uint8", "int8")[number // 2], table=number == 3,
        )  # fmt: skip
        layer.check(RULE, machine, number)


@pytest.mark.parametrize("machine", [VNNI, layers.AVX2])
def test_a_computed_value_may_have_the_shape_of_a_bias(machine: KernelMachine) -> None:
    """A residual of one pixel is no constant, and is not packed."""
    for channels in (8, 64):
        layer = ByteConv(
            channels=channels, inputs=channels, groups=channels, kernel=(7, 7), height=7, width=7, residual=True
        )
        layer.check(RULE, machine)


def test_loads_stay_within_a_line_that_is_shorter_than_a_register() -> None:
    """Eight outputs of 8 channels fill 16 lanes; the 7 pixels of a line do not, so that four are taken as one."""
    layer = ByteConv(
        channels=8, inputs=8, groups=8, kernel=(1, 2), padding=(0, 1, 0, 1), height=1, width=7, zero_point=3
    )
    module = to_relax.lower(folding.as_compiled(layer.graph()).graph).module
    plans = [each.plan for each in schedule_all(to_relax.kernel_calls(module), VNNI).values() if each.rule == RULE]
    assert [plan.lanes for plan in plans] == [8]
    layer.check(RULE, VNNI)


def test_few_channels_are_not_taken() -> None:
    graph = ByteConv(channels=7, groups=7, inputs=7).graph()
    program = layers.exact(graph, *layers.drawn(graph), VNNI)
    assert RULE not in program.rules.values()
    module = to_relax.lower(folding.as_compiled(graph).graph).module
    kernels = [Kernel(function) for _, function in to_relax.kernel_calls(module)]
    assert any(kernel.convolution for kernel in kernels)
    assert not any(list(integer_depthwise.candidates(kernel, VNNI)) for kernel in kernels)
