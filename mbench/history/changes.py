"""Where series changed: the changes of each, with their size, the commits around them, and what may explain them.

Not here: the test that finds them (`mbench.analysis.change_points`), and what is done about them
(`mbench.history.check`).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence

import numpy as np

from mbench.analysis import change_points
from mbench.analysis.change_points import ChangePoint
from mbench.history import change_causes
from mbench.history.change_causes import Company
from mbench.history.series import Change, Point, Series

_PACED = "latency_s"
"""What the machine's pace was measured beside."""
_NOISIER = 1.25
_OF_A_MEDIAN = math.sqrt(math.pi / 2)
"""Standard error of a median over that of a mean, of normal values."""


def found(series: Sequence[Series], beside: Sequence[Series] = ()) -> dict[str, tuple[Change, ...]]:
    """Return the changes of each series, oldest first, by its `id`.

    Args:
        series: what is searched; they explain each other too.
        beside: what may explain them besides: other quantities of a network, other networks of a machine.
    """
    own = {each.id for each in series}
    company = Company([*series, *(each for each in beside if each.id not in own)])
    return {each.id: tuple(_changes(each, company)) for each in series}


def of_series(series: Series) -> tuple[Change, ...]:
    """Return the changes of a series that nothing is known about besides."""
    return found([series])[series.id]


def _changes(series: Series, company: Company) -> Iterator[Change]:
    steps = _exact_steps(series) if series.quantity.kind == "exact" else _measured_steps(series, company)
    for step in steps:
        ratio = step.after / step.before if step.before else math.inf
        earlier, first = series.points[step.previous], series.points[step.at]
        causes = change_causes.of_step(series, step, company)
        yield Change(
            series=series.id, at=step.at, last=step.last, before=step.before, after=step.after, ratio=ratio,
            low=step.low, high=step.high, p_value=None if series.quantity.kind == "exact" else step.p_value,
            certainty="certain" if step.more_runs is None else "perhaps", more_runs=step.more_runs,
            worse=series.quantity.better == "lower" and step.after > step.before and not causes.model,
            machine=causes.machine, model=causes.model,
            record=first.record, commits=(earlier.labels.get("commit"), first.labels.get("commit")),
            causes=causes.words,
        )  # fmt: skip


def _exact_steps(series: Series) -> Iterator[ChangePoint]:
    values = [point.value for point in series.points]
    for at in change_points.exact(values):
        before, after = values[at - 1], values[at]
        ratio = after / before if before else math.inf
        yield ChangePoint(at=at, previous=at - 1, before=before, after=after, low=ratio, high=ratio, p_value=0.0)


def _measured_steps(series: Series, company: Company) -> Iterator[ChangePoint]:
    """Yield the steps of measured values; those that are 0 or less were too short for a clock, and do not count."""
    places = [index for index, point in enumerate(series.points) if point.value > 0]
    points = [series.points[index] for index in places]
    quiet = [not point.disturbed for point in points]
    values = _at_one_pace(series, points, company)
    for step in change_points.find(values, quiet, _spread(points)):
        yield ChangePoint(
            at=places[step.at], previous=places[step.previous], last=None if step.last is None else places[step.last],
            before=step.before, after=step.after, low=step.low, high=step.high, p_value=step.p_value,
            more_runs=step.more_runs,
        )  # fmt: skip


def _at_one_pace(series: Series, points: Sequence[Point], company: Company) -> list[float]:
    """Return the values as they would be if the machine had always been as fast as it mostly was.

    A latency is multiplied by the machine's pace beside it over the usual one, unless that makes the series noisier:
    its clock goes up and down, and takes a network that computes with it. Nothing else is, and no run without a pace.
    """
    values = [point.value for point in points]
    paces = company.pace(series) if series.quantity.name == _PACED else {}
    known = [paces[point.record] for point in points if point.record in paces]
    if 2 * len(known) < len(points) or not known:
        return values
    usual = statistics.median(known)
    even = [point.value * paces.get(point.record, usual) / usual for point in points]
    noisier = change_points.noise(np.log(even)) > _NOISIER * change_points.noise(np.log(values))
    return values if noisier else even


def _spread(points: Sequence[Point]) -> float:
    """Return how far medians over sessions must lie apart at least, by how far the sessions do; 0: nothing is known."""
    known = [
        _OF_A_MEDIAN * statistics.stdev(map(math.log, point.sessions)) / math.sqrt(len(point.sessions))
        for point in points
        if len(point.sessions) > 1 and min(point.sessions) > 0
    ]
    return statistics.median(known) if known else 0.0
