"""What sums become on Arm: bytes by saturation, wherever limits are, of however many registers; under QEMU."""

from __future__ import annotations

import byte_layers as layers
import emulated_bytes as emulated
import numpy as np
import pytest
from byte_layers import ByteConv
from tvm import tirx

from mbench.compile.schedules.cpu import arm_output
from mbench.compile.schedules.cpu.rounded_sum import RoundedSum

RULE = "cpu.integer_matmul"


@pytest.fixture(autouse=True, scope="module")
def emulator() -> None:
    emulated.needs_emulator()


BOUNDS = (None, (60, 255), (0, 60), (7, 80))


@pytest.mark.parametrize("number", range(len(BOUNDS)))
def test_limits_of_all_kinds(number: int) -> None:
    """Each number of channels has all limits, and both types in turns."""
    bounds = BOUNDS[number]
    for place, (channels, residual) in enumerate(((64, False), (12, True), (8, False), (4, True), (28, False))):
        to = ("uint8", "int8")[(number + place) % 2]
        given = bounds and (bounds if to == "uint8" else (bounds[0] - 128, bounds[1] - 128))
        emulated.check(ByteConv(channels=channels, to=to, bounds=given, residual=residual), RULE, "sdot")


@pytest.mark.parametrize("to", ["uint8", "int8"])
def test_sums_beyond_all_whole_numbers_are_at_the_limits(to: str) -> None:
    """Infinite and huge sums, and those beyond 16 bits, have to stay on their side when the zero point is added."""
    graph = ByteConv(channels=128, to=to).graph()
    parameters, inputs = layers.drawn(graph)
    sizes = np.resize([1e6, 1e30, 3e38, 1e-30, 0.2, 1.0], 128)
    parameters["multiplier"][0, :] = sizes.reshape(128, 1, 1)
    program = emulated.exact(graph, parameters, inputs, "sdot")
    assert RULE in program.rules.values()


@pytest.mark.parametrize("number", range(len(BOUNDS)))
def test_what_fits_into_16_bits_is_not_saturated_to_them(number: int) -> None:
    """The halves of one and of two registers are taken, before all limits, tables and residuals."""
    bounds = BOUNDS[number]
    for place, (channels, table, residual) in enumerate(((64, False, True), (44, True, False), (4, False, False))):
        to = ("uint8", "int8")[(number + place) % 2]
        given = bounds and (bounds if to == "uint8" else (bounds[0] - 128, bounds[1] - 128))
        layer = ByteConv(channels=channels, to=to, bounds=given, residual=residual, table=table, short=True)
        emulated.check(layer, RULE, "sdot")


@pytest.mark.parametrize("to", ["uint8", "int8"])
def test_tables_have_what_stands_for_each_byte(to: str) -> None:
    for channels in (48, 20):
        emulated.check(ByteConv(channels=channels, to=to, table=True), RULE, "sdot")


def test_limits_of_the_type_need_no_instruction() -> None:
    """What is rounded is a float that nothing has clamped before."""
    value = tirx.Var("total", "float32")
    found = RoundedSum(value=value, zero=3, low=0, high=255, dtype="uint8")
    rounded = arm_output.rounded(found)
    assert str(rounded.ty) == "int32"
    assert rounded.args[-1].same_as(value)
    assert "fcvtns" in str(rounded)
