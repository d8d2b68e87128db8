from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import kernel_cases as kernels
import pytest
from fused_cases import Residual

from mbench.compile import fusing, to_relax
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import prologue
from mbench.compile.schedules.dispatch import schedule_all
from mbench.core import dtypes
from mbench.hardware import targets
from mbench.networks import architectures, costs, layers, variants
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder
from mbench.networks.kernels import Group

AVX2 = dataclasses.replace(kernels.AVX2, cores=2)
X86 = ("x86_64_v2", "x86_64_v3", "x86_64_v4")
WIDE = ("x86_64_v3", "x86_64_v4")
OTHERS = ("arm64_cortex_a72", "arm64_neoverse_n1", "cuda_sm80")
LARGE = Residual(height=112, width=112, inputs=16, expanded=96, outputs=24, stride=2)


def machine(target: str) -> KernelMachine:
    return KernelMachine.of(targets.load(target))


def graph_of(name: str) -> Graph:
    return architectures.folded(variants.parse(name)).graph


def fused(found: tuple[Group, ...]) -> Iterator[str]:
    return (group.name for group in found if group.fused_name)


def with_prologues(found: tuple[Group, ...]) -> list[str]:
    return [group.name for group in found if group.stages and not group.fused_name]


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


@pytest.mark.parametrize(
    "name",
    [
        *("mobilenet_v1_1.0_224", "mobilenet_v1_0.25_128", "mobilenet_v2_1.0_224", "mobilenet_v2_0.35_96"),
        *("mobilenet_v3_large", "mobilenet_v3_small", "mobilenet_v4_conv_medium_1.0_256", "mnasnet_a1_1.0_224"),
    ],
)
@pytest.mark.parametrize("target", WIDE)
def test_names_of_blocks_decide_nothing_since_a_file_has_none(name: str, target: str) -> None:
    graph = graph_of(name)
    bare = dataclasses.replace(graph, nodes=tuple(dataclasses.replace(node, block=None) for node in graph.nodes))
    nodes = [
        [[node.name for node in group.nodes] for group in fusing.plan(each, machine(target))] for each in (graph, bare)
    ]
    assert nodes[0] == nodes[1]


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


def test_more_channels_that_no_projection_takes_back_are_no_expansion() -> None:
    block = dataclasses.replace(LARGE, outputs=0)
    assert not list(fused(fusing.plan(block.graph(), AVX2)))


def test_a_name_of_several_that_no_record_holds_is_that_of_the_first() -> None:
    graph = LARGE.graph()
    long = {node.name: f"{node.name}.{'x' * 90}" for node in graph.nodes}
    nodes = tuple(
        dataclasses.replace(
            node, name=long[node.name], inputs=tuple(long.get(each, each) for each in node.inputs), block=None
        )
        for node in graph.nodes
    )
    renamed = dataclasses.replace(graph, nodes=nodes, outputs=tuple(long[name] for name in graph.outputs))
    assert list(fused(fusing.plan(renamed, AVX2))) == [long["block.expand"]]


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


# ---------------------------------------------------------------------------------------------------------- prologues
SQUEEZED = {"mobilenet_v3_large_1.0_224": 8, "mobilenet_v3_small_1.0_224": 9, "mnasnet_a1": 8}
"""Blocks with squeeze-excite (arXiv:1905.02244, tables 1 and 2; arXiv:1807.11626, figure 7: 3 + 2 + 3)."""


def before(builder: GraphBuilder, form: str, *, channels: int = 16, side: int = 56) -> str:
    x = builder.convolution("stem", builder.input("image", (1, 3, side, side)), channels, norm=None)
    if form == "input":
        return builder.add("clip", "before", "image", low=0.0, high=1.0)
    gate = builder.convolution("gate", builder.add("global_avg_pool", "squeeze", x), channels, norm=None)
    y = builder.add("multiply", "before", x, gate)
    return builder.add("silu", "silu", y) if form == "silu" else y


def ended(builder: GraphBuilder, *values: str) -> Graph:
    pooled = [builder.add("global_avg_pool", f"{each}.pool", each) for each in values]
    return builder.graph(
        *(builder.add("reshape", f"{each}.flat", each, shape=builder.shape(each)[:2]) for each in pooled)
    )


@pytest.mark.parametrize("name", SQUEEZED)
@pytest.mark.parametrize("target", [*X86, *OTHERS])
def test_squeeze_excite_multiplies_in_the_kernel_of_the_projection(name: str, target: str) -> None:
    graph, kind = graph_of(name), machine(target)
    found = fusing.plan(graph, kind)
    own = [group.name for group in found if group.name.endswith("se.scale")]
    together = with_prologues(found)
    assert len(own) + len(together) == SQUEEZED[name]
    assert {layer.rpartition(".")[2] for layer in together} <= {"project", "pw"}
    if kind.kind == "gpu" or target in WIDE:
        assert len(together) == (SQUEEZED[name] if target in WIDE else 0)
    else:
        assert len(together) > len(own)  # where tasks split the columns, the rows would be changed by each
    nodes = [node.name for group in found for node in (*group.nodes, *group.views)]
    assert sorted(nodes) == sorted(graph.by_name)


@pytest.mark.parametrize("target", ["x86_64_v3", "arm64_cortex_a72"])
def test_a_rule_takes_each_kernel_with_a_prologue(target: str) -> None:
    graph, kind = graph_of("mobilenet_v3_small_0.75_96"), machine(target)
    found = fusing.plan(graph, kind)
    lowered = to_relax.lower(graph, found)
    scheduled = schedule_all(to_relax.kernel_calls(lowered.module), kind)
    rules = {call.layer: scheduled[call.kernel].rule for call in lowered.calls}
    assert with_prologues(found)
    assert {rules[name] for name in with_prologues(found)} == {"cpu.matmul"}
    assert not [name for name, kernel in scheduled.items() if kernel.reason]
    hints = [call.kernel for call in lowered.calls if call.layer in with_prologues(found)]
    assert all(hint.startswith("fused_multiply_conv2d") for hint in hints)


def test_a_layer_with_a_prologue_costs_what_both_do_and_is_what_its_convolution_is() -> None:
    graph = graph_of("mobilenet_v3_large_1.0_224")
    apart = {spec.name: spec for spec in layers.of_graph(graph)}
    found = fusing.plan(graph, machine("arm64_cortex_a72"))
    together = {spec.name: spec for spec in layers.of_graph(graph, found)}
    assert len(together) == len(apart) - len(with_prologues(found)) < len(apart)
    for name in with_prologues(found):
        own, spec = apart[name], together[name]
        scale = apart[spec.contains[0]]
        assert spec.contains == (scale.name, name)
        assert spec.operations == ("multiply", *own.operations)
        same = ("block", "role", "op", "input_shape", "output_shape", "kernel_size", "stride", "groups")
        for field in (*same, "macs", "params", "biases"):
            assert getattr(spec, field) == getattr(own, field), (name, field)
        # what is scaled is neither written nor read
        both = own.activation_elements + scale.activation_elements
        assert spec.activation_elements == both - 2 * math.prod(own.input_shape)
    for field in ("macs", "params", "biases"):
        sums = [sum(getattr(spec, field) for spec in each.values()) for each in (apart, together)]
        assert sums[0] == sums[1]


def test_what_a_prologue_reads_may_come_in_any_order() -> None:
    builder = GraphBuilder()
    x = builder.convolution("stem", builder.input("image", (1, 3, 56, 56)), 16, norm=None)
    gate = builder.convolution("gate", builder.add("global_avg_pool", "squeeze", x), 16, norm=None)
    y = builder.convolution("project", builder.add("multiply", "scale", gate, x), 24, norm=None)
    graph = ended(builder, y)
    project = next(each for each in layers.of_graph(graph, fusing.plan(graph, AVX2)) if each.name == "project")
    assert project.input_shape == (1, 16, 56, 56)
    assert project.inputs == ("gate", "stem")


@pytest.mark.parametrize(
    ("form", "how", "expected"),
    [
        ("gate", {}, ["project"]),
        ("silu", {}, []),  # as often as there are parts of the columns
        ("input", {}, []),
        ("gate", {"stride": 2}, []),
        ("gate", {"kernel": 3}, []),
        ("gate", {"groups": 2}, []),
    ],
)
def test_what_is_a_prologue_and_what_is_none(form: str, how: dict[str, Any], expected: list[str]) -> None:
    builder = GraphBuilder()
    y = builder.convolution("project", before(builder, form), 24, norm=None, **how)
    assert with_prologues(fusing.plan(ended(builder, y, "stem"), AVX2)) == expected


def test_what_is_read_twice_is_no_prologue() -> None:
    builder = GraphBuilder()
    y = before(builder, "gate")
    others = [builder.convolution(name, y, 24, norm=None) for name in ("project", "other")]
    assert not with_prologues(fusing.plan(ended(builder, *others), AVX2))
    builder = GraphBuilder()
    y = before(builder, "gate")
    z = builder.add("add", "sum", builder.convolution("project", y, 16, norm=None), y)
    assert not with_prologues(fusing.plan(ended(builder, z), AVX2))


def test_a_prologue_that_the_model_finds_slower_stays_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of("mobilenet_v3_small_1.0_224")
    assert with_prologues(fusing.plan(graph, machine("x86_64_v3")))
    monkeypatch.setattr(prologue, "VECTOR_CYCLES", 10**6)
    assert not with_prologues(fusing.plan(graph, machine("x86_64_v3")))


def test_prologues_of_other_types_stay_kernels() -> None:
    graph = architectures.folded(variants.parse("mobilenet_v3_small_1.0_224", dtype="float16")).graph
    assert not with_prologues(fusing.plan(graph, AVX2))
