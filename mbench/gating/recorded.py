"""Latencies as records hold them, measured at different times: what can be said of them, and what cannot.

Two runs of the same code differ by more than either shows inside: each process has its own memory layout and meets the
machine in another mood. How far apart runs of one job lie shows in several runs on either side (a folder of records);
with fewer, a spread is assumed (`ASSUMED_SPREAD`), and the reasons say so.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterator, Sequence

from mbench.core import stats, units
from mbench.core.records import Layer, Record, Result
from mbench.gating import asked
from mbench.gating.comparison import Finding, Outcome
from mbench.gating.limits import Limits
from mbench.gating.matching import Match
from mbench.gating.timed import ASKED_SHARE, CONFIDENCE, FAMILY_ERROR, NOISE_FACTOR, SHORTEST_S

ENOUGH_RUNS = 5
"""Runs on either side from which on their own spread is used."""
ASSUMED_SPREAD = {1: 0.04, 2: 0.28}
"""Standard deviation of the log latency between processes of one job on a shared machine, with one thread and with
more: MobileNetV1 0.25 128 on two processors of a shared host."""
FEWEST_SAMPLES = 3
LEAST_SPREAD = 1e-9
"""What no clock can distinguish."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordedRuns:
    """One network, or one of its layers, in several runs of either side: a median of each run, in seconds."""

    variant: str
    match: Match | None
    base: tuple[float, ...]
    head: tuple[float, ...]
    threads: int
    share: float
    threshold: float
    asked: float

    @property
    def enough(self) -> bool:
        """Whether there are runs enough on either side to show their spread."""
        return min(len(self.base), len(self.head)) >= ENOUGH_RUNS

    @property
    def spread(self) -> tuple[float, str]:
        """How far apart runs of one job lie, as a standard deviation of the logarithm, and where that is from."""
        if self.enough:
            sides = [(len(side), statistics.variance(map(math.log, side))) for side in (self.base, self.head)]
            pooled = sum((count - 1) * variance for count, variance in sides) / self._freedom
            return math.sqrt(pooled), f"as {len(self.base)} and {len(self.head)} runs show"
        return ASSUMED_SPREAD[min(self.threads, 2)], f"assumed: fewer than {ENOUGH_RUNS} runs a side"

    @property
    def _freedom(self) -> int:
        return len(self.base) + len(self.head) - 2

    @property
    def error(self) -> float:
        """Standard error of the log ratio; never 0, so that runs that agree to the last digit can be judged too."""
        return max(self.spread[0], LEAST_SPREAD) * math.sqrt(1 / len(self.base) + 1 / len(self.head))

    @property
    def log_ratio(self) -> float:
        """log(head / base) of the runs: the difference of the means of their logarithms."""
        return statistics.fmean(map(math.log, self.head)) - statistics.fmean(map(math.log, self.base))

    @property
    def margin(self) -> float:
        """The change, as a fraction, that is tolerated."""
        return max(self.threshold, math.expm1(min(NOISE_FACTOR * self.error, stats.MOST_LOG)))

    def p(self, direction: int) -> float:
        """Return the p of the hypothesis that it is not slower (1) or not quicker (-1) than the margin allows.

        With enough runs: Student's test of two means with a common variance (a rank test of five runs a side knows no
        p below 1/252, which Holm's way over all layers makes useless); otherwise the normal distribution of the assumed
        spread.
        """
        excess = (direction * self.log_ratio - math.log1p(self.margin)) / self.error
        if not self.enough:
            return statistics.NormalDist().cdf(-excess)
        from scipy.special import stdtr

        return float(stdtr(self._freedom, -excess))

    def interval(self) -> tuple[float, float]:
        """Return the two-sided interval of the log ratio at `CONFIDENCE`."""
        upper = 1 - (1 - CONFIDENCE) / 2
        if self.enough:
            from scipy.special import stdtrit

            errors = float(stdtrit(self._freedom, upper))
        else:
            errors = statistics.NormalDist().inv_cdf(upper)
        return self.log_ratio - errors * self.error, self.log_ratio + errors * self.error

    def needed(self) -> int:
        """Return how many runs a side would see the asked sensitivity."""
        room = math.log1p(self.asked) - math.log1p(self.threshold)
        return max(ENOUGH_RUNS, math.ceil(2 * (stats.VISIBLE_IN_NORMAL_SDS * self.spread[0] / room) ** 2))


def judge(
    base: Sequence[Record], head: Sequence[Record], matches: dict[str, tuple[Match, ...]], limits: Limits
) -> tuple[Finding, ...]:
    """Return the findings on latency of every network that both sides timed."""
    subjects = [each for name in matches for each in _subjects(name, base, head, matches[name], limits)]
    directions = [1 if each.log_ratio >= 0 else -1 for each in subjects]
    p_values = stats.holm([each.p(direction) for each, direction in zip(subjects, directions, strict=True)])
    refused = [each for name in matches for each in _unfit(name, base, head)]
    names = {finding.variant for finding in refused}
    judged = (
        _finding(each, direction, p_value)
        for each, direction, p_value in zip(subjects, directions, p_values, strict=True)
        if each.variant not in names
    )
    return (*refused, *judged)


def _subjects(
    name: str, base: Sequence[Record], head: Sequence[Record], matches: Sequence[Match], limits: Limits
) -> Iterator[RecordedRuns]:
    ours, theirs = _of(name, base), _of(name, head)
    if not ours or not theirs:
        return
    wholes = [[_median(result.end_to_end.latency_s) for result in side] for side in (ours, theirs)]
    threads = base[-1].settings.threads
    yield RecordedRuns(
        variant=name, match=None, base=tuple(wholes[0]), head=tuple(wholes[1]), threads=threads, share=1.0,
        threshold=limits.threshold(name, None, "latency"), asked=limits.sensitivity(name, None, "latency"),
    )  # fmt: skip
    for match in matches:
        if not (match.base and match.head and match.comparable):
            continue
        times = [
            tuple(_layers_s(result, side) for result in results)
            for results, side in ((ours, match.base), (theirs, match.head))
        ]
        if min(min(side) for side in times) < SHORTEST_S:
            continue
        yield RecordedRuns(
            variant=name, match=match, base=times[0], head=times[1], threads=threads,
            share=stats.median(times[0]) / stats.median(wholes[0]),
            threshold=limits.threshold(name, match.kind, "latency"),
            asked=limits.sensitivity(name, match.kind, "latency"),
        )  # fmt: skip


def _of(name: str, side: Sequence[Record]) -> list[Result]:
    found = [asked.result(record, name) for record in side]
    return [result for result in found if result and _median(result.end_to_end.latency_s) > 0]


def _layers_s(result: Result, layers: Sequence[Layer]) -> float:
    known = {layer.name: layer for layer in result.layers}
    samples = [known[layer.name].latency_s for layer in layers if layer.name in known]
    return sum(_median(each) for each in samples) if len(samples) == len(layers) else 0.0


def _median(samples: Sequence[float] | None) -> float:
    return stats.median(samples) if samples else 0.0


def _unfit(name: str, base: Sequence[Record], head: Sequence[Record]) -> Iterator[Finding]:
    """Yield a finding for samples that no clock can have taken, or that are too few to say anything."""
    for word, side in (("base", base), ("head", head)):
        for record in side:
            for result in record.results:
                samples = result.end_to_end.latency_s
                if result.variant.name != name or not samples:
                    continue
                if len(samples) < FEWEST_SAMPLES:
                    why = f"{len(samples)} sample{'s' * (len(samples) > 1)}, expected at least {FEWEST_SAMPLES}"
                elif len(set(samples)) == 1:
                    why = f"all {len(samples)} samples are {units.seconds(samples[0])}: no clock gives that"
                else:
                    continue
                yield Finding(
                    variant=name, metric="latency", way="recorded", base=None, head=None, outcome="undecided",
                    reason=f"{word} {record.run_id}: {why}; measure it again",
                )  # fmt: skip
                return


def _finding(runs: RecordedRuns, direction: int, p_value: float) -> Finding:
    outcome, reason = _outcome(runs, direction, p_value)
    low, high = runs.interval()
    return Finding(
        variant=runs.variant, layer=runs.match.name if runs.match else None,
        **(runs.match.kind._asdict() if runs.match else {}),
        metric="latency", way="recorded", base=stats.median(runs.base), head=stats.median(runs.head),
        ratio=math.exp(runs.log_ratio), interval=(math.exp(low), math.exp(high)), confidence=CONFIDENCE,
        threshold=runs.margin, sensitivity=_asked(runs), p_value=p_value, outcome=outcome, reason=reason,
    )  # fmt: skip


def _asked(runs: RecordedRuns) -> float | None:
    return runs.asked if runs.match is None or runs.share >= ASKED_SHARE else None


def _outcome(runs: RecordedRuns, direction: int, p_value: float) -> tuple[Outcome, str]:
    spread, origin = runs.spread
    noise = f"runs of one job lie {units.percent(spread)} apart ({origin})"
    if p_value <= FAMILY_ERROR:
        word = "slower" if direction > 0 else "quicker"
        reason = f"{word} than the {units.percent(runs.margin)} tolerated, p {p_value:.2g}; {noise}"
        return ("regressed" if direction > 0 else "improved"), reason
    asked = _asked(runs)
    if asked is None:
        return "information", f"no change that could be confirmed; {units.percent(runs.share)} of the time; {noise}"
    if runs.interval()[1] < math.log1p(asked):
        return "same", f"a slow-down of {units.percent(asked)} is ruled out; {noise}"
    return "undecided", (
        f"a slow-down of {units.percent(asked)} cannot be ruled out: {noise}; it takes about {runs.needed()} runs a "
        "side in two folders, or --paired"
    )
