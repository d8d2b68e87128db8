"""Which operations have a form in whole numbers, and the tables of functions beside ONNX Runtime's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quantized_cases import by_onnx_runtime

from mbench.networks import integer_forms as forms
from mbench.networks import operations
from mbench.networks.graph import Graph, Node
from mbench.networks.graph_builder import GraphBuilder
from mbench.networks.integer_graph import QdqNetwork
from mbench.networks.quantization import Quantization

FUNCTIONS: dict[str, dict[str, Any]] = {
    **{op: {} for op in operations.ACTIVATIONS},
    "clip": {"low": -0.5, "high": 2.0},
    "scale": {"factor": -0.3},
    "leaky_relu": {"alpha": 0.1},
    "elu": {"alpha": 0.7},
}
X = Quantization(scale=float(np.float32(0.043)), zero_point=101)


def function(op: str, **attributes: Any) -> Node:
    return Node(name=op, op=op, inputs=("x",), shape=(256,), attributes=attributes)


def rounded(builder: GraphBuilder, name: str, x: str, known: Quantization) -> str:
    whole = builder.add("quantize", f"{name}.quantize", x, **known.attributes)
    return builder.add("dequantize", name, whole, scale=known.scale, zero_point=known.zero_point)


@pytest.mark.parametrize("op", FUNCTIONS)
def test_tables_are_what_onnx_runtime_rounds(op: str) -> None:
    """It computes the function in float32, so that one entry at a half may differ by 1."""
    result = Quantization(scale=float(np.float32(0.031)), zero_point=-20, dtype="int8")
    builder = GraphBuilder()
    x = rounded(builder, "real", builder.input("x", (256,)), X)
    y = rounded(builder, "end", builder.add(op, op, x, **FUNCTIONS[op]), result)
    network = QdqNetwork(graph=builder.graph(y), parameters={}, scales={})
    numbers = X.real(np.arange(256)).astype(np.float32)
    theirs = by_onnx_runtime(network, {"x": numbers})["end.quantize"].astype(int)
    mine = forms.table(X, [function(op, **FUNCTIONS[op])], result).astype(int)
    assert np.abs(mine - theirs).max() <= 1
    assert np.count_nonzero(mine != theirs) <= 1


def test_a_chain_is_rounded_once() -> None:
    result = Quantization(scale=1 / 256, zero_point=0)
    chain = [function("scale", factor=2.0), function("sigmoid")]
    expected = np.clip(np.rint(256 / (1 + np.exp(-2 * X.real(np.arange(256))))), 0, 255)
    assert np.array_equal(forms.table(X, chain, result), expected)


def test_a_table_of_no_functions_rescales() -> None:
    result = Quantization(scale=0.25, zero_point=-5, dtype="int8")
    expected = np.clip(np.rint(X.real(np.arange(256)) / 0.25) - 5, -128, 127)
    assert np.array_equal(forms.table(X, [], result), expected)


def test_what_is_no_number_gives_the_smallest() -> None:
    result = Quantization(scale=1.0, zero_point=3)
    assert forms.table(X, [function("scale", factor=math.nan)], result).tolist() == [0] * 256


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)).map(sorted), min_size=1, max_size=4), st.floats(-20, 20))
def test_clamps_in_a_row_are_one(ends: list[list[float]], x: float) -> None:
    expected, bounds = x, (-math.inf, math.inf)
    for low, high in ends:
        expected = min(max(expected, low), high)
        bounds = forms.narrowed(bounds, function("clip", low=low, high=high))
    assert min(max(x, bounds[0]), bounds[1]) == expected


@pytest.mark.parametrize(("op", "expected"), [("relu", (0, math.inf)), ("relu6", (0, 6))])
def test_bounds(op: str, expected: tuple[float, float]) -> None:
    assert forms.bounds(function(op)) == expected


def one(op: str, *shapes: tuple[int, ...], constants: int = 0, dtype: str = "float32", **attributes: Any) -> Graph:
    """Return a graph of one node, whose last operands are constants."""
    builder = GraphBuilder()
    given = len(shapes) - constants
    read = [
        builder.input(f"x{place}", shape, dtype=dtype) if place < given else builder.parameter(f"p{place}", shape)
        for place, shape in enumerate(shapes)
    ]
    return builder.graph(builder.add(op, "node", *read, **attributes))


IMAGE = (1, 8, 4, 4)
WINDOW: dict[str, Any] = {"kernel": (2, 2), "strides": (1, 1), "padding": (0, 0, 0, 0)}
CONVOLUTION: dict[str, Any] = {"strides": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1}
RESIZED: dict[str, Any] = {"size": (8, 8)}


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (one("conv2d", IMAGE, (4, 8, 1, 1), constants=1, **CONVOLUTION), "sums"),
        (one("conv2d", IMAGE, (4, 8, 1, 1), **CONVOLUTION), "its weights are computed"),
        (one("linear", (2, 8), (3, 8), (3,), constants=2), "sums"),
        (one("matmul", (2, 8), (8, 3)), "sums"),
        (one("matmul", (2, 8), (8, 3), constants=1), "one of its operands is a constant"),
        (one("avg_pool2d", IMAGE, **WINDOW), "sums"),
        (one("global_avg_pool", IMAGE), "sums"),
        (one("multiply", IMAGE, (1, 8, 1, 1)), "sums"),
        (one("multiply", IMAGE, (1, 8, 1, 1), constants=1), "affine"),
        (one("multiply", (1, 8, 1, 1), IMAGE, constants=1), "one of its operands is a constant"),
        (one("add", IMAGE, IMAGE), "add"),
        (one("add", IMAGE, (8, 1, 1), constants=1), "affine"),
        (one("subtract", IMAGE, (8, 1, 1)), "add"),
        (one("subtract", IMAGE, (8, 1, 1), constants=1), "affine"),
        (one("max_pool2d", IMAGE, **WINDOW), "pass"),
        (one("resize2d", IMAGE, mode="nearest", **RESIZED), "pass"),
        (one("resize2d", IMAGE, mode="linear", **RESIZED), "it interpolates"),
        (one("gather", IMAGE, (2,), constants=1, axis=1), "pass"),
        (one("concat", IMAGE, IMAGE, axis=1), "concat"),
        (one("concat", IMAGE, IMAGE, constants=1, axis=1), "one of its operands is a constant"),
        (one("pad", IMAGE, widths=((0, 0),) * 4, mode="edge"), "pad"),
        (one("softmax", (2, 8), axis=1), "its exponentials have no form of 8 bits here"),
        (one("divide", IMAGE, IMAGE), "it divides by what it computes"),
        (one("log", IMAGE), "its range is too wide for 8 bits"),
        (one("maximum", IMAGE, IMAGE), "it has no form of 8 bits here"),
        (one("argmax", IMAGE, axis=1, keepdims=False), "it gives int64"),
        (one("relu", IMAGE, dtype="int64"), "it gives int64"),
    ],
)
def test_forms_and_reasons(graph: Graph, expected: str) -> None:
    [node] = graph.nodes
    assert (forms.form(graph, node) or forms.reason(graph, node)) == expected


def test_a_step_is_what_a_record_can_hold() -> None:
    assert forms.step(function("clip", low=0, high=6)) == ("clip", {"low": 0.0, "high": 6.0})
