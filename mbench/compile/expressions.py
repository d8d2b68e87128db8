"""Rebuild the expression of a block with other indices and other sources of its data."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tvm
from tvm import tirx
from tvm.ir.prim import expr as prim

from mbench.compile import bfloat16
from mbench.core import dtypes

_REDUCTION = 2  # tvm.tirx.IterVar.CommReduce

Load = Callable[[Any, Sequence[Any]], Any]
"""Given a buffer and the rebuilt indices, the value that stands for that load."""

_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    prim.Add: operator.add,
    prim.Sub: operator.sub,
    prim.Mul: operator.mul,
    prim.Div: tirx.div,
    prim.FloorDiv: tirx.floordiv,
    prim.FloorMod: tirx.floormod,
    prim.Mod: tirx.truncmod,
    prim.Max: tirx.max,
    prim.Min: tirx.min,
}
LOGICAL: dict[type, Callable[[Any, Any], Any]] = {
    prim.LT: operator.lt,
    prim.LE: operator.le,
    prim.GT: operator.gt,
    prim.GE: operator.ge,
    **{kind: kind for kind in (prim.EQ, prim.NE, prim.And, prim.Or)},
}
FUNCTIONS = ("exp", "tanh", "erf", "sigmoid", "sqrt", "rsqrt", "log", "sin", "cos", "pow")
_IF = "prim.if_then_else"
_PURE = ("fabs", "floor", "nearbyint", "call_llvm_pure_intrin", "reinterpret")
_CALLS = frozenset(f"tirx.{name}" for name in (*FUNCTIONS, *_PURE)) | {"prim.ceil", bfloat16.ROUNDED}
"""Operations that depend on nothing but their operands."""


class UnknownExpressionError(ValueError):
    """An expression has a kind of node that is not rebuilt here; a rule that meets it does not apply."""


def walk(expression: Any) -> Iterator[Any]:
    """Yield an expression and all that it is made of, the indices of loads among it."""
    yield expression
    names = ("a", "b", "value", "condition", "true_value", "false_value")
    parts = [
        getattr(expression, name, None) for name in names if not isinstance(expression, prim.IntImm | prim.FloatImm)
    ]
    if isinstance(expression, tvm.ir.TensorLoad):
        parts = list(expression.indices)
    if isinstance(expression, tvm.ir.Call):
        parts = list(expression.args)
    for part in parts:
        if part is not None:
            yield from walk(part)


def is_reduction(axis: Any) -> bool:
    """Return whether a block's variable is one that it sums over, or takes the largest of."""
    return int(axis.iter_type) == _REDUCTION


def rebuild(
    expression: Any,
    variables: Sequence[tuple[Any, Any]],
    load: Load,
    decide: Callable[[Any], bool | None] = lambda _condition: None,
) -> Any:
    """Return `expression` with each variable replaced and each load made by `load`.

    Args:
        expression: of a block.
        variables: each with what stands in its place.
        load: makes loads.
        decide: says whether a condition is known to hold or not to hold, for which the choice is not written.

    Raises:
        UnknownExpressionError: a node is none of arithmetic, comparison, choice, minimum, maximum, cast, constant,
            variable and load, and no call of `_CALLS`.
    """
    if isinstance(expression, prim.IntImm):
        return int(expression.value)
    if isinstance(expression, prim.FloatImm):
        return bfloat16.constant(expression.value) if str(expression.ty) == dtypes.BFLOAT16 else expression

    def inner(each: Any) -> Any:
        return rebuild(each, variables, load, decide)

    if isinstance(expression, tvm.ir.TensorLoad):
        return load(expression.source, [inner(index) for index in expression.indices])
    if isinstance(expression, tvm.ir.Var):
        for variable, value in variables:
            if variable.same_as(expression):
                return value
    if isinstance(expression, prim.Not):
        return tirx.Not(_expression(inner(expression.a)))
    if isinstance(expression, prim.Cast):
        return bfloat16.cast(expression, _expression(inner(expression.value)))
    choice = _choice(expression)
    if choice is not None:
        return _chosen(expression, choice, inner, decide)
    if isinstance(expression, tvm.ir.Call) and getattr(expression.op, "name", None) in _CALLS:
        operands = [_expression(inner(each)) for each in expression.args]
        return tvm.ir.Call(expression.op, operands, expression.attrs, ret_ty=expression.ty)
    combine = _BINARY.get(type(expression)) or LOGICAL.get(type(expression))
    if combine is None:
        raise UnknownExpressionError(f"{type(expression).__name__} in {expression}")
    left, right = inner(expression.a), inner(expression.b)
    if type(expression) in LOGICAL:
        return combine(_expression(left, right), _expression(right, left))
    if isinstance(left, int) and isinstance(right, int):
        return int(combine(tirx.const(left), tirx.const(right)))
    return combine(left, right)


def _choice(expression: Any) -> tuple[Any, Any, Any] | None:
    """Return condition, and what it chooses from; None for what is no choice."""
    if isinstance(expression, prim.Select):
        return expression.condition, expression.true_value, expression.false_value
    if isinstance(expression, tvm.ir.Call) and getattr(expression.op, "name", None) == _IF:
        return tuple(expression.args)
    return None


def _chosen(
    expression: Any, choice: tuple[Any, Any, Any], inner: Callable[[Any], Any], decide: Callable[[Any], bool | None]
) -> Any:
    condition, true_value, false_value = choice
    known = decide(condition)
    if known is not None:
        return inner(true_value if known else false_value)
    condition, *values = [inner(each) for each in choice]
    if all(isinstance(value, int) for value in values):
        values = [tirx.const(value, str(expression.ty)) for value in values]
    one, other = _expression(values[0], values[1]), _expression(values[1], values[0])
    choose = tirx.Select if isinstance(expression, prim.Select) else tirx.if_then_else
    return choose(_expression(condition), one, other)


def _expression(value: Any, like: Any = 0) -> Any:
    """Return a value as an expression; a whole number has the type of what it is compared with."""
    if not isinstance(value, int):
        return value
    return tirx.const(value) if isinstance(like, int) else tirx.const(value, str(like.ty))
