"""Where a sequence of measurements changes its level. Arrays in, changes out: no records, no series, no words.

The search is seeded binary segmentation (Kovács, Bühlmann, Li and Munk, Biometrika 110, 2023): the largest step in each
of a fixed set of overlapping intervals. Of the steps that pass the test, that of the narrowest interval is taken first,
and the intervals that contain it are left out (narrowest over threshold: Baranowski, Chen and Fryzlewicz, JRSS B 81,
2019). Nothing is drawn at random, so that no seed decides, and what was found does not vanish as runs are added.

What recorded runs need besides:

- Values are logarithms. One that lies far from the running median of seven counts as the median and three times the
  noise: three runs in a row are no level yet.
- The noise of a mean is that of means of several runs in a row, not of single runs over √n: a machine has quick and
  slow hours. It is estimated from the series itself by medians, which a few steps do not move. While there are few
  runs, what is usual counts as well (as in Smyth, Statistical Applications in Genetics and Molecular Biology 3, 2004).
- A found step is tested again between its neighbours, and the weakest is dropped, until all pass; small steps that are
  dropped add up in what is left, so that their sum is found.
- Steps in one direction that a straight line explains as well are one drift.

Permutation tests, as of E-divisive (Matteson and James, JASA 109, 2014), assume that runs can be exchanged; runs beside
each other in time cannot, and `benchmarks/history_changes.py` shows how many false changes come from that.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Logs = NDArray[np.float64]

SMALLEST = 0.01
"""A smaller change of a measured value is not reported, as a fraction."""
LEVEL = 1e-4
"""Of the test, over all places of a series: p above it is no certain change."""
FEWEST = 4
"""Runs on each side of a certain change."""
_WINDOW = 2 * (FEWEST - 1) + 1
"""Of the running median: fewer than FEWEST values in a row do not move it."""
_CLIP = 3.0
"""Times the noise between two runs beside each other, from which on a value is far from the running median."""
_LEAST_NOISE = 0.002
"""No clock and no machine is better: the logarithm's standard deviation between runs."""
_USUAL_NOISE, _USUAL_FREEDOM = 0.01, 4.0
"""What is assumed of a machine before it has runs enough, and for how many degrees of freedom that counts."""
_USUAL_TOGETHER = 1.5
"""How many times as large the noise of means usually is as if runs were independent, while too few runs show it."""
_BLOCKS = (1, 3, 5, 8)
"""Runs in a row whose means are compared, to see the noise of means."""
_RUNS_A_BLOCK = 12
"""Of the sequence, for each run of a block: fewer say too little."""
_LONGEST = 256
"""Runs of an interval in which a step is sought."""
_NEAR = 60
"""Runs that say how large the noise is around them."""
_MAD = 1.4826
"""Standard deviation over median absolute deviation, of normal values."""
_MAD_EFFICIENCY = 0.37
"""Of the median absolute deviation, of normal values: so many of n - 2 degrees of freedom a t test has with it."""
_PERHAPS_LEVEL = 1e-3
_MOST_MORE = 20
"""More runs are not waited for."""
_CONFIDENCE = 0.95
_CLEARLY = 6.0
"""By how much a drift must explain values better than steps, in Schwarz's criterion: strong evidence (Kass and Raftery,
JASA 90, 1995)."""
_GRID = 40
_LEAST_DRIFT = 8
"""Runs that a drift takes at least."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChangePoint:
    """A place from which on the values are others."""

    at: int
    """Index of the first value of the new level."""
    previous: int = 0
    """Index of the value before it that counts."""
    last: int | None = None
    """Of a drift, the index at which it ends; None: a step."""
    before: float
    after: float
    low: float
    high: float
    """Interval of `after / before`, at 95 %."""
    p_value: float
    """Of the t test, times the places at which it could have been."""
    more_runs: int | None = None
    """How many more values will show whether it lasts; None: it is certain."""


def exact(values: Sequence[float]) -> tuple[int, ...]:
    """Return the indices at which an exact quantity takes another value."""
    return tuple(i for i in range(1, len(values)) if values[i] != values[i - 1])


def find(values: Sequence[float], quiet: Sequence[bool] | None = None, spread: float = 0.0) -> tuple[ChangePoint, ...]:
    """Return where measured values change, oldest first.

    Args:
        values: (n) positive.
        quiet: (n) which values nothing disturbed; the others do not count where at least half are quiet.
        spread: what is known of the noise, the logarithm's standard deviation between runs: less is not assumed.

    Raises:
        ValueError: a value is not positive.
    """
    given = np.asarray(values, dtype=np.float64)
    if not np.all(given > 0):
        raise ValueError(f"values from {given.min()} on; expected positive ones")
    counted = _counted(len(given), quiet)
    found = _PointSearch(np.log(given[counted]), spread).steps()
    return tuple(
        dataclasses.replace(
            step, at=int(counted[step.at]), previous=int(counted[step.at - 1]),
            last=None if step.last is None else int(counted[step.last]),
        )
        for step in found
    )  # fmt: skip


def _counted(size: int, quiet: Sequence[bool] | None) -> NDArray[np.intp]:
    if quiet is None or 2 * sum(quiet) < size:
        return np.arange(size)
    return np.flatnonzero(np.asarray(quiet, dtype=bool))


def noise(logs: Logs) -> float:
    """Return the noise of a run, as what means of runs in a row show: (n) logarithms → a standard deviation.

    The median difference of two neighbouring blocks' means, for blocks of one run and of more, times what would make it
    the deviation of one run if runs were independent: the largest of them. Fewer runs than a stretch do not show how
    they depend on each other, and are taken to do so as they usually do.
    """
    sums = np.concatenate([[0.0], np.cumsum(logs)])
    found = [_LEAST_NOISE]
    for size in _BLOCKS:
        if size > 1 and len(logs) < _RUNS_A_BLOCK * size:
            break
        means = (sums[size:] - sums[:-size]) / size
        apart = np.abs(means[size:] - means[:-size])
        if len(apart):
            found.append(_MAD * float(np.median(apart)) * math.sqrt(size / 2))
    few = len(logs) < _NEAR and len(found) > 1
    return max(*found, found[1] * _USUAL_TOGETHER) if few else max(found)


def _local_noise(logs: Logs) -> Logs:
    """Return the noise around each value: the largest of all stretches that hold it, and at least that of the whole."""
    found = np.full(len(logs), noise(logs))
    for start in range(0, max(1, len(logs) - _NEAR // 2), _NEAR // 2):
        start = max(0, min(start, len(logs) - _NEAR))
        stretch = slice(start, start + _NEAR)
        found[stretch] = np.maximum(found[stretch], noise(logs[stretch]))
    return found


def _running_median(logs: Logs) -> Logs:
    """Return the median of the window around each value; near an end, of the last whole window."""
    if len(logs) <= _WINDOW:
        return np.full(len(logs), np.median(logs))
    inner = np.median(np.lib.stride_tricks.sliding_window_view(logs, _WINDOW), axis=1)
    return np.asarray(np.pad(inner, _WINDOW // 2, mode="edge"), dtype=np.float64)


def _clipped(logs: Logs, spread: float) -> Logs:
    """Return the values with those far from the running median as near as others lie."""
    if len(logs) < 2:
        return logs
    single = _MAD * float(np.median(np.abs(np.diff(logs)))) / math.sqrt(2)
    room = _CLIP * max(single, spread, _LEAST_NOISE)
    middle = _running_median(logs)
    return np.asarray(np.clip(logs, middle - room, middle + room), dtype=np.float64)


class _PointSearch:
    """The search in one sequence of logarithms."""

    def __init__(self, logs: Logs, spread: float) -> None:
        self.logs, self.size = logs, len(logs)
        self.clipped = _clipped(logs, spread)
        self.sums = np.concatenate([[0.0], np.cumsum(self.clipped)])
        own = _MAD_EFFICIENCY * max(0, self.size - 2)
        self.freedom = _USUAL_FREEDOM + own
        squared = (_USUAL_FREEDOM * _USUAL_NOISE**2 + own * _local_noise(self.clipped) ** 2) / self.freedom
        self.noises = np.maximum(np.sqrt(squared), spread)

    def _noise(self, start: int, end: int) -> float:
        return float(self.noises[start:end].max())

    def steps(self) -> tuple[ChangePoint, ...]:
        """Return all changes, certain ones first tested, then those near the end that may last."""
        if self.size < FEWEST + 2:
            return ()
        places = self._tested(self._narrowest())
        return tuple(self._grouped(places)) + tuple(self._unsure(places))

    # ------------------------------------------------------------------------------------------------------- searching
    def _intervals(self) -> Iterator[tuple[int, int]]:
        """Yield the seeded intervals, and those that end at the last value."""
        length = 2.0 * FEWEST
        while True:
            whole = min(round(length), self.size)
            shift = max(1, whole // 4)
            yield from ((start, start + whole) for start in range(0, self.size - whole + 1, shift))
            yield self.size - whole, self.size
            if whole == self.size or length > _LONGEST:
                break
            length *= math.sqrt(2)
        yield max(0, self.size - _LONGEST), self.size

    def _narrowest(self) -> list[int]:
        """Return places of steps that pass the test in an interval, the narrowest first."""
        limit = self._limit(LEVEL / self.size)
        passing = []
        for start, end in set(self._intervals()):
            if end - start < 2 * FEWEST:
                continue
            ratios = self._ratios(start, end)
            best = int(np.argmax(ratios))
            if ratios[best] > limit:
                passing.append((end - start, -float(ratios[best]), start, end, start + FEWEST + best))
        found: list[int] = []
        for _, _, start, end, place in sorted(passing):
            if not any(start < other < end for other in found):
                found.append(place)
        return sorted(found)

    def _ratios(self, start: int, end: int) -> Logs:
        """Return the step over its standard error at each place between two values: FEWEST are left on each side."""
        places = np.arange(start + FEWEST, end - FEWEST + 1)
        left, right = places - start, end - places
        apart = (self.sums[end] - self.sums[places]) / right - (self.sums[places] - self.sums[start]) / left
        return np.asarray(
            np.abs(apart) * np.sqrt(left * right / (left + right)) / self._noise(start, end), dtype=np.float64
        )

    def _limit(self, level: float) -> float:
        from scipy.special import stdtrit

        return float(stdtrit(self.freedom, 1 - level / 2))

    # --------------------------------------------------------------------------------------------------------- testing
    def _tested(self, places: list[int]) -> list[int]:
        """Return the places that still pass between their neighbours, each moved to where the step is largest there."""
        while True:
            places = self._moved(places)
            steps = [self._step(start, place, place, end) for start, place, end in self._between(places)]
            failing = [step for step in steps if step.p_value > LEVEL or _size(step) < math.log1p(SMALLEST)]
            if not failing:
                return places
            weakest = max(failing, key=lambda step: (step.p_value, -_size(step)))
            places = [place for place in places if place != weakest.at]

    def _between(self, places: Sequence[int]) -> list[tuple[int, int, int]]:
        edges = [0, *places, self.size]
        return list(zip(edges, places, edges[2:], strict=False))

    def _moved(self, places: list[int]) -> list[int]:
        moved = list(places)
        for index, (start, _, end) in enumerate(self._between(places)):
            start = moved[index - 1] if index else start
            moved[index] = start + FEWEST + int(np.argmax(self._ratios(start, end)))
        return moved

    def _step(self, start: int, first: int, last: int, end: int) -> ChangePoint:
        """Return the change between two levels; up to `first` the values are of the old one, from `last` on of the new.

        A least-squares fit of both levels, with a straight line between them: between two neighbours for a step.
        """
        from scipy.special import stdtr

        share = _ramp(np.arange(start, end), first, last)
        centred = share - share.mean()
        weight = float(centred @ centred)
        change = float(centred @ self.clipped[start:end]) / weight
        level = float(self.clipped[start:end].mean() - change * share.mean())
        error = self._noise(start, end) / math.sqrt(weight)
        room = error * self._limit(1 - _CONFIDENCE)
        return ChangePoint(
            at=first, last=last if last > first else None, before=math.exp(level), after=math.exp(level + change),
            low=math.exp(change - room), high=math.exp(change + room),
            p_value=min(1.0, 2 * float(stdtr(self.freedom, -abs(change) / error)) * self.size),
        )  # fmt: skip

    # ---------------------------------------------------------------------------------------------------------- drifts
    def _grouped(self, places: list[int]) -> Iterator[ChangePoint]:
        """Yield the steps, with those that are one drift together as one."""
        rest = self._between(places)
        while rest:
            together = 1
            up = self._rises(*rest[0])
            while together < len(rest) and self._rises(*rest[together]) == up:
                together += 1
            drift = self._drift(rest[:together])
            if drift is None:
                yield from (self._step(start, place, place, end) for start, place, end in rest[:together])
            else:
                yield drift
            rest = rest[together:]

    def _rises(self, start: int, place: int, end: int) -> bool:
        return bool(self.clipped[place:end].mean() > self.clipped[start:place].mean())

    def _drift(self, steps: list[tuple[int, int, int]]) -> ChangePoint | None:
        """Return a drift that explains values better than steps in one direction, by Schwarz's criterion; or None."""
        start, end = steps[0][0], steps[-1][2]
        values = self.clipped[start:end]
        edges = [start, *(place for _, place, _ in steps), end]
        stairs = sum(_squares(self.clipped[a:b]) for a, b in itertools.pairwise(edges))
        best, first, last = min(self._ramps(start, end, steps[0][1], steps[-1][1]), default=(math.inf, 0, 0))
        count, least = len(values), self._noise(start, end) ** 2
        price = math.log(count)
        of_stairs = stairs / least + (2 * len(steps) + 1) * price
        of_line = best / least + 4 * price + _CLEARLY
        return self._step(start, first, last, end) if of_line < of_stairs else None

    def _ramps(self, start: int, end: int, first: int, last: int) -> Iterator[tuple[float, int, int]]:
        """Yield the squares that a drift leaves, for each pair of ends on a grid: they lie around the steps."""
        times, values = np.arange(start, end), self.clipped[start:end]
        grid = np.unique(np.linspace(start + 1, end - 1, min(_GRID, end - start - 1)).astype(int))
        centred = values - values.mean()
        for low in grid[grid <= first]:
            for high in grid[(grid >= last) & (grid >= low + _LEAST_DRIFT)]:
                share = _ramp(times, int(low), int(high))
                share -= share.mean()
                fitted = float(share @ centred) ** 2 / float(share @ share)
                yield float(centred @ centred) - fitted, int(low), int(high)

    # --------------------------------------------------------------------------------------------------------- the end
    def _unsure(self, places: list[int]) -> Iterator[ChangePoint]:
        """Yield a change near the end for which there are too few values yet."""
        start = places[-1] if places else 0
        for after in (FEWEST - 1, FEWEST - 2):
            place = self.size - after
            if place - start < FEWEST:
                continue
            base = float(self.clipped[start:place].mean())
            apart = self.logs[place:] - base
            nearest = float(np.min(np.abs(apart)))
            one_way = bool(np.all(apart > 0) or np.all(apart < 0))
            step = self._raw_step(start, place, math.copysign(nearest, float(apart[0])), base)
            if one_way and nearest >= math.log1p(SMALLEST) and step.p_value <= LEVEL:
                yield dataclasses.replace(step, more_runs=FEWEST - after)
                return
        if self.size - start >= 2 * FEWEST:
            yield from self._weak(start)

    def _raw_step(self, start: int, place: int, change: float, base: float) -> ChangePoint:
        from scipy.special import stdtr

        error = self._noise(start, self.size) * math.sqrt(1 / (place - start) + 1 / (self.size - place))
        room = error * self._limit(1 - _CONFIDENCE)
        return ChangePoint(
            at=place, before=math.exp(base), after=math.exp(base + change), low=math.exp(change - room),
            high=math.exp(change + room),
            p_value=min(1.0, 2 * float(stdtr(self.freedom, -abs(change) / error)) * self.size),
        )  # fmt: skip

    def _weak(self, start: int) -> Iterator[ChangePoint]:
        """Yield the largest step in the last level, if a few more values may show that it is one."""
        ratios = self._ratios(start, self.size)
        place = start + FEWEST + int(np.argmax(ratios))
        step = self._step(start, place, place, self.size)
        size = _size(step)
        if step.p_value > _PERHAPS_LEVEL or size < math.log1p(SMALLEST) or self.size - place > _MOST_MORE:
            return
        needed = (self._limit(LEVEL / self.size) * self._noise(start, self.size) / size) ** 2
        before = place - start
        if before <= needed:
            return
        more = math.ceil(needed * before / (before - needed)) - (self.size - place)
        if 0 < more <= _MOST_MORE:
            yield dataclasses.replace(step, more_runs=more)


def _ramp(times: NDArray[np.intp], first: int, last: int) -> Logs:
    """Return the share of the change at each time: 0 before `first`, 1 from `last` on."""
    if first == last:
        return (times >= first).astype(np.float64)
    return np.clip((times - first + 1) / (last - first + 1), 0.0, 1.0)


def _size(step: ChangePoint) -> float:
    return abs(math.log(step.after / step.before))


def _squares(values: Logs) -> float:
    apart = values - values.mean()
    return float(apart @ apart)
