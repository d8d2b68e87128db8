"""What becomes of sums: bytes by saturation, four registers at once, wherever the limits are."""

from __future__ import annotations

import itertools

import byte_layers as layers
import numpy as np
import pytest
from byte_layers import VBMI, VNNI, VNNI_256, ByteConv

from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import byte_output

RULE = "cpu.integer_matmul"


@pytest.fixture(autouse=True, scope="module")
def processor() -> None:
    layers.needs_dot_products()


@pytest.mark.parametrize("machine", [VNNI, VNNI_256])
@pytest.mark.parametrize("to", ["uint8", "int8"])
@pytest.mark.parametrize("bounds", [None, (60, 255), (0, 60), (7, 80)])
def test_limits_of_all_kinds(machine: KernelMachine, to: str, bounds: tuple[int, int] | None) -> None:
    given = bounds and (bounds if to == "uint8" else (bounds[0] - 128, bounds[1] - 128))
    for channels, residual in itertools.product((64, 100, 32), (False, True)):
        ByteConv(channels=channels, to=to, bounds=given, residual=residual).check(RULE, machine)


def test_sums_beyond_all_whole_numbers_are_at_the_limits() -> None:
    """A floor is left out where saturation has it: infinite and huge sums have to stay on their side."""
    graph = ByteConv(channels=128).graph()
    parameters, inputs = layers.drawn(graph)
    parameters["multiplier"][0, :] = np.resize([1e6, 1e30, 3e38, 1e-30], 128).reshape(128, 1, 1)
    program = layers.exact(graph, parameters, inputs, VNNI)
    assert RULE in program.rules.values()


@pytest.mark.parametrize("machine", [VNNI, VBMI, VNNI_256])
@pytest.mark.parametrize("to", ["uint8", "int8"])
def test_tables_have_what_stands_for_each_byte(machine: KernelMachine, to: str) -> None:
    for channels in (128, 48):
        ByteConv(channels=channels, to=to, table=True).check(RULE, machine)


def test_the_order_of_saturation_is_undone() -> None:
    assert byte_output._in_order(4) == list(range(16))
    assert sorted(byte_output._in_order(16)) == list(range(64))
    assert byte_output._in_order(8)[:12] == [0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7]
