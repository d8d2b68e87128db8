"""Writing blocks into a graph: the parts that several kinds of blocks have, at a family's width multiplier."""

from __future__ import annotations

from mbench.networks.block_words import Word
from mbench.networks.family import Family
from mbench.networks.graph_builder import GraphBuilder


class FamilyWriter:
    """Writes parts of blocks of one family into a graph; each returns the name of its value."""

    def __init__(self, family: Family, width: float, dtype: str) -> None:
        self.builder = GraphBuilder(dtype=dtype)
        self._family, self._width = family, width

    def channels(self, word: Word) -> int:
        """Return the output channels of a word."""
        return self._family.channels_of(word, self._width)

    def channels_in(self, x: str) -> int:
        """Return the channels of a value."""
        return self.builder.shape(x)[1]

    def activation(self, word: Word) -> str:
        """Return the activation of a block."""
        return word.activation or self._family.activation

    def convolution(
        self,
        name: str,
        x: str,
        channels: int,
        *,
        role: str,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: str | None = None,
    ) -> str:
        """Write a convolution, the BatchNorm after it, and an activation where one is named."""
        return self.builder.convolution(
            name, x, channels, role=role, kernel=kernel, stride=stride, groups=groups, activation=activation,
            norm=self._family.norm_epsilon,
        )  # fmt: skip

    def with_bias(
        self, name: str, x: str, channels: int, *, role: str, kernel: int = 1, stride: int = 1, activation: str
    ) -> str:
        """Write a convolution with a bias in the place of BatchNorm, and an activation."""
        return self.builder.convolution(
            name, x, channels, role=role, kernel=kernel, stride=stride, activation=activation, norm=None, bias=True
        )

    def bare(self, name: str, x: str, channels: int, *, role: str) -> str:
        """Write a pointwise convolution without bias, BatchNorm and activation."""
        return self.builder.convolution(name, x, channels, role=role, norm=None)

    def norm(self, name: str, x: str, *, role: str) -> str:
        """Write a BatchNorm."""
        return self.builder.batch_norm(name, x, role=role, epsilon=self._family.norm_epsilon)

    def depthwise(self, name: str, x: str, *, kernel: int, stride: int, activation: str | None) -> str:
        """Write a depthwise convolution."""
        channels = self.channels_in(x)
        return self.convolution(
            name, x, channels, role="depthwise", activation=activation, kernel=kernel, stride=stride, groups=channels
        )

    def squeeze_excite(self, word: Word, x: str) -> str:
        """Write squeeze-excite where a word asks for it: each channel times a gate that the means of all decide."""
        if not word.squeeze:
            return x
        channels = self.channels_in(x)
        inner = self._family.channels_inside(channels, word)
        y = self.builder.add("global_avg_pool", "se.squeeze", x, role="squeeze")
        y = self.with_bias("se.reduce", y, inner, role="reduce", activation="relu")
        y = self.with_bias("se.excite", y, channels, role="excite", activation=self._family.gate)
        return self.builder.add("multiply", "se.scale", x, y, role="excite")

    def layer_scale(self, x: str) -> str:
        """Write a factor for each channel, where the family has it."""
        if not self._family.layer_scale:
            return x
        return self.builder.channel_scale("layer_scale", x, role="project")

    def residual(self, word: Word, x: str, y: str) -> str:
        """Write the sum with what the block reads, where both have one shape."""
        if not word.skips or word.stride > 1 or self.builder.shape(x) != self.builder.shape(y):
            return y
        return self.builder.add("add", "add", y, x, role="residual")
