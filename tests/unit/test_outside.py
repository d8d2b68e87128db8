"""Networks that have float32 outside and bfloat16 inside: their types, by the graph's own nodes."""

from __future__ import annotations

import pytest

from mbench.core import dtypes
from mbench.networks import architectures, costs, kernels, layers, outside, variants
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder

NAME = "mobilenet_v1_0.25_32_bfloat16"


def folded(name: str = NAME) -> Graph:
    return architectures.folded(variants.parse(name)).graph


def test_inputs_and_outputs_are_float32_and_all_between_is_bfloat16() -> None:
    graph = folded()
    assert {each.dtype for each in graph.inputs.values()} == {"float32"}
    assert {graph.type_of(name).dtype for name in graph.outputs} == {"float32"}
    first, *between, last = graph.nodes
    assert (first.op, first.inputs, first.dtype) == ("cast", tuple(graph.inputs), "bfloat16")
    assert (last.op, last.dtype) == ("cast", "float32")
    assert {node.dtype for node in between} == {each.dtype for each in graph.parameters.values()} == {"bfloat16"}
    assert not [node for node in between if set(node.inputs) & set(graph.inputs)]


def test_the_last_kernel_rounds_nothing_and_the_first_only_rounds() -> None:
    graph = folded()
    first, *_, last = kernels.groups(graph)
    assert [node.op for node in first.nodes] == ["cast"]
    assert [node.op for node in last.nodes] == ["linear", "cast"]


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_other_networks_are_as_they_were(dtype: str) -> None:
    graph = architectures.graph(variants.parse("mobilenet_v1_0.25_32", dtype=dtype))
    floats = dtypes.of(dtype).floats
    assert outside.cast(graph, floats) is graph
    assert outside.with_inputs(graph, floats) is graph


def test_places_of_things_stay_whole_numbers() -> None:
    builder = GraphBuilder(dtype="bfloat16")
    at = builder.input("at", (3,), dtype="int64")
    graph = builder.graph(builder.add("add", "twice", at, at))
    assert outside.cast(graph, "bfloat16").outputs == ("twice",)


def test_costs_have_four_bytes_outside_and_two_inside() -> None:
    graph = folded()
    found = {spec.name: costs.of_layer(spec, "bfloat16") for spec in layers.of_graph(graph)}
    plain = {spec.name: costs.of_layer(spec) for spec in architectures.layers(variants.parse("mobilenet_v1_0.25_32"))}
    rounding = next(name for name in found if name not in plain)
    assert found[rounding].activation_bytes == 3 * 32 * 32 * (4 + 2)
    last = graph.by_name[graph.outputs[0]].inputs[0]
    assert found[last].activation_bytes == 2 * 256 + 4 * 1000
    inner = [name for name in plain if name != last]
    assert all(2 * found[name].activation_bytes == plain[name].activation_bytes for name in inner)
