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


class UnknownExpressionError(ValueError):
    """An expression has a kind of node that is not rebuilt here; a rule that meets it does not apply."""


def rebuild(expression: Any, variables: Sequence[tuple[Any, Any]], load: Load) -> Any:
    """Return `expression` with each variable replaced and each load made by `load`.

    Raises:
        UnknownExpressionError: a node is none of arithmetic, minimum, maximum, cast, constant, variable and load.
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
    combine = _BINARY.get(type(expression))
    if combine is None:
        raise UnknownExpressionError(f"{type(expression).__name__} in {expression}")
    left, right = (rebuild(side, variables, load) for side in (expression.a, expression.b))
    if isinstance(left, int) and isinstance(right, int):
        return int(combine(tirx.const(left), tirx.const(right)))
    return combine(left, right)
