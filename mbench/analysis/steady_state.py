"""From when on a series of latencies is steady, and at what level: MSER-5, and a check that no drift is left.

MSER (White 1997; White, Cobb and Spratt 2000) leaves out as much of the beginning as makes the standard error of the
mean of the rest smallest; MSER-5 does so on batches of five. Here a batch is five slices of a sustained run and counts
by its median, so that one disturbed slice moves nothing. Two things are added, since a quiet machine is quieter than a
simulation: differences of about `FLOOR` count as noise, or a network would have to cool to the last digit; and the
first and the last third of the rest must agree. As is usual, at most half is left out; where half would be, there is no
steady state yet.

Sources: White, "An effective truncation heuristic for bias reduction in simulation output", Simulation 69 (1997);
White, Cobb and Spratt, "A comparison of five steady-state truncation heuristics for simulation", WSC 2000; the interval
is that of batch means: Schmeiser, "Batch size effects in the analysis of simulation output", Operations Research 30
(1982).
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
from collections.abc import Sequence

from mbench.core import units
from mbench.core.sustained import SustainedPoint

BATCH = 5
"""Slices."""
FEWEST_BATCHES = 10
FLOOR = 0.01
"""As a share of the level: smaller differences between batches count as noise."""
LEVEL = 0.02
"""By how much the first and the last third of the rest may differ, as a share of its level; more where noise does."""
_NOISE_ERRORS = 3.0
_CHI_SQUARE_MEDIAN = 0.4549
"""Of one degree of freedom: the median of squares over their mean."""
_GROUPS = 10
CONFIDENCE = 0.95
METHOD = (
    f"MSER-5 (White 1997) on medians of {BATCH} points, differences of {units.percent(FLOOR, 0)} counting as noise; "
    f"the first and the last third of the rest agree within {units.percent(LEVEL, 0)} or three standard errors; less "
    f"than half is left out; interval by batch means at {units.percent(CONFIDENCE, 0)}"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Level:
    """A steady part of a series."""

    begin: int
    """The index of its first value."""
    mean: float
    """Of the medians of its batches."""
    error: float
    """The standard error of `mean`, from means of groups of batches."""
    freedom: int
    """Degrees of freedom of `error`."""

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the two-sided interval of the mean; its lower limit is not below 0."""
        from scipy.special import stdtrit

        reach = float(stdtrit(self.freedom, (1 + confidence) / 2)) * self.error
        return max(0.0, self.mean - reach), self.mean + reach


def of_points(points: Sequence[SustainedPoint]) -> Level | str:
    """Return the steady part of a sustained run's medians, or why there is none."""
    return of_series([point.median_s for point in points])


def of_series(values: Sequence[float]) -> Level | str:
    """Return the steady part of a series of values at equal distances, or why there is none, as half a sentence."""
    batches = [statistics.median(values[at : at + BATCH]) for at in range(0, len(values) - BATCH + 1, BATCH)]
    if len(batches) < FEWEST_BATCHES:
        return f"{len(values)} points are too few to say; it takes {BATCH * FEWEST_BATCHES}"
    left_out = truncation(batches, FLOOR * statistics.median(batches))
    if left_out == len(batches) // 2:
        return "it still changed in the second half"
    rest = batches[left_out:]
    mean, groups = statistics.fmean(rest), _group_means(rest)
    if mean <= 0:
        return "its runs took no time that could be measured"
    drift = _drift(groups)
    if abs(drift) > max(LEVEL * mean, _NOISE_ERRORS * _drift_error(groups)):
        return f"it still drifted by {units.change(drift / mean)}"
    error = statistics.stdev(groups) / math.sqrt(len(groups))
    return Level(begin=BATCH * left_out, mean=mean, error=error, freedom=len(groups) - 1)


def truncation(values: Sequence[float], floor: float = 0.0) -> int:
    """Return how many values MSER leaves out: those before the d that makes (s²(d) + floor²) / (n - d) smallest.

    s²(d) is the variance of the values from d on; d is half of the series at most, and the least of several as good.

    Args:
        values: the series.
        floor: a standard deviation that every value has at least.
    """
    centre = statistics.median(values)
    total = squares = 0.0
    scores = []
    for count, value in enumerate(reversed(values), start=1):
        total, squares = total + value - centre, squares + (value - centre) ** 2
        variance = max(0.0, squares / count - (total / count) ** 2)
        scores.append((variance + floor**2) / count)
    scores.reverse()
    return min(range(len(values) // 2 + 1), key=scores.__getitem__)


def _group_means(rest: Sequence[float]) -> list[float]:
    """Return the means of up to ten groups of neighbours, as equal in size as can be."""
    count = min(_GROUPS, len(rest))
    ends = [round(len(rest) * at / count) for at in range(count + 1)]
    return [statistics.fmean(rest[first:last]) for first, last in itertools.pairwise(ends)]


def _drift(groups: Sequence[float]) -> float:
    """Return by how much the last third of the groups is above the first."""
    third = max(1, round(len(groups) / 3))
    return statistics.fmean(groups[-third:]) - statistics.fmean(groups[:third])


def _drift_error(groups: Sequence[float]) -> float:
    """Return the standard error of the drift by the differences of neighbours, which a drift hardly changes.

    The median of their squares counts, so that one step among them is no noise. Source: von Neumann, Annals of
    Mathematical Statistics 12 (1941): the mean square successive difference is twice the variance.
    """
    squares = [(after - before) ** 2 for before, after in itertools.pairwise(groups)]
    variance = statistics.median(squares) / _CHI_SQUARE_MEDIAN / 2
    return math.sqrt(2 * variance / max(1, round(len(groups) / 3)))
