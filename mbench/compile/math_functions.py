"""exp, log, tanh and erf for CPUs, written out as polynomials: a call of the C library would take the lanes one by one.

TVM asks for them by the name of its operation, once vectors are vectors. They are for float32; float16 is computed in
float32, and other types are left to TVM. NaN stays NaN, and what is infinite or huge gives the limit.

| function | largest relative error | source |
|---|---|---|
| exp | 1.3e-7, subnormal results one unit | Cephes, `single/expf.c` |
| log | 1.2e-7 of the larger of 1 and the result | Cephes, `single/logf.c` |
| tanh | 4e-7 | Eigen 3.3, `generic_fast_tanh_float` |
| erf | 4e-7 | Eigen 3.3 `unsupported/SpecialFunctions`, `generic_fast_erf_float`, by Ooura's method |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import tvm
from tvm import tirx
from tvm.ir.prim import expr as prim

_BINARY = (prim.Add, prim.Sub, prim.Mul, prim.Div, prim.Max, prim.Min)
"""Arithmetic, whose operands are always computed."""
Once = Callable[[Any], Any]
"""Computes a value once, for all that reads it."""

_TARGET = "llvm"
_LEVEL = 99
"""Before TVM's own, which are registered at 10."""

_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
_LOG2_E = 1.44269504088896341
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
"""Their sum is ln 2; a whole number of up to 8 bits times the first is exact."""
_LEAST, _MOST = -105.0, 89.0
"""Beyond them exp is 0 and infinite in float32."""
_ROUNDS = 12582912.0
"""1.5 * 2^23: added to a small number, it leaves the nearest whole number in the lowest bits."""
_MANTISSA, _BIAS = 23, 127

_LOG = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
    -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip
_ROOT_OF_HALF = 0.707106781186547524
_LEAST_NORMAL = 1.17549435e-38
_MANTISSA_BITS, _HALF_BITS = 0x007FFFFF, 0x3F000000
"""What keeps the mantissa of a float, and what gives it the exponent of 0.5."""

_TANH_ENDS = 9.0
_TANH_OVER = (
    -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
    1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03,
)  # fmt: skip
_TANH_UNDER = (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)
_ERF_ENDS = 4.0
_ERF_OVER = (
    -2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06, -5.69250639462346e-05,
    -7.34990630326855e-04, -2.95459980854025e-03, -1.60960333262415e-02,
)  # fmt: skip
_ERF_UNDER = (
    -1.45660718464996e-05, -2.13374055278905e-04, -1.68282697438203e-03, -7.37332916720468e-03, -1.42647390514189e-02,
)  # fmt: skip


def register() -> None:
    """Let TVM write them into every kernel for a CPU from now on."""
    for name, function in _FUNCTIONS.items():
        if name not in _registered:
            _registered[name] = tvm.ir.Op.get(name).get_attr(f"{_TARGET}.FLowerIntrinsic")
            tirx.op.register_intrin_lowering(name, _TARGET, f=_lowering(name, function), level=_LEVEL)


_registered: dict[str, Any] = {}
"""TVM's own lowering of each, for the types that are not written out here; for erf there is none."""


def _lowering(name: str, function: Callable[[Any, Once], Any]) -> Callable[[Any], Any]:
    def lower(call: Any) -> Any:
        dtype, *lanes = str(call.ty).split("x")
        if dtype == "float32":
            return _written(function, call.args[0])
        if dtype == "float16":
            wide = "x".join(("float32", *lanes))
            return _written(function, call.args[0].astype(wide)).astype(str(call.ty))
        own = _registered[name]
        return call if own is None else own(call)

    return lower


def _written(function: Callable[[Any, Once], Any], x: Any) -> Any:
    """Return a function's value as one expression, in which each step is computed once."""
    steps: list[tuple[Any, Any]] = []

    def named(value: Any) -> Any:
        variable = tirx.Var(f"m{len(steps)}", str(value.ty))
        steps.append((variable, value))
        return variable

    result = function(named(_flat(x, steps)), named)
    for variable, value in reversed(steps):
        result = tirx.Let(variable, value, result)
    return result


def _flat(x: Any, steps: list[tuple[Any, Any]]) -> Any:
    """Return an operand without steps inside of it, which come first then.

    TVM looks at steps that lie inside of others again and again: functions of functions would take minutes.
    """
    if isinstance(x, tirx.Let):
        steps.append((x.var, _flat(x.value, steps)))
        return _flat(x.body, steps)
    if isinstance(x, tvm.ir.Call):
        name = getattr(x.op, "name", "")
        if name in _FUNCTIONS:
            return _flat(_lowering(name, _FUNCTIONS[name])(x), steps)
        eager = name.startswith("tirx.") and name != "tirx.reinterpret"
        return tvm.ir.Call(x.op, [_flat(each, steps) for each in x.args], x.attrs, ret_ty=x.ty) if eager else x
    if isinstance(x, prim.Select):
        return prim.Select(*(_flat(each, steps) for each in (x.condition, x.true_value, x.false_value)))
    if isinstance(x, prim.Cast):
        return prim.Cast(x.ty, _flat(x.value, steps))
    if isinstance(x, _BINARY):
        return type(x)(_flat(x.a, steps), _flat(x.b, steps))
    return x


def _exp(x: Any, named: Once) -> Any:
    """exp(x) = 2^n exp(r), with n the nearest whole number to x / ln 2.

    2^n is multiplied in two halves: it is no float itself where the result is infinite or subnormal.
    """
    dtype = str(x.ty)
    x = named(_between(x, _LEAST, _MOST))
    shifted = named(x * _const(_LOG2_E, dtype) + _const(_ROUNDS, dtype))
    whole = named(shifted - _const(_ROUNDS, dtype))
    rest = named(x - whole * _const(_LN2_HIGH, dtype))
    rest = named(rest - whole * _const(_LN2_LOW, dtype))
    value = named(_horner(rest, _EXP, named) * (rest * rest) + rest + _const(1.0, dtype))
    integer = dtype.replace("float", "int")
    power = named(tirx.reinterpret(integer, shifted) - tirx.reinterpret(integer, _const(_ROUNDS, dtype)))
    half = named(power >> _const(1, integer))
    return value * _power_of_two(half, dtype, integer) * _power_of_two(power - half, dtype, integer)


def _power_of_two(exponent: Any, dtype: str, integer: str) -> Any:
    return tirx.reinterpret(dtype, (exponent + _const(_BIAS, integer)) << _const(_MANTISSA, integer))


def _log(x: Any, named: Once) -> Any:
    """log(x) = n ln 2 + log(m), with m between the root of 0.5 and that of 2."""
    dtype = str(x.ty)
    integer = dtype.replace("float", "int")
    tiny = x < _const(_LEAST_NORMAL, dtype)  # not named: TVM has no names for vectors of truths
    bits = named(tirx.reinterpret(integer, tirx.Select(tiny, x * _const(2.0**_MANTISSA, dtype), x)))
    mantissa = named(tirx.reinterpret(dtype, (bits & _const(_MANTISSA_BITS, integer)) | _const(_HALF_BITS, integer)))
    small = mantissa < _const(_ROOT_OF_HALF, dtype)
    half = tirx.Select(small, mantissa, _const(0.0, dtype))
    rest = named(mantissa + half - _const(1.0, dtype))
    exponent = (bits >> _const(_MANTISSA, integer)) - _const(_BIAS - 1, integer)
    power = named(
        exponent.astype(dtype)
        - tirx.Select(small, _const(1.0, dtype), _const(0.0, dtype))
        - tirx.Select(tiny, _const(float(_MANTISSA), dtype), _const(0.0, dtype))
    )
    square = named(rest * rest)
    value = named(_horner(rest, _LOG, named) * (rest * square) + power * _const(_LN2_LOW, dtype))
    value = value - square * _const(0.5, dtype)
    return _with_ends_of_log(x, rest + value + power * _const(_LN2_HIGH, dtype), dtype)


def _with_ends_of_log(x: Any, value: Any, dtype: str) -> Any:
    """Return a logarithm as it is for 0, below it, for what is infinite, and for NaN."""
    infinite, none = _broadcast_like(tirx.infinity(dtype.split("x")[0]), dtype), _const(0.0, dtype)
    ends = tirx.Select(tirx.EQ(x, none), none - infinite, x * _const(math.nan, dtype))
    return tirx.Select(x > none, tirx.Select(x < infinite, value, x), ends)


def _broadcast_like(value: Any, dtype: str) -> Any:
    """Return a number in all lanes of a type."""
    lanes = dtype.partition("x")[2]
    return tirx.Broadcast(value, int(lanes)) if lanes else value


def _tanh(x: Any, named: Once) -> Any:
    return _odd_rational(x, _TANH_ENDS, (_TANH_OVER, _TANH_UNDER), named)


def _erf(x: Any, named: Once) -> Any:
    return _odd_rational(x, _ERF_ENDS, (_ERF_OVER, _ERF_UNDER), named)


def _odd_rational(x: Any, ends: float, polynomials: tuple[Sequence[float], Sequence[float]], named: Once) -> Any:
    """Return x p(x^2) / q(x^2), which is -1 and 1 beyond its ends."""
    x = named(_between(x, -ends, ends))
    square = named(x * x)
    over, under = (_horner(square, each, named) for each in polynomials)
    return _between(x * over / under, -1.0, 1.0)


def _horner(x: Any, coefficients: Sequence[float], named: Once) -> Any:
    dtype = str(x.ty)
    value = _const(coefficients[0], dtype)
    for each in coefficients[1:]:
        value = named(value * x + _const(each, dtype))
    return value


def _between(x: Any, low: float, high: float) -> Any:
    """Clip; TVM's minimum and maximum give their second operand where one is NaN."""
    dtype = str(x.ty)
    return tirx.min(_const(high, dtype), tirx.max(_const(low, dtype), x))


def _const(value: float, dtype: str) -> Any:
    return tirx.const(value, dtype)


_FUNCTIONS: dict[str, Callable[[Any, Once], Any]] = {
    "tirx.exp": _exp,
    "tirx.log": _log,
    "tirx.tanh": _tanh,
    "tirx.erf": _erf,
}
