"""The page: records as one HTML file that needs nothing else, no network and no other file.

Here: what Jinja is given. Texts and numbers are gathered in `page.views`, drawn in `mbench.page.figures`, laid out in
`reports/`. No statistics of its own.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from pathlib import Path

import jinja2

from mbench.analysis import (
    energy,
    evaluated,
    frame,
    frame_columns,
    labels,
    pairs,
    record_history,
    runs,
    session_figures,
    sustained_load,
    type_words,
    versus,
)
from mbench.analysis.versus import Versus
from mbench.core import dtypes, durations, names, plain, record_files, stats, units
from mbench.core.records import Record
from mbench.core.version import VERSION
from mbench.page import (
    charts,
    figures_sustained,
    headlines,
    network_drawing,
    session_drawing,
    single_file,
    templates,
    view_types,
    views,
)
from mbench.page.charts import Chart, OverviewCharts, RecordCharts
from mbench.page.single_file import Download, PlotlyJs

TITLE = "mbench report"
DETAILED_LAYERS = 600
"""Up to so many layers, about ten pairs, each has a view of its own; beyond, the page would be too big to open."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """What the page shows of one record."""

    anchor: str
    view: view_types.RecordView
    charts: RecordCharts | None
    """None where there are too many records to show each in detail."""
    download: Download


@dataclasses.dataclass(frozen=True, kw_only=True)
class Overview:
    """What the page shows of networks side by side, and of their history."""

    networks: tuple[dict[str, object], ...]
    """Rows of `mbench.analysis.record_history.latest`."""
    runs: tuple[dict[str, object], ...]
    """Rows of `mbench.analysis.record_history.history`."""
    charts: OverviewCharts
    versus: Versus | None
    """Where there are two records."""
    versus_chart: Chart | None


def render(
    items: Iterable[Record], *, title: str | None = None, plotlyjs: PlotlyJs = "inline", home: str | None = None
) -> str:
    """Return the page of one or several records as HTML; copies of a run are named and left out.

    Args:
        items: the records.
        title: of the page.
        plotlyjs: `inline`, or `directory`: the page asks for `single_file.plotly_file()` beside it, see `write`.
        home: the page of the history that it belongs to, as a path from this page.
    """
    given = tuple(items)
    copies = runs.copies(given)
    distinct = runs.distinct(given)
    once = tuple(map(plain.cleaned, distinct))
    detailed = sum(len(result.layers) for record in once for result in record.results) <= DETAILED_LAYERS
    several = len(once) > 1
    sections = [
        _section(f"run{number}", record, record_files.encode(whole), detailed=detailed, several=several)
        for number, (record, whole) in enumerate(zip(once, distinct, strict=True), start=1)
    ]
    overview = _overview(once)
    needed = charts.anything(
        [section.charts for section in sections], (overview.charts, overview.versus_chart) if overview else None
    )
    scripts = single_file.scripts(plotlyjs, figures=needed)
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=title or TITLE,
            home=home,
            version=VERSION,
            sections=sections,
            copies=[(given[copy.at].run_id, copy.why, given[copy.of].run_id) for copy in copies],
            overview=overview,
            table=single_file.download("mbench-table.csv", "text/csv", _csv(once)) if once else None,
            scripts=scripts,
            style=single_file.style(),
        )
    )


def write(path: Path, items: Iterable[Record], *, plotlyjs: PlotlyJs = "inline") -> None:
    """Write the page of the records atomically, and the script beside it that `directory` asks for.

    Raises:
        OutputError: it could not be written.
    """
    single_file.write(path, render(items, plotlyjs=plotlyjs), plotlyjs)


def _section(anchor: str, record: Record, raw: bytes, *, detailed: bool, several: bool) -> Section:
    view = views.of_record(record, prefix=f"{record.run_id}/" if several else "")
    return Section(
        anchor=anchor,
        view=view,
        charts=charts.of_record(anchor, view) if detailed else None,
        download=single_file.download(f"{names.component(record.run_id)}.json", "application/json", raw),
    )


def _overview(items: Sequence[Record]) -> Overview | None:
    table, two = record_history.networks(items), versus.of_records(tuple(items))
    if not record_history.several(table):
        return None
    return Overview(
        networks=tuple(record_history.rows(record_history.latest(table))),
        runs=tuple(record_history.rows(record_history.history(table))),
        charts=charts.of_networks(table),
        versus=two,
        versus_chart=charts.of_versus(two) if two else None,
    )


def _csv(items: Sequence[Record]) -> bytes:
    table = frame.from_records(items)
    for name in frame_columns.TEXT:  # what begins so is a formula where spreadsheets open it
        table[name] = table[name].str.replace(r"^(?=[=+@-])", "'", regex=True)
    return table.to_csv(index=False).encode()


@functools.cache
def _environment() -> jinja2.Environment:
    return templates.environment(
        {
            "units": units,
            "dtypes": dtypes,
            "pairs": pairs,
            "stats": stats,
            "labels": labels,
            "energy_model": energy,
            "headlines": headlines,
            "type_words": type_words,
            "evaluated": evaluated,
            "CONFIDENCE": versus.CONFIDENCE,
            "session_drawing": session_drawing,
            "session_figures": session_figures,
            "views": views,
            "drawings": network_drawing,
            "durations": durations,
            "sustained_load": sustained_load,
            "sustained_points": figures_sustained.thinned,
        }
    )
