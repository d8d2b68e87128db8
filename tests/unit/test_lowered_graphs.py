"""Graphs that no family has, written by hand: lowered and run by TVM as they are, they give what torch does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tvm
from tvm import relax

from mbench.compile import to_relax
from mbench.core.errors import BuildError
from mbench.networks import folding, torch_network
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder

IMAGE = (1, 3, 6, 6)
PLAIN: dict[str, Any] = {"strides": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1}


def pooled(builder: GraphBuilder, x: str) -> Graph:
    """Return the graph with a global pool and a view at its end."""
    pool = builder.add("global_avg_pool", "pool", x)
    return builder.graph(builder.add("reshape", "flat", pool, shape=builder.shape(pool)[:2]))


def flat(builder: GraphBuilder, x: str) -> Graph:
    return builder.graph(builder.add("reshape", "flat", x, shape=(1, int(np.prod(builder.shape(x))))))


def product_activation_convolution() -> Graph:
    """The activation lies channels last for the convolution, the product before it does not."""
    builder = GraphBuilder()
    x = builder.input("x", (1, 4, 6, 6))
    y = builder.add("relu", "relu", builder.add("matmul", "product", x, x))
    return pooled(builder, builder.convolution("conv", y, 8, norm=None))


def softmax_over_channels() -> Graph:
    builder = GraphBuilder()
    y = builder.convolution("conv", builder.input("x", IMAGE), 8, norm=None)
    return flat(builder, builder.add("softmax", "softmax", y, axis=1))


def linear_over_lines() -> Graph:
    """As many channels as there are columns, so that a wrong axis has the right length."""
    builder = GraphBuilder()
    return flat(builder, builder.linear("fc", builder.convolution("conv", builder.input("x", IMAGE), 6, norm=None), 6))


def product_of_images() -> Graph:
    builder = GraphBuilder()
    y = builder.convolution("conv", builder.input("x", IMAGE), 6, norm=None)
    return flat(builder, builder.add("matmul", "product", y, y))


def layer_norm_of_an_image() -> Graph:
    builder = GraphBuilder()
    y = builder.convolution("conv", builder.input("x", IMAGE), 6, norm=None)
    given = [builder.parameter(name, (6,)) for name in ("scale", "shift")]
    return flat(builder, builder.add("layer_norm", "norm", y, *given, axes=(-1,), epsilon=1e-5))


def one_number_for_an_image_and_a_matrix() -> Graph:
    builder = GraphBuilder()
    number = builder.parameter("number", (1,))
    y = builder.convolution("conv", builder.input("x", IMAGE), 8, norm=None)
    y = builder.add("global_avg_pool", "pool", builder.add("divide", "image", y, number))
    y = builder.linear("fc", builder.add("reshape", "flat", y, shape=(1, 8)), 5)
    return builder.graph(builder.add("divide", "matrix", y, number))


def shared_weights() -> Graph:
    """Two convolutions of the same weights, each with a BatchNorm of its own."""
    builder = GraphBuilder()
    y = builder.convolution("first", builder.input("x", IMAGE), 8)
    weight = builder.parameter("shared", (8, 8, 1, 1))
    for name in ("one", "two"):
        y = builder.batch_norm(f"{name}.norm", builder.add("conv2d", name, y, weight, **PLAIN))
    return pooled(builder, y)


def two_outputs() -> Graph:
    """One of them is read as well."""
    builder = GraphBuilder()
    y = builder.convolution("conv", builder.input("x", IMAGE), 8, norm=None)
    y = builder.add("reshape", "flat", builder.add("global_avg_pool", "pool", y), shape=(1, 8))
    return builder.graph(y, builder.linear("fc", y, 5))


def concatenated_with_the_input() -> Graph:
    builder = GraphBuilder()
    x = builder.input("x", IMAGE)
    return pooled(builder, builder.add("concat", "both", x, builder.convolution("conv", x, 5, norm=None), axis=1))


def axes_counted_from_the_end() -> Graph:
    builder = GraphBuilder()
    y = builder.convolution("conv", builder.input("x", IMAGE), 8, norm=None)
    halves = [builder.add("slice", f"part{first}", y, axis=-1, begin=first, end=first + 3) for first in (0, 3)]
    return pooled(builder, builder.add("concat", "swapped", *reversed(halves), axis=-2))


def slice_of_the_input() -> Graph:
    builder = GraphBuilder()
    y = builder.add("slice", "part", builder.input("x", IMAGE), axis=1, begin=0, end=2)
    return pooled(builder, builder.convolution("conv", y, 5, norm=None))


def slice_and_concat_of_images() -> Graph:
    builder = GraphBuilder()
    y = builder.convolution("conv", builder.input("x", IMAGE), 8, norm=None)
    left, right = (
        builder.add("slice", name, y, axis=1, begin=first, end=first + 4) for name, first in (("l", 0), ("r", 4))
    )
    return pooled(builder, builder.add("concat", "swapped", right, left, axis=1))


def a_parameter_in_two_layouts() -> Graph:
    builder = GraphBuilder()
    many = builder.parameter("many", (1, 8, 1, 1))
    y = builder.convolution("conv", builder.input("x", IMAGE), 8, norm=None)
    image = builder.add("global_avg_pool", "pool", builder.add("multiply", "image", y, many))
    z = builder.add("reshape", "rows", image, shape=(1, 8, 1))
    z = builder.add("softmax", "softmax", builder.add("reshape", "planes", z, shape=(1, 8, 1, 1)), axis=1)
    return builder.graph(builder.add("multiply", "matrix", z, many))


def a_parameter_that_lies_in_two_ways_of_one_shape() -> Graph:
    builder = GraphBuilder()
    mask, x = builder.parameter("mask", (1, 8, 8, 8)), builder.input("x", (1, 8, 8, 8))
    first = builder.add("reshape", "rows", builder.add("multiply", "first", x, mask), shape=(1, 512))
    second = builder.add("multiply", "second", builder.convolution("conv", x, 8, norm=None), mask)
    pool = builder.add("global_avg_pool", "pool", second)
    return builder.graph(first, builder.add("reshape", "flat", pool, shape=(1, 8)))


def a_constant_that_is_computed() -> Graph:
    builder = GraphBuilder()
    x = builder.input("x", (1, 6))
    return builder.graph(builder.add("add", "sum", x, builder.add("relu", "relu", builder.parameter("k", (1, 6)))))


def weights_that_are_turned_in_two_ways() -> Graph:
    """A convolution, a transposed one, a fully connected layer and a product read weights of the same shapes."""
    builder = GraphBuilder()
    weight, square = builder.parameter("weight", (6, 6, 3, 3)), builder.parameter("square", (6, 6))
    y = builder.add("conv2d", "conv", builder.input("x", (1, 6, 6, 6)), weight, **PLAIN)
    y = builder.add("conv2d_transpose", "up", y, weight, **PLAIN, output_padding=(0, 0))
    y = builder.add("linear", "fc", y, square)
    y = builder.add("add", "sum", y, square)
    return builder.graph(builder.add("matmul", "product", y, square))


def convolutions_of_a_constant_image() -> Graph:
    """Positions that a network was trained with go through a projection, as in EdgeNeXt."""
    builder = GraphBuilder()
    x, places = builder.input("x", (1, 6, 5, 7)), builder.parameter("places", (1, 4, 5, 7))
    wide = builder.convolution("project", places, 6, norm=None)
    deep = builder.convolution("deep", places, 4, kernel=3, groups=4, norm=None)
    both = builder.convolution("all", builder.add("add", "sum", x, wide), 4, norm=None)
    return pooled(builder, builder.add("add", "end", both, deep))


GRAPHS = (
    weights_that_are_turned_in_two_ways,
    product_activation_convolution, softmax_over_channels, linear_over_lines, product_of_images, layer_norm_of_an_image,
    one_number_for_an_image_and_a_matrix, shared_weights, two_outputs, concatenated_with_the_input, slice_of_the_input,
    slice_and_concat_of_images, a_constant_that_is_computed, axes_counted_from_the_end,
    a_parameter_in_two_layouts, a_parameter_that_lies_in_two_ways_of_one_shape,
)  # fmt: skip


@pytest.mark.parametrize("make", GRAPHS, ids=lambda make: make.__name__)
def test_a_graph_gives_what_torch_does(make: Callable[[], Graph]) -> None:
    graph = make()
    check(graph, torch_network.draw(graph))


def test_a_convolution_reads_a_constant_image() -> None:
    graph, generator = convolutions_of_a_constant_image(), np.random.default_rng(0)
    check(graph, {name: generator.normal(size=graph.shape(name)).astype(np.float32) for name in graph.parameters})


def check(graph: Graph, drawn: dict[str, np.ndarray]) -> None:
    folded, examples = folding.fold(graph), torch_network.example_inputs(graph)
    lowered = to_relax.lower(folded.graph)
    program = tvm.compile(to_relax.bind(lowered, folded.parameters(drawn)), "llvm")
    seen = relax.VirtualMachine(program, tvm.cpu())["main"](*(tvm.runtime.tensor(x.numpy()) for x in examples.values()))
    expected = torch_network.run(graph, drawn, examples)
    for one, other in zip([seen] if len(expected) == 1 else list(seen), expected, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-4)


def test_an_output_that_nothing_computes_is_refused() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (1, 6))
    with pytest.raises(BuildError, match="output 'x' is computed by nothing"):
        to_relax.lower(builder.graph(builder.add("relu", "y", x), x))


def test_weights_that_are_computed_are_refused() -> None:
    builder = GraphBuilder()
    x, w = builder.input("x", IMAGE), builder.input("w", (8, 3, 1, 1))
    with pytest.raises(BuildError, match="layer 'conv': its weights are computed"):
        to_relax.lower(pooled(builder, builder.add("conv2d", "conv", x, w, **PLAIN)))
