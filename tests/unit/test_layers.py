"""The layers of a graph: names, operations, what each reads, and costs by shapes alone."""

from __future__ import annotations

import pytest

from mbench.core import record_rules
from mbench.networks import architectures, costs, families, folding, layers, variants
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder


def residual() -> Graph:
    """An inverted residual: 8 channels to 48, depthwise 3x3, back to 8, and the sum."""
    builder = GraphBuilder()
    x = builder.convolution("stem", builder.input("x", (2, 3, 6, 6)), 8, kernel=3, role="stem")
    with builder.block("block1"):
        y = builder.convolution("expand", x, 48, role="expand", activation="relu6")
        y = builder.convolution("dw", y, 48, kernel=3, groups=48, role="depthwise", activation="relu6")
        y = builder.convolution("project", y, 8, role="project")
        y = builder.add("add", "add", y, x, role="residual")
    return folding.fold(builder.graph(y)).graph


def test_a_layer_is_named_for_its_anchor_and_says_what_else_it_computes() -> None:
    found = {spec.name: spec for spec in layers.of_graph(residual())}
    assert list(found) == ["stem", "block1.expand", "block1.dw", "block1.project"]
    assert found["block1.dw"].operations == ("conv2d", "relu6")
    assert found["block1.project"].operations == ("conv2d", "add")
    assert [(spec.block, spec.role) for spec in found.values()][1:] == [
        ("block1", "expand"), ("block1", "depthwise"), ("block1", "project")
    ]  # fmt: skip
    assert [spec.op for spec in found.values()] == [
        "conv2d", "pointwise_conv2d", "depthwise_conv2d", "pointwise_conv2d"
    ]  # fmt: skip
    assert found["block1.dw"].groups == 48
    assert found["stem"].kernel_size == (3, 3)


def test_a_layer_knows_every_layer_that_it_reads() -> None:
    found = {spec.name: spec for spec in layers.of_graph(residual())}
    assert found["stem"].inputs == ()
    assert found["block1.project"].inputs == ("block1.dw", "stem")


def test_costs_are_those_counted_by_hand() -> None:
    """Multiply-adds: pixels x outputs x inputs x taps / groups, at batch 2; a residual is read as well."""
    found = {spec.name: costs.of_layer(spec) for spec in layers.of_graph(residual())}
    assert [cost.macs for cost in found.values()] == [
        2 * 36 * 8 * 3 * 9, 2 * 36 * 48 * 8, 2 * 36 * 48 * 9, 2 * 36 * 8 * 48
    ]  # fmt: skip
    assert [cost.params for cost in found.values()] == [8 * 3 * 9, 48 * 8, 48 * 9, 8 * 48]
    assert [cost.biases for cost in found.values()] == [8, 48, 48, 8]
    assert found["block1.project"].activation_bytes == 4 * 2 * 36 * (48 + 8 + 8)
    assert found["stem"].weight_bytes == 4 * (8 * 3 * 9 + 8)


@pytest.mark.parametrize(
    ("groups", "kernel", "stride", "expected"),
    [(1, 3, 1, "conv2d"), (1, 1, 2, "conv2d"), (1, 1, 1, "pointwise_conv2d"), (8, 3, 1, "depthwise_conv2d"),
     (8, 1, 1, "depthwise_conv2d"), (2, 3, 1, "grouped_conv2d")],
)  # fmt: skip
def test_kinds_of_convolutions(groups: int, kernel: int, stride: int, expected: str) -> None:
    builder = GraphBuilder()
    x = builder.input("x", (1, 8, 6, 6))
    y = builder.convolution("conv", x, 16, kernel=kernel, stride=stride, groups=groups, norm=None)
    [layer] = layers.of_graph(builder.graph(y))
    assert layer.op == expected


def test_a_product_of_two_computed_values_has_no_parameters() -> None:
    builder = GraphBuilder()
    x, y = builder.input("x", (1, 2, 4, 5)), builder.input("y", (1, 2, 5, 4))
    [layer] = layers.of_graph(builder.graph(builder.add("matmul", "product", x, y)))
    assert (layer.op, layer.params, layer.macs) == ("matmul", 0, 2 * 4 * 4 * 5)
    assert layer.activation_elements == 80 + 2 * 4 * 4


@pytest.mark.parametrize("family", families.FAMILIES)
def test_layers_of_every_family_are_such_as_a_record_may_have(family: str) -> None:
    base, shallow = family.removesuffix("_shallow"), "_shallow" * family.endswith("_shallow")
    for suffix in ("", "_standard"):
        found = architectures.layers(variants.parse(f"{base}_1.0_64{shallow}{suffix}"))
        assert list(record_rules.of_layers(found, "$")) == []
        before: set[str] = set()
        for spec in found:
            assert set(spec.inputs) <= before
            before.add(spec.name)


def test_a_convolution_whose_output_is_only_seen_otherwise_keeps_its_four_sides() -> None:
    builder = GraphBuilder()
    pooled = builder.add("global_avg_pool", "pool", builder.input("x", (1, 8, 6, 6)))
    head = builder.convolution("head", pooled, 16, norm=None)
    found = layers.of_graph(builder.graph(builder.linear("fc", builder.add("reshape", "flat", head, shape=(1, 16)), 4)))
    assert [spec.output_shape for spec in found] == [(1, 8, 1, 1), (1, 16, 1, 1), (1, 4)]
    assert found[-1].inputs == ("head",)


def test_operations_of_users_files_are_kinds_of_their_own() -> None:
    builder = GraphBuilder()
    x = builder.convolution("conv", builder.input("x", (1, 3, 6, 6)), 8, norm=None)
    weight = builder.parameter("weight", (8, 2, 3, 2))
    y = builder.add("conv2d_transpose", "up", x, weight, strides=(2, 3), padding=(0, 0, 0, 0), output_padding=(0, 0),
                    dilation=(1, 1), groups=2)  # fmt: skip
    y = builder.add("resize2d", "larger", y, size=(26, 34), mode="nearest")
    y = builder.add("lrn", "norm", y, size=3, alpha=1.0, beta=0.75, bias=1.0)
    builder.add("reduce_max", "most", y, axes=(0, 1, 2, 3), keepdims=False)
    found = {spec.name: spec for spec in layers.of_graph(builder.graph("most"))}
    kinds = ["pointwise_conv2d", "transposed_conv2d", "resize", "norm", "reduce"]
    assert [spec.op for spec in found.values()] == kinds
    up = found["up"]
    assert (up.kernel_size, up.stride, up.groups, up.params) == ((3, 2), (2, 3), 2, 8 * 2 * 3 * 2)
    assert up.macs == 6 * 6 * 8 * 2 * 3 * 2
    assert found["most"].output_shape == (1,)
    assert list(record_rules.of_layers(list(found.values()), "layers")) == []


def test_values_of_other_types_count_with_their_own_bytes() -> None:
    builder = GraphBuilder()
    pixels = builder.input("pixels", (1, 3, 4, 5), dtype="uint8")
    x = builder.add("cast", "x", pixels, to="float32")
    builder.add("argmax", "best", builder.add("reshape", "rows", x, shape=(3, 20)), axis=1, keepdims=False)
    found = {spec.name: costs.of_layer(spec, "float16") for spec in layers.of_graph(builder.graph("best"))}
    assert found["x"].activation_bytes == 60 * 1 + 60 * 2
    assert found["best"].activation_bytes == 60 * 2 + 3 * 8
