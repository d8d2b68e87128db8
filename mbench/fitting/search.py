"""The search: predict every candidate, measure those that decide, until the answer is certain or the time is over."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from mbench.analysis import fit_ranking
from mbench.analysis.accuracy import NetworkAccuracy
from mbench.core.fit_records import CandidateResult, DeviceLimits, Objective
from mbench.core.progress import Display, Progress
from mbench.fitting import estimates
from mbench.fitting.candidates import NetworkCandidate
from mbench.fitting.estimates import Estimates
from mbench.fitting.observations import Observations

_SEEDS = 3
"""Networks of each family and type that are measured before any is predicted."""
_SEED_SHARES = (0.15, 0.5, 0.85)
"""Where they stand among all of their group, by multiply-adds."""
_BATCH = 3
"""Networks that are measured at once: between two batches all is predicted anew."""
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


class FitSearch:
    """A search for the best candidates within limits."""

    def __init__(self, question: Question, seen: Observations, *, deadline: float, sessions: int) -> None:
        """Prepare.

        Args:
            question: what is searched for.
            seen: what is known; it grows.
            deadline: by `time.monotonic`, after which nothing more is begun.
            sessions: of each network that may be the answer; others have one.
        """
        self._question, self._seen = question, seen
        self._deadline, self._sessions = deadline, sessions
        self._networks = {each.name: each for each in question.candidates}
        self._longest_s = 0.0

    def run(self, display: Display, report: ReportCandidates) -> FitOutcome:
        """FitSearch.

        Args:
            display: shows each batch of measurements.
            report: called with what is known before each of them.
        """
        interrupted = False
        try:
            now = self._estimates()
            while True:
                seeds = self._unseeded(now)
                wanted = (seeds or self._undecided(now))[:_BATCH]
                if not wanted or time.monotonic() + self._longest_s > self._deadline:
                    break
                report(now.candidates)
                started = time.monotonic()
                with display(wanted) as progress:
                    self._measure(wanted, progress, sessions=1 if seeds else self._sessions)
                self._longest_s = time.monotonic() - started
                now = self._estimates()
        except KeyboardInterrupt:
            interrupted = True
            now = self._estimates()
        undecided = self._undecided(now)
        certain = not undecided and not self._unseeded(now)
        sure = frozenset(each.network.name for each in now.candidates if self._is_sure(each))
        return FitOutcome(estimates=now, certain=certain, open=tuple(undecided), sure=sure, interrupted=interrupted)

    def _estimates(self) -> Estimates:
        question = self._question
        return estimates.made(
            question.candidates, self._seen.known, self._seen.failed, question.accuracies, question.limits,
            question.objective,
        )  # fmt: skip

    def _measure(self, names: Sequence[str], progress: Progress, *, sessions: int) -> None:
        networks = [self._networks[name].network for name in names]
        self._seen.measure(networks, progress, sessions=sessions)
        for name in names:
            if name not in self._seen.known:
                self._seen.failed.setdefault(name, "no latency was measured")

    def _unseeded(self, now: Estimates) -> list[str]:
        """Return networks to learn from, of groups of many that little is known of and that may have the answer."""
        wanted = []
        possible = {each.network.name for each in now.candidates if each.fits is not False}
        for group in self._groups():
            if len(group) <= _SEEDS or not any(each.name in possible for each in group):
                continue
            seen = [each for each in group if each.name in self._seen.known]
            tried = [each for each in group if each.name in self._seen.failed]
            lacking = _SEEDS - len(seen) - len(tried)
            if lacking > 0:
                free = [each for each in group if each not in seen and each not in tried]
                wanted += [each.name for each in _spread(free, lacking)]
        return wanted

    def _groups(self) -> list[list[NetworkCandidate]]:
        groups: dict[str, list[NetworkCandidate]] = {}
        for each in self._question.candidates:
            groups.setdefault(each.group, []).append(each)
        return list(groups.values())

    def _undecided(self, now: Estimates) -> list[str]:
        """Return the candidates whose measurement decides what the answer is, the most decisive ones first."""
        wanted: dict[str, None] = {}
        for slot in slots(now.candidates):
            wanted |= dict.fromkeys(self._deciding(slot))
        return list(wanted)

    def _deciding(self, slot: Sequence[CandidateResult]) -> Iterator[str]:
        """Yield those of a slot that might be its best and are not certain, up to one that probably fits."""
        best = next((each for each in slot if self._settled(each)), None)
        for each in slot:
            if each is best:
                return
            if each.fits is False or each.failure is not None or self._is_sure(each):
                continue
            if best is not None and not self._matters(each, best):
                continue
            yield each.network.name
            if self._probably(each):
                return

    def _settled(self, candidate: CandidateResult) -> bool:
        return candidate.fits is True and self._is_sure(candidate)

    def _is_sure(self, candidate: CandidateResult) -> bool:
        name = candidate.network.name
        seen = self._seen.known.get(name)
        if seen is None:
            return False
        return (seen.sure and not seen.disturbed) or self._seen.attempts.get(name, 0) >= _ATTEMPTS

    def _matters(self, candidate: CandidateResult, best: CandidateResult) -> bool:
        """Return whether a candidate would be better than the best by more than what is known of accuracies."""
        mine, theirs = candidate.accuracy, best.accuracy
        if self._question.objective != "accuracy" or "interpolated" not in (mine.kind, theirs.kind):
            return True
        return (mine.top1_percent or 0.0) > (theirs.top1_percent or 0.0) + _NEAR_POINTS

    def _probably(self, candidate: CandidateResult) -> bool:
        shares = fit_ranking.share_used(candidate, self._question.limits)
        return max(shares.values(), default=0.0) <= 1.0


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
