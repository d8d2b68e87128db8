"""Attention blocks: shapes, roles, and what has to be laid out anew. test_families compares their outputs with timm."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mbench.networks import attention_blocks, folding, kernels
from mbench.networks.block_words import Word
from mbench.networks.family import Family, divisible
from mbench.networks.family_writer import FamilyWriter
from mbench.networks.graph import Graph, GraphError

FAMILY = Family(blocks="", channels=divisible, layer_scale=True)
SHARED = Word(text="", kind="mqa", kernel=3, heads=4, head_channels=8, key_stride=2, channels=16)
APART = Word(text="", kind="mha", heads=2, head_channels=8, channels=24)


def written(write: Callable[[FamilyWriter, Word, str], str], word: Word) -> Graph:
    """Return a block that reads an image of 16 channels and 16x12 pixels, with a convolution before and after."""
    writer = FamilyWriter(FAMILY, 1.0, "float32")
    x = writer.convolution("before", writer.builder.input("image", (1, 3, 16, 12)), 16, role="stem")
    y = write(writer, word, x)
    return writer.builder.graph(writer.builder.add("global_avg_pool", "after", y))


def test_one_key_and_value_of_fewer_pixels() -> None:
    shapes = {node.name: node.shape for node in written(attention_blocks.multi_query, SHARED).nodes}
    pixels, fewer = 16 * 12, 8 * 6
    assert shapes["query"] == (1, 4 * 8, 16, 12)
    assert shapes["key.dw"] == shapes["value.dw"] == (1, 16, 8, 6)
    assert shapes["key"] == shapes["value"] == (1, 8, 8, 6)
    assert shapes["attention.scores"] == shapes["attention.weights"] == (1, pixels * 4, fewer)
    assert shapes["attention.mean"] == (1, pixels * 4, 8)
    assert shapes["project"] == shapes["layer_scale"] == shapes["add"] == (1, 16, 16, 12)


def test_without_a_stride_keys_are_of_every_pixel() -> None:
    word = Word(text="", kind="mqa", heads=4, head_channels=8, channels=16)
    graph = written(attention_blocks.multi_query, word)
    assert "key.dw" not in graph.by_name
    assert graph.shape("attention.scores") == (1, 16 * 12 * 4, 16 * 12)


def test_heads_with_keys_and_values_of_their_own() -> None:
    shapes = {node.name: node.shape for node in written(attention_blocks.multi_head, APART).nodes}
    assert shapes["query"] == shapes["key"] == shapes["value"] == (1, 16, 16, 12)
    assert shapes["attention.scores"] == (1, 2, 192, 192)
    assert shapes["project"] == (1, 24, 16, 12)
    assert "add" not in shapes  # 16 channels are read, 24 given


def test_heads_share_the_channels_evenly() -> None:
    with pytest.raises(GraphError, match="16 channels in 3 heads: expected a multiple"):
        written(attention_blocks.multi_head, Word(text="", kind="mha", heads=3, head_channels=8, channels=24))


def test_roles_say_what_each_layer_does() -> None:
    roles = {node.name: node.role for node in written(attention_blocks.multi_query, SHARED).nodes}
    assert {roles[name] for name in ("query", "query.scale", "query.rows")} == {"query"}
    assert (roles["key.dw"], roles["key"], roles["key.columns"]) == ("depthwise", "key", "key")
    assert (roles["value.dw"], roles["value"]) == ("depthwise", "value")
    assert {roles[name] for name in ("norm", "attention.scores", "attention.weights", "attention.mean")} == {
        "attention"
    }
    assert (roles["project"], roles["add"]) == ("project", "residual")


def test_of_what_attention_reshapes_the_keys_alone_move_in_memory() -> None:
    """Images lie channels last: a pixel's query is a row of numbers already, and the mean of values a pixel."""
    groups = kernels.groups(folding.fold(written(attention_blocks.multi_query, SHARED)).graph)
    moved = [group.anchor.name for group in groups if group.nodes and group.anchor.op in ("reshape", "permute")]
    assert moved == ["key.columns"]
