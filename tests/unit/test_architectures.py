"""What a variant's name means: its layers beside the papers' tables, their names, blocks and roles."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mbench.core.errors import UsageError
from mbench.core.field_types import CONVOLUTIONS
from mbench.core.records import Variant
from mbench.networks import architectures, families, torch_network, variants
from mbench.networks.families import FAMILIES
from mbench.networks.graph import Graph
from mbench.networks.layers import LayerSpec

# arXiv:1704.04861, table 1, row by row: kernel, stride, input side, input channels, output channels. The last depthwise
# row prints stride 2, but the input of the row after it is still 7x7: there the stride is 1.
TABLE_1 = [
    ("conv2d", 3, 2, 224, 3, 32),
    ("depthwise_conv2d", 3, 1, 112, 32, 32),
    ("pointwise_conv2d", 1, 1, 112, 32, 64),
    ("depthwise_conv2d", 3, 2, 112, 64, 64),
    ("pointwise_conv2d", 1, 1, 56, 64, 128),
    ("depthwise_conv2d", 3, 1, 56, 128, 128),
    ("pointwise_conv2d", 1, 1, 56, 128, 128),
    ("depthwise_conv2d", 3, 2, 56, 128, 128),
    ("pointwise_conv2d", 1, 1, 28, 128, 256),
    ("depthwise_conv2d", 3, 1, 28, 256, 256),
    ("pointwise_conv2d", 1, 1, 28, 256, 256),
    ("depthwise_conv2d", 3, 2, 28, 256, 256),
    ("pointwise_conv2d", 1, 1, 14, 256, 512),
    *[("depthwise_conv2d", 3, 1, 14, 512, 512), ("pointwise_conv2d", 1, 1, 14, 512, 512)] * 5,
    ("depthwise_conv2d", 3, 2, 14, 512, 512),
    ("pointwise_conv2d", 1, 1, 7, 512, 1024),
    ("depthwise_conv2d", 3, 1, 7, 1024, 1024),
    ("pointwise_conv2d", 1, 1, 7, 1024, 1024),
]


def layers(name: str, batch: int = 1) -> tuple[LayerSpec, ...]:
    return architectures.layers(variants.parse(name, batch=batch))


def row(spec: LayerSpec) -> tuple[object, ...]:
    assert spec.kernel_size is not None
    assert spec.stride is not None
    [kernel], [stride] = set(spec.kernel_size), set(spec.stride)
    return (spec.op, kernel, stride, spec.input_shape[2], spec.input_shape[1], spec.output_shape[1])


def test_the_layers_are_those_of_the_papers_table_1() -> None:
    *convolutions, pool, fc = layers("mobilenet_v1_1.0_224")
    assert [row(spec) for spec in convolutions] == TABLE_1
    assert (pool.op, pool.input_shape, pool.output_shape) == ("pool", (1, 1024, 7, 7), (1, 1024))
    assert (fc.op, fc.input_shape, fc.output_shape) == ("dense", (1, 1024), (1, 1000))


def test_shallow_removes_the_five_blocks_of_14x14x512() -> None:
    # arXiv:1704.04861, section 3.3: "the 5 layers of separable filters with feature size 14 x 14 x 512 are removed"
    *convolutions, _, _ = layers("mobilenet_v1_1.0_224_shallow")
    assert [row(spec) for spec in convolutions] == TABLE_1[:13] + TABLE_1[23:]


def test_standard_puts_one_convolution_for_each_block() -> None:
    *convolutions, _, _ = layers("mobilenet_v1_1.0_224_standard")
    blocks = zip(TABLE_1[1::2], TABLE_1[2::2], strict=True)
    expected = [
        ("conv2d", 3, depthwise[2], depthwise[3], depthwise[4], pointwise[5]) for depthwise, pointwise in blocks
    ]
    assert [row(spec) for spec in convolutions] == [TABLE_1[0], *expected]
    assert all(spec.groups == 1 for spec in convolutions)


def test_names_are_unique_and_say_the_block() -> None:
    names = [spec.name for spec in layers("mobilenet_v1_0.25_32")]
    assert len(set(names)) == len(names)
    assert names[:3] == ["conv0", "block1.dw", "block1.pw"]
    assert names[-4:] == ["block13.dw", "block13.pw", "pool", "fc"]


# arXiv:1801.04381, table 2: input side, expansion, output channels, repeats, stride of the first.
V2_TABLE_2 = [
    (112, 1, 16, 1, 1), (112, 6, 24, 2, 2), (56, 6, 32, 3, 2), (28, 6, 64, 4, 2), (14, 6, 96, 3, 1), (14, 6, 160, 3, 2),
    (7, 6, 320, 1, 1),
]  # fmt: skip


def test_mobilenet_v2_is_the_papers_table_2() -> None:
    specs = {spec.name: spec for spec in layers("mobilenet_v2_1.0_224")}
    number, inputs = 1, 32
    for side, expansion, outputs, repeats, first in V2_TABLE_2:
        for repeat in range(repeats):
            stride, here = (first, side) if repeat == 0 else (1, side // first)
            dw, last = specs[f"block{number}.dw"], specs[f"block{number}.{'project' if expansion > 1 else 'pw'}"]
            assert row(dw) == ("depthwise_conv2d", 3, stride, here, expansion * inputs, expansion * inputs)
            assert row(last) == ("pointwise_conv2d", 1, 1, here // stride, expansion * inputs, outputs)
            assert ("add" in last.operations) == (repeat > 0)
            number, inputs = number + 1, outputs
    assert row(specs[f"conv{number}"]) == ("pointwise_conv2d", 1, 1, 7, 320, 1280)


# arXiv:1905.02244, tables 1 and 2: kernel, expanded channels, output channels, squeeze-excite, activation, stride.
V3_TABLES = {
    "mobilenet_v3_large": [
        (3, 16, 16, False, "relu", 1), (3, 64, 24, False, "relu", 2), (3, 72, 24, False, "relu", 1),
        (5, 72, 40, True, "relu", 2), (5, 120, 40, True, "relu", 1), (5, 120, 40, True, "relu", 1),
        (3, 240, 80, False, "hard_swish", 2), (3, 200, 80, False, "hard_swish", 1),
        (3, 184, 80, False, "hard_swish", 1), (3, 184, 80, False, "hard_swish", 1),
        (3, 480, 112, True, "hard_swish", 1), (3, 672, 112, True, "hard_swish", 1),
        (5, 672, 160, True, "hard_swish", 2), (5, 960, 160, True, "hard_swish", 1),
        (5, 960, 160, True, "hard_swish", 1),
    ],
    "mobilenet_v3_small": [
        (3, 16, 16, True, "relu", 2), (3, 72, 24, False, "relu", 2), (3, 88, 24, False, "relu", 1),
        (5, 96, 40, True, "hard_swish", 2), (5, 240, 40, True, "hard_swish", 1), (5, 240, 40, True, "hard_swish", 1),
        (5, 120, 48, True, "hard_swish", 1), (5, 144, 48, True, "hard_swish", 1), (5, 288, 96, True, "hard_swish", 2),
        (5, 576, 96, True, "hard_swish", 1), (5, 576, 96, True, "hard_swish", 1),
    ],
}  # fmt: skip


@pytest.mark.parametrize("family", V3_TABLES)
def test_mobilenet_v3_is_the_papers_tables(family: str) -> None:
    specs = {spec.name: spec for spec in layers(family)}
    for number, (kernel, expanded, outputs, squeezed, activation, stride) in enumerate(V3_TABLES[family], start=1):
        dw, last = specs[f"block{number}.dw"], specs.get(f"block{number}.project") or specs[f"block{number}.pw"]
        assert row(dw)[:3] == ("depthwise_conv2d", kernel, stride)
        assert dw.output_shape[1] == last.input_shape[1] == expanded
        assert last.output_shape[1] == outputs
        assert dw.operations[-1] == activation
        assert (f"block{number}.se.scale" in specs) == squeezed
    assert sum(spec.name.endswith(".dw") for spec in specs.values()) == len(V3_TABLES[family])


@pytest.mark.parametrize("family", FAMILIES)
def test_every_name_is_unique_and_every_layer_has_a_block_and_a_role(family: str) -> None:
    specs = layers(f"{family}_0.5_64".replace("_shallow_0.5_64", "_0.5_64_shallow"))
    assert len({spec.name for spec in specs}) == len(specs)
    assert (specs[0].name, specs[0].block, specs[0].role) == ("conv0", "stem", "stem")
    assert (specs[-1].name, specs[-1].block, specs[-1].role) == ("fc", "head", "classifier")
    assert all(spec.block and spec.role != "other" for spec in specs)
    for spec in specs:
        assert spec.name.replace(".", "_").isidentifier(), spec.name


@pytest.mark.parametrize("family", FAMILIES)
def test_images_have_four_sides_in_every_layer(family: str) -> None:
    """A convolution behind the pool, too, whose output is read flattened; what a record says of it is its image."""
    for spec in layers(family):
        if spec.op in CONVOLUTIONS:
            assert len(spec.input_shape) == len(spec.output_shape) == 4, spec.name


@given(
    width=st.integers(1, 200).map(lambda hundredths: hundredths / 100),
    resolution=st.integers(32, 512),
    suffix=st.sampled_from(["", "_standard", "_shallow", "_shallow_standard"]),
)
def test_each_layer_takes_what_the_one_before_it_gives(width: float, resolution: int, suffix: str) -> None:
    specs = layers(f"mobilenet_v1_{width}_{resolution}{suffix}")
    assert specs[0].input_shape == (1, 3, resolution, resolution)
    assert specs[-1].output_shape == (1, 1000)
    for before, after in itertools.pairwise(specs):
        assert before.output_shape == after.input_shape
    for spec in specs:
        assert spec.groups == (
            spec.input_shape[1] if spec.op == "depthwise_conv2d" else 1 if spec.op in CONVOLUTIONS else None
        )


def every_shape(variant: Variant) -> dict[str, tuple[int, ...]]:
    """Return the shape of each value as torch computes it."""
    graph = architectures.graph(variant)
    whole = Graph(
        inputs=graph.inputs, parameters=graph.parameters, nodes=graph.nodes,
        outputs=tuple(node.name for node in graph.nodes),
    )  # fmt: skip
    given = {name: torch.zeros(graph.shape(name)).numpy() for name in graph.parameters}
    computed = torch_network.run(whole, given, torch_network.example_inputs(graph))
    return {name: tuple(value.shape) for name, value in zip(whole.outputs, computed, strict=True)}


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(
    "name",
    [
        *(f"mobilenet_v1_{size}" for size in ("0.25_64", "0.33_33", "1.4_96", "0.1_65", "0.5_47_standard",
                                              "0.33_33_shallow", "0.25_127_shallow_standard")),
        "mobilenet_v2_0.35_47", "mobilenet_v3_small_0.5_33", "mobilenet_v4_conv_small_0.35_65_standard",
        "mobilenet_v4_hybrid_medium_0.25_50", "efficientnet_lite1_0.25_41", "mnasnet_a1_0.35_39_standard",
    ],
)  # fmt: skip
def test_shapes_are_those_that_torch_computes(name: str, batch: int) -> None:
    variant = variants.parse(name, batch=batch)
    graph = architectures.graph(variant)
    assert {node.name: node.shape for node in graph.nodes} == every_shape(variant)
    resolution = int(variant.number("resolution"))
    assert graph.inputs["image"].shape == (batch, 3, resolution, resolution)


def test_blocks_roles_and_inputs_follow_from_the_words() -> None:
    separable, standard = layers("mobilenet_v1_0.25_32"), layers("mobilenet_v1_0.25_32_standard")
    assert [(spec.block, spec.role) for spec in separable[:4]] == [
        ("stem", "stem"), ("block1", "depthwise"), ("block1", "pointwise"), ("block2", "depthwise")
    ]  # fmt: skip
    assert [(spec.block, spec.role) for spec in separable[-2:]] == [("head", "pool"), ("head", "classifier")]
    for specs in (separable, standard):
        assert specs[0].inputs == ()
        assert [spec.inputs for spec in specs[1:]] == [(spec.name,) for spec in specs[:-1]]


@pytest.mark.parametrize("name", ["mobilenet_v1_1.0_224", "mobilenet_v1_0.25_32_shallow"])
def test_a_standard_convolution_knows_the_block_that_it_replaces(name: str) -> None:
    """It has the shapes of the whole block, and all else of the two networks is the same."""
    separable, standard = layers(name), layers(f"{name}_standard")
    for spec in standard:
        block = [other for other in separable if other.block == spec.block]
        if spec.role == "standard":
            assert [other.role for other in block] == ["depthwise", "pointwise"]
            assert (block[0].input_shape, block[-1].output_shape) == (spec.input_shape, spec.output_shape)
            assert (block[0].kernel_size, block[0].stride) == (spec.kernel_size, spec.stride)
        else:
            assert spec.name in [other.name for other in block]


def test_the_convolutions_of_a_universal_block_become_two() -> None:
    specs = {spec.name: spec for spec in layers("mobilenet_v4_conv_small_1.0_224_standard")}
    assert row(specs["block5.conv_start"]) == ("conv2d", 5, 1, 28, 64, 192)
    assert row(specs["block5.conv"]) == ("conv2d", 5, 2, 28, 192, 96)


def test_a_size_that_a_family_has_no_network_of_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "cn_k3_s2_c8 " + "cn_k2_s2_c8 " * 5 + "pool fc_c10"
    halving = dataclasses.replace(families.FAMILIES["mobilenet_v1"], blocks=words)
    monkeypatch.setitem(families.FAMILIES, "halving", halving)
    assert len(layers("halving_1.0_64")) == 8
    with pytest.raises(UsageError) as caught:
        layers("halving_1.0_32")
    assert str(caught.value) == (
        "variant 'halving_1.0_32': 'cn_k2_s2_c8': a window of 2 does not fit a side of 1; its family has no network of "
        "this size"
    )


def test_titles_are_the_familys_own_and_an_unknown_family_is_as_it_is() -> None:
    assert architectures.title("mobilenet_v4_hybrid_medium") == "MobileNetV4 hybrid medium"
    assert architectures.title("resnet50") == "resnet50"
    with pytest.raises(UsageError, match="family 'resnet50' is not known; see 'mbench variants'"):
        architectures.family_of("resnet50")
