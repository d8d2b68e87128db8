"""The pages of a history: what Jinja is given for the overview, a network on a target, and targets side by side.

Words are gathered in `history.site_view`, figures drawn in `history.site_figures`; the layout is in `reports/`.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
from collections.abc import Iterator, Mapping, Sequence

import jinja2
import msgspec
from markupsafe import Markup

from mbench.core import units
from mbench.core.version import VERSION
from mbench.history import site_figures, site_names, site_targets, site_view, site_words, sparklines
from mbench.history.site_targets import TargetComparison
from mbench.history.site_view import ChangeView, HistoryEvent, HistoryPlace, HistoryRun
from mbench.page import charts, single_file, templates

TITLE = "mbench history"
SHOWN_EVENTS = 5
SHOWN_CHANGES = 6
"""Of what changed; the rest is folded."""
SHOWN_RUNS = 200
"""Rows of a page's table of runs, the newest; all are in its CSV."""
SHOWN_QUANTITIES = 8
"""Columns of it."""
SPANS = (20, 100, 500)
"""So many of the newest runs can be shown alone."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HistorySite:
    """All that the pages are made of."""

    places: tuple[HistoryPlace, ...]
    events: tuple[HistoryEvent, ...]
    comparisons: tuple[TargetComparison, ...]
    pages: Mapping[str, str]
    """The file of a record's page, by the record's digest."""
    records: int
    """How many records there are, with a page or without."""
    live: str | None
    """Of which state of the store a served site is; None: it is published and asks for nothing."""


def of_places(
    places: tuple[HistoryPlace, ...], pages: Mapping[str, str], *, records: int, live: str | None = None
) -> HistorySite:
    """Return what pages are made of."""
    return HistorySite(
        places=places,
        events=site_view.events([row for place in places for row in place.rows]),
        comparisons=site_targets.of_places(places),
        pages=pages,
        records=records,
        live=live,
    )


def index(site: HistorySite) -> str:
    """Return the overview: what changed last, every series as a small line, networks by targets."""
    rows = [row for place in site.places for row in place.rows]
    return _render(
        "site_index.html.j2",
        site,
        figures=False,
        rows=rows,
        networks=sorted({place.network for place in site.places}),
        targets=sorted({place.target for place in site.places}),
        places={(place.network, place.target): place for place in site.places},
        days=_days(site.places),
    )


def place(site: HistorySite, shown: HistoryPlace) -> str:
    """Return the page of a network on a target."""
    runs = site_view.runs(shown)
    drawn = (
        (label, site_figures.history([row for row in shown.rows if row.series.quantity.label == label], runs))
        for label in site_view.quantities(shown.rows)
    )
    changed = {(row.settings, view.record, row.series.quantity.name): view for row in shown.rows for view in row.views}
    return _render(
        "site_place.html.j2",
        site,
        figures=True,
        place=shown,
        chart=charts.chart("history", f"{shown.network} on {shown.target} over time", drawn),
        run_data=charts.safe_json(msgspec.json.encode(site_figures.of_runs(runs, site.pages)).decode()),
        runs=runs[: -SHOWN_RUNS - 1 : -1],
        count=len(runs),
        columns=_columns(shown),
        quantities={row.series.quantity.name: row.series.quantity for row in shown.rows},
        changed=changed,
        several=len({row.settings for row in shown.rows}) > 1,
        spans=[span for span in SPANS if span < len(runs)],
        others=[each for each in site.places if each.network == shown.network and each is not shown],
        download=single_file.download(f"{shown.page.removesuffix('.html')}.csv", "text/csv", _csv(shown, runs)),
    )


def targets(site: HistorySite) -> str:
    """Return the page of targets side by side."""
    drawn = ((each.quantity, each.figure) for each in site.comparisons)
    chart = charts.chart("targets", "Last values of networks on targets", drawn, "no network is on two targets")
    return _render("site_targets.html.j2", site, figures=charts.anything(chart), chart=chart)


def _render(template: str, site: HistorySite, *, figures: bool, **values: object) -> str:
    before = ["history.js", *(["live.js"] if site.live else [])]
    scripts = single_file.scripts("directory", figures=figures, before=before)
    policy = scripts.policy + ("; connect-src 'self'" if site.live else "")
    return (
        _environment()
        .get_template(template)
        .render(title=TITLE, version=VERSION, site=site, scripts=scripts, policy=policy, style=_style(), **values)
    )


@functools.cache
def _style() -> Markup:
    return single_file.style("site.css")


def _days(places: Sequence[HistoryPlace]) -> tuple[str, str] | None:
    """Return the first and the last day of all runs; None without any."""
    if not places:
        return None
    first = min(row.series.points[0].at for place in places for row in place.rows)
    return site_words.day(first), site_words.day(max(place.newest for place in places))


def _columns(shown: HistoryPlace) -> list[tuple[str, str]]:
    """Return the quantities that the table of runs has columns for, each with its name and its label."""
    found = {row.series.quantity.name: row.series.quantity.label for row in shown.rows}
    return list(found.items())[:SHOWN_QUANTITIES]


def _csv(shown: HistoryPlace, runs: Sequence[HistoryRun]) -> bytes:
    """Return all runs of a page as a table: values in SI units."""
    names = list(dict.fromkeys(row.series.quantity.name for row in shown.rows))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    head = ["measured_at_utc", "run_id", "record", "settings", "commit", "branch", "versions_changed", "disturbed"]
    table.writerow([*head, *(column for name in names for column in (name, f"{name}_low", f"{name}_high"))])
    for run in runs:
        point = run.point
        known = [point.at.isoformat(), point.run_id, point.record, run.settings]
        known += [point.labels.get(name, "") for name in ("commit", "branch")]
        disturbed = dict.fromkeys(why for each in run.values.values() for why in each.disturbed)
        known += ["; ".join(run.marks), "; ".join(disturbed)]
        table.writerow([*map(_no_formula, known), *_figures(run, names)])
    return text.getvalue().encode("utf-8", "backslashreplace")


def _figures(run: HistoryRun, names: Sequence[str]) -> Iterator[object]:
    for name in names:
        point = run.values.get(name)
        yield from ("", "", "") if point is None else (point.value, point.low, point.high)


def _no_formula(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") and text else text


def shown_changes(event: HistoryEvent) -> tuple[tuple[ChangeView, ...], tuple[ChangeView, ...]]:
    """Return the changes of an event that are shown, and those that are folded."""
    return event.changes[:SHOWN_CHANGES], event.changes[SHOWN_CHANGES:]


@functools.cache
def _environment() -> jinja2.Environment:
    return templates.environment(
        {
            "units": units,
            "words": site_words,
            "names": site_names,
            "view": site_view,
            "sparklines": sparklines,
            "shown_changes": shown_changes,
            "SHOWN_EVENTS": SHOWN_EVENTS,
            "SHOWN_RUNS": SHOWN_RUNS,
        }
    )
