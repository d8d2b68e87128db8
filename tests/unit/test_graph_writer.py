"""Writing the graph of a user's network: constants, names and forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mbench.networks.graph import GraphError, TensorType
from mbench.networks.importers.graph_writer import GraphWriter, LayerError, LayerNames, axis_of, constant


def writer() -> GraphWriter:
    return GraphWriter()


def test_what_constants_alone_make_is_a_constant() -> None:
    made = writer()
    total = made.add("add", constant(np.array([1, 2]), "a"), constant(np.array([3, 4])))
    assert total.is_constant
    assert total.array is not None
    assert total.array.tolist() == [4, 6]
    assert total.dtype == "int64"


def test_parameters_keep_their_names_and_are_written_once() -> None:
    made = writer()
    x, w = made.input("x", TensorType(shape=(2, 3))), constant(np.ones((4, 3), np.float32), "fc.weight")
    made.layer = LayerNames(name="fc", is_path=True, source_names=("fc",))
    first, second = made.add("linear", x, w), made.add("linear", x, w)
    graph = made.graph([made.add("add", first, second)])
    assert list(graph.parameters) == ["fc.weight"]
    assert [node.name for node in graph.nodes] == ["fc", "fc_1", "fc.add"]


def test_a_parameter_may_have_the_name_of_an_input() -> None:
    made = writer()
    x = made.input("x", TensorType(shape=(2, 3)))
    graph = made.graph([made.add("add", x, constant(np.ones((2, 3), np.float32), "x"))])
    assert list(graph.parameters) == ["x_1"]


def test_many_equal_names_take_no_time() -> None:
    made = writer()
    x = made.input("x", TensorType(shape=(1,)))
    for _ in range(5_000):
        x = made.add("relu", x)
    names = {node.name for node in made.graph([x]).nodes}
    assert len(names) == 5_000


def test_values_without_elements_are_refused() -> None:
    made = writer()
    x = made.input("x", TensorType(shape=(2, 0)))
    with pytest.raises(LayerError, match="without elements"):
        made.add("relu", x)


def test_an_output_may_be_constant_but_not_all_of_them() -> None:
    with pytest.raises(LayerError, match="no output depends on the inputs"):
        writer().graph([constant(np.ones(3, np.float32))])
    made = writer()
    x = made.add("relu", made.input("x", TensorType(shape=(2,))))
    graph = made.graph([x, constant(np.arange(3.0, dtype=np.float32), "anchors")])
    assert (graph.outputs[1], list(graph.parameters)) == ("anchors", ["anchors"])
    for strange, said in ((np.ones((0, 2), np.float32), "output 2 is a constant without elements"),
                          (np.ones(2, np.complex64), "complex64")):  # fmt: skip
        with pytest.raises(LayerError, match=said):
            made.graph([x, constant(strange)])


@pytest.mark.parametrize(
    ("op", "number", "expected"),
    [
        ("multiply", 2.0, "scale"), ("divide", 4.0, "scale"), ("subtract", 1.0, "add"), ("multiply", 1.0, None),
        ("divide", 0.0, "divide"), ("divide", 3.0e38, "divide"),
    ],
)  # fmt: skip
def test_arithmetic_with_a_number(op: str, number: float, expected: str | None) -> None:
    made = writer()
    x = made.input("x", TensorType(shape=(2, 3)))
    result = made.arithmetic(op, x, constant(np.float32(number)))
    graph = made.graph([result])
    assert [node.op for node in graph.nodes] == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.0, math.inf, "relu"), (0.0, 6.0, "relu6"), (-1.0, 1.0, "clip"), (-math.inf, math.inf, None)],
)
def test_clips(low: float, high: float, expected: str | None) -> None:
    made = writer()
    graph = made.graph([made.clipped(made.input("x", TensorType(shape=(2,))), low, high)])
    assert [node.op for node in graph.nodes] == ([expected] if expected else [])


def test_axes() -> None:
    assert (axis_of(-1, 4), axis_of(2, 4), axis_of(0, 0)) == (3, 2, 0)
    with pytest.raises(GraphError, match="axis 4 of a value that has 4"):
        axis_of(4, 4)
