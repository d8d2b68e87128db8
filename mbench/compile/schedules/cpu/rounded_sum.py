"""A number of 8 bits as a kernel's expression has it: a float rounded, shifted by a zero point, within limits."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tvm
from tvm import tirx
from tvm.ir.prim import expr as prim
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

_SIGN = 128


@dataclasses.dataclass(frozen=True, kw_only=True)
class RoundedSum:
    """A number of 8 bits that is made of a float: clamp(rint(value) + zero)."""

    value: Any
    zero: int
    low: int
    high: int
    dtype: str
    short: bool = False
    """Whether what is rounded fits into 16 bits."""

    @classmethod
    def read(cls, value: Any, dtype: str, *, short: bool = False) -> RoundedSum | None:
        """Read it off the int32 that is cast to a type of 8 bits; None for what is made otherwise."""
        call, zero = _apart(value)
        if not isinstance(call, tvm.ir.Call) or len(call.args) != 2:
            return None
        inside = call.args[1]
        if not isinstance(inside, prim.Min) or not isinstance(inside.a, prim.Max):
            return None
        limits = inside.a.b, inside.b
        if not all(isinstance(limit, prim.FloatImm) for limit in limits):
            return None
        low, high = (int(float(limit.value)) + zero for limit in limits)
        return cls(value=inside.a.a, zero=zero, low=low, high=high, dtype=dtype, short=short)

    @classmethod
    def whole(cls, value: Any, dtype: str) -> RoundedSum:
        """Return a whole number that is cast by saturation, within the limits of the type alone."""
        known = np.iinfo(dtype)
        return cls(value=value, zero=0, low=int(known.min), high=int(known.max), dtype=dtype)

    @property
    def flips(self) -> bool:
        """Whether it is made as uint8, where the zero point is 0; flipping the highest bit makes that int8."""
        return self.dtype == "int8" and self.zero == -_SIGN

    def clamped(self, value: Any, lanes: int) -> Any:
        """Make bytes that the saturation of a register gave those of the type, and clamp them to narrower limits."""
        known = np.iinfo(self.dtype)
        if self.flips:
            flip = tirx.Broadcast(tirx.const(_SIGN, "uint8"), lanes)
            value = tirx.reinterpret(f"int8x{lanes}", tirx.bitwise_xor(value, flip))
        if self.low > known.min:
            value = tirx.max(value, tirx.Broadcast(tirx.const(self.low, self.dtype), lanes))
        if self.high < known.max:
            value = tirx.min(value, tirx.Broadcast(tirx.const(self.high, self.dtype), lanes))
        return T.bind(value)


def _apart(value: Any) -> tuple[Any, int]:
    """Return what a number is added to, and the number."""
    if isinstance(value, (prim.Add, prim.Sub)) and isinstance(value.b, prim.IntImm):
        return value.a, int(value.b) if isinstance(value, prim.Add) else -int(value.b)
    return value, 0
