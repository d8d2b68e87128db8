"""Attention as MobileNetV4's hybrids have it: BatchNorm, attention over all pixels, layer scale, residual.

Source: Qin et al., arXiv:2404.10518, section 3.2; timm, `layers/attention2d.py`.

Queries and values are written as rows of channels, the order in which images lie in memory.
"""

from __future__ import annotations

import math

from mbench.networks.block_words import Word
from mbench.networks.family_writer import FamilyWriter
from mbench.networks.graph import GraphError

_TO_LAST, _TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
_ROLE = "attention"


def multi_query(writer: FamilyWriter, word: Word, x: str) -> str:
    """Write a block in which all heads share one key and one value for each pixel.

    With a key stride, keys and values are those of a smaller image, which depthwise convolutions make.
    """
    builder = writer.builder
    batch, _, height, width = builder.shape(x)
    heads, size = word.heads, word.head_channels
    y = writer.norm("norm", x, role=_ROLE)
    query = writer.bare("query", y, heads * size, role="query")
    query = builder.add("scale", "query.scale", query, role="query", factor=size**-0.5)
    query = _rows(writer, "query", query, (batch, height * width * heads, size))
    key = writer.bare("key", _smaller(writer, word, "key.dw", y), size, role="key")
    pixels = math.prod(builder.shape(key)[2:])
    columns = builder.add("reshape", "key.columns", key, role="key", shape=(batch, size, pixels))
    value = writer.bare("value", _smaller(writer, word, "value.dw", y), size, role="value")
    mixed = _attended(writer, query, columns, _rows(writer, "value", value, (batch, pixels, size)))
    mixed = builder.add("reshape", "attention.image", mixed, role=_ROLE, shape=(batch, height, width, heads * size))
    return _closed(writer, word, x, builder.add("permute", "attention.channels", mixed, role=_ROLE, axes=_TO_FIRST))


def multi_head(writer: FamilyWriter, word: Word, x: str) -> str:
    """Write a block in which each head has keys and values of its own: an equal part of the channels.

    Raises:
        GraphError: the channels are no multiple of the heads.
    """
    builder = writer.builder
    batch, channels, height, width = builder.shape(x)
    heads, pixels = word.heads, height * width
    if channels % heads:
        raise GraphError(f"{channels} channels in {heads} heads: expected a multiple")
    size = channels // heads
    y = writer.norm("norm", x, role=_ROLE)
    parts = {}
    for name in ("query", "key", "value"):
        part = writer.bare(name, y, channels, role=name)
        if name == "query":
            part = builder.add("scale", "query.scale", part, role=name, factor=size**-0.5)
        parts[name] = builder.add("reshape", f"{name}.heads", part, role=name, shape=(batch, heads, size, pixels))
    turned = {
        name: builder.add("permute", f"{name}.rows", parts[name], role=name, axes=(0, 1, 3, 2))
        for name in ("query", "value")
    }
    mixed = _attended(writer, turned["query"], parts["key"], turned["value"])
    mixed = builder.add("permute", "attention.channels", mixed, role=_ROLE, axes=(0, 1, 3, 2))
    image = builder.add("reshape", "attention.image", mixed, role=_ROLE, shape=(batch, channels, height, width))
    return _closed(writer, word, x, image)


def _smaller(writer: FamilyWriter, word: Word, name: str, x: str) -> str:
    if word.key_stride == 1:
        return x
    return writer.depthwise(name, x, kernel=word.kernel, stride=word.key_stride, activation=None)


def _rows(writer: FamilyWriter, name: str, x: str, shape: tuple[int, ...]) -> str:
    """Write an image as rows of channels."""
    last = writer.builder.add("permute", f"{name}.last", x, role=name, axes=_TO_LAST)
    return writer.builder.add("reshape", f"{name}.rows", last, role=name, shape=shape)


def _attended(writer: FamilyWriter, query: str, key: str, value: str) -> str:
    """Write a mean of the values for each query, weighted by how its product with each key compares to the others."""
    add = writer.builder.add
    weights = add(
        "softmax", "attention.weights", add("matmul", "attention.scores", query, key, role=_ROLE), role=_ROLE, axis=-1
    )
    return add("matmul", "attention.mean", weights, value, role=_ROLE)


def _closed(writer: FamilyWriter, word: Word, x: str, mixed: str) -> str:
    y = writer.bare("project", mixed, writer.channels(word), role="project")
    return writer.residual(word, x, writer.layer_scale(y))
