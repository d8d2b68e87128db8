"""A family of networks: its blocks as words, and what all of its blocks have in common."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable

from mbench.core.errors import UsageError, shown
from mbench.networks import block_words, operations, sizes
from mbench.networks.block_words import BlockError, Word
from mbench.networks.graph import GraphError

_MOST_CHANNELS = 10**6
_LONGEST_TITLE = 60
_MOST_LISTED = 1000


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

    blocks: str
    """Words, see `networks.block_words`."""
    title: str = ""
    """As people write it; empty: the name that begins the names of its networks."""
    activation: str = "relu"
    """Where a word names no other: an operation that takes one value, see `networks.operations`."""
    channels: Callable[[int, float], int] = truncated
    """The channels of a layer at a width multiplier."""
    resolution: int = 224
    """Of the images, where a name has none."""
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
        """Return the output channels of a word at a width multiplier.

        Raises:
            GraphError: the family gives no number of channels.
        """
        return word.channels if width < word.fixed_below else _some(self.channels(word.channels, width))

    def channels_inside(self, channels: int, word: Word) -> int:
        """Return the channels inside a squeeze-excite block that reads so many, of a word.

        Raises:
            GraphError: the family gives no number of channels.
        """
        return _some(self.squeezed(channels, word))

    @functools.cached_property
    def listed(self) -> tuple[str, ...]:
        """The sizes that lists show, each as WIDTH_RESOLUTION."""
        patterns = self.grid or (f"1.0_{self.resolution}",)
        listed = (size for pattern in patterns for size in sizes.expanded(pattern))
        return tuple(itertools.islice(listed, _MOST_LISTED + 1))


def _some(channels: object) -> int:
    if not isinstance(channels, int) or isinstance(channels, bool) or not 1 <= channels <= _MOST_CHANNELS:
        raise GraphError(f"a layer of {shown(channels)} channels; expected a whole number from 1 to {_MOST_CHANNELS}")
    return channels


def check(family: Family) -> None:
    """Check what another package wrote; its functions are not called.

    Raises:
        BlockError: an attribute is not what it should be, or the words are no network.
    """
    title = family.title
    fits = isinstance(title, str) and title.isprintable() and len(title) <= _LONGEST_TITLE
    _require(fits, "title", title, f"a line of at most {_LONGEST_TITLE} characters")
    _require(isinstance(family.blocks, str), "blocks", family.blocks, f"words as in {block_words.EXAMPLE!r}")
    for name in ("activation", "gate"):
        value = getattr(family, name)
        _require(value in operations.ACTIVATIONS, name, value, f"one of: {', '.join(operations.ACTIVATIONS)}")
    for name in ("channels", "squeezed"):
        _require(callable(getattr(family, name)), name, getattr(family, name), "a function")
    _require(type(family.layer_scale) is bool, "layer_scale", family.layer_scale, "True or False")
    epsilon = family.norm_epsilon
    fits = isinstance(epsilon, float) and math.isfinite(epsilon) and epsilon > 0
    _require(fits, "norm_epsilon", epsilon, "a number above 0, such as 1e-5")
    fits = isinstance(family.grid, tuple) and all(isinstance(pattern, str) for pattern in family.grid)
    _require(fits, "grid", family.grid, "patterns as in ('{0.5,1.0}_{192,224}',)")
    _require(isinstance(family.resolution, int), "resolution", family.resolution, "a whole number, such as 224")
    try:
        _require(len(family.listed) <= _MOST_LISTED, "grid", family.grid, f"at most {_MOST_LISTED} sizes")
        for size in (f"1.0_{family.resolution}", *family.listed):
            width, _, resolution = size.partition("_")
            sizes.width(width, size)
            sizes.resolution(resolution, size)
    except UsageError as error:
        raise BlockError(f"its sizes cannot be: {error}") from error
    try:
        block_words.read(family.blocks)
    except BlockError as error:
        raise BlockError(f"{shown(family.blocks)} are no blocks: {error}") from error


def _require(condition: bool, name: str, value: object, expected: str) -> None:
    if not condition:
        plain = value is None or isinstance(value, str | int | float)
        found = shown(value) if plain else f"of type {type(value).__name__}"
        raise BlockError(f"its attribute {name!r} is {found}; expected {expected}")
