"""The answer in words: the few that fit, what each is the best of, and why the next better one does not fit."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mbench.analysis import fit_ranking
from mbench.core import units
from mbench.core.fit_records import Answer, CandidateResult, DeviceLimits
from mbench.fitting import search

_MOST = 6
_CLEAR = "of those known that are clear of every limit"


def answers(candidates: Sequence[CandidateResult], limits: DeviceLimits, sure: Collection[str]) -> tuple[Answer, ...]:
    """Return the best candidate that fits, then the best of each other family and type.

    Args:
        candidates: better ones first.
        limits: that they are held against.
        sure: names of those whose figures are the device's and no predictions.
    """
    slots = search.slots(candidates)
    found: dict[str, Answer] = {}
    for number, slot in enumerate(slots):
        best = next((each for each in slot if each.fits and each.network.name in sure), None)
        if best is not None and best.network.name not in found and len(found) < _MOST:
            found[best.network.name] = _answer(best, slot, limits, "of all" if number == 0 else _of_what(best))
    first, *others = found.values() if found else (None,)
    if first is None:
        return ()
    clear = next(
        (each for each in slots[0] if each.fits and each.network.name in sure and not _close(each, limits)), None
    )
    if first.close and clear is not None:
        others = [each for each in others if each.network != clear.network.name]
        others.append(_answer(clear, slots[0], limits, _CLEAR))
    order = {each.network.name: place for place, each in enumerate(candidates)}
    return (first, *sorted(others, key=lambda each: order[each.network]))


def _answer(best: CandidateResult, slot: Sequence[CandidateResult], limits: DeviceLimits, why: str) -> Answer:
    peers = [each for each in slot[: slot.index(best)] if _same_group(each, best)]
    better = next((each for each in reversed(peers) if each.fits is False or each.failure), None)
    return Answer(
        network=best.network.name,
        why_best=why,
        next_better=better.network.name if better else None,
        next_over=fit_ranking.excess(better, limits) if better else (),
        close=_close(best, limits),
    )


def _close(candidate: CandidateResult, limits: DeviceLimits) -> tuple[str, ...]:
    return fit_ranking.close_calls(candidate, limits)


def _same_group(one: CandidateResult, other: CandidateResult) -> bool:
    return (one.network.family, one.network.dtype) == (other.network.family, other.network.dtype)


def _of_what(best: CandidateResult) -> str:
    published = ", published" if best.accuracy.kind == "published" else ""
    return f"of {best.network.family}, {best.network.dtype}{published}"


def nearest(candidates: Sequence[CandidateResult], limits: DeviceLimits) -> str:
    """Return how near the nearest comes where nothing fits; empty where that is not known."""
    found = fit_ranking.nearest(candidates, limits)
    if found is None:
        return ""
    best, factor = found
    needs = "; ".join(fit_ranking.excess(best, limits))
    shares = fit_ranking.share_used(best, limits).values()
    over = f", over a limit by {units.percent(factor - 1)}" if factor == max(shares, default=0.0) else ""
    return f"the nearest is {best.network.name}{over}: {needs}{_alone(candidates, limits)}"


def _alone(candidates: Sequence[CandidateResult], limits: DeviceLimits) -> str:
    """Return which limit rules every candidate out by itself, whatever the latencies are; empty: none does."""
    held = [each for each in candidates if each.failure is None]
    names = [name for name in fit_ranking.limits_of(limits) if name != "latency"]
    found = [name for name in names if all(name in each.over for each in held)]
    if not found or len(held) < 2 or len(fit_ranking.limits_in_words(limits)) < 2:
        return ""
    return f"; {found[0]} alone rules out all {len(held)} candidates"


def likely(candidates: Sequence[CandidateResult], limits: DeviceLimits) -> str:
    """Return which candidate is the best that probably fits, where the time was over before one was measured enough.

    Where none does, what is known of the best that may fit, and what would decide it. Empty: there is none.
    """
    opened = [each for each in search.slots(candidates)[0] if each.fits is not False and each.failure is None]
    best = next((each for each in opened if fit_ranking.probably_fits(each, limits)), None)
    if best is not None:
        used = "; ".join(fit_ranking.use(best, limits))
        return f"the best that probably fits is {best.network.name}{f': {used}' if used else ''}"
    if not opened:
        return ""
    return _undecided(_nearest_of(opened, limits), candidates, limits)


def _nearest_of(opened: Sequence[CandidateResult], limits: DeviceLimits) -> CandidateResult:
    """Return the best candidate whose figures keep all limits, whatever their intervals; else the first."""
    wanted = len(fit_ranking.limits_of(limits))
    shares = ((each, fit_ranking.share_used(each, limits)) for each in opened)
    keeping = (each for each, used in shares if len(used) == wanted and max(used.values(), default=0.0) <= 1)
    return next(keeping, opened[0])


def _undecided(best: CandidateResult, candidates: Sequence[CandidateResult], limits: DeviceLimits) -> str:
    used = "; ".join(fit_ranking.use(best, limits))
    known = f": {used}, which is too uncertain to say" if used else ": nothing is known of what it costs"
    where = " on a quiet machine" if any(each.disturbed for each in candidates) else ""
    return (
        f"it is undecided whether {best.network.name} fits{known}; measuring it{where} decides: give the same "
        "command more --time"
    )
