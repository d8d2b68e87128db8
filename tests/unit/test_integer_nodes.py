"""Nodes of whole numbers as they are written: names, multipliers and bounds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from mbench.networks import integer_nodes
from mbench.networks.graph import Graph, Node
from mbench.networks.graph_builder import GraphBuilder
from mbench.networks.integer_nodes import Affine, Held, IntegerWriter, Looked, Summed, Total
from mbench.networks.quantization import Quantization

X = Quantization(scale=0.5, zero_point=3)
RESULT = Quantization(scale=0.25, zero_point=-8, dtype="int8")
IMAGE = (1, 2, 5, 5)


def before() -> Graph:
    """Return the graph that is rewritten: a value of 8 bits, and another."""
    builder = GraphBuilder()
    x, y = (builder.input(name, IMAGE, dtype="uint8") for name in ("x", "y"))
    builder.parameter("p", (2,))
    return builder.graph(builder.add("quantized_multiply", "m", x, y, zero_point=0, other_zero_point=0))


@pytest.fixture
def writer() -> IntegerWriter:
    return IntegerWriter(before(), {"p": np.zeros(2, np.float32)})


def node(op: str, name: str = "n", **attributes: Any) -> Node:
    return Node(name=name, op=op, inputs=("x",), shape=IMAGE, attributes=attributes)


def written(writer: IntegerWriter, name: str) -> Node:
    graph, _ = writer.graph((name,))
    return graph.by_name[name]


def test_sums_are_bounded_by_what_clamps_them(writer: IntegerWriter) -> None:
    sums = writer.add(node("global_sum_pool", zero_point=3))
    summed = Summed(node=node("global_avg_pool"), sums=sums, unit=np.full((1, 1, 1, 1), 0.02, np.float32))
    assert summed.is_plain
    clamped = summed.clamped(node("relu6", "act"))
    found = written(writer, clamped.rounded(writer, RESULT))
    assert (found.name, found.dtype) == ("act", "int8")
    assert (found.attributes["low"], found.attributes["high"]) == (-8, 16)
    assert writer.parameters[found.inputs[1]] == np.float32(0.02 / 0.25)
    plain = written(writer, summed.rounded(writer, RESULT))
    assert plain.name == "n.requantize"
    assert (plain.attributes["low"], plain.attributes["high"]) == (-128, 127)


def test_a_name_that_is_taken_gets_another(writer: IntegerWriter) -> None:
    names = [writer.add(node("relu", "same")) for _ in range(3)]
    assert names == ["same", "same_", "same__"]


def test_a_pools_windows_have_a_multiplier_each_where_they_differ(writer: IntegerWriter) -> None:
    attributes: dict[str, Any] = {
        "kernel": (3, 3),
        "strides": (2, 2),
        "padding": (1, 1, 1, 1),
        "count_include_pad": False,
    }
    pool = Node(name="pool", op="avg_pool2d", inputs=("x",), shape=(1, 2, 3, 3), attributes=attributes)
    found = integer_nodes.pooled(writer, pool, Held("x", X))
    counts = np.array([[4, 6, 4], [6, 9, 6], [4, 6, 4]])
    assert found.unit.tolist() == [[[[0.5]]]]
    assert np.array_equal(found.parts[0, 0], counts)
    whole = Node(name="whole", op="avg_pool2d", inputs=("x",), shape=(1, 2, 3, 3),
                 attributes={**attributes, "count_include_pad": True})  # fmt: skip
    assert integer_nodes.pooled(writer, whole, Held("x", X)).parts.tolist() == [[[[9]]]]


def test_sums_and_differences(writer: IntegerWriter) -> None:
    y = Held("y", Quantization(scale=0.125, zero_point=200))
    for sign in (1.0, -1.0):
        total = Total(node=node("add", f"sum{sign}"), x=Held("x", X), y=y, sign=sign)
        found = written(writer, total.rounded(writer, RESULT))
        assert found.attributes["multipliers"] == (2.0, sign * 0.5)
        assert found.attributes["zero_points"] == (3, 200)


def test_constants_in_a_row_are_one_multiplication_and_one_sum(writer: IntegerWriter) -> None:
    affine = Affine(node=node("multiply", "first"), x=Held("x", X))
    for op, number in (("multiply", [[[2.0]], [[4.0]]]), ("add", [[[1.0]], [[0.0]]]), ("subtract", 0.25)):
        affine = affine.then(node(op, op), np.array(number))
    found = written(writer, affine.clamped(node("relu", "act")).rounded(writer, RESULT))
    assert found.name == "first"
    multiplier, offset = (writer.parameters[name] for name in found.inputs[1:])
    assert multiplier.reshape(-1).tolist() == [4.0, 8.0]
    assert offset.reshape(-1).tolist() == [(1 - 0.25) / 0.25 - 12, -0.25 / 0.25 - 24]
    assert found.attributes["low"] == -8


def test_a_table_says_what_it_is_of(writer: IntegerWriter) -> None:
    steps = (node("scale", factor=2.0), node("clip", low=-math.inf, high=1.0))
    found = written(writer, Looked(node=steps[0], x=Held("x", X), steps=steps).rounded(writer, RESULT))
    assert found.attributes["steps"] == (("scale", {"factor": 2.0}), ("clip", {"low": -math.inf, "high": 1.0}))
    assert writer.parameters[found.inputs[1]].shape == (256,)


def test_a_value_becomes_a_float_once(writer: IntegerWriter) -> None:
    held = Held("x", X)
    assert writer.dequantized(held, node("add", "a")) == writer.dequantized(held, node("add", "b"))


def test_a_parameter_takes_the_name_of_one_that_nothing_else_reads(writer: IntegerWriter) -> None:
    assert writer.parameter("fresh", np.zeros(1)) == "fresh"
    assert writer.parameter("fresh", np.zeros(1)) == "fresh_"
