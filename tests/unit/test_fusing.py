from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import kernel_cases as kernels
import pytest
from fused_cases import Residual

from mbench.compile import fusing, to_relax
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.dispatch import schedule_all
from mbench.core import dtypes
from mbench.hardware import targets
from mbench.networks import architectures, costs, layers, variants
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder
from mbench.networks.kernels import Group

AVX2 = dataclasses.replace(kernels.AVX2, cores=2)
X86 = ("x86_64_v2", "x86_64_v3", "x86_64_v4")
OTHERS = ("arm64_cortex_a72", "arm64_neoverse_n1", "cuda_sm80")
LARGE = Residual(height=112, width=112, inputs=16, expanded=96, outputs=24, stride=2)


def machine(target: str) -> KernelMachine:
    return KernelMachine.of(targets.load(target))


def graph_of(name: str) -> Graph:
    return architectures.folded(variants.parse(name)).graph


def fused(found: tuple[Group, ...]) -> Iterator[str]:
    return (group.name for group in found if group.stages)


@pytest.mark.parametrize("target", X86)
def test_the_first_blocks_of_mobilenet_v2_are_fused(target: str) -> None:
    found = list(fused(fusing.plan(graph_of("mobilenet_v2_1.0_224"), machine(target))))
    assert found[:4] == ["block1", "block2", "block3", "block4"]
    assert "block17" not in found  # 7 lines of 7 pixels: the weights are what counts


@pytest.mark.parametrize("target", OTHERS)
def test_nothing_is_fused_where_it_was_not_measured(target: str) -> None:
    graph = graph_of("mobilenet_v2_1.0_224")
    assert not list(fused(fusing.plan(graph, machine(target))))


@pytest.mark.parametrize("name", ["mobilenet_v1_1.0_224", "mobilenet_v1_0.25_128", "mobilenet_v1_1.0_224_standard"])
@pytest.mark.parametrize("target", X86)
def test_mobilenet_v1_is_as_it_was(name: str, target: str) -> None:
    assert not list(fused(fusing.plan(graph_of(name), machine(target))))


def test_each_node_is_in_one_kernel_and_each_kernel_has_a_rule() -> None:
    graph, x86 = graph_of("mobilenet_v2_0.35_96"), machine("x86_64_v3")
    found = fusing.plan(graph, x86)
    assert list(fused(found))
    nodes = [node.name for group in found for node in (*group.nodes, *group.views)]
    assert sorted(nodes) == sorted(graph.by_name)
    lowered = to_relax.lower(graph, found)
    scheduled = schedule_all(to_relax.kernel_calls(lowered.module), x86)
    rules = {call.layer: scheduled[call.kernel].rule for call in lowered.calls}
    assert {name for name, rule in rules.items() if rule == "cpu.inverted_residual"} == set(fused(found))
    assert not [name for name, kernel in scheduled.items() if kernel.reason]


def test_fused_layers_cost_what_their_parts_do() -> None:
    graph = graph_of("mobilenet_v2_1.0_224")
    apart = {spec.name: spec for spec in layers.of_graph(graph)}
    together = layers.of_graph(graph, fusing.plan(graph, machine("x86_64_v4")))
    assert len(together) < len(apart)
    assert [name for spec in together for name in spec.contains or (spec.name,)] == list(apart)
    for spec in together:
        parts = [apart[name] for name in spec.contains or (spec.name,)]
        for field in ("macs", "params", "biases"):
            assert getattr(spec, field) == sum(getattr(part, field) for part in parts), (spec.name, field)
        assert spec.operations == tuple(operation for part in parts for operation in part.operations)
        assert (spec.role == "fused") == (len(parts) > 1)
    block = next(spec for spec in together if spec.name == "block2")
    assert (block.op, block.kernel_size, block.stride, block.block) == ("inverted_residual", (3, 3), (2, 2), "block2")
    assert (block.input_shape, block.output_shape) == ((1, 16, 112, 112), (1, 24, 56, 56))
    # what is expanded is neither read nor written: 96 x 112 x 112 and 96 x 56 x 56 numbers, each twice
    saved = sum(costs.of_layer(apart[name]).activation_bytes for name in block.contains)
    saved -= costs.of_layer(block).activation_bytes
    assert saved == 2 * 96 * (112**2 + 56**2) * dtypes.of("float32").bytes


# ---------------------------------------------------------------------------------------------------- what is not fused
def test_a_large_block_is_fused() -> None:
    assert list(fused(fusing.plan(LARGE.graph(), AVX2))) == ["block"]


def test_parts_of_a_block_are_named_by_what_they_do() -> None:
    block = dataclasses.replace(LARGE, outputs=0)
    assert list(fused(fusing.plan(block.graph(), AVX2))) == ["block.expand_dw"]


def test_what_another_kernel_reads_is_not_kept_inside() -> None:
    builder = GraphBuilder()
    x = builder.convolution("stem", builder.input("image", (1, 3, 112, 112)), 16, norm=None)
    with builder.block("block"):
        wide = builder.convolution("expand", x, 96, norm=None)
        deep = builder.convolution("dw", wide, 96, kernel=3, groups=96, norm=None)
        out = builder.convolution("project", deep, 24, norm=None)
    pooled = [builder.add("global_avg_pool", f"pool{place}", each) for place, each in enumerate((deep, out))]
    both = builder.add("concat", "both", *pooled, axis=1)
    graph = builder.graph(builder.add("reshape", "flat", both, shape=(1, 120)))
    assert list(fused(fusing.plan(graph, AVX2))) == ["block.expand_dw"]


@pytest.mark.parametrize(
    "how",
    [
        {"dilation": 2},
        {"groups": 48},
    ],
    ids=str,
)
def test_a_convolution_that_the_rule_does_not_take_is_not_fused(how: dict[str, Any]) -> None:
    builder = GraphBuilder()
    x = builder.convolution("stem", builder.input("image", (1, 3, 112, 112)), 16, norm=None)
    wide = builder.convolution("expand", x, 96, norm=None)
    given: dict[str, Any] = {"kernel": 3, "groups": 96, **how}
    deep = builder.convolution("dw", wide, 96, norm=None, **given)
    out = builder.add("global_avg_pool", "pool", builder.convolution("project", deep, 24, norm=None))
    graph = builder.graph(builder.add("reshape", "flat", out, shape=(1, 24)))
    assert not list(fused(fusing.plan(graph, AVX2)))


def test_other_types_are_not_fused() -> None:
    graph = architectures.folded(variants.parse("mobilenet_v2_1.0_224", dtype="float16")).graph
    assert not list(fused(fusing.plan(graph, AVX2)))


# --------------------------------------------------------------------------------------------------------------- model
def test_what_fits_the_second_cache_is_less_worth_fusing() -> None:
    graph = graph_of("mobilenet_v2_1.0_224")
    small, large = (dataclasses.replace(AVX2, l2_bytes=size) for size in (2**18, 2**26))
    few, many = (set(fused(fusing.plan(graph, each))) for each in (large, small))
    assert few < many


def test_many_cores_expand_more_lines_twice() -> None:
    graph = graph_of("mobilenet_v2_1.0_224")
    few, many = (set(fused(fusing.plan(graph, dataclasses.replace(AVX2, cores=cores)))) for cores in (64, 1))
    assert few < many


def test_the_same_graph_and_machine_give_the_same_plan() -> None:
    names = [[group.name for group in fusing.plan(graph_of("mobilenet_v2_1.0_224"), AVX2)] for _ in range(2)]
    assert names[0] == names[1]


@pytest.mark.parametrize(("activation", "expected"), [(None, ["block"]), ("relu", [])])
def test_as_many_channels_are_a_projection_where_no_activation_follows(
    activation: str | None, expected: list[str]
) -> None:
    builder = GraphBuilder()
    x = builder.convolution("stem", builder.input("image", (1, 3, 112, 112)), 16, norm=None)
    with builder.block("block"):
        deep = builder.convolution("dw", x, 16, kernel=3, groups=16, norm=None, activation="relu")
        out = builder.add("add", "add", builder.convolution("pw", deep, 16, norm=None, activation=activation), x)
    graph = builder.graph(builder.add("reshape", "flat", out, shape=(1, 16 * 112 * 112)))
    assert list(fused(fusing.plan(graph, AVX2))) == expected


def test_a_fused_kernel_stands_where_what_its_sum_reads_is_there() -> None:
    """The shortcut is projected between the first and the last stage."""
    builder = GraphBuilder()
    x = builder.convolution("stem", builder.input("image", (1, 3, 224, 224)), 16, kernel=3, stride=2, norm=None)
    with builder.block("block1"):
        y = builder.convolution("expand", x, 96, norm=None, activation="relu6")
        y = builder.convolution("dw", y, 96, kernel=3, stride=2, groups=96, norm=None, activation="relu6")
        y = builder.convolution("project", y, 24, norm=None)
        shortcut = builder.convolution("shortcut", x, 24, kernel=3, stride=2, norm=None)
        y = builder.add("add", "add", y, shortcut)
    pool = builder.add("global_avg_pool", "pool", y)
    graph = builder.graph(builder.add("reshape", "flat", pool, shape=(1, 24)))
    found = fusing.plan(graph, machine("x86_64_v3"))
    assert list(fused(found)) == ["block1"]
    assert [call.layer for call in to_relax.lower(graph, found).calls] == ["stem", "block1.shortcut", "block1", "pool"]


def test_two_fused_kernels_of_a_block_have_two_names() -> None:
    builder = GraphBuilder()
    x = builder.convolution("stem", builder.input("image", (1, 3, 224, 224)), 64, kernel=3, stride=2, norm=None)
    with builder.block("block1"):
        for part in ("a", "b"):
            x = builder.convolution(f"{part}.dw", x, 64, kernel=3, groups=64, norm=None)
            x = builder.convolution(f"{part}.pw", x, 48 if part == "a" else 24, norm=None)
            x = builder.convolution("between", x, 64, norm=None, kernel=3) if part == "a" else x
    pool = builder.add("global_avg_pool", "pool", x)
    graph = builder.graph(builder.add("reshape", "flat", pool, shape=(1, 24)))
    names = list(fused(fusing.plan(graph, machine("x86_64_v3"))))
    assert len(names) == len(set(names)) == 2
