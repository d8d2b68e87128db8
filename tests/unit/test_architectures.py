from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mbench.networks import architectures, families, torch_network, variants

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


def layers(name: str, batch: int = 1) -> tuple[architectures.LayerSpec, ...]:
    return architectures.layers(variants.parse(name, batch=batch))


def row(spec: architectures.LayerSpec) -> tuple[object, ...]:
    return (spec.op, spec.kernel, spec.stride, spec.input_shape[2], spec.input_shape[1], spec.output_shape[1])


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


@pytest.mark.parametrize(
    ("channels", "width", "expected"),
    [
        (32, 1.0, 32),
        (64, 0.5, 32),
        (32, 0.75, 24),
        (64, 0.33, 21),  # 21.12, truncated
        (1024, 1.4, 1433),  # 1433.6, truncated
        (32, 0.25, 8),
        (32, 0.1, 8),  # 3.2, but never fewer than 8
        (1000, 0.29, 290),  # 0.29 * 1000 is 289.99999999999994 in binary
    ],
)
def test_channels_are_truncated_and_at_least_8(channels: int, width: float, expected: int) -> None:
    assert architectures.scaled_channels(channels, width) == expected


@given(
    width=st.integers(1, 140).map(lambda hundredths: hundredths / 100),
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
        assert spec.groups == (spec.input_shape[1] if spec.op == "depthwise_conv2d" else 1)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(
    "name",
    ["0.25_64", "0.33_33", "1.4_96", "0.1_65", "0.5_47_standard", "0.33_33_shallow", "0.25_127_shallow_standard"],
)
def test_shapes_are_those_that_torch_computes(name: str, batch: int) -> None:
    variant = variants.parse(f"mobilenet_v1_{name}", batch=batch)
    seen: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = []

    def look(module: str, given: torch.Tensor, result: torch.Tensor) -> None:
        seen.append((module, tuple(given.shape), tuple(result.shape)))

    built = torch_network.build(variant)
    for module_name, module in built.named_children():
        module.register_forward_hook(lambda _, given, result, name=module_name: look(name, given[0], result))
    with torch.no_grad():
        built(torch_network.example_input(variant))
    specs = architectures.layers(variant)
    assert seen == [(spec.name.replace(".", "_"), spec.input_shape, spec.output_shape) for spec in specs]


def test_convolutions_have_the_kernel_stride_and_groups_of_their_layer() -> None:
    variant = variants.parse("mobilenet_v1_0.25_33")
    for spec, module in zip(architectures.layers(variant), torch_network.build(variant).children(), strict=True):
        if not spec.is_conv:
            continue
        conv, norm, activation = module
        assert isinstance(norm, nn.BatchNorm2d)
        assert isinstance(activation, nn.ReLU)
        assert conv.kernel_size == (spec.kernel, spec.kernel)
        assert conv.stride == (spec.stride, spec.stride)
        assert conv.groups == spec.groups
        assert conv.bias is None


def test_blocks_roles_and_inputs_follow_from_the_strings() -> None:
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
            assert (block[0].kernel, block[0].stride) == (spec.kernel, spec.stride)
        else:
            assert spec.name in [other.name for other in block]


def test_a_convolution_behind_the_first_is_a_block_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(families.FAMILIES, "two", "conv_k3_s2_c32 conv_k3_s1_c64 pool fc_c10")
    stem, block, *_ = layers("two_1.0_32")
    assert (stem.name, stem.block, stem.role) == ("conv0", "stem", "stem")
    assert (block.name, block.block, block.role) == ("conv1", "block1", "standard")
