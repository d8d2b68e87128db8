"""Folding: the folded graph computes what the trained one does, whatever stands after a convolution."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from mbench.networks import folding, torch_network
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder


def convolution(builder: GraphBuilder, **how: object) -> str:
    return builder.convolution("conv", builder.input("x", (1, 3, 6, 6)), 8, kernel=3, **how)  # type: ignore[arg-type]


def normed() -> Graph:
    builder = GraphBuilder()
    return builder.graph(convolution(builder, activation="relu"))


def biased() -> Graph:
    builder = GraphBuilder()
    return builder.graph(convolution(builder, bias=True))


def scaled() -> Graph:
    """BatchNorm, then a layer scale, one number a channel."""
    builder = GraphBuilder()
    y = convolution(builder)
    gamma = builder.parameter("gamma", (8, 1, 1))
    return builder.graph(builder.add("multiply", "scale", y, gamma))


def shifted() -> Graph:
    builder = GraphBuilder()
    y = convolution(builder, norm=None)
    return builder.graph(builder.add("add", "shift", y, builder.parameter("beta", (1, 8, 1, 1))))


def named_as_what_is_added() -> Graph:
    """Another layer reads the bias, and values have the names that folding gives."""
    builder = GraphBuilder()
    y = convolution(builder, bias=True)
    y = builder.batch_norm("apart", builder.add("relu", "conv.folded", y))
    parts = [builder.parameter(f"apart.{name}", (8, 1, 1)) for name in ("scale", "shift", "scaled")]
    for place, name in enumerate((*parts, "conv.bias")):
        part = builder.add("reshape", f"part{place}", name, shape=(8, 1, 1))
        y = builder.add("multiply", f"times{place}", y, part)
    return builder.graph(y)


def read_twice() -> Graph:
    """Something reads the convolution itself too, so that its BatchNorm cannot be folded."""
    builder = GraphBuilder()
    y = convolution(builder, norm=None)
    z = builder.batch_norm("norm", y)
    return builder.graph(builder.add("add", "sum", y, z))


def norm_first() -> Graph:
    builder = GraphBuilder()
    return builder.graph(builder.batch_norm("norm", builder.input("x", (1, 8, 6, 6))))


def per_pixel() -> Graph:
    """A product that is no number a channel."""
    builder = GraphBuilder()
    y = convolution(builder, norm=None)
    return builder.graph(builder.add("multiply", "mask", y, builder.parameter("mask.weight", (1, 1, 6, 6))))


def fully_connected() -> Graph:
    """As BatchNorm1d after Linear, and a layer scale of as many columns as there are rows."""
    builder = GraphBuilder()
    y = builder.linear("fc", builder.input("x", (5, 4)), 5, bias=False)
    y = builder.batch_norm("norm", y)
    return builder.graph(builder.add("multiply", "scale", y, builder.parameter("gamma", (5,))))


def per_row() -> Graph:
    """A product and a BatchNorm that have no number for each output of a fully connected layer."""
    builder = GraphBuilder()
    y = builder.linear("fc", builder.input("x", (1, 5, 4)), 5, bias=False)
    y = builder.add("multiply", "mask", y, builder.parameter("mask.weight", (5, 1)))
    return builder.graph(builder.batch_norm("norm", builder.linear("again", y, 5)))


def weights_are_an_output() -> Graph:
    """What a convolution and its BatchNorm read is given out too, and must not change."""
    builder = GraphBuilder()
    return builder.graph(convolution(builder, bias=True), "conv.weight", "conv.bias", "conv.norm.mean")


GRAPHS: dict[Callable[[], Graph], list[str]] = {
    fully_connected: ["linear"],
    per_row: ["linear", "multiply", "linear", "multiply", "add"],
    weights_are_an_output: ["conv2d"],
    normed: ["conv2d", "relu"],
    biased: ["conv2d"],
    scaled: ["conv2d"],
    shifted: ["conv2d"],
    read_twice: ["conv2d", "multiply", "add", "add"],
    named_as_what_is_added: ["conv2d", "relu", "multiply", "add", *("reshape", "multiply") * 4],
    norm_first: ["multiply", "add"],
    per_pixel: ["conv2d", "multiply"],
}


@pytest.mark.parametrize("make", GRAPHS, ids=lambda make: make.__name__)
def test_the_folded_graph_computes_the_same(make: Callable[[], Graph]) -> None:
    graph = make()
    folded = folding.fold(graph)
    assert [node.op for node in folded.graph.nodes] == GRAPHS[make]
    drawn, examples = torch_network.draw(graph), torch_network.example_inputs(graph)
    parameters = folded.parameters(drawn)
    assert {name: value.shape for name, value in parameters.items()} == {
        name: given.shape for name, given in folded.graph.parameters.items()
    }
    expected, seen = (
        torch_network.run(each, given, examples) for each, given in ((graph, drawn), (folded.graph, parameters))
    )
    for one, other in zip(seen, expected, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-5)


def test_folding_leaves_the_graph_as_it_was() -> None:
    graph = normed()
    folding.fold(graph)
    assert [node.op for node in graph.nodes] == ["conv2d", "batch_norm", "relu"]


def test_a_wrong_statistic_is_seen() -> None:
    """The comparison above can fail: one number of the BatchNorm changed moves the output."""
    graph = normed()
    folded = folding.fold(graph)
    drawn, examples = torch_network.draw(graph), torch_network.example_inputs(graph)
    parameters = folded.parameters({**drawn, "conv.norm.variance": drawn["conv.norm.variance"] * 1.01})
    [expected], [seen] = (
        torch_network.run(each, given, examples) for each, given in ((graph, drawn), (folded.graph, parameters))
    )
    assert np.abs(seen.numpy() - expected.numpy()).max() > 1e-3


@pytest.mark.parametrize("groups", [1, 2])
def test_a_batch_norm_becomes_part_of_a_transposed_convolution(groups: int) -> None:
    builder = GraphBuilder()
    x, weight = builder.input("x", (1, 4, 5, 6)), builder.parameter("weight", (4, 6 // groups, 3, 2))
    y = builder.add("conv2d_transpose", "up", x, weight, strides=(2, 1), padding=(0, 0, 0, 0), output_padding=(0, 0),
                    dilation=(1, 1), groups=groups)  # fmt: skip
    graph = builder.graph(builder.batch_norm("norm", y))
    folded = folding.fold(graph)
    assert [node.op for node in folded.graph.nodes] == ["conv2d_transpose"]
    drawn, examples = torch_network.draw(graph), torch_network.example_inputs(graph)
    given = folded.parameters(drawn)
    [before], [after] = (
        torch_network.run(each, own, examples) for each, own in ((graph, drawn), (folded.graph, given))
    )
    torch.testing.assert_close(before, after)


def test_what_is_compiled_is_simplified_and_has_outputs_as_people_have_them() -> None:
    builder = GraphBuilder()
    x = builder.add("pad", "pad", builder.input("x", (1, 4, 5, 6)), widths=((0, 0), (0, 0), (1, 1), (1, 1)),
                    mode="constant", value=0.0)  # fmt: skip
    graph = builder.graph(builder.convolution("conv", x, 8, kernel=3, padding=(0, 0, 0, 0)))
    folded = folding.as_compiled(graph)
    assert [node.op for node in folded.graph.nodes] == ["conv2d", "rearrange"]
    drawn, examples = torch_network.draw(graph), torch_network.example_inputs(graph)
    [before], [after] = (
        torch_network.run(each, own, examples)
        for each, own in ((graph, drawn), (folded.graph, folded.parameters(drawn)))
    )
    torch.testing.assert_close(before, after)
