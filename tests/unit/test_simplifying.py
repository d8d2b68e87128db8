"""Graphs in simpler nodes: they give what they gave before, by torch."""

from __future__ import annotations

import math
from typing import Any

import graph_programs
import numpy as np
import pytest
import torch

from mbench.networks import layout, simplifying, torch_network
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder

IMAGE = (2, 6, 5, 7)


def simpler(graph: Graph) -> Graph:
    """Return a graph simplified, whose outputs are what they were."""
    found = simplifying.with_outputs_as_given(simplifying.simplified(graph))
    drawn, given = torch_network.draw(graph, {}), torch_network.example_inputs(graph)
    assert set(found.parameters) <= set(graph.parameters)
    before, after = (torch_network.run(each, drawn, given) for each in (graph, found))
    for name, one, other in zip(graph.outputs, before, after, strict=True):
        assert one.shape == other.shape == graph.shape(name)
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5, atol=1e-5)
    return found


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def after_pad(op: str, widths: Any, value: float = 0.0, mode: str = "constant", **attributes: Any) -> Graph:
    builder = GraphBuilder()
    x = builder.add("relu", "x0", builder.input("x", IMAGE))
    padded = builder.add("pad", "pad", x, widths=widths, mode=mode, value=value)
    if op == "conv2d":
        return builder.graph(builder.convolution("conv", padded, 4, kernel=3, padding=(1, 0, 2, 0), norm=None))
    known = {"kernel": (2, 2), "strides": (1, 1), "padding": (0, 1, 0, 0), **attributes}
    return builder.graph(builder.add(op, "pool", padded, **known))


AROUND = ((0, 0), (0, 0), (1, 2), (0, 1))


@pytest.mark.parametrize(
    ("op", "value", "attributes"),
    [("conv2d", 0.0, {}), ("avg_pool2d", 0.0, {}), ("max_pool2d", -math.inf, {})],
)
def test_what_reads_a_pad_does_it(op: str, value: float, attributes: dict[str, Any]) -> None:
    found = simpler(after_pad(op, AROUND, value, **attributes))
    assert "pad" not in ops(found)
    [node] = [node for node in found.nodes if node.op == op]
    assert node.attributes["padding"] == ((2, 0, 4, 1) if op == "conv2d" else (1, 1, 2, 1))


@pytest.mark.parametrize(
    ("op", "widths", "value", "mode", "attributes"),
    [
        ("conv2d", ((0, 0), (1, 0), (0, 0), (0, 0)), 0.0, "constant", {}),
        ("conv2d", AROUND, 1.0, "constant", {}),
        ("conv2d", AROUND, 0.0, "reflect", {}),
        ("avg_pool2d", AROUND, 0.0, "constant", {"count_include_pad": False}),
        ("avg_pool2d", AROUND, 0.0, "constant", {"ceil_mode": True, "strides": (2, 2)}),
        ("max_pool2d", AROUND, 0.0, "constant", {}),
    ],
)
def test_a_pad_that_is_no_part_of_what_follows_stays(
    op: str, widths: Any, value: float, mode: str, attributes: dict[str, Any]
) -> None:
    assert "pad" in ops(simpler(after_pad(op, widths, value, mode, **attributes)))


@pytest.mark.parametrize(("value", "expected"), [(7, ["conv2d"]), (0, ["pad", "conv2d"])])
def test_a_pad_of_whole_numbers_is_one_of_the_zero_point(value: int, expected: list[str]) -> None:
    builder = GraphBuilder()
    padded = builder.add("pad", "pad", builder.input("x", IMAGE, dtype="uint8"), widths=AROUND, mode="constant",
                         value=value)  # fmt: skip
    weight = builder.parameter("w", (4, 6, 3, 3), dtype="int8")
    y = builder.add("conv2d", "conv", padded, weight, strides=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1,
                    zero_point=7)  # fmt: skip
    graph = builder.graph(y)
    found = simplifying.simplified(graph)
    assert ops(found) == expected
    generator = np.random.default_rng(0)
    given = {"x": torch.from_numpy(generator.integers(0, 256, IMAGE).astype(np.uint8))}
    weights = {"w": generator.integers(-128, 128, (4, 6, 3, 3)).astype(np.int8)}
    [before], [after] = (torch_network.run(each, weights, given) for each in (graph, found))
    assert torch.equal(before, after)


@pytest.mark.parametrize("keepdims", [True, False])
def test_a_mean_over_an_image_is_a_pool(keepdims: bool) -> None:
    builder = GraphBuilder()
    y = builder.convolution("conv", builder.input("x", IMAGE), 4, norm=None)
    outputs = [builder.add("reduce_mean", "mean", y, axes=(-1, -2), keepdims=keepdims)]
    outputs.append(builder.add("reduce_mean", "lines", y, axes=(3,), keepdims=keepdims))
    found = simpler(builder.graph(*outputs))
    assert ops(found)[:2] == ["conv2d", "global_avg_pool"]
    assert ("reshape" in ops(found)) != keepdims
    assert "reduce_mean" in ops(found)


def test_what_reduces_channels_is_an_image_before_a_view() -> None:
    builder = GraphBuilder()
    y = builder.convolution("conv", builder.input("x", IMAGE), 4, norm=None)
    found = simpler(builder.graph(builder.add("argmax", "best", y, axis=1, keepdims=False)))
    last = layout.channels_last(found)
    assert ops(found) == ["conv2d", "argmax", "reshape"]
    assert layout.is_view(found, found.nodes[-1], last)
    assert found.outputs == ("best",)


def shuffled(builder: GraphBuilder, x: str) -> str:
    batch, channels, *sides = builder.shape(x)
    y = builder.add("reshape", "groups", x, shape=(batch, 2, channels // 2, *sides))
    y = builder.add("permute", "turned", y, axes=(0, 2, 1, 3, 4))
    return builder.add("reshape", "merged", y, shape=(batch, channels, *sides))


def test_a_channel_shuffle_is_one_node() -> None:
    builder = GraphBuilder()
    x = builder.convolution("before", builder.input("x", IMAGE), 8, norm=None)
    y = builder.convolution("after", shuffled(builder, x), 4, norm=None)
    found = simpler(builder.graph(builder.add("reduce_max", "top", y, axes=(2, 3), keepdims=True)))
    assert ops(found) == ["conv2d", "rearrange", "conv2d", "reduce_max"]
    assert found.nodes[1].attributes == {"parts": (2, 2, 4, 5, 7), "order": (0, 2, 1, 3, 4), "shape": (2, 8, 5, 7)}


def test_a_chain_that_is_read_in_its_middle_stays() -> None:
    builder = GraphBuilder()
    y = builder.convolution("before", builder.input("x", IMAGE), 8, norm=None)
    found = simpler(builder.graph("turned", shuffled(builder, y)))
    assert "rearrange" not in ops(found)


def test_two_moves_that_move_nothing_in_memory_are_a_view() -> None:
    builder = GraphBuilder()
    y = builder.convolution("before", builder.input("x", IMAGE), 8, norm=None)
    y = builder.add("reshape", "flat", y, shape=(2, 8, 35))
    found = simpler(builder.graph(builder.linear("fc", builder.add("permute", "rows", y, axes=(0, 2, 1)), 3)))
    assert ops(found) == ["conv2d", "rearrange", "linear"]
    assert layout.is_view(found, found.nodes[1], layout.channels_last(found))


def test_outputs_lie_as_people_have_them() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (1, 6, 5, 7))
    constant = builder.parameter("constant", (3,))
    y = builder.convolution("conv", x, 4, norm=None)
    pooled = builder.add("global_avg_pool", "pool", y)
    one = builder.convolution("one", y, 1, norm=None)
    found = simpler(builder.graph(y, x, pooled, constant, one, y))
    assert found.outputs == ("conv.output", "x.output", "pool", "constant.output", "one", "conv.output")
    assert ops(found)[-3:] == ["rearrange", "cast", "cast"]
    assert not {"conv.output", "x.output"} & layout.channels_last(found)


def test_a_name_that_is_taken_is_not_given_again() -> None:
    builder = GraphBuilder()
    x = builder.input("x", IMAGE)
    builder.add("relu", "x.output", x)
    found = simpler(builder.graph(x, "x.output"))
    assert found.outputs == ("x.output_", "x.output")


def test_constants_and_inputs_may_be_outputs() -> None:
    """Of a convolution its weights, which are folded with BatchNorm; a matrix that nothing reads, twice; the input."""
    builder = GraphBuilder()
    x = builder.input("x", (1, 3, 6, 6))
    y = builder.convolution("conv", x, 8, kernel=3, activation="relu")
    long = builder.parameter("a\nconstant" * 100, (3, 4))
    graph = builder.graph(y, "conv.weight", long, x, long)
    graph_programs.checked(graph, parameters={long: np.arange(12, dtype=np.float32).reshape(3, 4)})
