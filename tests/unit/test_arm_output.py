"""What sums become on Arm: bytes by saturation, wherever limits are, of however many registers; under QEMU."""

from __future__ import annotations

import byte_layers as layers
import emulated_bytes as emulated
import numpy as np
import pytest
from byte_layers import ByteConv
from tvm import tirx

from mbench.compile.schedules.cpu import byte_output
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


def test_whether_it_fits_is_read_off_the_expression() -> None:
    total = tirx.Var("total", "int32").astype("float32")
    rounded = tirx.call_llvm_pure_intrin("int32", "llvm.lrint", total)
    short = tirx.min(tirx.max(rounded.astype("int16").astype("int32"), tirx.const(-3, "int32")), tirx.const(9, "int32"))
    for zero, added in ((0, short), (3, short + 3), (-3, short - 3)):
        found = byte_output._SaturatedSum.of(added.astype("int8"), None)
        assert found is not None
        assert found.short
        read = RoundedSum.read(found.wide, found.dtype, short=found.short)
        assert read is not None
        assert (read.zero, read.low, read.high, read.short) == (zero, zero - 3, zero + 9, True)
    wide = tirx.min(tirx.max(rounded, tirx.const(-3, "int32")), tirx.const(9, "int32"))
    other = byte_output._SaturatedSum.of(wide.astype("int8"), None)
    assert other is None or not other.short


@pytest.mark.parametrize("to", ["uint8", "int8"])
def test_tables_have_what_stands_for_each_byte(to: str) -> None:
    for channels in (48, 20):
        emulated.check(ByteConv(channels=channels, to=to, table=True), RULE, "sdot")


def test_other_expressions_are_not_read() -> None:
    total = tirx.Var("total", "int32")
    assert RoundedSum.read(total, "uint8") is None
    assert RoundedSum.read(total + 3, "uint8") is None
    inside = tirx.min(total.astype("float32"), tirx.const(9.0, "float32"))
    rounded = tirx.call_llvm_pure_intrin("int32", "llvm.lrint", inside)
    assert RoundedSum.read(rounded, "uint8") is None
    inside = tirx.min(tirx.max(total.astype("float32"), tirx.const(-3.0, "float32")), tirx.const(9.0, "float32"))
    found = RoundedSum.read(tirx.call_llvm_pure_intrin("int32", "llvm.lrint", inside) + 3, "uint8")
    assert found is not None
    assert (found.zero, found.low, found.high) == (3, 0, 12)
