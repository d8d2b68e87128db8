"""The page of a search for a network, one HTML file: the answer, the trade-offs, every candidate, how it is known.

What is said is gathered in `page.fit_view`, drawn in `page.figures_fit`, laid out in `reports/fit.html.j2`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mbench.analysis import fit_certainty, fit_ranking
from mbench.core import fit_files, names, plain
from mbench.core.fit_records import FitRecord
from mbench.page import charts, figures_fit, fit_view, result_page, single_file
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
    return result_page.html(
        "fit.html.j2",
        title="mbench fit",
        drawn={"trade_offs": _trade_offs(view), "grids": tuple(_grids(view))},
        said={
            "view": view, "record": view.record, "fit": fit_view, "limits_of": fit_ranking.limits_of,
            "shares_of": fit_ranking.share_used, "why_uncertain": fit_certainty.why_uncertain,
        },
        download=single_file.download(
            f"fit-{names.component(record.run_id)}.json", "application/json", fit_files.encode(record)
        ),
        plotlyjs=plotlyjs,
    )  # fmt: skip


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
