"""A family of networks: its blocks as words, and what all of its blocks have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from mbench.networks.block_words import Word


def truncated(channels: int, width: float) -> int:
    """Return the channels at a width multiplier as MobileNetV1 has them: truncated, at least 8.

    Source: `depth = lambda d: max(int(d * depth_multiplier), min_depth)`, min_depth 8, tensorflow/models,
    research/slim/nets/mobilenet_v1.py. The 1e-9 keeps 0.29 * 100 from becoming 28.
    """
    return max(int(channels * width + 1e-9), 8)


def divisible(channels: int, width: float) -> int:
    """Return the channels at a width multiplier as MobileNetV2 and later have them: the nearest multiple of 8.

    At least 8, and never less than 0.9 of the channels asked for. Source: `_make_divisible`, tensorflow/models,
    research/slim/nets/mobilenet/mobilenet.py; `round_channels` of timm.
    """
    asked = channels * width
    rounded = max(8, int(asked + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * asked else rounded


def of_expanded(channels: int, word: Word) -> int:
    """Return the channels inside squeeze-excite as MobileNetV3 has them: a part of those read, a multiple of 8."""
    return divisible(channels, word.squeeze)


def of_input(channels: int, word: Word) -> int:
    """Return the channels inside squeeze-excite as MnasNet has them: a part of those before the expansion.

    Source: `se_ratio /= exp_ratio` of timm's builder, where `se_from_exp` is False.
    """
    return max(1, round(channels * (word.squeeze / word.expansion)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """A family of networks."""

    title: str
    """As people write it."""
    blocks: str
    """Words, see `networks.block_words`."""
    activation: str = "relu"
    """Where a word says no other: an operation that takes one value, see `networks.operations`."""
    channels: Callable[[int, float], int] = truncated
    """The channels of a layer at a width multiplier."""
    resolution: int = 224
    """Of the images, where a name does not say it."""
    grid: tuple[str, ...] = ()
    """What is published, which lists show: patterns of WIDTH_RESOLUTION; none: width 1.0 at its own resolution."""
    norm_epsilon: float = 1e-5
    squeezed: Callable[[int, Word], int] = of_expanded
    """The channels inside a squeeze-excite block that reads so many, of a word."""
    gate: str = "hard_sigmoid"
    """What a squeeze-excite block ends with."""
    layer_scale: bool = False
    """Whether universal inverted bottlenecks and attention end with a factor for each channel, which is learned."""

    def channels_of(self, word: Word, width: float) -> int:
        """Return the output channels of a word at a width multiplier."""
        return word.channels if width < word.fixed_below else self.channels(word.channels, width)
