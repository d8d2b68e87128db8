"""Amounts as people write them: `20ms`, `4 MB`, `4MiB`, `5 mJ`, `65%`. Of options that take a limit."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from mbench.core.errors import UsageError, shortened

_NUMBER = re.compile(
    r"(?P<number>[0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?|\.[0-9]+)\s*(?P<unit>[A-Za-z\u00b5\u03bc%]*)", re.IGNORECASE
)
_LONGEST = 40
"""Characters of what was given that a message shows."""
_TIMES = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "\u03bcs": 1e-6, "ms": 1e-3, "s": 1.0,
    **dict.fromkeys(("sec", "second", "seconds"), 1.0),
}  # fmt: skip
_BYTES = {
    "b": 1.0, "kb": 1e3, "k": 1e3, "mb": 1e6, "m": 1e6, "gb": 1e9, "g": 1e9,
    "kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30,
    **dict.fromkeys(("byte", "bytes"), 1.0),
}  # fmt: skip
_PERCENT = {"": 1.0, "%": 1.0}
_JOULES = {"nj": 1e-9, "uj": 1e-6, "µj": 1e-6, "\u03bcj": 1e-6, "mj": 1e-3, "j": 1.0}


def seconds(text: str, option: str) -> float:
    """Return a time in seconds.

    Args:
        text: a number with a unit of time.
        option: what it is the value of, for the message.

    Raises:
        UsageError: it has no unit, another one, or is not above 0.
    """
    return _positive(text, option, _TIMES, "a time, such as 20ms or 0.5s")


def size(text: str, option: str) -> float:
    """Return a size in bytes: `4MB` is 4,000,000, `4MiB` 4,194,304. See `seconds`."""
    return _positive(text, option, _BYTES, "a size, such as 4MB or 512KiB")


def joules(text: str, option: str) -> float:
    """Return an energy in joules. See `seconds`."""
    return _positive(text, option, _JOULES, "an energy, such as 5mJ")


def percent(text: str, option: str) -> float:
    """Return a percentage: `65` and `65%` are 65. See `seconds`."""
    value = _positive(text, option, _PERCENT, "a percentage above 0 and up to 100, such as 65")
    if value > 100:
        raise UsageError(f"{option} {_shown(text)}: expected a percentage above 0 and up to 100, such as 65")
    if value <= 1 and "%" not in text:
        raise UsageError(f"{option} {_shown(text)}: that is {value:g} %; write {100 * value:g} for {100 * value:g} %")
    return value


def _positive(text: str, option: str, units: Mapping[str, float], expected: str) -> float:
    match = _NUMBER.fullmatch(text.strip())
    factor = units.get(match["unit"].lower()) if match and not _is_mega(match["unit"], units) else None
    if match is None or factor is None:
        raise UsageError(f"{option} {_shown(text)}: expected {expected}")
    value = float(match["number"]) * factor
    if not (value > 0 and math.isfinite(value)):
        what = "out of range" if units is _PERCENT else "nothing fits into that"
        raise UsageError(f"{option} {_shown(text)}: {what}; expected {expected}")
    return value


def _is_mega(unit: str, units: Mapping[str, float]) -> bool:
    """Return whether a unit has the capital M of a million where m is a thousandth: `MJ` is no `mJ`."""
    return unit.startswith("M") and units.get(unit.lower(), 1.0) < 1


def _shown(text: str) -> str:
    return shortened(repr(text), _LONGEST)
