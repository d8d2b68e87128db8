from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tvm
from hypothesis import given
from hypothesis import strategies as st
from tvm import tirx

from mbench.compile.expressions import UnknownExpressionError, rebuild

ROW, COLUMN = tirx.Var("i", "int32"), tirx.Var("j", "int32")
A = tirx.decl_buffer((8, 8), "float32", "a")


def no_load(_buffer: Any, _indices: Any) -> Any:
    raise AssertionError("nothing is loaded here")


def operations(left: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw (text, expression, value as a function of i and j) of two smaller ones."""
    kinds: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
        "+": (lambda a, b: a + b, lambda a, b: a + b),
        "-": (lambda a, b: a - b, lambda a, b: a - b),
        "*": (lambda a, b: a * b, lambda a, b: a * b),
        "max": (tirx.max, max),
        "min": (tirx.min, min),
        "//7": (lambda a, _b: tirx.floordiv(a, 7), lambda a, _b: a // 7),
        "%5": (lambda a, _b: tirx.floormod(a, 5), lambda a, _b: a % 5),
    }

    def combined(kind: str, one: Any, other: Any) -> Any:
        build, value = kinds[kind]
        return build(one[0], other[0]), lambda i, j: value(one[1](i, j), other[1](i, j))

    return st.builds(combined, st.sampled_from(sorted(kinds)), left, left)


LEAVES = st.sampled_from([(ROW, lambda i, _j: i), (COLUMN, lambda _i, j: j)]) | st.integers(-9, 9).map(
    lambda number: (tirx.const(number, "int32"), lambda _i, _j: number)
)


@given(
    built=st.recursive(LEAVES, operations, max_leaves=6),
    i=st.integers(-20, 20),
    j=st.integers(-20, 20),
)
def test_whole_numbers_for_variables_give_the_value_as_python_computes_it(built: Any, i: int, j: int) -> None:
    expression, value = built
    result = rebuild(expression, [(ROW, i), (COLUMN, j)], no_load)
    assert isinstance(result, int)
    assert result == value(i, j)


def test_variables_are_told_apart_by_identity_not_by_name() -> None:
    other = tirx.Var("i", "int32")
    assert rebuild(ROW - other, [(ROW, 5), (other, 3)], no_load) == 2


def test_loads_are_made_anew_with_the_rebuilt_indices() -> None:
    seen = []

    def load(buffer: Any, indices: Any) -> Any:
        seen.append((buffer.same_as(A), list(indices)))
        return tirx.const(2.0, "float32")

    total = rebuild(A[ROW, COLUMN + 1] * A[COLUMN, ROW], [(ROW, 3), (COLUMN, 4)], load)
    assert seen == [(True, [3, 5]), (True, [4, 3])]
    assert "2" in str(total)


def test_float_constants_stay_and_are_computed_by_the_kernel() -> None:
    y = tirx.Var("y", "float32")
    x = tirx.Var("x", "float32")
    rebuilt = rebuild(tirx.max(x / tirx.const(49.0, "float32"), tirx.const(0.5, "float32")), [(x, y)], no_load)
    assert str(rebuilt) == str(tirx.max(y / tirx.const(49.0, "float32"), tirx.const(0.5, "float32")))


def test_what_is_cast_is_rebuilt_inside() -> None:
    x, y = tirx.Var("x", "float32"), tirx.Var("y", "float32")
    half = tirx.Cast("float16", x + tirx.const(1.0, "float32"))
    rebuilt = rebuild(half, [(x, y)], no_load)
    assert (str(rebuilt), str(rebuilt.ty)) == (str(tirx.Cast("float16", y + tirx.const(1.0, "float32"))), "float16")


@pytest.mark.parametrize("function", [tirx.exp, tirx.tanh, tirx.erf, tirx.sigmoid, tirx.sqrt, tirx.rsqrt])
def test_functions_of_one_value_are_called_with_what_was_rebuilt(function: Callable[..., Any]) -> None:
    x, y = tirx.Var("x", "float32"), tirx.Var("y", "float32")
    rebuilt = rebuild(function(x + tirx.const(1.0, "float32")), [(x, y)], no_load)
    assert str(rebuilt) == str(function(y + tirx.const(1.0, "float32")))
    assert str(rebuilt.ty) == "float32"


@pytest.mark.parametrize("choice", [tirx.Select, tirx.if_then_else])
def test_choices_are_rebuilt_with_their_conditions(choice: Callable[..., Any]) -> None:
    def chosen(row: Any, column: Any) -> Any:
        condition = tirx.Or(tirx.And(row >= 2, row < 9), tirx.Or(row == column, column != 0))
        return choice(condition, row + 1, column)

    i, j = tirx.Var("i", "int32"), tirx.Var("j", "int32")
    rebuilt = rebuild(chosen(ROW, COLUMN), [(ROW, i * 2), (COLUMN, j)], no_load)
    tvm.ir.assert_structural_equal(rebuilt, chosen(i * 2, j), map_free_vars=True)


def test_what_is_compared_may_be_two_numbers() -> None:
    rebuilt = rebuild(tirx.Select(ROW > 3, ROW, COLUMN), [(ROW, 4), (COLUMN, 2)], no_load)
    assert str(rebuilt) == str(tirx.Select(tirx.const(4) > tirx.const(3), tirx.const(4), tirx.const(2)))


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        (tirx.atan(tirx.const(1.0, "float32") * A[ROW, COLUMN]), "Call"),
        (tirx.call_extern("float32", "rand"), "Call"),
        (tirx.Ramp(ROW, 1, 4), "Ramp"),
        (ROW + tirx.Var("stranger", "int32"), "stranger"),
    ],
    ids=["a function that is not known", "a function of other libraries", "a vector", "a variable of no value"],
)
def test_what_is_not_known_is_refused_by_name(expression: Any, named: str) -> None:
    with pytest.raises(UnknownExpressionError, match=named):
        rebuild(expression, [(ROW, 1), (COLUMN, 2)], lambda _buffer, _indices: tirx.const(1.0, "float32"))
