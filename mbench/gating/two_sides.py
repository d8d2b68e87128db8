"""The statistics of two sides of recorded latencies: sessions within runs, on either side. Pure functions of numbers.

Each session counts by the logarithm of its median. One run a side: Student's test of two means with a common variance,
that of the sessions around the mean of their run. Several runs: a nested analysis of variance, in which the runs count
as such where they lie further apart than their sessions explain (F test at 25 %, after Bancroft, "Analysis and
inference for incompletely specified models involving the use of preliminary test(s) of significance", Biometrics 20,
1964), and where they do not, all sessions together. With too few sessions for a spread of their own, one is assumed,
and the normal distribution is used.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
from collections.abc import Sequence

from mbench.core import stats

LEAST_SPREAD = 0.005
"""Standard deviation between sessions, of the logarithm, that is taken at least: sessions of one run may agree by luck,
and two runs of one job lie this far apart on the quietest machine that was seen."""
_FEWEST_FREEDOM = 2
"""Degrees of freedom from which on a spread of its own counts."""
_RUNS_DIFFER = 0.25
_MOST_SESSIONS = 30
"""A side, that a person would run."""

Runs = tuple[tuple[float, ...], ...]
"""Of one side: of each run, the median of each session, in seconds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Spread:
    """How far apart sessions lie (a standard deviation of logarithms), how sure, and the error of the difference."""

    deviation: float
    error: float
    freedom: float
    """Degrees of freedom; infinite: assumed."""
    by_runs: bool = False


@dataclasses.dataclass(frozen=True)
class TwoSides:
    """A latency on both sides."""

    base: Runs
    head: Runs
    assumed: float
    """Standard deviation of the logarithm between sessions, for sides that show none."""

    @property
    def base_s(self) -> float:
        """The median over all sessions of the base."""
        return stats.median([value for run in self.base for value in run])

    @property
    def head_s(self) -> float:
        """The median over all sessions of the head."""
        return stats.median([value for run in self.head for value in run])

    @property
    def ratio(self) -> float:
        """Head over base, of the medians that are shown."""
        return self.head_s / self.base_s

    @property
    def sessions(self) -> tuple[int, int]:
        """How many there are on either side."""
        return sum(map(len, self.base)), sum(map(len, self.head))

    @property
    def spread_assumed(self) -> bool:
        """Whether the sides show no spread of their own."""
        return math.isinf(self._spread.freedom)

    @property
    def deviation(self) -> float:
        """How far apart sessions of one job lie, as a standard deviation of the logarithm; of several runs, all in."""
        return self._spread.deviation

    @functools.cached_property
    def _spread(self) -> _Spread:
        runs = [[[math.log(value) for value in run] for run in side] for side in (self.base, self.head)]
        within, free_within = _within(runs)
        between, free_between = _between(runs)
        if free_within + free_between < _FEWEST_FREEDOM:
            counts = self.sessions
            error = self.assumed * math.sqrt(1 / counts[0] + 1 / counts[1])
            return _Spread(deviation=self.assumed, error=error, freedom=math.inf)
        if free_between and _runs_differ(within, free_within, between, free_between):
            size = statistics.harmonic_mean([len(run) for side in runs for run in side])
            deviation = max(math.sqrt(between / free_between), LEAST_SPREAD)
            error = deviation * math.sqrt(sum(1 / len(side) for side in runs) / size)
            return _Spread(deviation=deviation, error=error, freedom=free_between, by_runs=True)
        freedom = free_within + free_between
        deviation = max(math.sqrt((within + between) / freedom), LEAST_SPREAD)
        error = deviation * math.sqrt(sum(1 / count for count in self.sessions))
        return _Spread(deviation=deviation, error=error, freedom=freedom)

    @property
    def log_difference(self) -> float:
        """Mean logarithm of the head less that of the base, each run with the same weight."""
        means = [
            statistics.fmean(statistics.fmean(map(math.log, run)) for run in side) for side in (self.base, self.head)
        ]
        return means[1] - means[0]

    def p(self, direction: int, margin: float) -> float:
        """Return the p of the hypothesis that it is not slower (1) or not quicker (-1) than a margin, a fraction."""
        spread = self._spread
        excess = (direction * self.log_difference - math.log1p(margin)) / spread.error
        return 1 - _cdf(excess, spread.freedom)

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the two-sided interval of head over base; it holds the ratio of the medians, too."""
        errors = _quantile(1 - (1 - confidence) / 2, self._spread.freedom) * self._spread.error
        low, high = (math.exp(self.log_difference + sign * min(errors, stats.MOST_LOG)) for sign in (-1, 1))
        return min(low, self.ratio), max(high, self.ratio)

    def upper(self, confidence: float) -> float:
        """Return the slow-down, as a fraction, that is ruled out at a one-sided confidence."""
        return self.interval(2 * confidence - 1)[1] - 1

    def smallest_change(self, margin: float, false_alarms: float) -> float:
        """Return the slow-down, as a fraction, that would be found beyond a margin in 95 % of the cases."""
        freedom = self._spread.freedom
        errors = (_quantile(1 - false_alarms, freedom) + _quantile(stats.POWER, freedom)) * self._spread.error
        return math.expm1(min(math.log1p(margin) + errors, stats.MOST_LOG))

    def sessions_for(self, change: float, margin: float) -> int | None:
        """Return how many sessions each of two records would need to show a change; None: more than one would run."""
        room = math.log1p(change) - math.log1p(margin)
        for count in range(max(3, min(self.sessions) + 1), _MOST_SESSIONS + 1):
            if math.log1p(stats.smallest_change(self.deviation, count)) <= room:
                return count
        return None


def _within(runs: Sequence[Sequence[Sequence[float]]]) -> tuple[float, int]:
    """Return the sum of squares of sessions around the mean of their run, and its degrees of freedom."""
    each = [run for side in runs for run in side]
    squares = sum((len(run) - 1) * statistics.variance(run) for run in each if len(run) > 1)
    return squares, sum(len(run) - 1 for run in each)


def _between(runs: Sequence[Sequence[Sequence[float]]]) -> tuple[float, int]:
    """Return the sum of squares of runs around the mean of their side, a session each, and its degrees of freedom."""
    squares = 0.0
    for side in runs:
        centre = statistics.fmean(statistics.fmean(run) for run in side)
        squares += sum(len(run) * (statistics.fmean(run) - centre) ** 2 for run in side)
    return squares, sum(len(side) - 1 for side in runs)


def _runs_differ(within: float, free_within: int, between: float, free_between: int) -> bool:
    """Return whether runs lie further apart than their sessions explain, or have one session each."""
    if not free_within:
        return True
    floor = LEAST_SPREAD**2
    from scipy.special import fdtrc

    f = (between / free_between) / max(within / free_within, floor)
    return float(fdtrc(free_between, free_within, f)) < _RUNS_DIFFER


def _cdf(value: float, freedom: float) -> float:
    if math.isinf(freedom):
        return statistics.NormalDist().cdf(value)
    from scipy.special import stdtr

    return float(stdtr(freedom, value))


def _quantile(share: float, freedom: float) -> float:
    if math.isinf(freedom):
        return statistics.NormalDist().inv_cdf(share)
    from scipy.special import stdtrit

    return float(stdtrit(freedom, share))
