"""Latencies as records hold them, measured at different times: what can be said of them, and what cannot.

Each record has several sessions a network, so that the spread between processes is known (`two_sides` has the
statistics). A change counts if its interval lies wholly beyond the tolerance, however wide it is. Networks are one
family, layers another: an interval has the confidence that leaves 0.5 % of false alarms to each family (Bonferroni).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from mbench.analysis import headline
from mbench.core import spread_history, units
from mbench.core.records import Layer, Record, Result
from mbench.gating import asked
from mbench.gating.comparison import Finding, Outcome
from mbench.gating.limits import Limits
from mbench.gating.matching import Match
from mbench.gating.timed import ASKED_SHARE, CONFIDENCE, FAMILY_ERROR, FLOOR_S, FLOOR_SHARE, SHORTEST_S
from mbench.gating.two_sides import TwoSides
from mbench.measure.disturbance import SLOWER_EXCHANGE

ASSUMED_SPREAD = {1: 0.04, 2: 0.28}
"""Standard deviation of the log latency between processes of one job on a shared machine, with one thread and with
more: MobileNetV1 0.25 128 on two processors of a shared host. Of records with one session, where this machine has no
history of its own."""
SENSITIVITY = {1: 0.10, 2: 0.20}
"""The slow-down of a network that must not be missed, with one thread and with more, unless one is asked for: about
what two records of five sessions show."""
_BESIDE_OTHERS = {1: 3.0, 2: 9.0}
"""The slow-down, as a fraction, that other work may cause a disturbed run, with one thread and with more (which wait
for each other)."""
_FEWEST_ALIKE = 2
"""Sessions a side, with processors far apart, that are compared where other sessions of a side had them near."""
_FAR_APART = "of sessions with processors far apart on both sides"
FEWEST_SAMPLES = 3
_FAMILY_ERROR = FAMILY_ERROR / 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """One network, or one of its layers, on both sides."""

    variant: str
    match: Match | None
    sides: TwoSides
    share: float
    """Of the network's time."""
    threshold: float
    """The change, as a fraction, that is tolerated."""
    sensitivity: float | None
    """The slow-down, as a fraction, that must not be missed; None: none is asked for."""
    disturbed: str | None
    """What disturbed one of the sides; None: nothing that could be seen."""
    beside_others: float
    """The slow-down, as a fraction, that this may have caused."""
    only: str = ""
    """Which sessions are compared, where not all that count are."""

    @property
    def margin(self) -> float:
        """The change, as a fraction, that is tolerated here."""
        return max(self.threshold, self.beside_others) if self.disturbed else self.threshold


def judge(
    base: Sequence[Record], head: Sequence[Record], matches: dict[str, tuple[Match, ...]], limits: Limits
) -> tuple[Finding, ...]:
    """Return the findings on latency of every network that both sides timed."""
    refused = [each for name in matches for each in _unfit(name, base, head)]
    names = [name for name in matches if name not in {finding.variant for finding in refused}]
    subjects = [each for name in names for each in _subjects(name, base, head, matches[name], limits)]
    families = {True: 0, False: 0}
    for each in subjects:
        families[each.match is None] += 1
    return (*refused, *(_finding(each, families[each.match is None]) for each in subjects))


def identical(base: Sequence[Record], names: Iterable[str]) -> Iterator[Finding]:
    """Yield a finding for each network where every run of the head is one of the base's too."""
    for name in names:
        refused = list(_unfit(name, base, base))
        yield from refused
        if not refused and _of(name, base):
            yield Finding(
                variant=name, metric="latency", way="recorded", base=None, head=None, outcome="same",
                reason="the very same samples: every run of the head is one of the base's too",
            )  # fmt: skip


def _subjects(
    name: str, base: Sequence[Record], head: Sequence[Record], matches: Sequence[Match], limits: Limits
) -> Iterator[Subject]:
    ours, theirs = _of(name, base), _of(name, head)
    if not ours or not theirs:
        return
    many = min(base[-1].settings.threads, 2)
    assumed = spread_history.known(head[-1].host, many) or ASSUMED_SPREAD[many]
    whole = TwoSides(tuple(map(headline.medians, ours)), tuple(map(headline.medians, theirs)), assumed)
    disturbed = _disturbed(ours, theirs)
    alike = _far_apart_alike(ours, theirs, assumed) if disturbed else None
    yield Subject(
        variant=name, match=None, sides=alike or whole, share=1.0, threshold=limits.threshold(name, None, "latency"),
        sensitivity=limits.asked_sensitivity(name, None, "latency") or _default_sensitivity(name, many, limits),
        disturbed=None if alike else disturbed, beside_others=_BESIDE_OTHERS[many], only=_FAR_APART if alike else "",
    )  # fmt: skip
    for match in matches:
        if not (match.base and match.head and match.comparable):
            continue
        times = [
            tuple(values for result in results if (values := _layers_s(result, side)))
            for results, side in ((ours, match.base), (theirs, match.head))
        ]
        if not all(times) or min(value for side in times for run in side for value in run) < SHORTEST_S:
            continue
        sides = TwoSides(times[0], times[1], assumed)
        share = sides.base_s / whole.base_s
        floor = min(FLOOR_S, FLOOR_SHARE * whole.base_s) / sides.base_s
        yield Subject(
            variant=name, match=match, sides=sides, share=share,
            threshold=max(limits.threshold(name, match.kind, "latency"), floor),
            sensitivity=limits.asked_sensitivity(name, match.kind, "latency") if share >= ASKED_SHARE else None,
            disturbed=disturbed, beside_others=_BESIDE_OTHERS[many],
        )  # fmt: skip


def _default_sensitivity(name: str, many: int, limits: Limits) -> float:
    return max(SENSITIVITY[many], limits.sensitivity(name, None, "latency"))


def _of(name: str, side: Sequence[Record]) -> list[Result]:
    found = [asked.result(record, name) for record in side]
    return [result for result in found if result and min(headline.medians(result), default=0.0) > 0]


def _layers_s(result: Result, layers: Sequence[Layer]) -> tuple[float, ...]:
    """Return the seconds of a group of layers, session by session: the sum of their medians; nothing: not timed."""
    known = {layer.name: layer for layer in result.layers}
    times = [headline.medians(result, known[layer.name]) for layer in layers if layer.name in known]
    if len(times) < len(layers) or not all(times):
        return ()
    return tuple(sum(values) for values in zip(*times, strict=True))


def _disturbed(ours: Sequence[Result], theirs: Sequence[Result]) -> str | None:
    """Return what disturbed one of the sides; None where both had processors that were alike far apart."""
    known = [seconds for result in (*ours, *theirs) if (seconds := headline.exchange_s(result))]
    if known and max(known) > SLOWER_EXCHANGE * min(known):
        return (
            f"threads read what others wrote in {units.seconds(min(known))} on one side and in "
            f"{units.seconds(max(known))} on the other: its processors were far apart"
        )
    for word, side in (("base", ours), ("head", theirs)):
        for result in side:
            if (why := headline.disturbed(result)) and not headline.far_apart(result):
                return f"the {word} was disturbed while it was measured ({why[0]})"
    return None


def _far_apart_alike(ours: Sequence[Result], theirs: Sequence[Result], assumed: float) -> TwoSides | None:
    """Return the sessions of both sides whose processors were far apart; None where they are too few."""
    sides = [
        tuple(values for result in side if (values := headline.far_apart_medians(result))) for side in (ours, theirs)
    ]
    if any(sum(map(len, side)) < _FEWEST_ALIKE for side in sides):
        return None
    return TwoSides(sides[0], sides[1], assumed)


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


def _finding(subject: Subject, family: int) -> Finding:
    sides, error = subject.sides, _FAMILY_ERROR / family
    direction = 1 if sides.log_difference >= 0 else -1
    p_value = min(1.0, family * sides.p(direction, subject.margin))
    outcome, reason = _outcome(subject, direction, p_value, error)
    confidence = 1 - 2 * error
    return Finding(
        variant=subject.variant, layer=subject.match.name if subject.match else None,
        **(subject.match.kind._asdict() if subject.match else {}),
        metric="latency", way="recorded", base=sides.base_s, head=sides.head_s, ratio=sides.ratio,
        interval=sides.interval(confidence), confidence=confidence, threshold=subject.margin,
        sensitivity=subject.sensitivity, smallest_change=sides.smallest_change(subject.margin, error),
        p_value=p_value, outcome=outcome, reason=reason,
    )  # fmt: skip


def _outcome(subject: Subject, direction: int, p_value: float, error: float) -> tuple[Outcome, str]:
    sides = subject.sides
    spread = ", ".join(part for part in (_spread(sides), subject.only) if part)
    if p_value <= _FAMILY_ERROR:
        low, high = sides.interval(1 - 2 * error)
        word, by = ("slower", (low, high)) if direction > 0 else ("quicker", (high, low))
        sure = f"{word}, by {units.percent(abs(by[0] - 1))} to {units.percent(abs(by[1] - 1))}"
        tolerated = f"{units.percent(subject.margin)} is tolerated"
        return ("regressed" if direction > 0 else "improved"), f"{sure}; {tolerated}, p {p_value:.2g}; {spread}"
    visible = sides.smallest_change(subject.margin, error)
    seen = f"it would have shown a slow-down of {units.percent(visible)}; {spread}"
    asked_for = subject.sensitivity
    if asked_for is None:
        return "information", f"no change that could be confirmed; {units.percent(subject.share)} of the time; {seen}"
    if subject.disturbed:
        return "undecided", f"{subject.disturbed}: measure it again on a quiet machine (--wait-quiet), or --paired"
    if sides.upper(CONFIDENCE / 2 + 0.5) < asked_for:
        return "same", f"a slow-down of {units.percent(asked_for)} is ruled out; {seen}"
    return "undecided", (
        f"a slow-down of {units.percent(asked_for)} cannot be ruled out: {seen}; {_what_would_show(subject)}"
    )


def _spread(sides: TwoSides) -> str:
    apart = units.percent(sides.deviation)
    if sides.spread_assumed:
        return f"processes are assumed to lie {apart} apart: too few sessions to show it"
    count = sum(sides.sessions)
    return f"sessions of one job lie {apart} apart, as {count} show"


def _what_would_show(subject: Subject) -> str:
    """Return what a person could run to see the slow-down that was asked for."""
    assert subject.sensitivity is not None
    count = subject.sides.sessions_for(subject.sensitivity, subject.threshold)
    if count is None:
        return "too far apart for records to show it: it takes a quieter machine, or both measured in turns (--paired)"
    return f"records of {count} sessions a side (--sessions {count}) would show it"
