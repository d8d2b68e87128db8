"""The page of a search for a network, one HTML file: the answer, the trade-offs, every candidate, how it is known.

What is said is gathered in `page.fit_view`, drawn in `page.figures_fit`, laid out in `reports/fit.html.j2`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import jinja2

from mbench.analysis import fit_ranking, labels, pairs
from mbench.core import dtypes, durations, fit_files, names, plain, units
from mbench.core.fit_records import FitRecord
from mbench.core.version import VERSION
from mbench.page import charts, figures_fit, fit_view, single_file, templates
from mbench.page.charts import Chart
from mbench.page.fit_view import FitView
from mbench.page.single_file import PlotlyJs


def render(record: FitRecord, *, measured: str | None = None, plotlyjs: PlotlyJs = "inline") -> str:
    """Return the page of what a search found as HTML.

    Args:
        record: what it found.
        measured: where the page of its measurements is, as a path from this page; None: there is none.
        plotlyjs: `inline`, or `directory`: the page asks for `single_file.plotly_file()` beside it, see `write`.
    """
    view = fit_view.of_record(plain.cleaned(record), measured=measured)
    trade_offs, grids = _trade_offs(view), tuple(_grids(view))
    return (
        _environment()
        .get_template("fit.html.j2")
        .render(
            title="mbench fit",
            version=VERSION,
            view=view,
            record=view.record,
            trade_offs=trade_offs,
            grids=grids,
            download=single_file.download(
                f"fit-{names.component(record.run_id)}.json", "application/json", fit_files.encode(record)
            ),
            scripts=single_file.scripts(plotlyjs, figures=charts.anything(trade_offs, grids)),
            style=single_file.style(),
        )
    )


def write(path: Path, record: FitRecord, *, measured: str | None = None, plotlyjs: PlotlyJs = "inline") -> None:
    """Write the page atomically, and the script beside it that `directory` asks for.

    Raises:
        OutputError: it could not be written.
    """
    single_file.write(path, render(record, measured=measured, plotlyjs=plotlyjs), plotlyjs)


def _trade_offs(view: FitView) -> Chart:
    limits = fit_ranking.limits_of(view.record.limits)
    least, answers = view.record.limits.accuracy_percent, [each.row.number for each in view.answers]
    ordered = sorted(fit_view.QUANTITIES, key=lambda name: name not in limits)
    drawn = (
        (
            name,
            figures_fit.trade_off(view.rows, name, limit=limits.get(name), least=least, answers=answers),
        )
        for name in ordered
    )
    return charts.chart("trade-off", "Accuracy against cost", drawn, "no candidate has both an accuracy and a cost")


def _grids(view: FitView) -> Iterator[Chart]:
    for number, (name, rows) in enumerate(figures_fit.grids(view.rows).items(), start=1):
        shown = ("latency", "accuracy", "memory", "weights")
        drawn = [(each, figures_fit.heat_map(rows, figures_fit.cell_of(each))) for each in shown]
        yield charts.chart(f"grid{number}", name, drawn, "nothing is known of these networks")


@functools.cache
def _environment() -> jinja2.Environment:
    return templates.environment(
        {
            "units": units, "dtypes": dtypes, "pairs": pairs, "labels": labels, "fit": fit_view,
            "limits_of": fit_ranking.limits_of, "shares_of": fit_ranking.share_used, "durations": durations,
        }
    )  # fmt: skip
