from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch_counts
from hypothesis import given
from hypothesis import strategies as st

from mbench.networks import blocks, folding, layers, standard, torch_network
from mbench.networks.families import FAMILIES
from mbench.networks.graph import Graph, Node
from mbench.networks.graph_builder import GraphBuilder

V2_BLOCKS = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
"""Expansion, channels, repeats, stride: arXiv:1801.04381, table 2."""
Written = Callable[[GraphBuilder, str], str]


def network(write: Written, channels: int = 8, side: int = 12) -> Graph:
    """Return a graph that a function writes after a first convolution, with BatchNorm as it is trained."""
    builder = GraphBuilder()
    stem = builder.convolution(
        "stem", builder.input("image", (1, 3, side, side)), channels, kernel=3, activation="relu"
    )
    return builder.graph(write(builder, stem))


def depthwise(builder: GraphBuilder, name: str, x: str, *, multiplier: int = 1, **how: int | str) -> str:
    channels = builder.shape(x)[1]
    return builder.convolution(name, x, channels * multiplier, groups=channels, kernel=3, **how)  # type: ignore[arg-type]


def hard_swish_in_nodes(builder: GraphBuilder, x: str) -> str:
    """Return x * clip(x + 3, 0, 6) / 6, as files have it."""
    three, six = builder.parameter("three", ()), builder.parameter("six", ())
    gate = builder.add("clip", "gate", builder.add("add", "shifted", x, three), low=0.0, high=6.0)
    return builder.add("divide", "swished", builder.add("multiply", "gated", x, gate), six)


def squeeze_excite(builder: GraphBuilder, x: str) -> str:
    pooled = builder.add("global_avg_pool", "squeeze", x, role="squeeze")
    inner = builder.convolution("reduce", pooled, 4, norm=None, bias=True, activation="relu", role="reduce")
    gate = builder.convolution("excite", inner, builder.shape(x)[1], norm=None, bias=True, role="excite")
    return builder.add("multiply", "scaled", x, builder.add("hard_sigmoid", "gate_of", gate), role="excite")


def separable(builder: GraphBuilder, x: str) -> str:
    return builder.convolution(
        "a.pw", depthwise(builder, "a.dw", x, stride=2, activation="relu"), 20, activation="relu"
    )


def in_several_nodes(builder: GraphBuilder, x: str) -> str:
    return builder.convolution("a.pw", hard_swish_in_nodes(builder, depthwise(builder, "a.dw", x)), 20)


def with_multiplier(builder: GraphBuilder, x: str) -> str:
    return builder.convolution("a.pw", depthwise(builder, "a.dw", x, multiplier=3, activation="relu6"), 20)


def two_in_a_row(builder: GraphBuilder, x: str) -> str:
    x = depthwise(builder, "a.dw", depthwise(builder, "a.dw_first", x, activation="relu"), stride=2)
    return builder.convolution("a.pw", x, 20)


def universal(builder: GraphBuilder, x: str) -> str:
    """Return MobileNetV4's block: depthwise, expand, depthwise, project, and a residual. arXiv:2404.10518, figure 4."""
    y = builder.convolution("a.expand", depthwise(builder, "a.dw_start", x), 32, activation="relu")
    y = builder.convolution("a.project", depthwise(builder, "a.dw", y, activation="relu"), builder.shape(x)[1])
    return builder.add("add", "a.add", y, x, role="residual")


def excited(builder: GraphBuilder, x: str) -> str:
    return builder.convolution("a.pw", squeeze_excite(builder, depthwise(builder, "a.dw", x, activation="relu")), 20)


def read_twice(builder: GraphBuilder, x: str) -> str:
    y = depthwise(builder, "a.dw", x, activation="relu")
    return builder.add("concat", "both", builder.convolution("a.pw", y, 20), y, axis=1)


def residual_between(builder: GraphBuilder, x: str) -> str:
    return builder.convolution("a.pw", builder.add("add", "sum", depthwise(builder, "a.dw", x), x), 20)


def pointwise_with_padding(builder: GraphBuilder, x: str) -> str:
    return builder.convolution("a.pw", depthwise(builder, "a.dw", x), 20, padding=(1, 1, 1, 1))


def grouped_after(builder: GraphBuilder, x: str) -> str:
    return builder.convolution("a.pw", depthwise(builder, "a.dw", x), 20, groups=4)


def last_of_all(builder: GraphBuilder, x: str) -> str:
    return depthwise(builder, "a.dw", x, stride=2, activation="relu")


def dilated(builder: GraphBuilder, x: str) -> str:
    return builder.convolution("a.pw", depthwise(builder, "a.dw", x, dilation=2), 20)


CASES: dict[str, tuple[Written, list[tuple[str, tuple[str, ...]]], int]] = {
    "depthwise and pointwise": (separable, [("a.conv", ("a.dw", "a.pw"))], 36 * 20 * 9 * 8),
    "an activation of four nodes": (in_several_nodes, [("a.conv", ("a.dw", "a.pw"))], 144 * 20 * 9 * 8),
    "a multiplier": (with_multiplier, [("a.conv", ("a.dw", "a.pw"))], 144 * 20 * 9 * 8),
    "two depthwise in a row": (
        two_in_a_row,
        [("a.conv_first", ("a.dw_first",)), ("a.conv", ("a.dw", "a.pw"))],
        144 * 8 * 9 * 8 + 36 * 20 * 9 * 8,
    ),
    "MobileNetV4's block": (
        universal,
        [("a.conv_start", ("a.dw_start", "a.expand")), ("a.conv", ("a.dw", "a.project"))],
        144 * 32 * 9 * 8 + 144 * 8 * 9 * 32,
    ),
    "squeeze-excite between": (excited, [("a.conv", ("a.dw",))], 144 * 8 * 9 * 8),
    "read by something else too": (read_twice, [("a.conv", ("a.dw",))], 144 * 8 * 9 * 8),
    "a residual between": (residual_between, [("a.conv", ("a.dw",))], 144 * 8 * 9 * 8),
    "padding around the pointwise one": (pointwise_with_padding, [("a.conv", ("a.dw",))], 144 * 8 * 9 * 8),
    "a grouped convolution after it": (grouped_after, [("a.conv", ("a.dw",))], 144 * 8 * 9 * 8),
    "the network's output": (last_of_all, [("a.conv", ("a.dw",))], 36 * 8 * 9 * 8),
    "dilation": (dilated, [("a.conv", ("a.dw", "a.pw"))], 144 * 20 * 9 * 8),
}
"""What is written, what is replaced by what, and the multiply-adds of the standard convolutions.

These are places, output channels, kernel, input channels.
"""


def macs_by_torch(graph: Graph) -> int:
    """Return what torch counts of a graph, and check the shape of what comes of it; the numbers do not matter."""

    def constants(node: Node, _read: list[torch.Tensor]) -> list[torch.Tensor]:
        return [torch.empty(graph.shape(name)) for name in graph.constants(node)]

    with torch_counts.counting() as found:
        inputs = {name: torch.empty(each.shape) for name, each in graph.inputs.items()}
        [output] = torch_network._run(graph, inputs, constants)
    assert tuple(output.shape) == graph.shape(graph.outputs[0])
    return found.macs


def macs(graph: Graph) -> int:
    return sum(layers.macs(graph, node) for node in graph.nodes)


@pytest.mark.parametrize("folded", [False, True], ids=["as trained", "folded"])
@pytest.mark.parametrize("name", CASES)
def test_what_is_replaced_by_what(name: str, folded: bool) -> None:
    """Oracles: what torch counts of the twin, and the multiply-adds of the standard convolutions by hand."""
    write, expected, of_standard = CASES[name]
    graph = network(write)
    graph = folding.fold(graph).graph if folded else graph
    twin = standard.twin(graph)
    assert [(each.layer, each.layers) for each in twin.replaced] == expected
    assert sum(each.macs for each in twin.replaced) == of_standard
    assert not standard.has_depthwise(twin.graph)
    assert macs_by_torch(twin.graph) == macs(twin.graph)
    before = sum(each.macs_before for each in twin.replaced)
    assert macs(twin.graph) == macs_by_torch(graph) - before + of_standard
    assert twin.graph.shape(twin.graph.outputs[0]) == graph.shape(graph.outputs[0])
    for layer, _ in expected:
        node = twin.graph.by_name[layer]
        assert (node.attributes["groups"], node.role, node.op) == (1, "standard", "conv2d")


@pytest.mark.parametrize("name", CASES)
def test_a_twin_is_the_same_before_and_after_folding(name: str) -> None:
    graph = network(CASES[name][0])
    first, last = folding.fold(standard.twin(graph).graph).graph, standard.twin(folding.fold(graph).graph).graph
    costs = [
        [(spec.name, spec.macs, spec.params, spec.output_shape) for spec in layers.of_graph(each)]
        for each in (first, last)
    ]
    assert costs[0] == costs[1]


def test_the_activation_between_the_two_goes_and_the_one_after_them_stays() -> None:
    twin = standard.twin(network(separable)).graph
    assert [node.name for node in twin.nodes if node.op == "relu"] == ["stem.relu", "a.pw.relu"]
    assert [node.op for node in twin.nodes] == ["conv2d", "batch_norm", "relu"] * 2


def test_squeeze_excite_reads_the_standard_convolution() -> None:
    twin = standard.twin(network(excited)).graph
    [convolution] = [node for node in twin.nodes if node.role == "standard"]
    [norm] = twin.users[convolution.name]
    [activation] = twin.users[norm.name]
    assert [node.op for node in twin.users[activation.name]] == ["global_avg_pool", "multiply"]


def test_a_residual_stays() -> None:
    twin = standard.twin(network(universal)).graph
    [total] = [node for node in twin.nodes if node.op == "add"]
    assert total.inputs == ("a.project.norm", "stem.relu")


def test_names_that_are_taken() -> None:
    def write(builder: GraphBuilder, x: str) -> str:
        x = builder.convolution("a.conv", x, 8)
        x = builder.convolution("features.0", depthwise(builder, "features.1", depthwise(builder, "a.dw", x)), 8)
        return depthwise(builder, "dw", x)

    twin = standard.twin(network(write))
    assert [each.layer for each in twin.replaced] == ["a.conv_", "features.1.standard", "conv"]


def test_a_network_without_depthwise_convolutions_is_its_own_twin() -> None:
    graph = network(lambda builder, x: builder.convolution("a", x, 8, kernel=3, groups=2))
    assert not standard.has_depthwise(graph)
    twin = standard.twin(graph)
    assert twin.replaced == ()
    assert [node.name for node in twin.graph.nodes] == [node.name for node in graph.nodes]


def by_the_papers_table_2(*, standard_ones: bool) -> int:
    """Return MobileNetV2's multiply-adds at 224x224, row by row of the table."""
    side, channels = 112, 32
    total = side**2 * 3 * 9 * 32
    for expansion, out, repeats, stride in V2_BLOCKS:
        for step in (stride, *[1] * (repeats - 1)):
            inner = channels * expansion
            total += side**2 * channels * inner if expansion > 1 else 0
            side //= step
            total += side**2 * inner * 9 * out if standard_ones else side**2 * inner * (9 + out)
            channels = out
    return total + side**2 * channels * 1280 + 1280 * 1000


def test_mobilenet_v2_has_4_times_the_multiply_adds() -> None:
    """Oracles: the paper's table 2, and torch's count of what it computes."""
    graph = blocks.graph(FAMILIES["mobilenet_v2"], width=1.0, resolution=224)
    twin = standard.twin(graph)
    assert macs(graph) == by_the_papers_table_2(standard_ones=False)
    assert macs(twin.graph) == by_the_papers_table_2(standard_ones=True) == macs_by_torch(twin.graph)
    assert [round(macs(each) / 1e6) for each in (graph, twin.graph)] == [301, 1225]
    assert [len(each.layers) for each in twin.replaced] == [2] * 17


@pytest.mark.parametrize("family", FAMILIES)
def test_the_standard_twin_of_each_family_computes_what_torch_counts(family: str) -> None:
    """Oracle: torch's count of the twin, and of the network: they differ by what was replaced."""
    graph = blocks.graph(FAMILIES[family], width=1.0, resolution=96)
    twin = standard.twin(graph)
    assert not standard.has_depthwise(twin.graph)
    assert len(twin.replaced) == sum(layers.kind(graph, node) == "depthwise_conv2d" for node in graph.nodes) > 0
    more = sum(each.macs - each.macs_before for each in twin.replaced)
    assert macs_by_torch(twin.graph) == macs(twin.graph) == macs_by_torch(graph) + more
    specs = {spec.name: spec for spec in layers.of_graph(folding.fold(twin.graph).graph)}
    assert all(specs[each.layer].macs == each.macs for each in twin.replaced)


def test_mobilenet_v4_conv_large_has_15_times_the_multiply_adds() -> None:
    """Oracle: torch's count; both depthwise convolutions of a block go, each with the pointwise one after it."""
    family = FAMILIES["mobilenet_v4_conv_large"]
    twin = standard.twin(blocks.graph(family, width=1.0, resolution=384))
    assert macs_by_torch(twin.graph) == macs(twin.graph)
    assert f"{macs(twin.graph) / 1e9:.1f}" == "95.8"
    assert {len(each.layers) for each in twin.replaced} == {2}


def test_squeeze_excite_of_mobilenet_v3_stays_between_the_two() -> None:
    """Oracle: Howard et al., arXiv:1905.02244, table 1: 8 of the 15 blocks have squeeze-excite."""
    twin = standard.twin(blocks.graph(FAMILIES["mobilenet_v3_large"], width=1.0, resolution=224))
    assert [len(each.layers) for each in twin.replaced].count(1) == 8
    assert len(twin.replaced) == 15


@given(
    family=st.sampled_from([name for name in FAMILIES if name.startswith(("mobilenet_v1", "mobilenet_v2"))]),
    width=st.sampled_from([0.1, 0.35, 0.5, 1.4]),
    resolution=st.integers(32, 97),
    batch=st.integers(1, 3),
)
def test_a_block_saves_what_the_formula_says(family: str, width: float, resolution: int, batch: int) -> None:
    """Oracle: arXiv:1704.04861, section 3.1: depthwise and pointwise have 1/N + 1/Dk² of the multiply-adds."""
    graph = blocks.graph(FAMILIES[family], width=width, resolution=resolution, batch=batch)
    twin = standard.twin(graph)
    for each in twin.replaced:
        channels, _, *kernel = twin.graph.shape(twin.graph.by_name[each.layer].inputs[1])
        assert each.macs_before / each.macs == pytest.approx(1 / channels + 1 / math.prod(kernel))
