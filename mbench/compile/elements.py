"""What each element-wise operation of a graph computes of one element, in TVM's expressions; nothing is scheduled.

Operands come in the type that they are summed in; bool is a type of its own.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tvm import tirx

from mbench.compile import integer_elements
from mbench.core import dtypes

Expression = Callable[[Mapping[str, Any], Sequence[Any], str], Any]
"""(attributes, operands, the type of the last) → the value of one element."""

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805
"""Source: arXiv:1706.02515, appendix A.1."""
_MISH_ENDS = 20.0
"""From there on Mish is its operand in float32, and exponentials do not overflow."""


def _const(value: float, dtype: str) -> Any:
    return tirx.const(value if "float" in dtype else int(value), dtype)


def _clip(attributes: Mapping[str, Any], values: Sequence[Any], dtype: str) -> Any:
    low, high = attributes["low"], attributes["high"]
    value = values[0]
    value = value if math.isinf(low) else tirx.max(value, _const(low, dtype))
    return value if math.isinf(high) else tirx.min(value, _const(high, dtype))


def _within(low: float, high: float) -> Expression:
    return lambda _attributes, values, dtype: _clip({"low": low, "high": high}, values, dtype)


def _hard_sigmoid(_attributes: Mapping[str, Any], values: Sequence[Any], dtype: str) -> Any:
    """As torch has it: min(max(x + 3, 0), 6) / 6."""
    clipped = _clip({"low": 0.0, "high": 6.0}, [values[0] + _const(3.0, dtype)], dtype)
    return clipped * _const(1.0 / 6.0, dtype)


def _sigmoid(_attributes: Mapping[str, Any], values: Sequence[Any], dtype: str) -> Any:
    one = _const(1.0, dtype)
    return one / (one + tirx.exp(_const(0.0, dtype) - values[0]))


def _gelu(_attributes: Mapping[str, Any], values: Sequence[Any], dtype: str) -> Any:
    x, half = values[0], _const(0.5, dtype)
    return x * (half + half * tirx.erf(x * _const(math.sqrt(0.5), dtype)))


def _gelu_tanh(_attributes: Mapping[str, Any], values: Sequence[Any], dtype: str) -> Any:
    x, half = values[0], _const(0.5, dtype)
    inner = x * _const(math.sqrt(2 / math.pi), dtype) * (_const(1.0, dtype) + x * x * _const(0.044715, dtype))
    return x * (half + half * tirx.tanh(inner))


def _softplus(_attributes: Mapping[str, Any], values: Sequence[Any], dtype: str) -> Any:
    """log(1 + exp(x)), such that nothing overflows."""
    [x] = values
    inner = tirx.exp(_const(0.0, dtype) - tirx.abs(x))
    return tirx.max(x, _const(0.0, dtype)) + tirx.log(_const(1.0, dtype) + inner)


def _mish(_attributes: Mapping[str, Any], values: Sequence[Any], dtype: str) -> Any:
    """Mish, x tanh(log(1 + exp(x))), without the logarithm: x n / (n + 2), where n = exp(x) (exp(x) + 2)."""
    [x] = values
    two = _const(2.0, dtype)
    power = tirx.exp(tirx.min(x, _const(_MISH_ENDS, dtype)))
    product = power * (power + two)
    return x * (product / (product + two))


def _signs_apart(above: Callable[[Any], Any], below: Callable[[Any], Any], x: Any, dtype: str) -> Any:
    """Return `above` of what is above zero, and `below` of what is below it; both give 0 for 0."""
    zero = _const(0.0, dtype)
    return above(tirx.max(x, zero)) + below(tirx.min(x, zero))


def _leaky(slope: Any, x: Any, dtype: str) -> Any:
    return _signs_apart(lambda up: up, lambda down: down * slope, x, dtype)


def _elu(x: Any, alpha: float, dtype: str, *, within: float = 1.0) -> Any:
    """As torch has it: x above zero, and below it alpha (exp(x / within) - 1)."""

    def below(down: Any) -> Any:
        scaled = down if within == 1.0 else down / _const(within, dtype)
        return _const(alpha, dtype) * (tirx.exp(scaled) - _const(1.0, dtype))

    return _signs_apart(lambda up: up, below, x, dtype)


def _divide(_attributes: Mapping[str, Any], values: Sequence[Any], dtype: str) -> Any:
    if "float" in dtype:
        return values[0] / values[1]
    return tirx.truncdiv(values[0], _not_zero(values[1], dtype))


def _mod(_attributes: Mapping[str, Any], values: Sequence[Any], dtype: str) -> Any:
    x, y = values
    if "float" in dtype:
        return x - tirx.floor(x / y) * y
    return tirx.floormod(x, _not_zero(y, dtype))


def _not_zero(value: Any, dtype: str) -> Any:
    """Return a divisor; a whole number divided by 0 would end the process."""
    return tirx.Select(tirx.EQ(value, _const(0, dtype)), _const(1, dtype), value)


def _sign(_attributes: Mapping[str, Any], values: Sequence[Any], dtype: str) -> Any:
    [x] = values
    one, zero = _const(1, dtype), _const(0, dtype)
    below = zero if dtype.startswith("u") else tirx.Select(x < zero, _const(-1, dtype), zero)
    return tirx.Select(x > zero, one, below)


def _abs(_attributes: Mapping[str, Any], values: Sequence[Any], dtype: str) -> Any:
    [x] = values
    if "float" in dtype:
        return tirx.abs(x)
    return tirx.Select(
        x < _const(0, dtype), (_const(0, dtype) - x).astype(dtype), x
    )  # TVM's own mixes types where they are narrow


def _cast(attributes: Mapping[str, Any], values: Sequence[Any], dtype: str) -> Any:
    wanted = dtypes.accumulator(attributes["to"])
    return tirx.NE(values[0], _const(0, dtype)) if wanted == "bool" != dtype else values[0].astype(wanted)


def _unary(function: Callable[[Any], Any]) -> Expression:
    return lambda _attributes, values, _dtype: function(values[0])


def _binary(function: Callable[[Any, Any], Any]) -> Expression:
    return lambda _attributes, values, _dtype: function(values[0], values[1])


def _compared(compare: Callable[[Any, Any], Any]) -> Expression:
    """Compare; truths as numbers, since TVM takes bool for a floating-point type there."""

    def value(_attributes: Mapping[str, Any], values: Sequence[Any], dtype: str) -> Any:
        return compare(*(each.astype("uint8") if dtype == "bool" else each for each in values))

    return value


EXPRESSIONS: dict[str, Expression] = {
    "add": _binary(operator.add),
    "subtract": _binary(operator.sub),
    "multiply": _binary(operator.mul),
    "divide": _divide,
    "maximum": _binary(tirx.max),
    "minimum": _binary(tirx.min),
    "power": _binary(tirx.power),
    "mod": _mod,
    "equal": _compared(tirx.EQ),
    "greater": _compared(operator.gt),
    "less": _compared(operator.lt),
    "greater_equal": _compared(operator.ge),
    "less_equal": _compared(operator.le),
    "and": _binary(tirx.And),
    "or": _binary(tirx.Or),
    "not": _unary(tirx.Not),
    "where": lambda _attributes, values, _dtype: tirx.Select(*values),
    "cast": _cast,
    "clip": _clip,
    "scale": lambda attributes, values, dtype: values[0] * _const(attributes["factor"], dtype),
    "relu": _within(0.0, math.inf),
    "relu6": _within(0.0, 6.0),
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": lambda attributes, values, dtype: values[0] * _hard_sigmoid(attributes, values, dtype),
    "sigmoid": _sigmoid,
    "silu": lambda attributes, values, dtype: values[0] * _sigmoid(attributes, values, dtype),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "tanh": _unary(tirx.tanh),
    "prelu": lambda _attributes, values, dtype: _leaky(values[1], values[0], dtype),
    "leaky_relu": lambda attributes, values, dtype: _leaky(_const(attributes["alpha"], dtype), values[0], dtype),
    "elu": lambda attributes, values, dtype: _elu(values[0], attributes["alpha"], dtype),
    "celu": lambda attributes, values, dtype: _elu(values[0], attributes["alpha"], dtype, within=attributes["alpha"]),
    "selu": lambda _attributes, values, dtype: _const(_SELU_SCALE, dtype) * _elu(values[0], _SELU_ALPHA, dtype),
    "softplus": _softplus,
    "softsign": lambda _attributes, values, dtype: values[0] / (_const(1.0, dtype) + tirx.abs(values[0])),
    "mish": _mish,
    "exp": _unary(tirx.exp),
    "log": _unary(tirx.log),
    "sqrt": _unary(tirx.sqrt),
    "erf": _unary(tirx.erf),
    "sin": _unary(tirx.sin),
    "cos": _unary(tirx.cos),
    "abs": _abs,
    "negative": lambda _attributes, values, dtype: _const(0, dtype) - values[0],
    "reciprocal": lambda _attributes, values, dtype: _const(1.0, dtype) / values[0],
    "floor": _unary(tirx.floor),
    "ceil": _unary(tirx.ceil),
    "round": _unary(tirx.nearbyint),
    "sign": _sign,
    **integer_elements.EXPRESSIONS,
}
"""The element-wise operations of `networks.operations`, but `lookup`."""
