"""Grouping: one kernel for an anchor and what follows it, one value that leaves it, an order that works."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mbench.networks import architectures, kernels, layout, variants
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder


def names(graph: Graph) -> list[list[str]]:
    return [[node.name for node in (*group.nodes, *group.views)] for group in kernels.groups(graph)]


def test_activations_and_the_residual_sum_are_part_of_the_convolutions_kernel() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (1, 8, 6, 6))
    first = builder.convolution("first", x, 8, norm=None, activation="relu6")
    second = builder.convolution("second", first, 8, norm=None)
    total = builder.add("add", "sum", second, first)
    assert names(builder.graph(builder.add("relu", "end", total))) == [
        ["first", "first.relu6"], ["second", "sum", "end"]
    ]  # fmt: skip


def test_a_residual_that_is_computed_later_is_not_waited_for() -> None:
    """The sum belongs to the branch that ends last, wherever it stands in the list of nodes."""
    builder = GraphBuilder()
    x = builder.input("x", (1, 8, 6, 6))
    left = builder.convolution("left", x, 8, norm=None)
    right = builder.convolution("right", builder.convolution("deep", left, 8, norm=None), 8, norm=None)
    assert names(builder.graph(builder.add("add", "sum", left, right))) == [["left"], ["deep"], ["right", "sum"]]


def test_two_branches_that_do_not_read_each_other_join_in_the_first() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (1, 8, 6, 6))
    left, right = (builder.convolution(name, x, 8, norm=None) for name in ("left", "right"))
    assert names(builder.graph(builder.add("add", "sum", left, right))) == [["right"], ["left", "sum"]]


def test_a_value_that_others_read_as_well_ends_its_kernel() -> None:
    builder = GraphBuilder()
    y = builder.convolution("conv", builder.input("x", (1, 8, 6, 6)), 8, norm=None)
    relu = builder.add("relu", "relu", y)
    other = builder.convolution("other", y, 8, norm=None)
    assert ["conv"] in names(builder.graph(relu, other))


def test_an_activation_of_several_nodes_is_one_kernel() -> None:
    """Hard-swish as some files write it: x * clip(x + 3) / 6, where the convolution is read twice."""
    builder = GraphBuilder()
    y = builder.convolution("conv", builder.input("x", (1, 8, 6, 6)), 8, norm=None)
    three = builder.parameter("three", (1,))
    clipped = builder.add("clip", "clip", builder.add("add", "shift", y, three), low=0.0, high=6.0)
    end = builder.add("multiply", "end", y, clipped)
    assert names(builder.graph(end)) == [["conv", "shift", "clip", "end"]]


def test_an_output_in_the_middle_leaves_its_kernel() -> None:
    builder = GraphBuilder()
    y = builder.convolution("conv", builder.input("x", (1, 8, 6, 6)), 8, norm=None)
    z = builder.add("relu", "relu", y)
    assert names(builder.graph(y, z)) == [["conv"], ["relu"]]


def test_a_squeeze_and_excite_block_scales_in_a_kernel_of_its_own() -> None:
    builder = GraphBuilder()
    x = builder.convolution("conv", builder.input("x", (1, 8, 6, 6)), 8, norm=None)
    pooled = builder.add("global_avg_pool", "pool", x)
    gate = builder.convolution("excite", pooled, 8, norm=None, activation="hard_sigmoid")
    graph = builder.graph(builder.add("multiply", "scale", x, gate))
    assert names(graph) == [["conv"], ["pool"], ["excite", "excite.hard_sigmoid"], ["scale"]]
    read = kernels.sources(graph, kernels.groups(graph))
    assert [[each.anchor.name for each in sources] for sources in read.values()] == [
        [], ["conv"], ["pool"], ["conv", "excite"]
    ]  # fmt: skip


def test_a_view_is_no_kernel_and_those_behind_it_know_who_made_it() -> None:
    builder = GraphBuilder()
    x = builder.convolution("conv", builder.input("x", (1, 8, 6, 6)), 8, norm=None)
    flat = builder.add("reshape", "flat", builder.add("global_avg_pool", "pool", x), shape=(1, 8))
    first, second = builder.linear("first", flat, 8), builder.linear("second", flat, 8)
    graph = builder.graph(first, second)
    assert names(graph) == [["conv"], ["pool", "flat"], ["first"], ["second"]]
    twice = builder.graph(first, second, builder.add("relu", "of_pool", "pool"))
    found = kernels.groups(twice)
    assert [group.nodes for group in found if group.output.name == "flat"] == [()]
    read = {group.anchor.name: sources for group, sources in kernels.sources(twice, found).items()}
    assert [each.anchor.name for each in read["first"]] == ["pool"]


def test_a_prologue_belongs_to_the_layer_that_reads_it() -> None:
    builder = GraphBuilder()
    x = builder.convolution("conv", builder.input("x", (1, 8, 6, 6)), 8, norm=None)
    scaled = builder.add("multiply", "scale", builder.add("global_avg_pool", "gate", x), x)
    graph = builder.graph(builder.convolution("project", scaled, 4, norm=None, activation="relu"))
    [*_, scale, project] = kernels.groups(graph)
    one = kernels.with_prologue(scale, project)
    assert (one.name, one.anchor.name, one.stages) == ("project", "project", (scale, project))
    assert [node.name for node in one.nodes] == ["scale", "project", "project.relu"]
    assert one.reads == ("gate", "conv", "project.weight")
    assert one.output.name == "project.relu"


# ------------------------------------------------------------------------------------------------ many in a row
def chain(ops: Sequence[str]) -> Graph:
    builder = GraphBuilder()
    y = builder.convolution("conv", builder.input("image", (1, 3, 4, 4)), 8, norm=None)
    for place, op in enumerate(ops):
        y = builder.add(op, f"{op}{place}", y)
    pooled = builder.add("global_avg_pool", "pool", y)
    return builder.graph(builder.add("reshape", "flat", pooled, shape=(1, 8)))


@pytest.mark.parametrize(
    ("op", "lengths"),
    [
        ("hard_swish", [5, 5, 2]),  # 2^6 - 1 = 63 operations
        ("gelu_tanh", [2, 2, 2, 2, 2, 2]),  # functions
        ("sigmoid", [2, 2, 2, 2, 2, 2]),
        ("relu", [12]),
    ],
)
def test_activations_in_a_row_end_a_kernel_before_its_expression_doubles_too_often(op: str, lengths: list[int]) -> None:
    found = [[name for name in group if name.startswith(op)] for group in names(chain([op] * 12))]
    assert [len(group) for group in found if group] == lengths
    assert [name for group in found for name in group] == [f"{op}{place}" for place in range(12)]


def test_a_value_times_itself_doubles_as_well() -> None:
    builder = GraphBuilder()
    y = builder.convolution("conv", builder.input("x", (1, 8, 6, 6)), 8, norm=None)
    for place in range(9):
        y = builder.add("multiply", f"square{place}", y, y)
    assert [len(group) for group in names(builder.graph(y))] == [6, 4]


def test_sums_of_many_values_grow_by_one_at_a_time() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (1, 8, 6, 6))
    y = builder.convolution("conv", x, 8, norm=None)
    for place in range(20):
        y = builder.add("add", f"add{place}", y, x)
    assert [len(group) for group in names(builder.graph(y))] == [21]


@pytest.mark.parametrize("name", ["mobilenet_v1_0.25_32", "mobilenet_v2_0.35_32", "mobilenet_v2_0.35_32_standard"])
def test_every_node_is_in_one_kernel_and_reads_what_was_made_before(name: str) -> None:
    graph = architectures.folded(variants.parse(name)).graph
    found = kernels.groups(graph)
    inside = [node.name for group in found for node in (*group.nodes, *group.views)]
    assert sorted(inside) == sorted(graph.by_name)
    made = {*graph.inputs, *graph.parameters}
    for group in found:
        assert set(group.reads) <= made
        made.add(group.output.name)


# -------------------------------------------------------------------------------------------------------------- layout
def test_images_lie_channels_last_and_all_else_as_it_is() -> None:
    graph = architectures.folded(variants.parse("mobilenet_v2_0.35_32")).graph
    last = layout.channels_last(graph)
    assert {node.name for node in graph.nodes if len(node.shape) == 4} == last
    assert "image" not in last


def test_a_matrix_of_four_axes_is_no_image() -> None:
    builder = GraphBuilder()
    x, y = builder.input("x", (1, 2, 4, 5)), builder.input("y", (1, 2, 5, 4))
    product = builder.add("matmul", "product", x, y)
    assert layout.channels_last(builder.graph(builder.add("softmax", "end", product, axis=-1))) == frozenset()


def test_what_a_convolution_reads_in_the_end_is_made_an_image() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (1, 16, 8))
    image = builder.add("reshape", "image", x, shape=(1, 8, 4, 4))
    graph = builder.graph(builder.convolution("conv", builder.add("relu", "relu", image), 4, norm=None))
    assert layout.channels_last(graph) == {"image", "relu", "conv"}
