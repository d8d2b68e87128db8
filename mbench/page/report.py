"""The page: records as one HTML file that needs nothing else, no network and no other file.

Here: what Jinja is given. Texts and numbers are gathered in `page.views`, drawn in `mbench.page.figures`, laid out in
`reports/`. No statistics of its own.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import jinja2

from mbench.analysis import (
    disturbances,
    energy,
    evaluated,
    first_answers,
    frame,
    frame_columns,
    labels,
    pairs,
    record_history,
    repeat,
    runs,
    session_figures,
    spending,
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
PLAIN_LAYERS = 600
"""Up to so many layers, about ten pairs, every network can be read without scripts; of more, all but one are packed."""
DETAILED_LAYERS = 2500
"""Up to so many each has a view of its own; beyond, the page would take too long to make."""


PLACES = {
    "convolutions": "Speed-up", "types": "Types", "spending": "Where it goes", "latency": "Latency",
    "counts": "Counts",
    "quality": "Quality", "layers": "Layers", "roofline": "Roofline", "memory": "Memory", "sustained": "Under load",
    "energy": "Energy", "time-balance": "Time balance", "built": "Built and checked",
}  # fmt: skip
"""Sections of a network, by the end of their address, and what the contents call them; in the page's order."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """What the page shows of one record."""

    anchor: str
    view: view_types.RecordView
    charts: RecordCharts | None
    """None where there are too many records to show each in detail."""
    download: Download
    place: str = ""
    """Where it ran, for people."""
    packed: bool = False
    """Whether all networks but the one that is shown are compressed inside the page."""

    def of(self, item: view_types.ResultView) -> RecordCharts | None:
        """Return the charts of one network."""
        return self.charts.only(self.view, item) if self.charts else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Overview:
    """What the page shows of networks side by side, and of their history."""

    networks: tuple[dict[str, object], ...]
    """Rows of `mbench.analysis.record_history.latest`."""
    runs: tuple[dict[str, object], ...]
    """Rows of `mbench.analysis.record_history.history`."""
    charts: OverviewCharts
    tabs: tuple[tuple[str, str, Chart], ...]
    """What can be compared: its name, the caption, the chart; what matters most of these records first."""
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
    layers = sum(len(result.layers) for record in once for result in record.results)
    detailed, packed = layers <= DETAILED_LAYERS, layers > PLAIN_LAYERS
    several = len(once) > 1
    sections = [
        _section(f"run{number}", record, record_files.encode(whole), detailed=detailed, packed=packed, several=several)
        for number, (record, whole) in enumerate(zip(once, distinct, strict=True), start=1)
    ]
    overview = _overview(once, [section.view for section in sections])
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
            choices=tuple(_choices(sections)),
            places=_places(sections),
            marks={(s.view.record.run_id, v.result.variant.name): v for s in sections for v in s.view.results},
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


def _section(
    anchor: str, record: Record, raw: bytes, *, detailed: bool, several: bool, packed: bool = False
) -> Section:
    view = views.of_record(record, prefix=f"{record.run_id}/" if several else "")
    return Section(
        anchor=anchor,
        view=view,
        charts=charts.of_record(anchor, view) if detailed else None,
        place=labels.where(record),
        packed=packed and detailed,
        download=single_file.download(f"{names.component(record.run_id)}.json", "application/json", raw),
    )


def _choices(sections: Iterable[Section]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield what a reader chooses a network by: the key, what it is called, and its values in the page's order."""
    shown = [(section, item.result.variant) for section in sections for item in section.view.results]
    for key, name, values in (
        ("network", "Network", (labels.untyped(variant) for _, variant in shown)),
        ("type", "Type", (variant.dtype for _, variant in shown)),
        ("place", "Target", (section.place for section, _ in shown)),
        ("run", "Run", (section.view.record.run_id for section, _ in shown)),
    ):
        yield key, name, tuple(dict.fromkeys(values))


def _places(sections: Iterable[Section]) -> frozenset[str]:
    """Return which sections any network has."""
    found = set()
    for section in sections:
        view = section.view
        has = {
            "layers": bool(view.results), "convolutions": bool(view.pairs), "types": bool(view.types),
            "spending": any(item.spending for item in view.results) or bool(view.disturbed),
            "latency": any(item.latency for item in view.results), "counts": view.counting,
            "roofline": not view.emulated,
            "quality": any(item.result.quantized is not None for item in view.results),
            "memory": True, "sustained": view.record.settings.sustain_s is not None, "energy": True,
            "time-balance": not view.emulated, "built": True,
        }  # fmt: skip
        detailed = section.charts is not None
        found |= {name for name, there in has.items() if there and (detailed or name == "layers")}
    return frozenset(found)


def _overview(items: Sequence[Record], shown: Sequence[view_types.RecordView]) -> Overview | None:
    table, two = record_history.networks(items), versus.of_records(tuple(items))
    if len(table) < 2:
        return None
    drawn = charts.of_networks(table, shown)
    return Overview(
        networks=tuple(record_history.rows(record_history.latest(table))),
        runs=tuple(record_history.rows(record_history.history(table))),
        charts=drawn,
        tabs=_tabs(drawn, several_runs=len(items) > len(record_history.latest(table))),
        versus=two,
        versus_chart=charts.of_versus(two) if two else None,
    )


def _tabs(drawn: OverviewCharts, *, several_runs: bool) -> tuple[tuple[str, str, Chart], ...]:
    found = [
        ("Against the standard twin", "Speed-up over the standard twin, with the ratio of both intervals", drawn.twins),
        ("Types", "Gain of the narrower type over float32, with the ratio of both intervals", drawn.types),
        ("Targets", "Each network in each place; darker costs less, by its logarithm", drawn.heat_map),
        ("Accuracy against cost", "Published top-1 accuracy against the cost; the line is the Pareto front: no other "
         "network is cheaper and as accurate", drawn.accuracy),
        ("Width by resolution", "What each size costs; darker costs more, by its logarithm", drawn.grids),
        ("Curves", "What a network costs by its resolution, a line for each width multiplier", drawn.curves),
        ("Each network", "What each costs, the least first; whiskers: the interval of a latency", drawn.networks),
        ("History", "Latency from run to run; whiskers: its interval over the sessions, or the 10th to the 90th "
         "percentile of a record without; shortened where they would dwarf the rest", drawn.history),
    ]  # fmt: skip
    shown = [tab for tab in found if tab[2].options]
    return tuple(sorted(shown, key=lambda tab: not (several_runs and tab[2] is drawn.history)))


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
            "repeat": repeat,
            "first_answers": first_answers,
            "disturbances": disturbances,
            "spending": spending,
            "PLACES": PLACES,
            "pack": single_file.packed,
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
