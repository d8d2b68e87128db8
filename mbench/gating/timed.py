"""Whether a latency changed: log ratios, one a process, judged against a margin that knows the noise.

A slow-down counts as one if it is beyond the margin: the threshold, three times the standard error of an A/A pair
measured in the same processes, or a floor for what is too short to matter, whichever is largest. Suspects of a first
set of processes are tested on a fresh set (Wilcoxon's signed-rank test, exact, one-sided), Holm's way over all
suspects, at 1 % for the family. A fresh set that leaves one open is enlarged once; each p counts double for these two
looks. What nobody suspects passes only if a slow-down of the asked sensitivity can be ruled out.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence

from mbench.core import stats, units
from mbench.gating.comparison import Finding, Outcome
from mbench.gating.limits import Limits
from mbench.gating.matching import Match

FAMILY_ERROR = 0.01
CONFIDENCE = 1 - 2 * FAMILY_ERROR
"""Of the two-sided intervals: 1 % outside on either side."""
LOOKS = 2
"""At the fresh processes: all p are multiplied by it, so that the second look is no second chance."""
SUSPICION = 0.5
"""A first look suspects what has a p below it, which is about all that lies beyond its margin: freely, since a fresh
set of processes has the last word."""
AIM = 2.5
"""Times the threshold: what should be seen. The sensitivity, what must not be missed, may be coarser."""
ASKED_SHARE = 0.03
"""A layer's share of the time from which on its sensitivity is asked for."""
NOISE_FACTOR = 3.0
FLOOR_S = 5e-6
FLOOR_SHARE = 0.0006
"""A layer's slow-down by less than the smaller of `FLOOR_S` and this share of the whole network is no regression: so
that a layer of `ASKED_SHARE` is judged by its threshold of 2 %, and shorter ones by what they cost."""
SHORTEST_S = 1e-7
"""What is shorter was not timed but lost in the clock and the instrument."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """One network or layer as a set of processes saw it, head against base."""

    variant: str
    match: Match | None
    """The layer, or group of layers; None: the whole network."""
    log_ratios: tuple[float, ...]
    """log(head / base), one a process."""
    noise: tuple[float, ...]
    """log(A/A copy / base), one a process."""
    base_s: float
    head_s: float
    whole_s: float
    """Of the whole network in the base."""
    threshold: float
    asked: float
    """The sensitivity, as a fraction."""

    @property
    def layer(self) -> str | None:
        """The layer's name, or None for the whole network."""
        return self.match.name if self.match else None

    @property
    def floor(self) -> float:
        """The slow-down, as a fraction, that is too short to matter."""
        if self.match is None:
            return 0.0
        return min(FLOOR_S, FLOOR_SHARE * self.whole_s) / max(self.base_s, SHORTEST_S)

    @property
    def margin(self) -> float:
        """The change, as a fraction, that is tolerated."""
        return max(self.threshold, math.expm1(NOISE_FACTOR * stats.standard_error(self.noise)), self.floor)

    @property
    def sensitivity(self) -> float | None:
        """The slow-down that must not be missed; None: too small a part of the time to be asked for."""
        if self.match is not None and self.share < ASKED_SHARE:
            return None
        return max(self.asked, 2 * self.floor)

    @property
    def aim(self) -> float:
        """The slow-down, as a fraction, that processes are added for, as far as the machine's noise allows."""
        return min(self.asked, AIM * self.threshold)

    @property
    def share(self) -> float:
        """Its part of the whole network's time."""
        return self.base_s / self.whole_s

    @property
    def timed(self) -> bool:
        """Whether it is long enough to have been timed at all."""
        return min(self.base_s, self.head_s) >= SHORTEST_S

    def p(self, direction: int) -> float:
        """Return the p of the hypothesis that it is not slower (1) or not quicker (-1) than the margin allows."""
        margin = math.log1p(self.margin)
        return stats.signed_rank_p([direction * value for value in self.log_ratios], margin)

    def suspicion(self) -> int:
        """Return 1 if it looks slower beyond the margin, -1 if quicker, 0 if neither."""
        if not self.timed:
            return 0
        return next((direction for direction in (1, -1) if self.p(direction) <= SUSPICION), 0)

    def needed(self, slow_down: float) -> int:
        """Return how many processes would see a slow-down in 95 % of the cases, by the spread seen here."""
        room = math.log1p(max(slow_down, 2 * self.floor)) - math.log1p(max(self.threshold, self.floor))
        return math.ceil((stats.VISIBLE_IN_NORMAL_SDS * statistics.stdev(self.log_ratios) / room) ** 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tested:
    """A reading of the first look; if it is a suspect, what fresh processes say of it."""

    reading: Reading
    """With the last word."""
    direction: int
    """1 if it was suspected of being slower, -1 if quicker, 0 if of neither."""
    p_value: float | None
    """Of a suspect: adjusted for all of them and for the looks."""

    @property
    def open(self) -> bool:
        """Whether it is a suspect that is still beyond its margin, without being proved."""
        if self.p_value is None or self.p_value <= FAMILY_ERROR:
            return False
        return self.direction * stats.hodges_lehmann(self.reading.log_ratios) > math.log1p(self.reading.margin)


def tested(first: Sequence[Reading], fresh: Sequence[Reading]) -> tuple[Tested, ...]:
    """Test the suspects of the first look on fresh processes.

    Args:
        first: everything, as the first set of processes saw it.
        fresh: the suspects among them, as fresh processes saw them.
    """
    again = {(reading.variant, reading.layer): reading for reading in fresh}
    directions = [reading.suspicion() for reading in first]
    suspects = [(reading, direction) for reading, direction in zip(first, directions, strict=True) if direction]
    found = [(again.get((reading.variant, reading.layer)), direction) for reading, direction in suspects]
    p_values = stats.holm([reading.p(direction) if reading else 1.0 for reading, direction in found])
    adjusted = {id(reading): min(1.0, LOOKS * p) for (reading, _), p in zip(suspects, p_values, strict=True)}
    return tuple(
        Tested(
            reading=again.get((reading.variant, reading.layer), reading) if direction else reading,
            direction=direction, p_value=adjusted.get(id(reading)),
        )
        for reading, direction in zip(first, directions, strict=True)
    )  # fmt: skip


def judge_all(first: Sequence[Reading], fresh: Sequence[Reading]) -> tuple[Finding, ...]:
    """Return a finding for each reading of the first look, in order; see `tested`."""
    return tuple(_finding(each.reading, each.direction, each.p_value) for each in tested(first, fresh))


def _finding(reading: Reading, direction: int, p_value: float | None) -> Finding:
    estimate = stats.hodges_lehmann(reading.log_ratios)
    low, high = stats.signed_rank_interval(reading.log_ratios, CONFIDENCE)
    outcome, reason = _outcome(reading, high, direction, p_value)
    return Finding(
        variant=reading.variant, layer=reading.layer, **(reading.match.kind._asdict() if reading.match else {}),
        metric="latency", way="paired", base=reading.base_s, head=reading.head_s, ratio=math.exp(estimate),
        interval=(math.exp(low), math.exp(high)) if math.isfinite(high - low) else None, confidence=CONFIDENCE,
        threshold=reading.margin, sensitivity=reading.sensitivity, p_value=p_value, log_ratios=reading.log_ratios,
        noise_log_ratios=reading.noise, outcome=outcome, reason=reason,
    )  # fmt: skip


def _outcome(reading: Reading, high: float, direction: int, p_value: float | None) -> tuple[Outcome, str]:
    if not reading.timed:
        return "information", f"shorter than {units.seconds(SHORTEST_S)}: not timed"
    limit = f"{_limit(reading)} is tolerated"
    if p_value is not None and p_value <= FAMILY_ERROR:
        word = "slower" if direction > 0 else "quicker"
        sure = f"{word} than the {units.percent(reading.margin)} tolerated, p {p_value:.2g} on {_fresh(reading)}"
        return ("regressed" if direction > 0 else "improved"), sure
    asked = reading.sensitivity
    if asked is None:
        return "information", f"no slow-down that could be confirmed; {units.percent(reading.share)} of the time"
    if high < math.log1p(asked):
        return "same", f"a slow-down of {units.percent(asked)} is ruled out; {limit}"
    taken, apart = len(reading.log_ratios), units.percent(statistics.stdev(reading.log_ratios))
    return "undecided", (
        f"a slow-down of {units.percent(asked)} cannot be ruled out with {taken} processes, which lie {apart} apart; "
        f"it takes about {reading.needed(reading.asked)} (--processes), a quieter machine, or a larger --sensitivity"
    )


def _limit(reading: Reading) -> str:
    if reading.margin == reading.threshold:
        return units.percent(reading.margin)
    why = "too short to matter" if reading.margin == reading.floor else "noise"
    return f"{units.percent(reading.margin)} ({why})"


def _fresh(reading: Reading) -> str:
    return f"{len(reading.log_ratios)} fresh processes"


def reading(
    variant: str,
    match: Match | None,
    limits: Limits,
    samples: Sequence[tuple[float, float, float, float]],
    whole_s: float | None = None,
) -> Reading:
    """Return a reading of samples, one a process: (log ratio, noise, base seconds, head seconds)."""
    log_ratios, noise, base, head = (tuple(column) for column in zip(*samples, strict=True))
    kind = match.kind if match else None
    base_s = stats.median(base)
    return Reading(
        variant=variant, match=match, log_ratios=log_ratios, noise=noise, base_s=base_s, head_s=stats.median(head),
        whole_s=base_s if whole_s is None else whole_s, threshold=limits.threshold(variant, kind, "latency"),
        asked=limits.sensitivity(variant, kind, "latency"),
    )  # fmt: skip
