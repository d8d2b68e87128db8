"""Dot products of bytes on Arm: which one a kernel has, and every byte that kernels give under QEMU."""

from __future__ import annotations

import dataclasses

import byte_layers as layers
import emulated_bytes as emulated
import kernel_cases as kernels
import pytest
from byte_layers import ByteConv
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import Window

from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import arm_dots, byte_dots
from mbench.hardware import targets

MATMUL, CONVOLUTION, DEPTHWISE = "cpu.integer_matmul", "cpu.integer_convolution", "cpu.integer_depthwise"
DOTS = st.sampled_from(["sdot", "usdot"])


@pytest.fixture(autouse=True, scope="module")
def emulator() -> None:
    emulated.needs_emulator()


@pytest.mark.parametrize(
    ("target", "layer", "name", "shift"),
    [
        ("arm64_cortex_a76", ByteConv(), "sdot", -128),
        ("arm64_cortex_a55", ByteConv(), "sdot", -128),
        ("arm64_apple_m1", ByteConv(dtype="int8"), "sdot", 0),
        ("arm64_neoverse_v1", ByteConv(), "usdot", 0),
        ("arm64_neoverse_v2", ByteConv(dtype="int8"), "sdot", 0),
        ("arm64_cortex_a72", ByteConv(), "smull", -128),
        ("arm64_cortex_a76", ByteConv(other_zero_point=3), None, None),
    ],
)
def test_a_kernel_has_the_dot_product_that_its_processor_has(
    target: str, layer: ByteConv, name: str | None, shift: int | None
) -> None:
    machine = KernelMachine.of(targets.load(target))
    found = byte_dots.of(layers.sums_of(layer), machine)
    assert (found and found.name, found and found.shift) == (name, shift)


@pytest.mark.parametrize(
    ("target", "symmetric", "expected"),
    [
        ("arm64_cortex_a72", True, True),
        ("arm64_cortex_a53", False, False),
        ("arm64_cortex_a76", True, None),
        ("x86_64_v4", True, None),
    ],
)
def test_rows_are_for_processors_without_dot_products(target: str, symmetric: bool, expected: bool | None) -> None:
    machine = KernelMachine.of(targets.load(target))
    found = arm_dots.of_rows(layers.sums_of(ByteConv(symmetric=symmetric)), machine)
    assert (found and found.symmetric) == expected


def test_words_are_read_four_two_or_one_at_once() -> None:
    assert arm_dots._parts(4) == [(0, 4)]
    assert arm_dots._parts(3) == [(0, 2), (2, 1)]
    assert arm_dots._parts(1) == [(0, 1)]


def test_tiles_leave_registers_for_values_and_weights() -> None:
    dot = byte_dots.of(layers.sums_of(ByteConv()), emulated.machine_of("sdot"))
    assert dot is not None
    assert (5, 4) in dot.tiles()
    assert all(rows * vectors + rows + vectors + 2 <= 32 for rows, vectors in dot.tiles())
    needed = 5 * 4 * 64 / 2
    assert needed < dot.tile_cycles(5, 4, 64) < 1.5 * needed


# ------------------------------------------------------------------------------------------------------ under emulation
@kernels.repeatable(8)
@given(
    layer=layers.any_layers(), height=kernels.sides(), width=kernels.sides(), inputs=kernels.channels(),
    dot=DOTS, number=st.integers(0, 40),
)  # fmt: skip
def test_pointwise_convolutions_are_exact(
    layer: ByteConv, height: int, width: int, inputs: int, dot: str, number: int
) -> None:
    whole = dataclasses.replace(layer, height=height, width=width, inputs=inputs, other_zero_point=0)
    emulated.check(whole, MATMUL, dot, number=number, cores=2)


@kernels.repeatable(8)
@given(
    layer=layers.any_layers(), window=kernels.windows(), inputs=st.sampled_from([1, 3, 4, 6, 8, 16, 36]),
    channels_last=st.booleans(), dot=DOTS, number=st.integers(0, 40),
)  # fmt: skip
def test_convolutions_are_exact(
    layer: ByteConv, window: Window, inputs: int, channels_last: bool, dot: str, number: int
) -> None:
    known = dataclasses.asdict(window)
    if known["kernel"] == known["strides"] == (1, 1):
        known["kernel"] = (1, 3)
        known["width"] += 6
    whole = dataclasses.replace(layer, **known, inputs=inputs, channels_last=channels_last, other_zero_point=0)
    emulated.check(whole, CONVOLUTION, dot, number=number)


@kernels.repeatable(8)
@given(
    layer=layers.any_layers(least_channels=8), window=kernels.windows(kernels=(1, 2, 3, 3, 5, 7)),
    dot=st.sampled_from(["sdot", "usdot", "smull"]), number=st.integers(0, 40),
)  # fmt: skip
def test_depthwise_convolutions_are_exact(layer: ByteConv, window: Window, dot: str, number: int) -> None:
    known = {**dataclasses.asdict(window), "other_zero_point": 0}
    whole = dataclasses.replace(layer, **known, inputs=layer.channels, groups=layer.channels)
    emulated.check(whole, DEPTHWISE, dot, number=number)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("dot", ["sdot", "usdot"])
def test_extremes_are_exact(dtype: str, dot: str) -> None:
    """All values and all weights at their ends, and multipliers with which sums leave the range of 32 bits."""
    program = emulated.exact(*layers.at_their_ends(dtype), dot)
    assert MATMUL in program.rules.values()


@pytest.mark.parametrize("dot", ["sdot", "usdot"])
@pytest.mark.parametrize(("rows", "reduction", "columns"), [(1, 64, 100), (3, 37, 33), (1, 3, 5)])
def test_linear_layers_are_exact(dot: str, rows: int, reduction: int, columns: int) -> None:
    graph = layers.linear(rows, reduction, columns)
    program = emulated.exact(graph, *layers.drawn(graph), dot)
    assert set(program.rules.values()) == {MATMUL}


def test_padding_counts_where_its_number_is_0() -> None:
    """0 is -128 where the highest bit is flipped."""
    layer = ByteConv(kernel=(3, 3), padding=(1, 1, 1, 1), channels=16, inputs=16, groups=16, zero_point=0)
    emulated.check(layer, DEPTHWISE, "sdot")
    emulated.check(dataclasses.replace(layer, groups=1), CONVOLUTION, "sdot")
