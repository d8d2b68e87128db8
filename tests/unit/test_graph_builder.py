"""Writing a graph: names begin with their block, parameters are given once, shapes follow."""

from __future__ import annotations

import pytest

from mbench.networks.graph import GraphError
from mbench.networks.graph_builder import GraphBuilder


def test_names_blocks_and_roles_of_a_convolution_with_norm_and_activation() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (1, 8, 6, 6))
    with builder.block("block3"):
        y = builder.convolution("dw", x, 8, kernel=3, stride=2, groups=8, role="depthwise", activation="relu6")
    graph = builder.graph(y)
    assert [node.name for node in graph.nodes] == ["block3.dw", "block3.dw.norm", "block3.dw.relu6"]
    assert {(node.block, node.role) for node in graph.nodes} == {("block3", "depthwise")}
    assert graph.shape(y) == builder.shape(y) == (1, 8, 3, 3)
    assert list(graph.parameters) == [
        "block3.dw.weight", *(f"block3.dw.norm.{part}" for part in ("weight", "bias", "mean", "variance"))
    ]  # fmt: skip
    assert graph.parameters["block3.dw.weight"].shape == (8, 1, 3, 3)


def test_a_block_ends_where_it_ends_also_when_something_fails_inside() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (1, 8, 6, 6))
    with pytest.raises(GraphError), builder.block("block1"):
        builder.convolution("wide", x, 8, kernel=9, padding=(0, 0, 0, 0))
    after = builder.graph(builder.add("relu", "after", x))
    assert [(node.name, node.block) for node in after.nodes if node.name == "after"] == [("after", None)]


def test_padding_is_half_of_the_kernels_reach_unless_it_is_given() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (1, 4, 9, 9))
    y = builder.convolution("a", x, 4, kernel=(3, 5), dilation=2, norm=None)
    z = builder.convolution("b", x, 4, kernel=3, padding=(0, 1, 2, 0), norm=None)
    graph = builder.graph(y, z)
    assert graph.by_name["a"].attributes["padding"] == (2, 4, 2, 4)
    assert (graph.shape("a"), graph.shape("b")) == ((1, 4, 9, 9), (1, 4, 9, 8))


def test_the_type_of_the_network_is_that_of_all_its_values() -> None:
    builder = GraphBuilder(dtype="float16")
    x = builder.convolution("conv", builder.input("x", (1, 3, 8, 8)), 4)
    graph = builder.graph(builder.linear("fc", builder.add("reshape", "flat", x, shape=(1, 256)), 10))
    types = {value.dtype for value in (*graph.inputs.values(), *graph.parameters.values())}
    assert types | {node.dtype for node in graph.nodes} == {"float16"}
    assert graph.shape("fc") == (1, 10)


def test_a_name_twice_is_refused() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (1, 8, 6, 6))
    builder.add("relu", "y", x)
    for name in ("x", "y"):
        with pytest.raises(GraphError, match=f"'{name}' is there twice"):
            builder.add("relu", name, x)
        with pytest.raises(GraphError, match=f"'{name}' is there twice"):
            builder.parameter(name, (8,))
        with pytest.raises(GraphError, match=f"'{name}' is there twice"):
            builder.input(name, (1, 8, 6, 6))
    builder.parameter("w", (8,))
    with pytest.raises(GraphError, match="'w' is there twice"):
        builder.parameter("w", (9,))
