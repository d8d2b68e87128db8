"""Convolutions of bytes over windows, every byte as the exact reference has it."""

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
from mbench.compile.schedules.cpu import byte_images, integer_convolution

RULE = "cpu.integer_convolution"


@pytest.fixture(autouse=True, scope="module")
def processor() -> None:
    layers.needs_dot_products()


@kernels.repeatable(16)
@given(
    layer=layers.any_layers(), window=kernels.windows(), inputs=st.sampled_from([1, 3, 4, 6, 8, 16, 36]),
    channels_last=st.booleans(), machine=layers.machines(), number=st.integers(0, 40),
)  # fmt: skip
def test_convolutions_are_exact(
    layer: ByteConv, window: Window, inputs: int, channels_last: bool, machine: KernelMachine, number: int
) -> None:
    known = dataclasses.asdict(window)
    if known["kernel"] == known["strides"] == (1, 1):
        known["kernel"] = (1, 3)
        known["width"] += 6
    whole = dataclasses.replace(layer, **known, inputs=inputs, channels_last=channels_last)
    whole.check(RULE, machine, number)


@kernels.repeatable(14)
@given(
    layer=layers.any_layers(), window=kernels.windows(), groups=st.sampled_from([2, 3, 8]),
    inputs=st.sampled_from([1, 3, 4, 8]), channels=st.sampled_from([4, 6, 16, 24, 40]), channels_last=st.booleans(),
    machine=layers.machines(), number=st.integers(0, 40),
)  # fmt: skip
def test_groups_are_exact(
    layer: ByteConv, window: Window, groups: int, inputs: int, channels: int, channels_last: bool,
    machine: KernelMachine, number: int,
) -> None:  # fmt: skip
    """Their words have channels of one group alone, whether these are whole words or not."""
    whole = dataclasses.replace(
        layer, **dataclasses.asdict(window), inputs=groups * inputs, channels=groups * channels, groups=groups,
        channels_last=channels_last,
    )  # fmt: skip
    whole.check(RULE, machine, number)


@pytest.mark.parametrize("zero_point", [0, 131])
def test_the_first_layer_of_networks(zero_point: int) -> None:
    layer = ByteConv(height=32, width=32, inputs=3, kernel=(3, 3), strides=(2, 2), padding=(0, 0, 1, 1))
    dataclasses.replace(layer, channels_last=False, zero_point=zero_point).check(RULE, VNNI)


def test_an_image_without_padding_is_read_as_it_lies() -> None:
    ByteConv(height=8, width=8, strides=(2, 2), kernel=(2, 2)).check(RULE, VNNI)
    assert byte_images.of.__doc__
    assert integer_convolution.candidates.__doc__
