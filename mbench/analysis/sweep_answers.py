"""Which family of a sweep wins where: at each place and type, the front of latency against published accuracy.

A family wins up to an accuracy if the fastest network that is at least so accurate is one of its own.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence

from mbench.analysis import fit_ranking, labels, pareto
from mbench.core import units
from mbench.core.sweep_records import CellPlace, SweepCell, SweepRecord

STEP_PERCENT = 5.0
"""Of accuracies at which the fastest network is named."""
_FEW_STEPS, _FINE_PERCENT = 3, 2.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class FamilyStretch:
    """Accuracies at which one family has the fastest network: more than `above`, up to `upto`, in percent."""

    family: str
    """For people."""
    above: float | None
    """None: from the least on."""
    upto: float
    first: SweepCell
    last: SweepCell
    close: tuple[str, ...] = ()
    """Other families whose networks are as fast within the intervals of what was measured."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AccuracyStep:
    """The fastest network that is at least so accurate; None: none is."""

    least_percent: float
    best: SweepCell | None
    next: SweepCell | None
    """The fastest one of another family."""

    @property
    def close(self) -> bool:
        """Whether the two are as fast, within the noise of what was measured."""
        return self.best is not None and self.next is not None and overlap(self.best, self.next)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepFacet:
    """The cells of one type at one place, and what they answer."""

    place: CellPlace
    dtype: str
    cells: tuple[SweepCell, ...]
    front: tuple[SweepCell, ...]
    """The cheapest first."""
    stretches: tuple[FamilyStretch, ...]
    steps: tuple[AccuracyStep, ...]

    @property
    def ranked(self) -> tuple[SweepCell, ...]:
        """The cells with both a latency and an accuracy."""
        return tuple(cell for cell in self.cells if is_ranked(cell))

    @property
    def disturbed(self) -> bool:
        """Whether every session of a network on the front, or that wins a step, was disturbed."""
        winners = (*self.front, *(step.best for step in self.steps if step.best))
        return any(cell.figures is not None and bool(cell.figures.disturbed) for cell in winners)

    @property
    def borrowed(self) -> bool:
        """Whether an accuracy is that of another type."""
        return any(cell.accuracy_dtype != self.dtype for cell in self.ranked)


def facets(record: SweepRecord) -> tuple[SweepFacet, ...]:
    """Return the cells of a sweep by place and type, in the order of the file; all have the same steps of accuracy."""
    groups: dict[tuple[CellPlace, str], list[SweepCell]] = {}
    for cell in record.cells:
        groups.setdefault((cell.place, cell.network.dtype), []).append(cell)
    leasts = tuple(_leasts([top1(cell) for cell in record.cells if is_ranked(cell)]))
    return tuple(_facet(place, dtype, tuple(cells), leasts) for (place, dtype), cells in groups.items())


def _leasts(accuracies: Sequence[float]) -> Iterator[float]:
    """Yield round accuracies from the least on, in percent."""
    if not accuracies:
        return
    low, high = min(accuracies), max(accuracies)
    step = STEP_PERCENT if (high - low) / STEP_PERCENT >= _FEW_STEPS else _FINE_PERCENT
    least = math.floor(low / step) * step
    while least <= high:
        yield least
        least += step


def _facet(place: CellPlace, dtype: str, cells: tuple[SweepCell, ...], leasts: Sequence[float]) -> SweepFacet:
    known = [cell for cell in cells if is_ranked(cell)]
    front = tuple(known[at] for at in pareto.front([(latency_s(cell), top1(cell)) for cell in known]))
    return SweepFacet(
        place=place, dtype=dtype, cells=cells, front=front, stretches=tuple(_stretches(front, known)),
        steps=tuple(_step(known, least) for least in leasts),
    )  # fmt: skip


def is_ranked(cell: SweepCell) -> bool:
    """Return whether a cell has both a latency and an accuracy."""
    known = cell.figures is not None and cell.figures.latency_s is not None
    return cell.state == "done" and known and cell.accuracy.top1_percent is not None


def latency_s(cell: SweepCell) -> float:
    """Return the latency of a cell that has one; else infinity."""
    found = cell.figures.latency_s if cell.figures else None
    return found.value if found else math.inf


def top1(cell: SweepCell) -> float:
    """Return the accuracy of a cell that has one, in percent; else less than any."""
    found = cell.accuracy.top1_percent
    return -math.inf if found is None else found


def family(cell: SweepCell) -> str:
    """Return a cell's family for people; a standard twin's is its own."""
    network = cell.network
    name = network.family if network.imported else labels.family(network.family)
    return f"{name}, standard" if network.convolution == "standard" else name


def overlap(one: SweepCell, other: SweepCell) -> bool:
    """Return whether the intervals of two latencies overlap; without intervals they do not."""
    first, second = (cell.figures.latency_s if cell.figures else None for cell in (one, other))
    if first is None or second is None:
        return False
    if first.basis == second.basis == "counted":  # one model errs alike on both
        return first.value == second.value
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return False
    return first.low <= second.high and second.low <= first.high


def _stretches(front: Sequence[SweepCell], known: Sequence[SweepCell]) -> Iterator[FamilyStretch]:
    """Yield the families along the front, from the least accurate on; neighbours of one family are one stretch."""
    at = 0
    while at < len(front):
        end = at
        while end + 1 < len(front) and family(front[end + 1]) == family(front[at]):
            end += 1
        members = front[at : end + 1]
        rivals = (_fastest(known, top1(each), apart_from=family(each)) for each in members)
        close = [family(other) for each, other in zip(members, rivals, strict=True) if other and overlap(each, other)]
        yield FamilyStretch(
            family=family(front[at]), above=top1(front[at - 1]) if at else None, upto=top1(front[end]),
            first=front[at], last=front[end], close=tuple(dict.fromkeys(close)),
        )  # fmt: skip
        at = end + 1


def _fastest(known: Iterable[SweepCell], least: float, apart_from: str = "") -> SweepCell | None:
    found = (cell for cell in known if top1(cell) >= least and family(cell) != apart_from)
    return min(found, key=latency_s, default=None)


def _step(known: Sequence[SweepCell], least: float) -> AccuracyStep:
    best = _fastest(known, least)
    rival = _fastest(known, least, apart_from=family(best)) if best else None
    return AccuracyStep(least_percent=least, best=best, next=rival)


# ------------------------------------------------------------------------------------------------------------- in words
def sentence(facet: SweepFacet) -> str:
    """Return which family wins where, in a sentence; or why nothing can be said."""
    if not facet.stretches:
        return _silence(facet)
    return f"{_winners(facet)} Latencies of these are disturbed." if facet.disturbed else _winners(facet)


def _winners(facet: SweepFacet) -> str:
    families = dict.fromkeys(family(cell) for cell in facet.ranked)
    if len(families) == 1:
        last = facet.stretches[-1].last
        return f"Only {next(iter(families))} has both figures: up to {_percent(last)} in {_latency(last)}."
    if len(facet.stretches) == 1:
        only = facet.stretches[0]
        reach = f"up to {_percent(only.last)} in {_latency(only.last)}"
        return f"{only.family} wins at every accuracy, {reach}{_close(only)}."
    parts = [
        f"{each.family} wins up to {_percent(each.last)} ({_latency(each.last)}){_close(each)}"
        for each in facet.stretches
    ]
    return f"{', then '.join(parts)}."


def headline(found: Sequence[SweepFacet]) -> str:
    """Return which family wins where, in few words: at all places and types together."""
    ranked = [facet for facet in found if facet.stretches]
    if not ranked:
        return "No family wins yet." if any(_is_open(facet) for facet in found) else "Families cannot be compared."
    if len({family(cell) for facet in ranked for cell in facet.ranked}) == 1:
        return f"One family alone has both figures: {ranked[0].stretches[0].family}."
    everywhere = f"in all {len(ranked)} combinations of place and type" if len(ranked) > 1 else "in one place and type"
    firsts, lasts = ({facet.stretches[at].family for facet in ranked} for at in (0, -1))
    if all(len(facet.stretches) == 1 for facet in ranked) and len(lasts) == 1:
        return f"{next(iter(lasts))} wins at every accuracy {everywhere}."
    if len(lasts) == 1:
        top = f"At the highest accuracies {next(iter(lasts))} is fastest"
        bottom = f", at the lowest {next(iter(firsts))}" if len(firsts) == 1 and firsts != lasts else ""
        return f"{top}{bottom}, {everywhere}."
    wins = collections.Counter(facet.stretches[-1].family for facet in ranked)
    said = ", ".join(f"{name} in {count}" for name, count in wins.most_common())
    return f"At the highest accuracies, which family is fastest depends on the place: {said} of {len(ranked)}."


def _is_open(facet: SweepFacet) -> bool:
    return any(cell.state == "open" for cell in facet.cells)


def _silence(facet: SweepFacet) -> str:
    done = sum(cell.state == "done" for cell in facet.cells)
    if not done:
        return "Nothing is measured yet."
    if all(cell.accuracy.top1_percent is None for cell in facet.cells):
        return "No accuracy is published of these networks, so families are not compared; see the table of cells."
    if all(cell.figures is None or cell.figures.latency_s is None for cell in facet.cells):
        return "No network has a latency, so families are not compared."
    return "No network has both a latency and a published accuracy yet."


def _close(stretch: FamilyStretch) -> str:
    return f", {' and '.join(stretch.close)} within the noise" if stretch.close else ""


def _percent(cell: SweepCell) -> str:
    return ("~" if cell.accuracy.kind == "interpolated" else "") + units.accuracy(cell.accuracy.top1_percent)


def _latency(cell: SweepCell) -> str:
    return fit_ranking.SHOWN["latency"](latency_s(cell))
