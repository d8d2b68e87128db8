"""What the pages of a history say: series, changes and runs gathered from `Series` and `Change`, in words and values.

No HTML, no figures. Texts that came from outside are made printable here; templates escape them.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from mbench.history import site_names, site_words, sparklines
from mbench.history.series import Change, Identity, Point, Series
from mbench.history.sparklines import Sparkline

Changes = Mapping[str, Sequence[Change]]
"""What was found, by the series' id."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChangeView:
    """A change in words."""

    kind: str
    """One of `site_words.BADGES`."""
    at: datetime.datetime
    day: str
    network: str
    target: str
    settings: str
    quantity: str
    sentence: str
    size: str
    between: str
    step: str
    certainty: str
    commits: str
    causes: tuple[str, ...]
    accepted: str
    run: str
    record: str
    """Of the first point after it."""
    page: str
    """Of its network and target."""
    ratio: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeriesView:
    """A series as a row of a table."""

    series: Series
    changes: tuple[Change, ...]
    views: tuple[ChangeView, ...]
    """The same, in words."""
    settings: str
    page: str
    sparkline: Sparkline
    last: str
    last_day: str
    disturbed: str
    """What disturbed the last run; empty: nothing."""
    network: str
    target: str

    @property
    def change(self) -> ChangeView | None:
        """The last change; None: there is none."""
        return self.views[-1] if self.views else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class HistoryEvent:
    """What changed at one time: with one commit, or in one run."""

    day: str
    commits: str
    causes: tuple[str, ...]
    """Those that all its changes share."""
    changes: tuple[ChangeView, ...]
    title: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class HistoryRun:
    """A record as a row of a page's table: where it ran, and what it saw of each quantity."""

    point: Point
    settings: str
    values: dict[str, Point]
    """By the quantity's name."""
    marks: tuple[str, ...]
    """Which versions differ from the run before it with these settings."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HistoryPlace:
    """A network on a target: a page."""

    network: str
    target: str
    page: str
    rows: tuple[SeriesView, ...]
    events: tuple[HistoryEvent, ...]
    newest: datetime.datetime


def of_series(series: Iterable[Series], changes: Changes) -> tuple[HistoryPlace, ...]:
    """Return the places of series that have points, by target and network."""
    grouped: dict[tuple[str, str], list[Series]] = defaultdict(list)
    for each in series:
        if each.points:
            grouped[each.identity.target, site_words.network(each.identity)].append(each)
    return tuple(_place(grouped[key], changes) for key in sorted(grouped))


def _place(members: list[Series], changes: Changes) -> HistoryPlace:
    target, network = members[0].identity.target, site_words.network(members[0].identity)
    names = site_words.settings(list(dict.fromkeys(each.identity for each in members)))
    page = site_names.place(network, target)
    rows = [_row(each, tuple(changes.get(each.id, ())), names[each.identity], page) for each in members]
    rows.sort(key=lambda row: (_QUANTITY_ORDER.get(row.series.quantity.name, len(_QUANTITY_ORDER)), row.settings))
    return HistoryPlace(
        network=site_words.word(network),
        target=site_words.word(target),
        page=page,
        rows=tuple(rows),
        events=events(rows),
        newest=max(each.points[-1].at for each in members),
    )


_FIRST = ("latency_s", "instructions", "energy_j", "peak_bytes")
_QUANTITY_ORDER = {name: at for at, name in enumerate(_FIRST)}
"""What a reader asks for first; the rest as they come."""


def _row(series: Series, changes: tuple[Change, ...], settings: str, page: str) -> SeriesView:
    last = series.points[-1]
    return SeriesView(
        series=series,
        changes=changes,
        views=tuple(_change(series, each, settings, page) for each in changes),
        settings=settings,
        page=page,
        sparkline=sparklines.of_series(series, changes),
        last=site_words.value(last.value, series.quantity),
        last_day=site_words.day(last.at),
        disturbed=site_words.word("; ".join(last.disturbed)),
        network=site_words.word(site_words.network(series.identity)),
        target=site_words.word(series.identity.target),
    )


def _change(series: Series, change: Change, settings: str, page: str) -> ChangeView:
    point = series.points[change.at]
    return ChangeView(
        kind=site_words.kind(change, series.quantity),
        at=point.at,
        day=site_words.day(point.at),
        network=site_words.word(site_words.network(series.identity)),
        target=site_words.word(series.identity.target),
        settings=settings,
        quantity=series.quantity.label,
        sentence=_capital(site_words.sentence(series, change)),
        size=site_words.percent(change.ratio),
        between=site_words.between(change),
        step=site_words.step(change.before, change.after, series.quantity),
        certainty=site_words.certainty(change),
        commits=site_words.commits(change),
        causes=tuple(site_words.word(cause, 300) for cause in change.causes),
        accepted=site_words.word(change.accepted or "", 300),
        run=site_words.word(point.run_id),
        record=point.record,
        page=page,
        ratio=change.ratio,
    )


def events(rows: Iterable[SeriesView]) -> tuple[HistoryEvent, ...]:
    """Return what changed, newest first; what the same commit or the same run brought is one event."""
    together: dict[tuple[object, ...], list[ChangeView]] = defaultdict(list)
    for row in rows:
        for found, view in zip(row.changes, row.views, strict=True):
            commit = found.commits[1]
            together[("commit", commit) if commit else ("run", view.run, view.day)].append(view)
    made = [_event(sorted(views, key=_importance)) for views in together.values()]
    return tuple(sorted(made, key=lambda event: max(each.at for each in event.changes), reverse=True))


def _importance(view: ChangeView) -> tuple[bool, bool, float]:
    size = abs(math.log(view.ratio)) if 0 < view.ratio < math.inf else math.inf
    return view.kind in ("accepted", "perhaps", "machine"), view.kind != "worse", -size


def _event(views: list[ChangeView]) -> HistoryEvent:
    shared = [cause for cause in views[0].causes if all(cause in view.causes for view in views)]
    commits = {view.commits for view in views}
    return HistoryEvent(
        day=min(view.day for view in views),
        commits=commits.pop() if len(commits) == 1 else "",
        causes=tuple(shared),
        changes=tuple(views),
        title=_title(views),
    )


_COUNTED = {
    "worse": "worse", "better": "better", "perhaps": "uncertain", "machine": "with the machine", "accepted": "accepted",
}  # fmt: skip


def _title(views: Sequence[ChangeView]) -> str:
    if len(views) == 1:
        return views[0].sentence
    kinds = [view.kind for view in views]
    counted = [f"{kinds.count(kind)} {word}" for kind, word in _COUNTED.items() if kind in kinds]
    networks = site_words.listed(dict.fromkeys(view.network for view in views), 2)
    details = f": {', '.join(counted)}" if counted else ""
    return f"{len(views)} series of {networks} changed{details}"


def headline(found: Sequence[HistoryEvent]) -> HistoryEvent | None:
    """Return the event that a page begins with: the newest with a change that is certain, else the newest; or None."""
    certain = (event for event in found if any(each.kind != "perhaps" for each in event.changes))
    return next(certain, found[0] if found else None)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def runs(place: HistoryPlace) -> tuple[HistoryRun, ...]:
    """Return the records behind a page's series, oldest first."""
    found: dict[tuple[Identity, str], dict[str, Point]] = defaultdict(dict)
    settings: dict[Identity, str] = {}
    for row in place.rows:
        settings[row.series.identity] = row.settings
        for point in row.series.points:
            found[row.series.identity, point.record].setdefault(row.series.quantity.name, point)
    ordered = sorted(found.items(), key=lambda item: next(iter(item[1].values())).at)
    before: dict[Identity, dict[str, str]] = {}
    rows = []
    for (identity, _), values in ordered:
        point = next(iter(values.values()))
        rows.append(
            HistoryRun(
                point=point,
                settings=settings[identity],
                values=values,
                marks=tuple(_differences(before.get(identity), point.marks)),
            )
        )
        before[identity] = point.marks
    return tuple(rows)


def _differences(before: Mapping[str, str] | None, after: Mapping[str, str]) -> Iterator[str]:
    if before is None or before == after:
        return
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name):
            yield site_words.mark(name, before.get(name, ""), after.get(name, ""))


def of_interest(places: Sequence[HistoryPlace]) -> tuple[str, ...]:
    """Return the records that matter: both sides of every change and the newest of each series, in turns, latest first.

    Whoever makes pages of the first of them has some of both.
    """
    rows = [row for place in places for row in place.rows]
    newest = sorted((row.series.points[-1] for row in rows), key=_when, reverse=True)
    changes = [row.series.points[max(0, each.at - 1) : each.at + 1] for row in rows for each in row.changes]
    changes.sort(key=lambda sides: _when(sides[-1]), reverse=True)
    turns = itertools.zip_longest(
        dict.fromkeys(tuple(point.record for point in reversed(sides)) for sides in changes),
        dict.fromkeys((point.record,) for point in newest),
        fillvalue=(),
    )
    return tuple(dict.fromkeys(record for turn in turns for some in turn for record in some))


def _when(point: Point) -> tuple[datetime.datetime, str]:
    return point.at, point.record


def every(places: Sequence[HistoryPlace]) -> tuple[str, ...]:
    """Return all records behind the series, those of interest first."""
    first = of_interest(places)
    rest = (point.record for place in places for row in place.rows for point in row.series.points)
    return tuple(dict.fromkeys((*first, *rest)))


def quantities(rows: Iterable[SeriesView]) -> tuple[str, ...]:
    """Return the labels of the quantities that rows are of, each once."""
    return tuple(dict.fromkeys(row.series.quantity.label for row in rows))


def kinds(rows: Collection[SeriesView]) -> tuple[str, ...]:
    """Return which kinds of change the last ones of series are, in the order of `site_words.BADGES`."""
    there = {row.change.kind for row in rows if row.change}
    return tuple(kind for kind in site_words.BADGES if kind in there)
