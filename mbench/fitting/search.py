"""The search: predict every candidate, measure those that decide, until the answer is certain or the time is over."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from mbench.analysis import fit_ranking
from mbench.analysis.accuracy import NetworkAccuracy
from mbench.core import durations
from mbench.core.fit_records import CandidateResult, DeviceLimits, Objective
from mbench.core.progress import Display, Progress
from mbench.fitting import estimates
from mbench.fitting.budget import Budget, roughly
from mbench.fitting.candidates import NetworkCandidate
from mbench.fitting.estimates import Estimates
from mbench.fitting.observations import Observations, Observed

_SEEDS = 3
"""Networks of each family and type that are measured before any is predicted."""
_SEED_SHARES = (0.15, 0.5, 0.85)
"""Where they stand among all of their group, by multiply-adds."""
_BATCH = 3
"""Networks that are measured at once: between two batches all is predicted anew."""
_DECIDING = 6
"""Networks that decide, in searches that were seen: for the time that is expected."""
_ATTEMPTS = 2
"""How often a network is measured whose sessions are disturbed, or too few, before what they show is taken."""
_NEAR_POINTS = 0.25
"""An interpolated accuracy is no better known than this: a candidate that would be so much better is not looked for."""


ReportCandidates = Callable[[Sequence[CandidateResult]], None]
"""Called with all candidates, better ones first, before each batch of measurements."""


def unheard(_candidates: Sequence[CandidateResult]) -> None:
    """Show nothing: a `ReportCandidates` of programs."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitOutcome:
    """What a search came to."""

    estimates: Estimates
    certain: bool
    open: tuple[str, ...]
    """Candidates that might be better."""
    sure: frozenset[str]
    """Candidates whose figures an answer may rest on."""
    interrupted: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """What is searched for."""

    candidates: tuple[NetworkCandidate, ...]
    accuracies: Mapping[str, NetworkAccuracy]
    limits: DeviceLimits
    objective: Objective = "accuracy"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _SearchStep:
    """Networks that are measured at once."""

    names: list[str]
    sessions: int


class FitSearch:
    """A search for the best candidates within limits."""

    def __init__(self, question: Question, seen: Observations, *, budget: Budget, sessions: int) -> None:
        """Prepare.

        Args:
            question: what is searched for.
            seen: what is known; it grows.
            budget: the time for measurements.
            sessions: of each network that may be the answer; others have one.
        """
        self._question, self._seen = question, seen
        self._budget, self._sessions = budget, sessions
        self._networks = {each.name: each for each in question.candidates}

    def run(self, display: Display, report: ReportCandidates) -> FitOutcome:
        """FitSearch.

        Args:
            display: shows each batch of measurements.
            report: called with what is known before each of them.
        """
        interrupted, begun = False, False
        try:
            now = self._estimates()
            while batch := self._next(now):
                report(now.candidates)
                with display(batch.names) as progress:
                    if not begun:
                        progress.note(self._expected(now))
                    self._measure(batch, progress)
                begun = True
                now = self._estimates()
        except KeyboardInterrupt:
            interrupted = True
            now = self._estimates()
        undecided = self._undecided(now)
        certain = not undecided and not any(self._unseeded(now))
        return FitOutcome(
            estimates=now, certain=certain, open=tuple(undecided), sure=self._settled_names(), interrupted=interrupted
        )

    def _estimates(self) -> Estimates:
        question = self._question
        return estimates.made(
            question.candidates, self._seen.known, self._seen.failed, question.accuracies, question.limits,
            question.objective, self._settled_names(),
        )  # fmt: skip

    def _settled_names(self) -> frozenset[str]:
        """Return the candidates whose figures an answer may rest on."""
        return frozenset(name for name in self._networks if self._is_sure(name))

    def _next(self, now: Estimates) -> _SearchStep | None:
        """Return what is measured next; None: nothing is left to measure, or no time for it.

        First one network of each group, to learn from. Then more of each, unless they would take most of the time that
        is left: then those that decide come first.
        """
        first, further = self._unseeded(now)
        undecided = self._undecided(now)
        time_for_more = self._budget.expected_s(self._of(further), 1) <= self._budget.left_s / 2
        if first or (further and (time_for_more or not undecided)):
            batch = _SearchStep(names=[*first, *(further if time_for_more or not first else ())], sessions=1)
        else:
            batch = _SearchStep(names=undecided, sessions=self._sessions)
        names = batch.names[:_BATCH]
        names = names[: self._budget.allowed(self._of(names), batch.sessions)]
        return dataclasses.replace(batch, names=names) if names else None

    def _of(self, names: Iterable[str]) -> list[NetworkCandidate]:
        return [self._networks[name] for name in names]

    def _measure(self, batch: _SearchStep, progress: Progress) -> None:
        networks, left_s = self._of(batch.names), self._budget.left_s
        self._seen.measure([each.network for each in networks], progress, sessions=batch.sessions)
        self._budget.spent(networks, batch.sessions, left_s - self._budget.left_s)
        for name in batch.names:
            if name not in self._seen.known:
                self._seen.failed.setdefault(name, "it has no result")

    def _expected(self, now: Estimates) -> str:
        """Return in words how long the search will take, about, before it has measured anything."""
        first, further = self._unseeded(now)
        seeds, deciding = self._of([*first, *further]), self._undecided(now)
        left = len(self._networks) - len(self._settled_names()) - len(seeds)
        typical = self._of((deciding * _DECIDING)[: min(_DECIDING, max(left, len(deciding)))])
        seconds = self._budget.expected_s(seeds, 1) + self._budget.expected_s(typical, self._sessions)
        count = len(seeds) + len(typical)
        how = "emulated" if self._budget.counted else "measured"
        said = f"some {count} of {len(self._networks)} networks have to be {how}: about {roughly(seconds)}"
        if seconds <= self._budget.left_s:
            return said
        given = durations.words(self._budget.time_s)
        return f"{said}, and --time is {given}: then you have the best that was found, and the same command goes on"

    def _unseeded(self, now: Estimates) -> tuple[list[str], list[str]]:
        """Return networks to learn from, of groups of many that may have the answer, better ones first.

        One of each group that nothing is known of, and then more of each that little is known of.
        """
        groups: dict[str, list[NetworkCandidate]] = {}
        for each in slots(now.candidates)[0]:
            if each.fits is not False and each.failure is None:
                network = self._networks[each.network.name]
                groups.setdefault(network.group, []).append(network)
        tried = collections.Counter(
            self._networks[name].group for name in {*self._seen.known, *self._seen.failed} if name in self._networks
        )
        first, further = list[str](), list[str]()
        for group, members in groups.items():
            lacking = _SEEDS - tried[group]
            if len(members) <= _SEEDS or lacking <= 0:
                continue
            free = [each for each in members if each.name not in self._seen.known]
            chosen = [each.name for each in _spread(free, lacking)]
            if not tried[group]:
                first.append(chosen.pop(len(chosen) // 2))
            further += chosen
        return first, further

    def _undecided(self, now: Estimates) -> list[str]:
        """Return the candidates whose measurement decides what the answer is, the most decisive ones first."""
        wanted: dict[str, None] = {}
        for slot in slots(now.candidates):
            deciding = sorted(self._deciding(slot), key=self._worst_share)
            wanted |= dict.fromkeys(each.network.name for each in deciding)
        return list(wanted)

    def _worst_share(self, candidate: CandidateResult) -> float:
        """Return the share of a limit that a candidate uses most of: those that probably fit are measured first."""
        return max(fit_ranking.share_used(candidate, self._question.limits).values(), default=0.0)

    def _deciding(self, slot: Sequence[CandidateResult]) -> Iterator[CandidateResult]:
        """Yield those of a slot that might be its best and are not certain, up to one that probably fits."""
        best = next((each for each in slot if self._settled(each)), None)
        for each in slot:
            if each is best:
                return
            if each.fits is False or each.failure is not None or self._is_sure(each.network.name):
                continue
            if best is not None and not self._matters(each, best):
                continue
            yield each
            if self._worst_share(each) <= 1.0:
                return

    def _settled(self, candidate: CandidateResult) -> bool:
        return candidate.fits is True and self._is_sure(candidate.network.name)

    def _is_sure(self, name: str) -> bool:
        seen = self._seen.known.get(name)
        if seen is None:
            return False
        if self._seen.attempts.get(name, 0) >= _ATTEMPTS:
            return True
        return seen.sure and (not seen.disturbed or self._fits_all_the_same(seen))

    def _fits_all_the_same(self, seen: Observed) -> bool:
        """Return whether a disturbed measurement is within the limit: a quiet one takes no longer."""
        question = self._question
        limit_s = question.limits.latency_s
        return question.objective == "accuracy" and (limit_s is None or (seen.high_s or seen.latency_s) <= limit_s)

    def _matters(self, candidate: CandidateResult, best: CandidateResult) -> bool:
        """Return whether a candidate would be better than the best by more than what is known of accuracies."""
        mine, theirs = candidate.accuracy, best.accuracy
        if self._question.objective != "accuracy" or "interpolated" not in (mine.kind, theirs.kind):
            return True
        return (mine.top1_percent or 0.0) > (theirs.top1_percent or 0.0) + _NEAR_POINTS


def slots(candidates: Iterable[CandidateResult]) -> list[list[CandidateResult]]:
    """Return what the answer has a line for: all candidates; each family in one type; and what is published of it."""
    everything = [each for each in candidates if each.accuracy.top1_percent is not None] or list(candidates)
    groups: dict[tuple[object, ...], list[CandidateResult]] = {}
    for each in everything:
        family = (each.network.family, each.network.dtype)
        groups.setdefault(family, []).append(each)
        if each.accuracy.kind != "interpolated":
            groups.setdefault((*family, "published"), []).append(each)
    return [everything, *groups.values()]


def _spread(candidates: Sequence[NetworkCandidate], count: int) -> list[NetworkCandidate]:
    """Return candidates of one group that differ most in what they cost."""
    by_work = sorted(candidates, key=lambda each: (each.costs.macs, each.name))
    shares = _SEED_SHARES if count == _SEEDS else [(number + 0.5) / count for number in range(count)]
    places = dict.fromkeys(math.floor(share * len(by_work)) for share in shares)
    return [by_work[min(place, len(by_work) - 1)] for place in places]
