"""What a search is certain of, and what its answer hangs on: a model's latencies and disturbed ones settle little.

A verdict by such a figure counts as certain only where all that the figure may be lies on one side of the limit.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence

from mbench.analysis import fit_ranking
from mbench.core.fit_records import CandidateResult, DeviceLimits, FitRecord

_NAMED = 3
"""Candidates that are named in a sentence."""
BOARD = "measuring on the device decides (--device rpc://HOST:PORT)"
QUIET = "measuring on a quiet machine decides"
OTHERS = f"the answer was measured, but disturbed; {QUIET}"
FEWEST_QUIET = 3
"""Networks without a disturbance from which on predictions are learnt from those alone."""


def doubts(
    candidates: Sequence[CandidateResult], best: str | None, limits: DeviceLimits, objective: str,
    model_error: tuple[float, float] | None = None,
) -> tuple[str, ...]:  # fmt: skip
    """Return what an answer hangs on that is not certain, and what would decide it, in words; mostly nothing.

    Args:
        candidates: that the answer is the best of, better ones first.
        best: name of the answer; None: nothing fits.
        limits: that they are held against.
        objective: of the search.
        model_error: the least and the largest error of the target's model, relative to what was measured, where
            latencies are a model's; None: they were measured.
    """
    trust = _Trust(model_error=model_error, slowed=1.0 if model_error else _slowed(candidates))
    reasons: dict[str, list[tuple[CandidateResult, str]]] = {}
    for each, what in _hanging(candidates, best, limits, objective, trust):
        reasons.setdefault(trust.doubt(each), []).append((each, what))
    return tuple(f"{_listed_by_what(found)}: {reason or OTHERS}" for reason, found in reasons.items())


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Trust:
    """How far latencies are to be trusted."""

    model_error: tuple[float, float] | None
    slowed: float
    """By what factor predictions may be too high, as they were learnt from disturbed figures; 1: they were not."""

    def doubt(self, candidate: CandidateResult) -> str:
        """Return why the latency of a candidate is not certain, and what decides; empty: it is."""
        if candidate.latency_s is None:
            return ""
        if self.model_error is not None:
            return f"the target's model of latency {_off(self.model_error)}; {BOARD}"
        if candidate.disturbed:
            return f"measured, but disturbed; {QUIET}"
        is_learnt = candidate.latency_s.basis == "predicted" and self.slowed > 1
        return f"predicted from disturbed measurements; {QUIET}" if is_learnt else ""

    def ends_s(self, candidate: CandidateResult) -> tuple[float, float]:
        """Return between what limits the latency lies on the device."""
        found = candidate.latency_s
        if found is None:
            return 0.0, math.inf
        is_counted = self.model_error is not None and found.basis != "predicted"
        low, high = (found.value, found.value) if is_counted else fit_ranking.ends(found)
        if self.model_error is not None:
            least, largest = self.model_error
            return low / (1 + max(largest, 0.0)), math.inf if least <= -1 else high / (1 + min(least, 0.0))
        return (low / self.slowed if found.basis == "predicted" else low), high


def _slowed(candidates: Iterable[CandidateResult]) -> float:
    """Return by what factor predictions may be too high: as much as the disturbed figures that they were learnt from.

    Where enough networks were measured without a disturbance, predictions are learnt from those alone.
    """
    measured = [(each, each.latency_s) for each in candidates if each.latency_s and each.latency_s.basis == "measured"]
    if sum(not each.disturbed for each, _ in measured) >= FEWEST_QUIET:
        return 1.0
    return max((found.value / (found.low or found.value) for each, found in measured if each.disturbed), default=1.0)


def _hanging(
    candidates: Sequence[CandidateResult], best: str | None, limits: DeviceLimits, objective: str, trust: _Trust
) -> Iterator[tuple[CandidateResult, str]]:
    """Yield the candidates on which the answer hangs, each with what may be so of it."""
    place = next((number for number, each in enumerate(candidates) if each.network.name == best), len(candidates))
    for each in candidates[:place]:
        if each.fits is False and trust.doubt(each) and not _surely_over(each, limits, trust):
            yield each, "may fit"
    if place == len(candidates):
        return
    answer = candidates[place]
    high_s = trust.ends_s(answer)[1]
    if limits.latency_s is not None and trust.doubt(answer) and high_s > limits.latency_s:
        yield answer, "may exceed the limit"
    if objective == "latency":
        for each in candidates:
            either = trust.doubt(each) or trust.doubt(answer)
            if each is not answer and each.fits and either and trust.ends_s(each)[0] < high_s:
                yield each, "may be faster"


def _surely_over(candidate: CandidateResult, limits: DeviceLimits, trust: _Trust) -> bool:
    """Return whether a candidate exceeds a limit whatever its latency is, or by all that its latency may be."""
    if any(name != "latency" for name in candidate.over):
        return True
    return limits.latency_s is not None and trust.ends_s(candidate)[0] > limits.latency_s


def _off(error: tuple[float, float]) -> str:
    least, largest = error
    if math.isinf(largest):
        return "was never compared with a measurement"
    return f"was off by {100 * least:+.0f} to {100 * largest:+.0f} % where it was compared"


def _listed_by_what(found: Iterable[tuple[CandidateResult, str]]) -> str:
    names: dict[str, list[CandidateResult]] = {}
    for each, what in found:
        names.setdefault(what, []).append(each)
    return " and ".join(f"{_names(_quickest(some))} {what}" for what, some in names.items())


def _quickest(found: Sequence[CandidateResult]) -> list[str]:
    """Return names, of the least latency first: those are the nearest to its limit."""
    taken = sorted(found, key=lambda each: each.latency_s.value if each.latency_s else math.inf)
    return [each.network.name for each in taken]


def by_disturbed(record: FitRecord) -> str:
    """Return in words that what is certain was decided by disturbed figures, each of them by its whole interval.

    Empty: it was not.
    """
    best = record.answers[0].network if record.answers else None
    if record.limits.latency_s is None:
        return ""
    for each in record.candidates:
        if each.disturbed and (each.over == ("latency",) or each.network.name == best):
            side = "on one side of the limit" if record.answers else "beyond the limit"
            return f"by disturbed figures, whose intervals all lie {side}"
        if each.network.name == best:
            break
    return ""


def nothing(record: FitRecord) -> str:
    """Return the headline of a search without an answer."""
    if record.certain:
        return "Nothing fits."
    return "Nothing fits, but that is not certain." if record.doubts else "Nothing that fits was found yet."


def so_far(record: FitRecord) -> str:
    """Return what the best one is the best of: all that fit, where that is certain."""
    if record.certain:
        return "that fits"
    return "that fits by what is known" if record.doubts else "found so far that fits"


def why_uncertain(record: FitRecord) -> str:
    """Return in words why a search is not certain, and what goes on from there."""
    if record.doubts:
        return f"{'. '.join(record.doubts)}."
    by_name = {each.network.name: each for each in record.candidates}
    kinds: dict[str, list[str]] = {}
    for name in record.open:
        kinds.setdefault(_stage(by_name.get(name)), []).append(name)
    said = []
    if "" in kinds or not kinds:
        said.append(f"the search ended before {_names(kinds.get('', ())) or 'all'} could be measured")
    for stage, names in kinds.items():
        if stage:
            verb = "was" if len(names) == 1 else "were"
            again = "" if said else ", and the search ended before another measurement"
            said.append(f"{_names(names)} {verb} measured, but {stage}{again}")
    return f"{'; '.join(said)}; the same command goes on."


def _stage(candidate: CandidateResult | None) -> str:
    """Return what is wrong with the measurement of a candidate that is open; empty: there is none."""
    latency = candidate.latency_s if candidate else None
    if candidate is None or latency is None or latency.basis == "predicted":
        return ""
    return "disturbed" if candidate.disturbed else "in one session only"


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
