"""What differs across a change and may explain it: marks, counts of the same network, the machine. Hints, no proofs."""

from __future__ import annotations

import collections
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from mbench.analysis.change_points import ChangePoint
from mbench.core import units
from mbench.history.quantities import MODELLED, PACE
from mbench.history.series import Identity, Point, Series

_DIGESTS = {
    "network": "the network's weights or layers differ", "file": "the user's files differ",
    "content": "the user's files differ", "quantization": "it is quantised in another way",
    "figures": "figures of the target's description differ", "model": "latency is modelled in another way",
    "schedules": "schedules of its kernels differ", "tuned": "tuned choices differ", "build": "another build",
}  # fmt: skip
"""Marks that are digests, and what to say of a difference."""
_LAST = ("build",)
"""Marks that say little if another says why."""
_COUNTS = ("instructions", "loads", "stores", "macs", "library_bytes")
"""Quantities that say whether the same work was done, the most telling first."""
_SMALL = 1e-3
_LONGEST = 60
"""Characters of a mark that are said."""
_SAME = "the same"
_OF_MODEL = "the model of the target says something else, of code that costs the same"
_WINDOW = 5
"""Runs on each side that show whether another network moved with it."""
_FEWEST_OTHERS = 2
_WITH_IT, _NOT_AT_ALL = 0.5, 0.25
"""Shares of a change: others that moved by so much moved with it; by less than so much, they did not move."""


class Causes(NamedTuple):
    """What may explain a change."""

    words: tuple[str, ...]
    machine: bool = False
    """Whether it is the machine's: one build on both sides, and others there moved with it."""
    model: bool = False
    """Whether it is the target's model's: what was modelled is the same."""


class Company:
    """All series that are known, by what may explain each other."""

    def __init__(self, series: Sequence[Series]) -> None:
        """Group series by network, and those of one quantity by machine."""
        self._networks = collections.defaultdict[tuple[object, ...], list[Series]](list)
        self._machines = collections.defaultdict[tuple[object, ...], list[Series]](list)
        for each in series:
            self._networks[_of_network(each.identity)].append(each)
            if each.identity.machine:
                self._machines[_of_machine(each)].append(each)

    def counts(self, series: Series) -> Iterator[Series]:
        """Yield exact quantities of the same network for the same target, the most telling first."""
        known = [each for each in self._networks[_of_network(series.identity)] if each.quantity.kind == "exact"]
        for name in _COUNTS:
            same = [each for each in known if each.quantity.name == name]
            yield from sorted(same, key=lambda each: each.identity != series.identity)[:1]

    def pace(self, series: Series) -> dict[str, float]:
        """Return how fast the machine was beside the points of a series, by record; empty: not known."""
        same = self._networks[_of_network(series.identity)]
        paces = [each for each in same if each.quantity.name == PACE and each.identity == series.identity]
        return {point.record: point.value for each in paces for point in each.points if point.value > 0}

    def others(self, series: Series) -> list[Series]:
        """Return the same quantity of other networks on the same machine."""
        own = series.identity.network
        return [each for each in self._machines[_of_machine(series)] if each.identity.network != own]


def of_step(series: Series, step: ChangePoint, company: Company) -> Causes:
    """Return what may explain a change of a series."""
    before, after = series.points[step.previous], series.points[step.at]
    words = list(_marks(before.marks, after.marks))
    if step.last is not None:
        words.append(f"a slow drift over {step.last - step.at + 1} runs, no step")
    if series.quantity.name == MODELLED:
        counts = _counts(company.counts(series), series, before, after)
        model = bool(counts) and counts[0].startswith(_SAME)
        return Causes((*words, *counts, *([_OF_MODEL] if model else ())), model=model)
    if series.quantity.kind == "exact":
        return Causes(tuple(words))
    words += _counts(company.counts(series), series, before, after)
    moved, said = _others(company.others(series), series, step)
    one_build = bool(before.marks.get("build")) and before.marks.get("build") == after.marks.get("build")
    if one_build:
        words.append("one build ran before and after: its code is the same")
    return Causes((*words, *said), machine=one_build and moved)


def _of_network(identity: Identity) -> tuple[object, ...]:
    return identity.network, identity.source, identity.dtype, identity.batch, identity.target


def _of_machine(series: Series) -> tuple[object, ...]:
    identity = series.identity
    return identity.machine, identity.hardware, identity.device, identity.threads, series.quantity.name


def _marks(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    differing = [name for name in dict.fromkeys((*after, *before)) if before.get(name) != after.get(name)]
    telling = [name for name in differing if name not in _LAST]
    digests = [name for name in telling if name in _DIGESTS]
    yield from dict.fromkeys(_DIGESTS[name] for name in digests)
    for name in telling:
        if name not in _DIGESTS:
            values = [found.get(name) or "not known" for found in (before, after)]
            long = max(map(len, values)) > _LONGEST
            yield f"{name} differs, see the two records" if long else f"{name} {' → '.join(values)}"
    if not telling:
        yield from (_DIGESTS[name] for name in differing)


def _counts(known: Iterator[Series], series: Series, before: Point, after: Point) -> list[str]:
    """Return how counts of the same network changed with it: those that did, or that the most telling one did not."""
    same: list[str] = []
    moved: list[str] = []
    for each in known:
        values = _around(each, series, before, after)
        if values is None:
            continue
        was, now = values
        if was == now:
            same.append(f"{_SAME} {each.quantity.label}")
        elif was:
            share = now / was - 1
            moved.append(f"{each.quantity.label} {units.change(share, 2 if abs(share) >= _SMALL else 4)}")
    return moved or same[:1]


def _around(counted: Series, series: Series, before: Point, after: Point) -> tuple[float, float] | None:
    """Return what was counted before and after a change: in the same records, or else last before and first after."""
    if counted.identity == series.identity:
        by_record = {point.record: point.value for point in counted.points}
        found = by_record.get(before.record), by_record.get(after.record)
    else:
        earlier = [point.value for point in counted.points if point.at <= before.at]
        later = [point.value for point in counted.points if point.at >= after.at]
        found = earlier[-1] if earlier else None, later[0] if later else None
    return None if found[0] is None or found[1] is None else (found[0], found[1])


def _others(others: Sequence[Series], series: Series, step: ChangePoint) -> tuple[bool, tuple[str, ...]]:
    """Return whether other networks of the machine moved with a change, and that in words."""
    own = math.log(step.after / step.before)
    end = series.points[step.at if step.last is None else step.last]
    shifts = [shift for each in others if (shift := _shift(each, series.points[step.previous], end)) is not None]
    if len(shifts) < _FEWEST_OTHERS:
        return False, ()
    common = statistics.median(shifts)
    size, name = units.change(math.expm1(common)), f"the {len(shifts)} other networks on this machine"
    if common * own > 0 and abs(common) >= _WITH_IT * abs(own):
        return True, (f"{name} moved with it, by {size} in the median: the machine, or what all of them share",)
    if abs(common) < _NOT_AT_ALL * abs(own):
        return False, (f"{name} did not move",)
    return False, (f"{name} moved by {size} in the median",)


def _shift(other: Series, before: Point, after: Point) -> float | None:
    """Return by how much a series moved there, as a logarithm; None: too few runs on a side."""
    counting = [point for point in other.points if point.value > 0 and not point.disturbed]
    earlier = [point.value for point in counting if point.at <= before.at][-_WINDOW:]
    later = [point.value for point in counting if point.at >= after.at][:_WINDOW]
    if min(len(earlier), len(later)) < _FEWEST_OTHERS:
        return None
    return math.log(statistics.median(later) / statistics.median(earlier))
