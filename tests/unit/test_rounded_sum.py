"""How a number of 8 bits is read off the expression that makes it."""

from __future__ import annotations

import pytest
from tvm import tirx

from mbench.compile.schedules.cpu.rounded_sum import RoundedSum


@pytest.mark.parametrize(("dtype", "limits"), [("uint8", (0, 255)), ("int8", (-128, 127))])
def test_whole_numbers_have_the_limits_of_their_type(dtype: str, limits: tuple[int, int]) -> None:
    found = RoundedSum.whole(tirx.Var("total", "int32"), dtype)
    assert (found.low, found.high) == limits
    assert (found.zero, found.flips) == (0, False)


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
