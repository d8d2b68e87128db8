"""What each word writes: nodes, their names, blocks and roles, and the shapes that they give."""

from __future__ import annotations

import dataclasses

import pytest

from mbench.networks import blocks, family
from mbench.networks.family import Family
from mbench.networks.graph import Graph, GraphError, Node

FAMILY = Family(title="Acme", blocks="", channels=family.divisible)


def written(words: str, family: Family = FAMILY, *, resolution: int = 32) -> Graph:
    return blocks.graph(dataclasses.replace(family, blocks=words), width=1.0, resolution=resolution)


def block(word: str, family: Family = FAMILY) -> list[Node]:
    """Return the nodes of a block between a stem of 16 channels and a head."""
    graph = written(f"cn_k3_s2_c16 {word} pool fc_c10", family)
    return [node for node in graph.nodes if node.block == "block1"]


def names(nodes: list[Node]) -> list[str]:
    """Return the names of nodes behind the block's, without BatchNorm and activations."""
    kept = [node for node in nodes if node.op not in ("batch_norm", "relu", "hard_swish", "hard_sigmoid")]
    return [node.name.removeprefix("block1.") for node in kept]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("dsa_k3_c16", ["dw", "pw"]),
        ("ds_k3_c16", ["dw", "pw", "add"]),
        ("ds_k3_c16_noskip", ["dw", "pw"]),
        ("ds_k3_s2_c16", ["dw", "pw"]),
        ("ds_k3_c24", ["dw", "pw"]),
        ("ir_k3_e6_c16", ["expand", "dw", "project", "add"]),
        ("ir_k5_s2_e4_c40_se0.25", ["expand", "dw", "se.squeeze", "se.reduce", "se.excite", "se.scale", "project"]),
        ("er_k3_e4_c16", ["expand", "project", "add"]),
        ("uir_a3_k5_e4_c16", ["dw_start", "expand", "dw", "project", "add"]),
        ("uir_a3_k0_e4_c16", ["dw_start", "expand", "project", "add"]),
        ("uir_a0_k3_e4_c16", ["expand", "dw", "project", "add"]),
        ("uir_a0_k0_e2_c16", ["expand", "project", "add"]),
    ],
)
def test_the_layers_of_a_block(word: str, expected: list[str]) -> None:
    assert names(block(word)) == expected


@pytest.mark.parametrize(
    ("word", "strides"),
    [
        ("ir_k3_s2_e6_c24", {"expand": 1, "dw": 2, "project": 1}),
        ("er_k3_s2_e4_c24", {"expand": 2, "project": 1}),
        ("uir_a5_k3_s2_e4_c24", {"dw_start": 1, "expand": 1, "dw": 2, "project": 1}),
        ("uir_a5_k0_s2_e4_c24", {"dw_start": 2, "expand": 1, "project": 1}),
    ],
)
def test_the_stride_is_where_timm_has_it(word: str, strides: dict[str, int]) -> None:
    convolutions = {node.name.removeprefix("block1."): node for node in block(word) if node.op == "conv2d"}
    assert {name: node.attributes["strides"][0] for name, node in convolutions.items()} == strides


def test_roles() -> None:
    roles = {node.name: node.role for node in block("ir_k3_e6_c16_se0.25") if node.op != "batch_norm"}
    assert roles == {
        "block1.expand": "expand", "block1.expand.relu": "expand", "block1.dw": "depthwise",
        "block1.dw.relu": "depthwise", "block1.se.squeeze": "squeeze", "block1.se.reduce": "reduce",
        "block1.se.reduce.relu": "reduce", "block1.se.excite": "excite", "block1.se.excite.hard_sigmoid": "excite",
        "block1.se.scale": "excite", "block1.project": "project", "block1.add": "residual",
    }  # fmt: skip


def test_an_activation_is_the_blocks_own_or_the_familys() -> None:
    def used(word: str) -> set[str]:
        return {node.op for node in block(word, dataclasses.replace(FAMILY, activation="hard_swish"))} & {
            "relu",
            "hard_swish",
        }

    assert used("ir_k3_e6_c16") == {"hard_swish"}
    assert used("ir_k3_e6_c16_nre") == {"relu"}
    assert used("ir_k3_e6_c16_se0.25") == {"hard_swish", "relu"}  # ReLU inside squeeze-excite, as MobileNetV3 has it


def test_stem_and_head_and_convolutions_between() -> None:
    graph = written("cn_k3_s2_c16 cn_k3_s2_c32 ds_k3_c32 cn_k1_c64 pool cn_k1_c128_fix_bias fc_c10")
    convolutions = [node for node in graph.nodes if node.op == "conv2d"]
    assert [(node.name, node.block, node.role) for node in convolutions] == [
        ("conv0", "stem", "stem"), ("conv1", "block1", "standard"), ("block2.dw", "block2", "depthwise"),
        ("block2.pw", "block2", "pointwise"), ("conv3", "head", "head"), ("conv4", "head", "head"),
    ]  # fmt: skip
    tail = graph.nodes[-6:]
    assert [node.name for node in tail] == ["conv3.relu", "pool", "conv4", "conv4.relu", "flatten", "fc"]
    assert [node.shape for node in tail] == [(1, 64, 8, 8), (1, 64, 1, 1), *[(1, 128, 1, 1)] * 2, (1, 128), (1, 10)]
    assert graph.parameters["conv4.bias"].shape == (128,)
    assert "conv4.norm.mean" not in graph.parameters


def test_a_convolution_behind_the_first_is_a_block_of_its_own() -> None:
    graph = written("cn_k3_s2_c32 cn_k3_s1_c64 cn_k1_c32 pool fc_c10")
    found = [(node.name, node.block, node.role) for node in graph.nodes if node.op == "conv2d"]
    assert found == [
        ("conv0", "stem", "stem"), ("conv1", "block1", "standard"), ("conv2", "block2", "pointwise")
    ]  # fmt: skip


def test_layer_scale_ends_universal_blocks_and_attention() -> None:
    assert "layer_scale" not in names(block("uir_a3_k3_e4_c16"))
    for word in ("uir_a3_k3_e4_c16", "uir_a3_k3_e4_c24", "mqa_h2_d8_c16"):
        layers = names(block(word, dataclasses.replace(FAMILY, layer_scale=True)))
        assert layers[layers.index("project") + 1] == "layer_scale"


def test_a_window_that_does_not_fit_names_its_word() -> None:
    words = "cn_k3_s2_c8 " + "cn_k2_s2_c8 " * 5 + "pool fc_c10"
    assert written(words, resolution=64).outputs == ("fc",)
    with pytest.raises(GraphError, match="'cn_k2_s2_c8': a window of 2 does not fit a side of 1"):
        written(words, resolution=32)


def test_width_batch_and_type() -> None:
    known = dataclasses.replace(FAMILY, blocks="cn_k3_s2_c16_fix ds_k3_c64 pool fc_c10")
    graph = blocks.graph(known, width=0.5, resolution=64, batch=3, dtype="float16")
    assert graph.inputs["image"].shape == (3, 3, 64, 64)
    assert graph.by_name["conv0"].shape == (3, 16, 32, 32)
    assert graph.by_name["block1.pw"].shape == (3, 32, 32, 32)
    assert {node.dtype for node in graph.nodes} == {"float16"}
