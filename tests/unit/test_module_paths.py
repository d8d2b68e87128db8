"""Blocks by the paths of modules, as torchvision, timm and Keras write them."""

from __future__ import annotations

import pytest

from mbench.networks.importers import module_paths

V3 = (
    *("features.0.0", "features.1.block.0.0", "features.1.block.1.0"),
    *("features.4.block.0.0", "features.4.block.1.0", "features.4.block.2.fc1", "features.4.block.2.fc2"),
    *("features.4.block.3.0", "features.12.0", "classifier.0", "classifier.3"),
)
STAGES = ("stem.0", "stages.0.blocks.0.conv_dw", "stages.0.blocks.0.mlp.fc1", "stages.1.downsample.1", "head.fc")
DENSE = ("features.conv0", "features.block1.layer1.conv1", "features.block1.layer1.conv2", "classifier")
V4 = ("blocks.0.0.conv", "blocks.0.1.conv", *(f"blocks.1.{n}.{part}.conv" for n in range(3) for part in ("dw", "pw")))
KERAS = ("Conv1", "block_1_expand", "block_1_depthwise", "block_1_project", "block1a_se_reduce", "Conv_1")
PADDLE = ("conv2d_53", "conv2d_54", "depthwise_conv2d_0")


@pytest.mark.parametrize(
    ("weighted", "path", "expected"),
    [
        (V3, "features.0.0", "features.0"),
        (V3, "features.4.block.0.0", "features.4"),
        (V3, "features.4.block.2.fc1", "features.4"),
        (V3, "features.4.block.2.activation", "features.4"),
        (V3, "features.4", "features.4"),
        (V3, "features.12.0", "features.12"),
        (V3, "classifier.3", "classifier"),
        (V3, "avgpool", None),
        (STAGES, "stages.0.blocks.0.conv_dw", "stages.0.blocks.0"),
        (STAGES, "stages.0.blocks.0", "stages.0.blocks.0"),
        (STAGES, "stages.1.downsample.1", "stages.1"),
        (STAGES, "stem.0", "stem"),
        (STAGES, "head.fc", "head"),
        (DENSE, "features.block1.layer1.conv2", "features.block1.layer1"),
        (DENSE, "classifier", "classifier"),
        (V4, "blocks.0.1.conv", "blocks.0.1"),
        (V4, "blocks.1.2.pw.conv", "blocks.1.2"),
        (KERAS, "block_1_depthwise", "block_1"),
        (KERAS, "block_1_depthwise_relu", "block_1"),
        (KERAS, "block1a_se_reduce", "block1a"),
        (PADDLE, "conv2d_54", None),
        (("net/block_2/conv", "net/block_2/dw", "net/head/fc"), "net/block_2/dw", "net/block_2"),
        ((), "anything.0.conv", None),
    ],
)
def test_the_block_of_a_path(weighted: tuple[str, ...], path: str, expected: str | None) -> None:
    assert module_paths.blocks(weighted, [path])[path] == expected


@pytest.mark.parametrize("path", ["/Conv", "/Conv_1", "", "/", ".", "//x", "a//b", "x/", "/net/0/conv"])
def test_a_block_has_a_name(path: str) -> None:
    for weighted in (["/Conv", "/Conv_1"], ["/", "a//b", "x"], ["/net/0/conv", "/net/0/fc", "/net/1/conv"], [path]):
        assert module_paths.blocks(weighted, [path])[path] != ""
    assert module_paths.blocks(["/Conv", "/Conv_1"], ["/Conv"]) == {"/Conv": None}
    assert module_paths.blocks(["/net/0/conv", "/net/0/fc"], ["/net/0/fc"]) == {"/net/0/fc": "net/0"}


def test_a_path_of_ten_thousand_parts() -> None:
    deep = ".".join(["a"] * 2_000)
    assert module_paths.blocks([deep], [deep])[deep] is not None
