"""Rebuild the expression of a block with other indices and other sources of its data."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import tvm
from tvm import tirx
from tvm.ir.prim import expr as prim

Load = Callable[[Any, Sequence[Any]], Any]
"""Given a buffer and the rebuilt indices, the value that stands for that load."""

_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    prim.Add: operator.add,
    prim.Sub: operator.sub,
    prim.Mul: operator.mul,
    prim.Div: tirx.div,
    prim.FloorDiv: tirx.floordiv,
    prim.FloorMod: tirx.floormod,
    prim.Max: tirx.max,
    prim.Min: tirx.min,
}
_LOGICAL: dict[type, Callable[[Any, Any], Any]] = {
    prim.LT: operator.lt,
    prim.LE: operator.le,
    prim.GT: operator.gt,
    prim.GE: operator.ge,
    **{kind: kind for kind in (prim.EQ, prim.NE, prim.And, prim.Or)},
}
_FUNCTIONS = ("exp", "tanh", "erf", "sigmoid", "sqrt", "rsqrt")
_CALLS = frozenset(("prim.if_then_else", *(f"tirx.{name}" for name in _FUNCTIONS)))
"""Operations that depend on nothing but their operands."""


class UnknownExpressionError(ValueError):
    """An expression has a kind of node that is not rebuilt here; a rule that meets it does not apply."""


def rebuild(expression: Any, variables: Sequence[tuple[Any, Any]], load: Load) -> Any:
    """Return `expression` with each variable replaced and each load made by `load`.

    Raises:
        UnknownExpressionError: a node is none of arithmetic, comparison, choice, minimum, maximum, cast, constant,
            variable and load, and no call of `_CALLS`.
    """
    if isinstance(expression, prim.IntImm):
        return int(expression.value)
    if isinstance(expression, prim.FloatImm):
        return expression
    if isinstance(expression, tvm.ir.TensorLoad):
        return load(expression.source, [rebuild(index, variables, load) for index in expression.indices])
    if isinstance(expression, tvm.ir.Var):
        for variable, value in variables:
            if variable.same_as(expression):
                return value
    if isinstance(expression, prim.Cast):
        return tirx.Cast(expression.ty, rebuild(expression.value, variables, load))
    if isinstance(expression, tvm.ir.Call) and getattr(expression.op, "name", None) in _CALLS:
        operands = [_expression(rebuild(each, variables, load)) for each in expression.args]
        return tvm.ir.Call(expression.op, operands, expression.attrs, ret_ty=expression.ty)
    if isinstance(expression, prim.Select):
        parts = (expression.condition, expression.true_value, expression.false_value)
        return tirx.Select(*(_expression(rebuild(each, variables, load)) for each in parts))
    combine = _BINARY.get(type(expression)) or _LOGICAL.get(type(expression))
    if combine is None:
        raise UnknownExpressionError(f"{type(expression).__name__} in {expression}")
    left, right = (rebuild(side, variables, load) for side in (expression.a, expression.b))
    if type(expression) in _LOGICAL:
        return combine(_expression(left), _expression(right))
    if isinstance(left, int) and isinstance(right, int):
        return int(combine(tirx.const(left), tirx.const(right)))
    return combine(left, right)


def _expression(value: Any) -> Any:
    return tirx.const(value) if isinstance(value, int) else value
