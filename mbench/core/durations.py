"""Times as people write them: `60s`, `2min`, `1h30min`, or `90` for seconds. Of options that take a time."""

from __future__ import annotations

import re

from mbench.core.errors import UsageError, shortened
from mbench.core.field_types import MOST_TIMEOUT_S

EXPECTED = "expected a time of more than 0 and up to a day, such as 60s, 2min or 1h30min"
_MINUTE_S, _HOUR_S, _DAY_S = 60.0, 3600.0, 86_400.0
_UNITS = {
    **dict.fromkeys(("d", "day", "days"), _DAY_S),
    **dict.fromkeys(("h", "hr", "hour", "hours"), _HOUR_S),
    **dict.fromkeys(("m", "min", "minute", "minutes"), _MINUTE_S),
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    "ms": 1e-3,
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)\s*")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_LONGEST = 40
"""Characters of what was given that a message shows."""


def parse(text: str, option: str) -> float:
    """Return a time in seconds; a number without a unit is seconds.

    Args:
        text: such as `90`, `1.5h` or `2 min`; several units go from the largest to the smallest.
        option: what it is the value of, for the message.

    Raises:
        UsageError: it is no time, is 0 or negative, or is longer than a day.
    """
    given = text.strip().lower()
    seconds = float(given) if _NUMBER.fullmatch(given) else _with_units(given)
    if seconds is None or not 0 < seconds <= MOST_TIMEOUT_S:
        raise UsageError(f"{option} {shortened(repr(text), _LONGEST)}: {EXPECTED}")
    return seconds


def _with_units(text: str) -> float | None:
    """Return the seconds of numbers with units, the largest unit first; None: the text is something else."""
    total, before_s, at = 0.0, float("inf"), 0
    while at < len(text):
        part = _PART.match(text, at)
        unit_s = _UNITS.get(part[2]) if part else None
        if part is None or unit_s is None or unit_s >= before_s:
            return None
        total, before_s, at = total + float(part[1]) * unit_s, unit_s, part.end()
    return total if text else None


def words(seconds: float) -> str:
    """Return a time in words: `60 s`, `2 min`, `1 h 30 min`; up to two minutes in seconds alone."""
    if seconds < 2 * _MINUTE_S:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    parts = ((whole // 3600, "h"), (whole % 3600 // 60, "min"), (whole % 60, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)
