"""The answer in words: the few that fit, what each is the best of, and why the next better one does not fit."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mbench.analysis import fit_ranking
from mbench.core import units
from mbench.core.fit_records import Answer, CandidateResult, DeviceLimits
from mbench.fitting import search

_MOST = 6


def answers(candidates: Sequence[CandidateResult], limits: DeviceLimits, sure: Collection[str]) -> tuple[Answer, ...]:
    """Return the best candidate that fits, then the best of each other family and type.

    Args:
        candidates: better ones first.
        limits: that they are held against.
        sure: names of those whose figures are the device's and no predictions.
    """
    found: dict[str, Answer] = {}
    for number, slot in enumerate(search.slots(candidates)):
        place = next((place for place, each in enumerate(slot) if each.fits and each.network.name in sure), None)
        if place is None:
            continue
        best = slot[place]
        if best.network.name in found or len(found) == _MOST:
            continue
        peers = [each for each in slot[:place] if _same_group(each, best)]
        better = next((each for each in reversed(peers) if each.fits is False or each.failure), None)
        found[best.network.name] = Answer(
            network=best.network.name,
            why_best="of all" if number == 0 else _of_what(best),
            next_better=better.network.name if better else None,
            next_over=fit_ranking.excess(better, limits) if better else (),
        )
    order = {each.network.name: place for place, each in enumerate(candidates)}
    first, *others = found.values() if found else (None,)
    return () if first is None else (first, *sorted(others, key=lambda each: order[each.network]))


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
    needs = "; ".join(fit_ranking.excess(best, limits)) or "its interval reaches over a limit"
    return f"the nearest is {best.network.name}, over a limit by {units.percent(factor - 1)}: {needs}"
