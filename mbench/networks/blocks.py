"""A family's blocks as a few words, in timm's grammar, and the graph that they mean at a width and a resolution.

    cn_k3_s2_c32          convolution, 3x3, stride 2, 32 output channels, BatchNorm, activation
    dsa_k3_s1_c64_r5      depthwise-separable block as in MobileNetV1: an activation after both convolutions; 5 times
    ds_k3_s1_c16          the same as in MobileNetV2: none after the pointwise one, and a residual where shapes allow
    ir_k3_s2_e6_c24       inverted residual: expand 6 times, depthwise, project to 24 channels
    pool                  global average
    fc_c1000              fully connected

Channels are for width multiplier 1; what repeats has its stride the first time alone.

Source: timm, `timm/models/_efficientnet_builder.py`, `_decode_block_str`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder

EXAMPLE = "cn_k3_s2_c32 dsa_k3_s1_c64 pool fc_c1000"
_OPTION = r"(_(k[1-9]\d?|s[1-9]|c[1-9]\d{0,5}|e\d{1,2}(\.\d+)?|r[1-9]\d{0,2}|noskip))*"
_WORD = re.compile(rf"(cn|dsa|ds|ir){_OPTION}|pool|fc_c[1-9]\d{{0,5}}")


def truncated(channels: int, width: float) -> int:
    """Return the channels at a width multiplier as MobileNetV1 has them: truncated, at least 8.

    Source: `depth = lambda d: max(int(d * depth_multiplier), min_depth)`, min_depth 8, tensorflow/models,
    research/slim/nets/mobilenet_v1.py. The 1e-9 keeps 0.29 * 100 from becoming 28.
    """
    return max(int(channels * width + 1e-9), 8)


def divisible(channels: int, width: float) -> int:
    """Return the channels at a width multiplier as MobileNetV2 and later have them: the nearest multiple of 8.

    At least 8, and never less than 0.9 of the channels asked for. Source: `_make_divisible`, tensorflow/models,
    research/slim/nets/mobilenet/mobilenet.py.
    """
    asked = channels * width
    rounded = max(8, int(asked + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * asked else rounded


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """A family of networks: its blocks, and what all of its blocks have in common."""

    title: str
    """As people write it."""
    blocks: str
    """Words; see the module."""
    activation: str = "relu"
    channels: Callable[[int, float], int] = truncated
    """The channels of a layer at a width multiplier."""
    resolution: int = 224
    """Of the images, where a name does not say it."""
    norm_epsilon: float = 1e-5


def is_sound(blocks: str) -> bool:
    """Return whether words are blocks of a network: a convolution first, one pool, and a classifier at the end."""
    words = blocks.split()
    sound = all(_WORD.fullmatch(word) for word in words)
    return sound and len(words) > 2 and words[0].startswith("cn_") and words[-1].startswith("fc_") and "pool" in words


def graph(family: Family, *, width: float, resolution: int, batch: int = 1, dtype: str = "float32") -> Graph:
    """Return the graph of a network of a family, with BatchNorm as it is trained."""
    writer = _Writer(family, width, dtype)
    x = writer.builder.input("image", (batch, 3, resolution, resolution))
    for number, word in enumerate(_words(family.blocks)):
        x = writer.word(word, number, x)
    return writer.builder.graph(x)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Word:
    """A word's kind and options."""

    kind: str
    kernel: int = 1
    stride: int = 1
    channels: int = 0
    expansion: float = 1.0
    skips: bool = True


def _words(blocks: str) -> list[_Word]:
    """Return the words one by one, those that repeat as often as they say."""
    found: list[_Word] = []
    for text in blocks.split():
        kind, *options = text.split("_")
        named = {option[0]: option[1:] for option in options if option != "noskip"}
        word = _Word(
            kind=kind,
            kernel=int(named.get("k", 1)),
            stride=int(named.get("s", 1)),
            channels=int(named.get("c", 0)),
            expansion=float(named.get("e", 1)),
            skips="noskip" not in options,
        )
        repeats = int(named.get("r", 1))
        # MobileNetV1's blocks are told one by one where the stride changes
        found += [word, *[dataclasses.replace(word, stride=1)] * (repeats - 1)]
    return found


class _Writer:
    """Writes the blocks of a family into a graph."""

    def __init__(self, family: Family, width: float, dtype: str) -> None:
        self._family, self._width = family, width
        self.builder = GraphBuilder(dtype=dtype)

    def word(self, word: _Word, number: int, x: str) -> str:
        """Write one word, the `number`th of the network; returns its value."""
        return getattr(self, f"_{word.kind}")(word, number, x)

    def _channels(self, channels: int) -> int:
        return self._family.channels(channels, self._width)

    def _convolution(
        self, name: str, x: str, channels: int, *, role: str, activation: str | None = None, **how: int
    ) -> str:
        return self.builder.convolution(
            name, x, channels, role=role, activation=activation, norm=self._family.norm_epsilon, **how
        )

    def _cn(self, word: _Word, number: int, x: str) -> str:
        role = "stem" if number == 0 else "standard" if word.kernel > 1 else "pointwise"
        with self.builder.block("stem" if number == 0 else f"block{number}", prefix=""):
            return self._convolution(
                f"conv{number}", x, self._channels(word.channels), role=role, activation=self._family.activation,
                kernel=word.kernel, stride=word.stride,
            )  # fmt: skip

    def _depthwise(self, word: _Word, x: str) -> str:
        channels = self.builder.shape(x)[1]
        return self._convolution(
            "dw", x, channels, role="depthwise", activation=self._family.activation, kernel=word.kernel,
            stride=word.stride, groups=channels,
        )  # fmt: skip

    def _dsa(self, word: _Word, number: int, x: str) -> str:
        with self.builder.block(f"block{number}"):
            x = self._depthwise(word, x)
            out = self._channels(word.channels)
            return self._convolution("pw", x, out, role="pointwise", activation=self._family.activation)

    def _ds(self, word: _Word, number: int, x: str) -> str:
        with self.builder.block(f"block{number}"):
            y = self._convolution("pw", self._depthwise(word, x), self._channels(word.channels), role="pointwise")
            return self._residual(word, x, y)

    def _ir(self, word: _Word, number: int, x: str) -> str:
        with self.builder.block(f"block{number}"):
            inner = divisible(self.builder.shape(x)[1], word.expansion)
            y = self._convolution("expand", x, inner, role="expand", activation=self._family.activation)
            y = self._convolution("project", self._depthwise(word, y), self._channels(word.channels), role="project")
            return self._residual(word, x, y)

    def _residual(self, word: _Word, x: str, y: str) -> str:
        if not word.skips or word.stride > 1 or self.builder.shape(x) != self.builder.shape(y):
            return y
        return self.builder.add("add", "add", y, x, role="residual")

    def _pool(self, _word: _Word, _number: int, x: str) -> str:
        with self.builder.block("head", prefix=""):
            pooled = self.builder.add("global_avg_pool", "pool", x, role="pool")
            flat = self.builder.shape(pooled)[:2]
            return self.builder.add("reshape", "flatten", pooled, role="pool", shape=flat)

    def _fc(self, word: _Word, _number: int, x: str) -> str:
        with self.builder.block("head", prefix=""):
            return self.builder.linear("fc", x, word.channels)
