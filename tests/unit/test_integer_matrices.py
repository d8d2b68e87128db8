"""Products of small matrices on Arm processors with i8mm, every byte as the exact reference has it; under QEMU."""

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

from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import arm_dots, integer_matrices
from mbench.hardware import targets

RULE, OTHER = "cpu.integer_matrices", "cpu.integer_matmul"
INSTRUCTION = "usmmla"


@pytest.fixture(autouse=True, scope="module")
def emulator() -> None:
    emulated.needs_emulator()


@pytest.mark.parametrize(
    ("target", "layer", "name"),
    [
        ("arm64_neoverse_v2", ByteConv(), "usmmla"),
        ("arm64_neoverse_v1", ByteConv(), "usmmla"),
        ("arm64_neoverse_v2", ByteConv(dtype="int8"), "smmla"),
        ("arm64_neoverse_v2", ByteConv(other_zero_point=3), None),
        ("arm64_cortex_a76", ByteConv(), None),
        ("x86_64_v4_vnni", ByteConv(), None),
    ],
)
def test_matrices_are_for_processors_with_i8mm(target: str, layer: ByteConv, name: str | None) -> None:
    found = arm_dots.of_matrices(layers.sums_of(layer), KernelMachine.of(targets.load(target)))
    assert (found and found.name) == name


def test_eight_weights_of_a_channel_lie_side_by_side() -> None:
    dot = arm_dots.MatrixDots(name="usmmla", lanes=(4,), registers=32)
    weights = np.arange(4 * 4 * 4).reshape(4, 4, 4)  # words, channels, 4
    laid = dot.laid(weights, 4).reshape(2, 4, 8)
    assert laid[1, 2].tolist() == weights[2:, 2].ravel().tolist()


def test_tiles_leave_registers_for_values_and_weights() -> None:
    dot = arm_dots.of_matrices(layers.sums_of(ByteConv()), emulated.machine_of(INSTRUCTION))
    assert dot is not None
    assert (4, 3) in dot.tiles()
    assert all(2 * pairs * vectors + pairs + 2 <= 32 for pairs, vectors in dot.tiles())
    needed = 4 * 3 * 2 * 64 / 2
    assert needed < dot.tile_cycles(4, 3, 64) < 1.6 * needed


# ------------------------------------------------------------------------------------------------------ under emulation
@kernels.repeatable(10)
@given(
    layer=layers.any_layers(), height=kernels.sides(), width=st.integers(2, 9),
    inputs=st.sampled_from([8, 16, 24, 40, 64]), number=st.integers(0, 60),
)  # fmt: skip
def test_pointwise_convolutions_are_exact(layer: ByteConv, height: int, width: int, inputs: int, number: int) -> None:
    whole = dataclasses.replace(layer, height=height, width=width, inputs=inputs, other_zero_point=0)
    emulated.check(whole, RULE, INSTRUCTION, number=number, cores=2)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_extremes_are_exact(dtype: str) -> None:
    """All values and all weights at their ends, and multipliers with which sums leave the range of 32 bits."""
    program = emulated.exact(*layers.at_their_ends(dtype), INSTRUCTION, emulated.machine_of(INSTRUCTION, cores=1))
    assert RULE in program.rules.values()


@pytest.mark.parametrize(
    ("rows", "reduction", "columns", "rule"),
    [(2, 64, 100, RULE), (5, 80, 33, RULE), (1, 64, 100, OTHER), (4, 36, 32, OTHER)],
)
def test_linear_layers_are_exact(rows: int, reduction: int, columns: int, rule: str) -> None:
    graph = layers.linear(rows, reduction, columns)
    program = emulated.exact(graph, *layers.drawn(graph), INSTRUCTION)
    assert set(program.rules.values()) == {rule}


@pytest.mark.parametrize(
    ("layer", "cores", "expected"),
    [
        (ByteConv(height=14, width=14, inputs=64, channels=128), 1, True),
        (ByteConv(height=56, width=56, inputs=8, channels=48), 1, False),  # too few multiply-adds for each output
        # Of both rules, the quickest tile would look bytes up one by one and is not taken. Of those that are, the tile
        # of matrices is quicker by 6 %; the others differ by 3 %.
        (ByteConv(height=14, width=14, inputs=64, channels=384, table=True), 72, True),
    ],
)
def test_it_is_taken_where_it_pays(layer: ByteConv, cores: int, expected: bool) -> None:
    machine = emulated.machine_of(INSTRUCTION, cores=cores)
    assert integer_matrices.pays(layers.sums_of(layer), machine) is expected
    assert not integer_matrices.pays(layers.sums_of(layer), emulated.machine_of("usdot", cores=cores))


def test_a_tile_that_is_larger_than_all_rows_is_refused() -> None:
    kernel, machine = layers.sums_of(ByteConv(height=1, width=3)), emulated.machine_of(INSTRUCTION)
    parameters = {"pairs": 3, "vectors": 1, "pair_parts": 1, "panel_parts": 1}
    with pytest.raises(ValueError, match="a tile of 3 pairs of rows is larger than 3 rows"):
        integer_matrices.build(kernel, machine, parameters)
