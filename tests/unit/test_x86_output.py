"""What sums become on x86: bytes by saturation, in order, with zero points and limits wherever they are."""

from __future__ import annotations

import byte_layers as layers
import pytest
from byte_layers import ByteConv

from mbench.compile.schedules.cpu import x86_output


@pytest.fixture(autouse=True, scope="module")
def processor() -> None:
    layers.needs_dot_products()


@pytest.mark.parametrize("zero", [-128, -127, -1, 0, 1, 127, 128, 255])
@pytest.mark.parametrize("short", [False, True])
def test_zero_points_are_added_with_saturation(zero: int, short: bool) -> None:
    to = "uint8" if zero >= 0 and zero != 127 else "int8"
    bounds = (10, 200) if to == "uint8" else (-100, 90)
    for number, channels in enumerate((64, 48, 16)):
        given = bounds if number % 2 else None
        layer = ByteConv(channels=channels, to=to, result_zero_point=zero, bounds=given, short=short)
        for name in layers.MACHINES:
            layer.check("cpu.integer_matmul", layers.MACHINES[name], number)


def test_the_order_of_saturation_is_undone() -> None:
    assert x86_output._in_order(4) == list(range(16))
    assert sorted(x86_output._in_order(16)) == list(range(64))
    assert x86_output._in_order(8)[:12] == [0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7]
