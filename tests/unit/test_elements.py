"""Operations element by element as they are written, compiled as TVM made them, beside torch."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import kernel_cases as kernels
import numpy as np
import pytest
import torch
from torch.nn import functional
from tvm import ir, te, tirx

from mbench.compile import computations, elements, expressions
from mbench.networks import operations

CLOSE: dict[str, Any] = {"rtol": 2e-5, "atol": 2e-5}
PLAIN_CALLS = {"prim.ceil", *(f"tirx.{name}" for name in ("fabs", "floor", "nearbyint", "sqrt", "pow", "sin", "cos"))}
"""Instructions, or what the C library computes: no polynomials of ours inside each other."""

UNARY: dict[str, tuple[dict[str, Any], Callable[..., torch.Tensor]]] = {
    "clip": ({"low": -0.5, "high": 0.75}, lambda x: x.clamp(-0.5, 0.75)),
    "scale": ({"factor": 0.125}, lambda x: x * 0.125),
    "relu": ({}, functional.relu),
    "relu6": ({}, functional.relu6),
    "hard_sigmoid": ({}, functional.hardsigmoid),
    "hard_swish": ({}, functional.hardswish),
    "sigmoid": ({}, torch.sigmoid),
    "silu": ({}, functional.silu),
    "gelu": ({}, functional.gelu),
    "gelu_tanh": ({}, lambda x: functional.gelu(x, approximate="tanh")),
    "tanh": ({}, torch.tanh),
    "leaky_relu": ({"alpha": 0.3}, lambda x: functional.leaky_relu(x, 0.3)),
    "elu": ({"alpha": 1.5}, lambda x: functional.elu(x, 1.5)),
    "celu": ({"alpha": 2.5}, lambda x: functional.celu(x, 2.5)),
    "selu": ({}, functional.selu),
    "softplus": ({}, functional.softplus),
    "softsign": ({}, functional.softsign),
    "mish": ({}, functional.mish),
    "exp": ({}, torch.exp),
    "log": ({}, torch.log),
    "sqrt": ({}, torch.sqrt),
    "erf": ({}, torch.erf),
    "sin": ({}, torch.sin),
    "cos": ({}, torch.cos),
    "abs": ({}, torch.abs),
    "negative": ({}, torch.neg),
    "reciprocal": ({}, torch.reciprocal),
    "floor": ({}, torch.floor),
    "ceil": ({}, torch.ceil),
    "round": ({}, torch.round),
    "sign": ({}, torch.sign),
}
BINARY: dict[str, Callable[..., torch.Tensor]] = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "divide": torch.div,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "power": torch.pow,
    "mod": torch.remainder,
    "prelu": lambda x, y: torch.where(x > 0, x, x * y),
    "equal": torch.eq,
    "greater": torch.gt,
    "less": torch.lt,
    "greater_equal": torch.ge,
    "less_equal": torch.le,
}
OTHERS = ("and", "or", "not", "where", "cast")
"""Of bool, or of several types; see `test_truths`, `test_choices` and `test_casts`."""
SHAPE = (5, 37)
ABOVE_ZERO = ("log", "sqrt", "power")
POINTS = (-100.0, -20.5, -3.5, -2.5, -1.0, -0.5, -1e-3, 0.0, 1e-3, 0.5, 1.0, 1.5, 2.5, 6.0, 20.5, 80.0)
"""Halves, ends, and what overflows where exponentials are taken of the wrong sign."""


def operands(name: str) -> list[np.ndarray]:
    generator = np.random.default_rng(11)
    x: np.ndarray
    y: np.ndarray
    x, y = (4 * generator.standard_normal(SHAPE).astype(np.float32) for _ in range(2))
    x.flat[: len(POINTS)] = POINTS
    y.flat[: len(POINTS)] = np.roll(POINTS, 3)
    x.flat[len(POINTS) : 2 * len(POINTS)] = y.flat[len(POINTS) : 2 * len(POINTS)]
    x = np.abs(x) + np.float32(0.01) if name in ABOVE_ZERO else x
    y = np.where(np.abs(y) < 0.01, np.float32(0.5), y) if name in ("divide", "mod") else y
    y = y / 8 if name == "power" else y
    return [x] if name in UNARY else [x, y]


def computed(writes: Mapping[str, tuple[Callable[..., Any], list[np.ndarray]]]) -> dict[str, np.ndarray]:
    """Return what several computations of operands of their own give: one function, compiled once."""
    places: list[te.Tensor] = []
    outputs: list[te.Tensor] = []
    arrays: list[np.ndarray] = []
    for write, given in writes.values():
        read = [te.placeholder(array.shape, str(array.dtype), f"p{len(places) + at}") for at, array in enumerate(given)]
        places.extend(read)
        arrays.extend(given)
        outputs.append(_pass(write, read))
    library = kernels.compiled(te.create_prim_func([*places, *outputs]))
    return dict(zip(writes, kernels.run_all(library, arrays, outputs), strict=True))


def _pass(write: Callable[..., Any], read: list[te.Tensor]) -> te.Tensor:
    return computations.chain(read[0].shape, lambda *at: write(*(each(*at) for each in read)))


def written(name: str, dtype: str = "float32", **attributes: Any) -> Callable[..., Any]:
    return lambda *values: elements.EXPRESSIONS[name](attributes, values, dtype)


def test_every_operation_element_by_element_is_written_and_checked_here() -> None:
    known = {name for name, operation in operations.OPERATIONS.items() if operation.elementwise}
    known -= operations.ONLY_QUANTIZED.keys()  # see test_integer_elements
    assert set(elements.EXPRESSIONS) - operations.ONLY_QUANTIZED.keys() == {*UNARY, *BINARY, *OTHERS} == known


@functools.cache
def floats() -> dict[str, np.ndarray]:
    return computed({name: (written(name, **UNARY.get(name, ({},))[0]), operands(name)) for name in (*UNARY, *BINARY)})


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_operations_element_by_element(name: str) -> None:
    value = UNARY[name][1] if name in UNARY else BINARY[name]
    expected = value(*(torch.from_numpy(each.astype(np.float64)) for each in operands(name)))
    np.testing.assert_allclose(floats()[name], expected.numpy(), **CLOSE)


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_operations_read_their_operands_as_often_as_they_are_said_to(name: str) -> None:
    """What a kernel's expression grows by; see `networks.kernels`."""
    read = [tirx.Var(each, "float32") for each in ("x", "y")[: 2 if name in BINARY else 1]]
    value = written(name, **UNARY.get(name, ({},))[0])(*read)
    nodes = list(expressions.walk(value))
    assert max(sum(each.same_as(node) for node in nodes) for each in read) == operations.of(name).reads
    called = {node.op.name for node in nodes if isinstance(node, ir.Call)}
    assert bool(called - PLAIN_CALLS) == operations.of(name).calls


def test_clips_may_be_open() -> None:
    ends = {"low": (-math.inf, 0.5), "high": (0.5, math.inf), "none": (-math.inf, math.inf)}
    [x] = operands("clip")
    seen = computed({name: (written("clip", low=low, high=high), [x]) for name, (low, high) in ends.items()})
    for name, (low, high) in ends.items():
        np.testing.assert_array_equal(seen[name], x.clip(low, high))


# ------------------------------------------------------------------------------------------------------------ of types
WHOLE = np.array([[-7, -1, 0, 3, 8, 100, 5, 4]])
OTHER = np.array([[2, -3, 5, 0, -8, 7, 5, 0]])
WHOLE_MEANINGS: dict[str, Callable[..., torch.Tensor]] = {
    **BINARY,
    "divide": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
    "clip": lambda x: x.clamp(min=1),
    "abs": torch.abs,
    "sign": torch.sign,
}


@pytest.mark.parametrize("dtype", ["int64", "int32", "int8", "uint8"])
def test_whole_numbers(dtype: str) -> None:
    x, y = ((np.abs(each) if dtype == "uint8" else each).astype(dtype) for each in (WHOLE, OTHER))
    names = ["add", "multiply", "maximum", "minimum", "equal", "greater", "less", "greater_equal", "less_equal"]
    names += [] if dtype == "uint8" else ["subtract"]
    safe = np.where(y == 0, np.array(1, dtype), y)
    cases = {name: (written(name, dtype), [x, y]) for name in names}
    cases |= {name: (written(name, dtype), [x, safe]) for name in ("divide", "mod")}
    cases |= {"clip": (written("clip", dtype, low=1, high=math.inf), [x])}
    cases |= {name: (written(name, dtype), [x]) for name in ("abs", "sign")}
    seen = computed({**cases, "by 0": (written("divide", dtype), [x, y])})
    for name, (_, given) in cases.items():
        tensors = [torch.from_numpy(each) for each in given]
        expected = WHOLE_MEANINGS[name](*tensors)
        assert str(seen[name].dtype) == ("bool" if expected.dtype == torch.bool else dtype)
        np.testing.assert_array_equal(seen[name], expected.numpy(), err_msg=name)
    np.testing.assert_array_equal(seen["by 0"][y != 0], (seen["divide"])[y != 0])


def test_truths() -> None:
    x, y = (np.arange(40).reshape(1, 40) % each > 0 for each in (2, 3))
    seen = computed({
        "and": (written("and", "bool"), [x, y]), "or": (written("or", "bool"), [x, y]),
        "not": (written("not", "bool"), [x]), "where": (written("where", "bool"), [x, y, ~y]),
        "equal": (written("equal", "bool"), [x, y]),
    })  # fmt: skip
    expected = {"and": x & y, "or": x | y, "not": ~x, "where": np.where(x, y, ~y), "equal": x == y}
    for name, values in expected.items():
        assert seen[name].dtype == np.bool_
        np.testing.assert_array_equal(seen[name], values, err_msg=name)


def test_choices() -> None:
    [x, y] = operands("add")
    condition = x > y
    seen = computed({"where": (written("where"), [condition, x, y])})
    np.testing.assert_array_equal(seen["where"], np.where(condition, x, y))


@pytest.mark.parametrize("to", ["float32", "int64", "int32", "uint8", "bool"])
def test_casts(to: str) -> None:
    numbers = np.array([[0.0, 0.5, 1.0, 1.75, 3.0, 100.0, 200.25]])
    given = {dtype: numbers.astype(dtype) for dtype in ("float32", "int64", "int32", "uint8", "bool")}
    seen = computed({dtype: (written("cast", dtype, to=to), [array]) for dtype, array in given.items()})
    for dtype, array in given.items():
        assert str(seen[dtype].dtype) == to
        np.testing.assert_array_equal(seen[dtype], array.astype(to), err_msg=f"{dtype} to {to}")
