"""The page of a sweep, one HTML file: which family wins where, facets by place and type, every cell.

What is said is gathered in `page.sweep_view`, drawn in `page.figures_sweep`, laid out in `reports/sweep.html.j2`. It is
quick with thousands of cells: figures are drawn when they come into view, and the table shows some rows at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from mbench.core import names, plain
from mbench.core.sweep_records import SweepCell, SweepRecord
from mbench.page import charts, figures_sweep, result_page, single_file, sweep_view
from mbench.page.charts import Chart
from mbench.page.single_file import PlotlyJs
from mbench.page.sweep_view import SweepView

FIRST_ROWS = 100
"""Of the table of cells, shown at once."""
_NO_LINKS: Mapping[str, str] = MappingProxyType({})


def render(record: SweepRecord, *, links: Mapping[str, str] = _NO_LINKS, plotlyjs: PlotlyJs = "inline") -> str:
    """Return the page of a sweep as HTML.

    Args:
        record: where it stands.
        links: the pages of its records, as paths from this page, by the records' files.
        plotlyjs: `inline`, or `directory`: the page asks for `single_file.plotly_file()` beside it, see `write`.
    """
    view = sweep_view.of_record(plain.cleaned(record), links)
    return result_page.html(
        "sweep.html.j2",
        title="mbench sweep",
        drawn={"fronts": _fronts(view), "grids": tuple(_grids(view))},
        said={
            "view": view, "record": view.record, "sweep": sweep_view, "first_rows": FIRST_ROWS,
            "rows": charts.safe_json(msgspec.json.encode(sweep_view.data(view)).decode()),
        },
        download=single_file.download(
            f"{names.component(record.name)}.csv", "text/csv", sweep_view.table(view.record).encode()
        ),
        plotlyjs=plotlyjs,
        beside=("sweep.css", "sweep.js"),
    )  # fmt: skip


def write(
    path: Path, record: SweepRecord, *, links: Mapping[str, str] = _NO_LINKS, plotlyjs: PlotlyJs = "inline"
) -> None:  # fmt: skip
    """Write the page atomically, and the script beside it that `directory` asks for.

    Raises:
        OutputError: it could not be written.
    """
    single_file.write(path, render(record, links=links, plotlyjs=plotlyjs), plotlyjs)


def _fronts(view: SweepView) -> dict[str, Chart]:
    """Return accuracy over latency of each facet, by its anchor."""
    numbers = view.numbers
    return {
        each.anchor: charts.chart(
            f"{each.anchor}-front", f"Accuracy over latency: {each.title}",
            [(each.title, figures_sweep.front(each.facet.ranked, each.facet.front, view.looks, numbers))],
            "no network has both a latency and an accuracy here",
        )
        for each in view.facets
    }  # fmt: skip


def _grids(view: SweepView) -> Iterator[Chart]:
    """Yield a chart of each family that is there in several sizes: a heat map for each facet."""
    groups: dict[str, dict[str, list[SweepCell]]] = {}
    titles = {(each.facet.place, each.facet.dtype): each.title for each in view.facets}
    for row in view.rows:
        title = titles[row.cell.place, row.cell.network.dtype]
        groups.setdefault(row.family, {}).setdefault(title, []).append(row.cell)
    numbers = view.numbers
    for number, (family, facets) in enumerate(groups.items(), start=1):
        if any(map(figures_sweep.is_grid, facets.values())):
            drawn = ((title, figures_sweep.heat_map(cells, numbers)) for title, cells in facets.items())
            made = charts.chart(f"grid{number}", family, drawn, "nothing is known of these networks")
            if made.options:
                yield made
