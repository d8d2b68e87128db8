"""Blocks into a graph: what each word of a family writes, at a width multiplier and a resolution."""

from __future__ import annotations

from collections.abc import Callable

from mbench.networks import attention_blocks, block_words
from mbench.networks.block_words import Word
from mbench.networks.family import Family, divisible
from mbench.networks.family_writer import FamilyWriter
from mbench.networks.graph import Graph, GraphError

_HEAD = "head"
_AROUND = ("cn", "pool", "fc")
"""Words that are one layer each, and no block with layers of its own."""


def graph(family: Family, *, width: float, resolution: int, batch: int = 1, dtype: str = "float32") -> Graph:
    """Return the graph of a network of a family, with BatchNorm as it is trained.

    The stem is `conv0`. A block is `blockN`, a convolution outside of blocks `convN`; they share their numbers. The
    head is what follows the last block: pointwise convolutions, the pool, the classifier.

    Raises:
        BlockError: the family's words are no blocks.
        GraphError: shapes do not fit, such as a window that is larger than the image.
    """
    words = block_words.read(family.blocks)
    writer = FamilyWriter(family, width, dtype)
    x = writer.builder.input("image", (batch, 3, resolution, resolution))
    kinds = [word.kind for word in words]
    end = max((place for place, kind in enumerate(kinds) if kind not in _AROUND), default=kinds.index("pool"))
    number = 0
    for place, word in enumerate(words):
        try:
            x = _written(writer, word, x, number=number, in_head=place > end)
        except GraphError as error:
            raise GraphError(f"{word.text!r}: {error}") from error
        number += word.kind != "pool"
    return writer.builder.graph(x)


def _written(writer: FamilyWriter, word: Word, x: str, *, number: int, in_head: bool) -> str:
    if word.kind == "pool":
        return _pooled(writer, x)
    if word.kind == "fc":
        return _classified(writer, word, x)
    if word.kind == "cn":
        return _convolved(writer, word, x, number=number, in_head=in_head)
    with writer.builder.block(f"block{number}"):
        return _BLOCKS[word.kind](writer, word, x)


def _pooled(writer: FamilyWriter, x: str) -> str:
    with writer.builder.block(_HEAD, prefix=""):
        return writer.builder.add("global_avg_pool", "pool", x, role="pool")


def _classified(writer: FamilyWriter, word: Word, x: str) -> str:
    with writer.builder.block(_HEAD, prefix=""):
        flat = writer.builder.add("reshape", "flatten", x, role="pool", shape=writer.builder.shape(x)[:2])
        return writer.builder.linear("fc", flat, word.channels)


def _convolved(writer: FamilyWriter, word: Word, x: str, *, number: int, in_head: bool) -> str:
    name, channels, activation = f"conv{number}", writer.channels(word), writer.activation(word)
    block, role = _place(word, number, in_head=in_head)
    with writer.builder.block(block, prefix=""):
        write = writer.with_bias if word.bias else writer.convolution
        return write(name, x, channels, role=role, activation=activation, kernel=word.kernel, stride=word.stride)


def _place(word: Word, number: int, *, in_head: bool) -> tuple[str, str]:
    """Return the block of a convolution outside of blocks, and its role there."""
    if not number:
        return "stem", "stem"
    if in_head and word.kernel == 1:
        return _HEAD, "head"
    return f"block{number}", "standard" if word.kernel > 1 else "pointwise"


def _separable(writer: FamilyWriter, word: Word, x: str) -> str:
    activation = writer.activation(word)
    y = writer.depthwise("dw", x, kernel=word.kernel, stride=word.stride, activation=activation)
    y = writer.squeeze_excite(word, y)
    last = activation if word.kind == "dsa" else None
    y = writer.convolution("pw", y, writer.channels(word), role="pointwise", activation=last)
    return y if word.kind == "dsa" else writer.residual(word, x, y)


def _inverted(writer: FamilyWriter, word: Word, x: str) -> str:
    y = _expanded(writer, word, x)
    y = writer.depthwise("dw", y, kernel=word.kernel, stride=word.stride, activation=writer.activation(word))
    return writer.residual(word, x, _projected(writer, word, y))


def _fused(writer: FamilyWriter, word: Word, x: str) -> str:
    y = _expanded(writer, word, x, kernel=word.kernel, stride=word.stride)
    return writer.residual(word, x, _projected(writer, word, y))


def _universal(writer: FamilyWriter, word: Word, x: str) -> str:
    y = x
    if word.start_kernel:
        stride = 1 if word.kernel else word.stride
        y = writer.depthwise("dw_start", y, kernel=word.start_kernel, stride=stride, activation=None)
    y = _expanded(writer, word, y)
    if word.kernel:
        y = writer.depthwise("dw", y, kernel=word.kernel, stride=word.stride, activation=writer.activation(word))
    return writer.residual(word, x, writer.layer_scale(_projected(writer, word, y)))


def _expanded(writer: FamilyWriter, word: Word, x: str, *, kernel: int = 1, stride: int = 1) -> str:
    inner = divisible(writer.channels_in(x), word.expansion)
    return writer.convolution(
        "expand", x, inner, role="expand", kernel=kernel, stride=stride, activation=writer.activation(word)
    )


def _projected(writer: FamilyWriter, word: Word, x: str) -> str:
    x = writer.squeeze_excite(word, x)
    return writer.convolution("project", x, writer.channels(word), role="project")


_BLOCKS: dict[str, Callable[[FamilyWriter, Word, str], str]] = {
    "dsa": _separable,
    "ds": _separable,
    "ir": _inverted,
    "er": _fused,
    "uir": _universal,
    "mqa": attention_blocks.multi_query,
    "mha": attention_blocks.multi_head,
}
