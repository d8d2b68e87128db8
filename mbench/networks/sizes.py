"""Sizes of networks as a name has them: width multiplier and resolution, and grids of them by braces. Pure text."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from mbench.core.errors import UsageError

MIN_RESOLUTION = 32
MAX_RESOLUTION = 4096
MIN_WIDTH = 0.01
MAX_WIDTH = 2.0

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_ONE_DIGIT = re.compile(r"-?[0-9]")


def width(text: str, name: str) -> float:
    """Return the width multiplier that a text stands for.

    Raises:
        UsageError: it is no number, or out of range. `name` is the network's, for the message.
    """
    expected = f"expected a number from {MIN_WIDTH} to {MAX_WIDTH}, such as 0.25 or 1.0"
    if not _NUMBER.fullmatch(text):
        raise UsageError(f"variant {name!r}: width multiplier {text!r} is not a number; {expected}")
    value = float(text)
    if not MIN_WIDTH <= value <= MAX_WIDTH:
        raise UsageError(f"variant {name!r}: width multiplier {text} is out of range; {expected}")
    return value


def resolution(text: str, name: str) -> int:
    """Return the resolution that a text stands for: height and width of the image, in pixels.

    Raises:
        UsageError: it is no whole number, or out of range. `name` is the network's, for the message.
    """
    expected = f"expected a whole number from {MIN_RESOLUTION} to {MAX_RESOLUTION}, such as 128 or 224"
    if not re.fullmatch(r"-?[0-9]{1,20}", text):
        raise UsageError(f"variant {name!r}: resolution {text!r} is not a whole number; {expected}")
    value = int(text)
    if not MIN_RESOLUTION <= value <= MAX_RESOLUTION:
        raise UsageError(f"variant {name!r}: resolution {text} is out of range; {expected}")
    return value


def is_size(text: str) -> bool:
    """Return whether a part of a name is meant as a width multiplier or a resolution."""
    return _NUMBER.fullmatch(text) is not None


def is_width(text: str) -> bool:
    """Return whether a size that stands alone is a width multiplier: it has a point, or one digit."""
    return is_size(text) and ("." in text or _ONE_DIGIT.fullmatch(text) is not None)


def expanded(pattern: str) -> Iterator[str]:
    """Return the names that a pattern with braces stands for, in order.

    Raises:
        UsageError: a brace is not closed, or is in another.
    """
    parts = re.split(r"\{([^{}]*)\}", pattern)
    if any(brace in part for part in parts for brace in "{}"):
        raise UsageError(
            f"variant pattern {pattern!r}: a brace is not closed or is nested; "
            "expected braces as in 'mobilenet_v1_{0.25,0.5}_224'"
        )
    choices = [part.split(",") if index % 2 else [part] for index, part in enumerate(parts)]
    return ("".join(choice) for choice in itertools.product(*choices))
