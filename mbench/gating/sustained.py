"""The steady state under load of two runs: whether a device that has grown hot is slower than it was.

A sustained run is one process a record. How far processes lie apart shows in the sessions of the same records, and in
the sustained runs of several records a side; the error within a process, by batch means, is added to it. A slow-down
counts if it is beyond the tolerance at 0.5 % of false alarms, over all networks together (Bonferroni).
"""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence

from mbench.analysis import headline, pairs, steady_state, sustained_load
from mbench.analysis.steady_state import Level
from mbench.core import durations, spread_history, stats, units
from mbench.core.records import Record, Result
from mbench.core.sustained import Sustained
from mbench.gating import asked
from mbench.gating.comparison import Difference, Finding, Metric, Outcome
from mbench.gating.limits import Limits
from mbench.gating.recorded import ASSUMED_SPREAD
from mbench.gating.timed import FAMILY_ERROR
from mbench.gating.two_sides import LEAST_SPREAD
from mbench.measure import disturbance

METRIC: Metric = "sustained_latency"
_FAMILY_ERROR = FAMILY_ERROR / 2
_FEWEST_FREEDOM = 2
_SAME_TIME = 0.1
"""How far the times under load may differ, as a fraction."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SteadySide:
    """One network's sustained runs on one side."""

    levels: tuple[Level, ...]
    """Of each record that has one."""
    sessions: tuple[tuple[float, ...], ...]
    """Of each record: the median of each session, in seconds."""

    @property
    def latency_s(self) -> float:
        """The median over the records."""
        return stats.median([level.mean for level in self.levels])

    @property
    def log_mean(self) -> float:
        """The mean of the logarithms."""
        return statistics.fmean(math.log(level.mean) for level in self.levels)

    @property
    def within(self) -> float:
        """The variance of the logarithm of a steady state within its own process."""
        return statistics.fmean((level.error / level.mean) ** 2 for level in self.levels)

    def interval(self) -> tuple[float, float]:
        """Return the interval of its latency, in seconds: of its one record, or the ends over several."""
        ends = [level.interval(steady_state.CONFIDENCE) for level in self.levels]
        return min(low for low, _ in ends), max(high for _, high in ends)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SteadyPair:
    """One network's sustained runs on both sides."""

    base: SteadySide
    head: SteadySide
    assumed: float
    """Standard deviation of the logarithm between processes, where neither side shows it."""

    @property
    def log_difference(self) -> float:
        """Mean logarithm of the head less that of the base."""
        return self.head.log_mean - self.base.log_mean

    @functools.cached_property
    def between(self) -> tuple[float, float]:
        """The standard deviation of the logarithm between processes, and its degrees of freedom; infinite: assumed."""
        groups = [
            [math.log(value) for value in values]
            for side in (self.base, self.head)
            for values in (*side.sessions, tuple(level.mean for level in side.levels))
            if len(values) > 1 and min(values) > 0
        ]
        freedom = sum(len(group) - 1 for group in groups)
        if freedom < _FEWEST_FREEDOM:
            return self.assumed, math.inf
        squares = sum((len(group) - 1) * statistics.variance(group) for group in groups)
        return max(math.sqrt(squares / freedom), LEAST_SPREAD), freedom

    @property
    def error(self) -> float:
        """The standard error of the difference of the logarithms."""
        spread = self.between[0]
        return math.sqrt(sum((spread**2 + side.within) / len(side.levels) for side in (self.base, self.head)))

    def p(self, direction: int, margin: float) -> float:
        """Return the p of the hypothesis that it is not slower (1) or not quicker (-1) than a margin, a fraction."""
        excess, freedom = (direction * self.log_difference - math.log1p(margin)) / self.error, self.between[1]
        if math.isinf(freedom):
            return statistics.NormalDist().cdf(-excess)
        from scipy.special import stdtr

        return float(stdtr(freedom, -excess))

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the two-sided interval of head over base."""
        share, freedom = (1 + confidence) / 2, self.between[1]
        if math.isinf(freedom):
            errors = statistics.NormalDist().inv_cdf(share)
        else:
            from scipy.special import stdtrit

            errors = float(stdtrit(freedom, share))
        reach = min(errors * self.error, stats.MOST_LOG)
        return math.exp(self.log_difference - reach), math.exp(self.log_difference + reach)


def judge(
    base: Sequence[Record],
    head: Sequence[Record],
    names: Iterable[str],
    limits: Limits,
    forbidding: Sequence[Difference],
) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """Return a finding for each network that was put under load on either side, and notes on what is not compared.

    Args:
        base: the runs of the one side.
        head: those of the other that are not the base's too.
        names: the networks that can be judged on both sides.
        limits: what is tolerated.
        forbidding: differences that make recorded latencies incomparable.
    """
    wanted = [name for name in names if any(_sustained(record, name) for record in (*base, *head))]
    if not wanted or not head:
        return (), ()
    if forbidding:
        differ = ", ".join(each.key for each in forbidding)
        return (), (f"{', '.join(wanted)}: latency under load is not compared: {differ} differ",)
    refused = {name: why for name in wanted if (why := _unfit(name, base, head))}
    open_ = [name for name in wanted if name not in refused]
    found = (
        _undecided(name, refused[name])
        if name in refused
        else _finding(name, _pair(name, base, head), limits, len(open_))
        for name in wanted
    )
    return tuple(found), ()


def _sustained(record: Record, name: str) -> Sustained | None:
    result = asked.result(record, name)
    return result.sustained if result else None


def _runs(side: Sequence[Record], name: str) -> Iterator[tuple[Record, Result, Sustained]]:
    """Yield the records of a side that have a sustained run of a network."""
    for record in side:
        result = asked.result(record, name)
        if result and result.sustained:
            yield record, result, result.sustained


def _unfit(name: str, base: Sequence[Record], head: Sequence[Record]) -> str | None:
    """Return why a network's steady states cannot be compared; None if they can."""
    for word, side in (("base", base), ("head", head)):
        runs = list(_runs(side, name))
        if not runs:
            result = asked.result(side[-1], name)
            why = pairs.why_missing(result, "sustained") if result else "no result"
            return f"the {word} was not put under load ({why})"
        for record, _, sustained in runs:
            for reason in (_unsteady(sustained), _disturbed(record, sustained)):
                if reason:
                    return f"the {word}: {reason}"
    times = [[sustained.ran_s for _, _, sustained in _runs(side, name)] for side in (base, head)]
    short, long = min(min(times)), max(max(times))
    if long > short * (1 + _SAME_TIME):
        return f"one ran for {durations.words(short)}, another for {durations.words(long)}: run both for as long"
    return None


def _unsteady(sustained: Sustained) -> str | None:
    if sustained.steady is None:
        return f"{sustained.missing.get('steady', 'no steady state')}; run it for longer"
    level = steady_state.of_points(sustained.points)  # by the rule of this version, the same on both sides
    return level if isinstance(level, str) else None


def _disturbed(record: Record, sustained: Sustained) -> str | None:
    busy = sustained_load.others_busy(sustained)
    machine = record.device.machine or record.host
    if busy is None or busy <= disturbance.most_busy(machine.cores_logical):
        return None
    return f"other processes kept {busy:.2f} processors busy; measure it again on a quiet machine"


def _pair(name: str, base: Sequence[Record], head: Sequence[Record]) -> SteadyPair:
    threads = min(base[-1].settings.threads, 2)
    return SteadyPair(
        base=_side(base, name), head=_side(head, name),
        assumed=spread_history.known(head[-1].host, threads) or ASSUMED_SPREAD[threads],
    )  # fmt: skip


def _side(side: Sequence[Record], name: str) -> SteadySide:
    runs = list(_runs(side, name))
    levels = (steady_state.of_points(sustained.points) for _, _, sustained in runs)
    return SteadySide(
        levels=tuple(level for level in levels if isinstance(level, Level)),
        sessions=tuple(headline.medians(result) for _, result, _ in runs),
    )


def _undecided(name: str, reason: str) -> Finding:
    return Finding(
        variant=name, metric=METRIC, way="recorded", base=None, head=None, outcome="undecided", reason=reason
    )  # fmt: skip


def _finding(name: str, pair: SteadyPair, limits: Limits, family: int) -> Finding:
    threshold, sensitivity = (ask(name, None, METRIC) for ask in (limits.threshold, limits.sensitivity))
    confidence = 1 - 2 * _FAMILY_ERROR / family
    direction = 1 if pair.log_difference >= 0 else -1
    p_value = min(1.0, family * pair.p(direction, threshold))
    outcome, said = _outcome(direction, p_value, threshold, sensitivity, pair.interval(confidence)[1])
    return Finding(
        variant=name, metric=METRIC, way="recorded", base=pair.base.latency_s, head=pair.head.latency_s,
        ratio=math.exp(pair.log_difference), interval=pair.interval(confidence), confidence=confidence,
        threshold=threshold, sensitivity=sensitivity, p_value=p_value, outcome=outcome,
        reason=f"{said}; {_levels(pair)}",
    )  # fmt: skip


def _outcome(direction: int, p_value: float, threshold: float, sensitivity: float, upper: float) -> tuple[Outcome, str]:
    if p_value <= _FAMILY_ERROR:
        word = "slower" if direction > 0 else "quicker"
        said = f"{word} under load than the {units.percent(threshold)} tolerated, p {p_value:.2g}"
        return ("regressed" if direction > 0 else "improved"), said
    if upper < 1 + sensitivity:
        return "same", f"a slow-down of {units.percent(sensitivity)} under load is ruled out"
    return "undecided", (
        f"a slow-down of {units.percent(sensitivity)} under load cannot be ruled out; it takes several records a side"
    )


def _levels(pair: SteadyPair) -> str:
    """Return the steady state of both sides with its interval, and how far processes lie apart."""
    sides = ((word, side.interval()) for word, side in (("base", pair.base), ("head", pair.head)))
    levels = [f"{word} {units.seconds(low)} to {units.seconds(high)}" for word, (low, high) in sides]
    spread, freedom = pair.between
    origin = "assumed: too few sessions to show it" if math.isinf(freedom) else "as sessions and runs show"
    return f"steady at {', '.join(levels)}; processes lie {units.percent(spread)} apart ({origin})"
