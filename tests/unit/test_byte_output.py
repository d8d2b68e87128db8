"""What becomes of sums: bytes by saturation, four registers at once, wherever the limits are."""

from __future__ import annotations

import dataclasses

import byte_layers as layers
import numpy as np
import pytest
from byte_layers import SSE, VBMI, VNNI, VNNI_256, ByteConv
from tvm import tirx

from mbench.compile import to_relax
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import byte_output
from mbench.compile.schedules.cpu.rounded_sum import RoundedSum
from mbench.compile.schedules.dispatch import schedule_all
from mbench.compile.schedules.rule import Scheduled
from mbench.networks import folding

RULE = "cpu.integer_matmul"


@pytest.fixture(autouse=True, scope="module")
def processor() -> None:
    layers.needs_dot_products()


BOUNDS = (None, (60, 255), (0, 60), (7, 80))
CHANNELS = (64, 100, 32)


@pytest.mark.parametrize("number", range(len(BOUNDS)))
@pytest.mark.parametrize("machine", [VNNI, VNNI_256, SSE])
def test_limits_of_all_kinds(machine: KernelMachine, number: int) -> None:
    """On each machine each number of channels has both types, with a residual and without, in turns over the limits."""
    for place, channels in enumerate(CHANNELS):
        turn = (len(CHANNELS) * number + place) % 4
        to, bounds = ("uint8", "int8")[turn % 2], BOUNDS[number]
        given = bounds and (bounds if to == "uint8" else (bounds[0] - 128, bounds[1] - 128))
        ByteConv(channels=channels, to=to, bounds=given, residual=turn > 1, short=place == 1).check(RULE, machine)


@pytest.mark.parametrize("machine", [VNNI, VNNI_256])
@pytest.mark.parametrize("to", ["uint8", "int8"])
@pytest.mark.parametrize("zero", [-100, 0, 100])
def test_sums_beyond_all_whole_numbers_are_at_the_limits(machine: KernelMachine, to: str, zero: int) -> None:
    """A floor is left out where saturation has it: infinite and huge sums have to stay on their side."""
    graph = ByteConv(channels=128, to=to, result_zero_point=max(zero, int(np.iinfo(to).min))).graph()
    parameters, inputs = layers.drawn(graph)
    parameters["multiplier"][0, :] = np.resize([1e6, 1e30, 3e38, 1e-30], 128).reshape(128, 1, 1)
    program = layers.exact(graph, parameters, inputs, machine)
    assert RULE in program.rules.values()


@pytest.mark.parametrize("name", layers.MACHINES)
@pytest.mark.parametrize("to", ["uint8", "int8"])
def test_tables_have_what_stands_for_each_byte(name: str, to: str) -> None:
    """Every byte comes up among those that are looked up."""
    for channels, number in ((128, 0), (48, 2), (128, 5)):
        ByteConv(channels=channels, to=to, table=True).check(RULE, layers.MACHINES[name], number)


def test_64_bytes_are_looked_up_in_halves_where_the_processor_does_so() -> None:
    lengths = [
        max(len(kernel.plan.function.script()) for kernel in scheduled(ByteConv(channels=128, table=True), machine))
        for machine in (VBMI, VNNI)
    ]
    assert lengths[0] < lengths[1] / 2, "16 rows and 15 choices take more to write"


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_what_tables_take_decides_on_tiles(dtype: str) -> None:
    """64 channels are looked up in two halves, and 32 in 16 rows, which takes longer."""
    layer = ByteConv(height=14, width=14, inputs=80, channels=480, dtype=dtype)
    plain, looked_up = (scheduled(dataclasses.replace(layer, table=table), VBMI) for table in (False, True))
    [before], [after] = ([each for each in kernels if each.rule == RULE] for kernels in (plain, looked_up))
    assert int(before.parameters["vectors"]) != int(after.parameters["vectors"]) == 4
    depthwise = dataclasses.replace(layer, inputs=200, channels=200, groups=200, kernel=(3, 3), table=True)
    [found] = (each for each in scheduled(depthwise, VBMI) if each.rule == "cpu.integer_depthwise")
    assert found.plan.lanes == 16


@pytest.mark.parametrize(("channels", "kernel", "to"), [(16, 3, "uint8"), (32, 1, "int8"), (48, 1, "uint8")])
def test_rows_that_lie_side_by_side_are_finished_as_one(channels: int, kernel: int, to: str) -> None:
    """64 bytes of four pixels of 16 channels, and what is left of a tile."""
    layer = ByteConv(width=13, channels=channels, kernel=(kernel, kernel), table=True, residual=channels == 32, to=to)
    rule = RULE if kernel == 1 else "cpu.integer_convolution"
    for machine, number in ((VBMI, 0), (layers.AVX2, 1)):
        layer.check(rule, machine, number)
    [found] = (each for each in scheduled(layer, VBMI) if each.rule == rule)
    assert "vpermi2var" in found.plan.function.script()


@pytest.mark.parametrize("zero", [0, 7])
@pytest.mark.parametrize("channels", [128, 64])
@pytest.mark.parametrize("name", layers.MACHINES)
def test_a_table_is_never_read_byte_by_byte(name: str, channels: int, zero: int) -> None:
    """TVM widens what is an index, so that the sums before a table with a zero point were not known as such."""
    layer = ByteConv(channels=channels, table=True, result_zero_point=zero)
    kernels = scheduled(layer, layers.MACHINES[name])
    [script] = (each.plan.function.script() for each in kernels if each.rule == RULE)
    assert "pshuf" in script or "vpermi2var" in script
    if zero:
        layer.check(RULE, layers.MACHINES[name], 0)


def scheduled(layer: ByteConv, machine: KernelMachine) -> list[Scheduled]:
    module = to_relax.lower(folding.as_compiled(layer.graph()).graph).module
    return list(schedule_all(to_relax.kernel_calls(module), machine).values())


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
    assert other is not None
    assert not other.short
