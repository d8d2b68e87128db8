"""What each element-wise operation of a quantised network computes of one element, exact as docs/int8.md defines it.

In TVM's expressions, like `elements`. Operands come in their own types: 8 bits, int32, float32. Nothing that is
multiplied here is added to without a clamp in between, or LLVM would round both once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tvm import te, tirx

from mbench.compile.axis_computations import centred
from mbench.networks import integer_arithmetic as exact

_FLOAT, _SUMS, _SHORT = "float32", "int32", "int16"


def fused(x: Any, y: Any, z: Any) -> Any:
    """Return x y + z of float32, rounded once on every processor."""
    return tirx.call_llvm_pure_intrin(_FLOAT, "llvm.fma", x, y, z)


def _float(value: float) -> Any:
    return tirx.const(float(np.float32(value)), _FLOAT)


def _settled(value: Any, known: Mapping[str, Any]) -> Any:
    """Return a number rounded, shifted by the zero point and within the limits of a result; NaN gives the smallest.

    `less` is taken off in the end: limits and zero point are those of the result before.
    """
    less = known.get("less", 0)
    limits, zero = np.iinfo("uint8" if less else known["to"]), known["zero_point"]
    low, high = known.get("low", int(limits.min)), known.get("high", int(limits.max))
    if known.get("short"):  # as 16 bits, so that rules see it
        rounded = tirx.call_llvm_pure_intrin(_SUMS, "llvm.lrint", value).astype(_SHORT).astype(_SUMS)
        whole = tirx.min(tirx.max(rounded, tirx.const(low - zero, _SUMS)), tirx.const(high - zero, _SUMS))
    else:
        inside = tirx.min(tirx.max(value, _float(low - zero)), _float(high - zero))  # of NaN TVM's give the second
        whole = tirx.call_llvm_pure_intrin(_SUMS, "llvm.lrint", inside)  # halves to even
    return (whole + tirx.const(zero - less, _SUMS) if zero != less else whole).astype(known["to"])


def _quantize(known: Mapping[str, Any], values: Sequence[Any], _dtype: str) -> Any:
    return _settled(values[0].astype(_FLOAT) * _float(1.0 / known["scale"]), known)


def _dequantize(known: Mapping[str, Any], values: Sequence[Any], _dtype: str) -> Any:
    if len(values) > 1:
        return values[0].astype(_FLOAT) * values[1]
    return centred(values[0], _SUMS, known["zero_point"]).astype(_FLOAT) * _float(known["scale"])


def _requantize(known: Mapping[str, Any], values: Sequence[Any], _dtype: str) -> Any:
    total, multiplier, *residual = values
    if known.get("shifted"):
        return _shifted(total.astype(_FLOAT) * multiplier, known)
    if not residual:
        return _settled(total.astype(_FLOAT) * multiplier, known)
    factor = known["residual_multiplier"]
    offset = _float(float(exact.offset_of(((factor, known["residual_zero_point"]),))))
    added = fused(_whole(residual[0], known.get("residual_less", 0)), _float(factor), offset)
    return _settled(fused(total.astype(_FLOAT), multiplier, added), known)


def _shifted(value: Any, known: Mapping[str, Any]) -> Any:
    """Return a number with the zero point added, rounded and within the limits; see `_settled`.

    A clamp to a little more than the limits stands between the multiplication and the sum.
    """
    zero, low, high = known["zero_point"], known["low"], known["high"]
    inside = tirx.min(tirx.max(value, _float(low - zero - 1)), _float(high - zero + 1))
    return _settled(inside + _float(zero), {**known, "zero_point": 0})


def _added(known: Mapping[str, Any], values: Sequence[Any], _dtype: str) -> Any:
    first, second = known["multipliers"]
    shift = _float(float(exact.shift_of(known["multipliers"], known["zero_points"], known["zero_point"])))
    x, y = (_whole(value, less) for value, less in zip(values, known.get("operands_less", (0, 0)), strict=True))
    return _settled(fused(x, _float(first), fused(y, _float(second), shift)), {**known, "zero_point": 0})


def _whole(value: Any, less: int) -> Any:
    """Return a number of 8 bits as the float32 that it was before something was taken off."""
    return (value.astype(_SUMS) + tirx.const(less, _SUMS) if less else value).astype(_FLOAT)


def _affine(known: Mapping[str, Any], values: Sequence[Any], _dtype: str) -> Any:
    x, multiplier, offset = values
    return _settled(fused(x.astype(_FLOAT), multiplier, offset), known)


def _multiplied(known: Mapping[str, Any], values: Sequence[Any], _dtype: str) -> Any:
    zeros = known["zero_point"], known["other_zero_point"]
    x, y = (centred(value, _SUMS, zero) for value, zero in zip(values, zeros, strict=True))
    return x * y


def looked_up(x: Any, table: te.Tensor) -> Any:
    """Return what a table of 256 has for a number of 8 bits; its first is for the smallest number of that type."""
    smallest = int(np.iinfo(str(x.ty)).min)
    return table(centred(x, _SUMS, smallest))


EXPRESSIONS = {
    "quantize": _quantize,
    "dequantize": _dequantize,
    "requantize": _requantize,
    "quantized_add": _added,
    "quantized_affine": _affine,
    "quantized_multiply": _multiplied,
}
"""The element-wise operations of quantised networks, but `lookup`, which reads a table by a value; see `elements`."""
