"""The graph: values by name, made once and before they are read; passes that give another graph."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from mbench.networks import graph as graphs
from mbench.networks.graph import Graph, GraphError, Node, TensorType

IMAGE = TensorType(shape=(1, 3, 4, 4))


def node(name: str, *inputs: str, op: str = "relu", **more: Any) -> Node:
    return Node(name=name, op=op, inputs=inputs, shape=(1, 3, 4, 4), **more)


def graph(*nodes: Node, outputs: tuple[str, ...] = ("c",), **parameters: TensorType) -> Graph:
    return Graph(inputs={"x": IMAGE}, parameters=parameters, nodes=nodes, outputs=outputs)


DIAMOND = (node("a", "x"), node("b", "a"), node("c", "a", "b", op="add"))


@pytest.mark.parametrize(
    ("nodes", "outputs", "said"),
    [
        ((node("c", "y"),), ("c",), "node 'c' reads 'y', which nothing before it makes"),
        ((node("c", "b"), node("b", "x")), ("c",), "node 'c' reads 'b', which nothing before it makes"),
        ((node("c", "c"),), ("c",), "node 'c' reads 'c'"),
        ((node("c", "x"), node("c", "x")), ("c",), "the name 'c' is there twice"),
        ((node("x", "x"),), ("x",), "the name 'x' is there twice"),
        ((node("c", "x"),), ("d",), "output 'd' is not computed"),
        ((node("c", "x"),), (), "the graph has no output"),
    ],
)
def test_what_is_no_graph_is_refused(nodes: tuple[Node, ...], outputs: tuple[str, ...], said: str) -> None:
    with pytest.raises(GraphError, match=said):
        graph(*nodes, outputs=outputs)


def test_a_parameter_cannot_have_the_name_of_an_input() -> None:
    with pytest.raises(GraphError, match="a parameter has the name of an input"):
        graph(node("c", "x"), x=IMAGE)


def test_users_operands_and_constants() -> None:
    found = graph(node("a", "x", "w", "w", op="add"), node("c", "a", "a", op="multiply"), w=TensorType(shape=(3,)))
    assert [user.name for user in found.users["a"]] == ["c"]
    assert found.operands(found.by_name["a"]) == ("x",)
    assert found.constants(found.by_name["a"]) == ("w", "w")
    assert found.shape("w") == (3,)
    assert found.type_of("x") == IMAGE


def test_the_only_user_is_none_where_others_read_or_it_is_an_output() -> None:
    diamond = graph(*DIAMOND)
    assert diamond.only_user("a") is None
    assert diamond.only_user("b") is diamond.by_name["c"]
    assert graph(*DIAMOND, outputs=("b", "c")).only_user("b") is None
    assert diamond.only_user("c") is None


@pytest.mark.parametrize(
    ("name", "others", "expected"),
    [("c", ["a"], True), ("a", ["c"], False), ("b", ["b"], True), ("x", ["a"], False), ("b", ["c"], False)],
)
def test_what_depends_on_what(name: str, others: list[str], expected: bool) -> None:
    assert graph(*DIAMOND).depends_on(name, others) is expected


def test_a_pass_leaves_the_graph_that_it_takes_and_drops_what_nothing_needs() -> None:
    before = graph(*DIAMOND, node("unused", "a"), outputs=("c",), w=IMAGE)

    def change(each: Node) -> tuple[Node, ...]:
        return () if each.name == "b" else (each,)

    after = before.rewritten(change, renamed={"b": "a"})
    assert [each.name for each in after.nodes] == ["a", "c"]
    assert after.by_name["c"].inputs == ("a", "a")
    assert after.parameters == {}
    assert [each.name for each in before.nodes] == ["a", "b", "c", "unused"]
    assert before.by_name["c"].inputs == ("a", "b")


def test_a_name_may_be_renamed_twice_and_outputs_follow() -> None:
    after = graph(node("a", "x"), node("b", "a"), node("c", "b")).rewritten(
        lambda each: (each,) if each.name == "a" else (), renamed={"c": "b", "b": "a"}
    )
    assert after.outputs == ("a",)


def test_a_node_can_become_several() -> None:
    def change(each: Node) -> tuple[Node, ...]:
        first = dataclasses.replace(each, name=f"{each.name}.first")
        return (first, dataclasses.replace(each, inputs=(first.name,)))

    after = graph(node("c", "x")).rewritten(change)
    assert [each.name for each in after.nodes] == ["c.first", "c"]


def test_parameters_are_in_the_order_in_which_they_are_read() -> None:
    w, v = TensorType(shape=(3,)), TensorType(shape=(4,))
    after = graph(node("a", "x", "v"), node("c", "a", "w"), w=w, v=v).rewritten(lambda each: (each,))
    assert list(after.parameters) == ["v", "w"]


def test_floating_point_values_take_another_type_and_indices_keep_theirs() -> None:
    nodes = (
        Node(
            name="row", op="gather", inputs=("table", "places"), shape=(2, 4), dtype="float64", attributes={"axis": 0}
        ),
        Node(name="half", op="cast", inputs=("row",), shape=(2, 4), dtype="float16", attributes={"to": "float16"}),
        Node(name="place", op="cast", inputs=("half",), shape=(2, 4), dtype="int64", attributes={"to": "int64"}),
    )
    table, places = TensorType(shape=(7, 4), dtype="float64"), TensorType(shape=(2,), dtype="int64")
    made = graphs.retyped(
        Graph(inputs={"places": places}, parameters={"table": table}, nodes=nodes, outputs=("place",)), "float32"
    )
    assert [(node.dtype, node.attributes.get("to")) for node in made.nodes] == [
        ("float32", None), ("float32", "float32"), ("int64", "int64"),
    ]  # fmt: skip
    assert (made.parameters["table"].dtype, made.inputs["places"].dtype) == ("float32", "int64")
