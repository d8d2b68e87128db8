"""Numbers for people: SI values scaled and labelled. The only place where seconds become ms and bytes become MB.

Sizes of files, weights and memory are in powers of 1000 (kB, MB); those of caches in powers of 1024 (KiB, MiB), as
their makers count them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence

_DECIMAL = (
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "µ"),
    (1e-9, "n"),
    (1e-12, "p"),
)
_WORDS = ((1e10, 1e9, "billion"), (1e6, 1e6, "million"), (1e3, 1e3, "thousand"))
"""From which count on, the unit, and its word. What is below ten billion stays in millions, as papers have it."""
NOT_AVAILABLE = "\u2013"
SHORTEST_S = 1e-8
"""No clock that times a run reads less."""
TOO_SHORT = "below 10 ns"

NO_BREAK = "\u00a0"
_UNIT = r"(?:[TGMkmµnp]?(?:s|B|J|W|Hz|FLOP|OP)(?:/[sBJ])?|[TGMk]|[KMG]iB|%|times|million|billion|thousand)"
_BEFORE_UNIT = re.compile(rf"(?<=\d) (?={_UNIT}(?![\w]))")

_BINARY = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_OF_A_CACHE = r"(?i)\bl[123]d?\b.*bytes\b|\bshared_bytes\b"
"""Names of fields that hold the size of a cache, or of a GPU's memory beside one."""
_BY_NAME = (
    (r"flops_per_s\b", "FLOP/s"),
    (r"bytes_per_s\b", "B/s"),
    (r"bytes_j\b", "J/B"),
    (r"_hz\b", "Hz"),
    (r"_j\b", "J"),
    (r"_w\b", "W"),
    (r"_s\b", "s"),
    (r"bytes\b", "B"),
)
"""The unit that a record's field is in, by what its name holds."""


def scaled(value: float | None, unit: str, digits: int = 3) -> str:
    """Return `value` (in `unit`) with an SI prefix and `digits` significant digits: 0.0035 s → `3.50 ms`."""
    if value is None:
        return NOT_AVAILABLE
    if value == 0:
        return f"0 {unit}"
    factor, prefix = _prefix(value)
    return f"{_digits(value / factor, digits)} {prefix}{unit}"


def _prefix(value: float) -> tuple[float, str]:
    return next(((f, p) for f, p in _DECIMAL if abs(value) >= f * 0.9995), _DECIMAL[-1])


def _digits(value: float, digits: int) -> str:
    number = float(f"{value:.{digits}g}")
    if not math.isfinite(number):
        return "too large"
    return f"{number:.{max(0, digits - len(str(int(abs(number)))))}f}"


def together(values: Sequence[float], unit: str = "s", digits: int = 3) -> tuple[tuple[str, ...], str]:
    """Return numbers in the unit of the first, and that unit: 1.02e-3, 0.98e-3 s → `1.02`, `0.98` and `ms`.

    Raises:
        ValueError: there are none.
    """
    if not values:
        raise ValueError("no values; a unit needs at least one")
    factor, prefix = _prefix(values[0]) if values[0] else (1.0, "")
    return tuple("0" if value == 0 else _digits(value / factor, digits) for value in values), f"{prefix}{unit}"


def tied(text: str, tie: str = NO_BREAK) -> str:
    """Return a text in which no line can end between a number and its unit: there is `tie` instead of a space."""
    return _BEFORE_UNIT.sub(tie, text)


def about(value: float | None, unit: str = "s") -> str:
    """Return a figure that is doubtful, with a mark and two digits: 0.00504 s → `~5.0 ms`."""
    if value is not None and unit == "s" and 0 <= value < SHORTEST_S:
        return TOO_SHORT
    return NOT_AVAILABLE if value is None else f"~{scaled(value, unit, 2)}"


def ranged(values: Iterable[float | None], show: Callable[[float], str]) -> str:
    """Return the least and the largest of values, as `show` writes one: `1.2 to 3.4 %`; one if they read the same."""
    known = [value for value in values if value is not None]
    if not known:
        return NOT_AVAILABLE
    low, high = show(min(known)), show(max(known))
    if low == high:
        return low
    number, space, unit = low.rpartition(" ")
    return f"{number} to {high}" if space and high.endswith(f" {unit}") else f"{low} to {high}"


def seconds(value: float | None) -> str:
    """Return a duration: `3.50 ms`; one that no clock can read is `below 10 ns`."""
    if value is not None and 0 <= value < SHORTEST_S:
        return TOO_SHORT
    return scaled(value, "s")


def joules(value: float | None) -> str:
    """Return an energy: `12.3 mJ`."""
    return scaled(value, "J")


def data_size(value: float | None) -> str:
    """Return a size in decimal bytes: `16.9 MB`."""
    return scaled(value, "B")


def cache_size(value: float | None) -> str:
    """Return the size of a cache in powers of 1024: 49152 → `48 KiB`, 1310720 → `1.25 MiB`."""
    if value is None:
        return NOT_AVAILABLE
    scale, unit = next(((size, name) for size, name in _BINARY if value >= size), (1, "B"))
    return f"{value / scale:.4g} {unit}"


def flops_rate(value: float | None, operation: str = "FLOP") -> str:
    """Return a rate of operations, by default on floating-point numbers: `234 GFLOP/s`."""
    return scaled(value, f"{operation}/s")


def bytes_rate(value: float | None) -> str:
    """Return a bandwidth: `21.3 GB/s`."""
    return scaled(value, "B/s")


def count(value: float | None) -> str:
    """Return a count with an SI suffix and no unit: 568740352 → `569 M`; a small whole number as it is."""
    if isinstance(value, int) and abs(value) < 1000:
        return str(value)
    return scaled(value, "").rstrip()


def counted(number: int, noun: str) -> str:
    """Return how many there are of something: 1, 3 of `run` → `1 run`, `3 runs`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def count_change(before: int, after: int) -> str:
    """Return how a count changes, both in one unit in words: 300774272, 1224972288 → `301 → 1,225 million`."""
    least = min(before, after)
    scale, word = next(((unit, word) for start, unit, word in _WORDS if least >= start), (1.0, ""))
    return f"{_grouped(before / scale)} → {_grouped(after / scale)} {word}".rstrip()


def _grouped(value: float) -> str:
    """Return a number with three significant digits, or all those before its point: 1224.97 → `1,225`."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def exact(value: int | None) -> str:
    """Return a count to the last digit: 12345678 → `12,345,678`."""
    return NOT_AVAILABLE if value is None else f"{value:,}"


def decimal(value: float | None) -> str:
    """Return a number without a unit: 1.3096 → `1.31`."""
    return NOT_AVAILABLE if value is None else f"{value:.2f}"


def percent(value: float | None, decimals: int = 1) -> str:
    """Return a fraction as a percentage: 0.9486 → `94.9 %`."""
    return NOT_AVAILABLE if value is None else f"{100 * value:.{decimals}f} %"


def ratio(value: float | None) -> str:
    """Return a ratio: 6.4 → `6.40x`."""
    return NOT_AVAILABLE if value is None else f"{value:.2f}x"


def interval(low: float | None, high: float | None) -> str:
    """Return the limits of a ratio: `0.97x to 1.02x`; without a limit on a side, that side is left open."""
    if low is None or high is None:
        return NOT_AVAILABLE
    if not (low > 0 and math.isfinite(high)):
        return "not known: too few samples"
    return f"{ratio(low)} to {ratio(high)}"


def signed_ratio(value: float | None) -> str:
    """Return a difference of ratios with its sign: -1.234 → `-1.23x`."""
    return NOT_AVAILABLE if value is None else f"{value:+.2f}x"


def accuracy(value: float | None) -> str:
    """Return an accuracy given in percent: 70.6 → `70.6 %`."""
    return NOT_AVAILABLE if value is None else f"{value:.1f} %"


def times(value: float | None) -> str:
    """Return a ratio in words, to two significant digits: 6.43 → `6.4 times`, 0.58 → `0.58 times`."""
    return NOT_AVAILABLE if value is None else f"{_significant(value, 2)} times"


def change(value: float | None, decimals: int = 1) -> str:
    """Return a relative change with its sign: 0.012 → `+1.2 %`."""
    return NOT_AVAILABLE if value is None else f"{100 * value:+.{decimals}f} %"


def intensity(value: float | None, operation: str = "FLOP") -> str:
    """Return an arithmetic intensity: `12.3 FLOP/B`."""
    return NOT_AVAILABLE if value is None else f"{_significant(value, 3)} {operation}/B"


def shape(value: tuple[int, ...] | None) -> str:
    """Return a shape or a kernel size: (1, 3, 224, 224) → `1x3x224x224`."""
    return NOT_AVAILABLE if value is None else "x".join(str(side) for side in value)


def sides(value: tuple[int, ...] | None) -> str:
    """Return a stride, or what else is mostly the same in both directions: (2, 2) → `2`, (2, 1) → `2x1`."""
    return str(value[0]) if value and len(set(value)) == 1 else shape(value)


def frequency(value: float | None) -> str:
    """Return a frequency: `2.10 GHz`."""
    return scaled(value, "Hz")


def scientific(value: float | None) -> str:
    """Return an error or another number that may be tiny: `2.1e-06`."""
    return NOT_AVAILABLE if value is None else f"{value:.2g}"


def timestamp(value: str) -> str:
    """Return an ISO 8601 time in UTC for reading: `2025-03-01 12:00 UTC`; what is not one comes back as it is."""
    match = re.match(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)", value)
    return f"{match[1]} {match[2]} UTC" if match else value


def _significant(value: float, digits: int) -> str:
    """Round to significant digits, never in exponent notation: 1234.5, 2 → `1200`."""
    rounded = float(f"{value:.{digits}g}")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded)))) if rounded else 0
    return f"{rounded:.{decimals}f}"


def named(name: str, value: float | None) -> str:
    """Return a value in the unit that its name ends with: `frequency_hz`, 2.1e9 → `2.10 GHz`; no unit: the number."""
    if re.search(_OF_A_CACHE, name):
        return cache_size(value)
    for suffix, unit in _BY_NAME:
        if re.search(suffix, name):
            return scaled(value, unit)
    return NOT_AVAILABLE if value is None else f"{value:g}"
