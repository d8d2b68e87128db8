"""A series as a small line among words: where it runs, in pixels. No HTML.

The line is scaled from its least to its largest value, and a measured one to 4 % of its median at least: so that noise
does not look like a mountain. Points stand at equal distances, whatever time lies between their runs.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Collection, Sequence

from mbench.core import units
from mbench.history import site_words
from mbench.history.series import Change, Series

WIDTH, HEIGHT = 132, 30
"""In pixels."""
_EDGE = 4
_POINTS = 66
"""No line has more points: two pixels lie between them."""
_LEAST_SPAN = 0.04


@dataclasses.dataclass(frozen=True, kw_only=True)
class SparkMark:
    """A place where the series changed."""

    x: float
    y: float
    kind: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sparkline:
    """A line, its marks, its last point, and what is said instead of it."""

    points: str
    """As SVG's `polyline` has them."""
    marks: tuple[SparkMark, ...]
    last: tuple[float, float]
    said: str


def of_series(series: Series, changes: Sequence[Change]) -> Sparkline:
    """Return the line of a series, which has a point at least."""
    values = [point.value for point in series.points]
    kept = thinned(len(values), _POINTS, keep={at for change in changes for at in (change.at - 1, change.at)})
    low, high = _range(values, measured=series.quantity.kind == "measured")

    def place(at: int) -> tuple[float, float]:
        across = at / (len(values) - 1) if len(values) > 1 else 1.0
        up = (values[at] - low) / (high - low)
        return round(_EDGE + (WIDTH - 2 * _EDGE) * across, 1), round(HEIGHT - _EDGE - (HEIGHT - 2 * _EDGE) * up, 1)

    where = [place(at) for at in kept]
    least, most = (site_words.value(each, series.quantity) for each in (min(values), max(values)))
    return Sparkline(
        points=" ".join(f"{x:g},{y:g}" for x, y in where),
        marks=tuple(
            SparkMark(x=x, y=y, kind=site_words.kind(change, series.quantity))
            for change in changes
            for x, y in [place(change.at)]
        ),
        last=where[-1],
        said=f"{units.counted(len(values), 'run')}, {least} to {most}",
    )


def _range(values: Sequence[float], *, measured: bool) -> tuple[float, float]:
    low, high = min(values), max(values)
    least = _LEAST_SPAN * abs(statistics.median(values)) if measured else 0.0
    if high - low < least or high == low:
        middle, half = (low + high) / 2, least / 2 or 1.0
        return middle - half, middle + half
    return low, high


def thinned(count: int, most: int, *, keep: Collection[int] = ()) -> list[int]:
    """Return which of `count` points are drawn, ascending: at equal distances, with the first, the last and `keep`."""
    if count <= most:
        return list(range(count))
    even = {round(number * (count - 1) / (most - 1)) for number in range(most)}
    return sorted(even | {at for at in keep if 0 <= at < count})
