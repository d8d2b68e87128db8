"""The figures of a history: a quantity of one network and target over time, and one quantity on several targets.

A point names its run by number, and the page's script puts date and words there (`reports/history.js`): ten quantities
of a thousand runs would else say everything ten times. The colours of the page are the page's.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mbench.history import site_words, sparklines
from mbench.history.series import Change, Point, Quantity
from mbench.history.site_view import HistoryRun, SeriesView
from mbench.page import drawing
from mbench.page.drawing import Drawing, escape

MOST_POINTS = 1000
"""Of a line: older ones are thinned, and those beside a change stay."""
_DIGITS = 6
_LABELLED_MARKS = 4
"""So many marks of versions carry their words; more would lie upon each other, and show them at the pointer."""
_LABELLED_DOUBTS = 6
_WORDS = {"worse": drawing.LOSS, "better": drawing.GAIN}


def history(rows: Sequence[SeriesView], runs: Sequence[HistoryRun]) -> Drawing:
    """Return one quantity over time: a line for each of the settings, with intervals, changes and marks.

    Args:
        rows: the series, all of one quantity.
        runs: all runs of the page, oldest first; points name them by number.
    """
    quantity = rows[0].series.quantity
    numbers = {(run.settings, run.point.record): number for number, run in enumerate(runs)}
    figure = drawing.empty(None, quantity.label, height=460)
    for number, row in enumerate(rows):
        style = drawing.series(number)

        def at(point: Point, row: SeriesView = row) -> int:
            return numbers[row.settings, point.record]

        if row.changes:
            figure.data.append(_levels(row, style, at))
        figure.data.append(_line(row, style, at))
        if row.changes:
            figure.data.append(_changes(row, at))
    if marks := _marks(runs):
        figure.data.append(marks)
        figure.lay_out(yaxis2={"domain": [0, 0.09], "range": [-1, 1], "visible": False, "fixedrange": True})
        figure.lay_y(domain=[0.18, 1])
    figure.lay_x(type="date", showgrid=False, automargin=True)
    unit = quantity.unit
    figure.lay_y(tickformat="~s", ticksuffix=unit, automargin=True)
    figure.lay_out(hovermode="closest", dragmode="zoom", margin={"b": 32, "r": 24})
    return figure


def _line(row: SeriesView, style: dict[str, Any], at: Callable[[Point], int]) -> dict[str, Any]:
    points, quantity = row.series.points, row.series.quantity
    kept = sparklines.thinned(
        len(points), MOST_POINTS, keep={near for change in row.changes for near in (change.at - 1, change.at)}
    )
    drawn = [points[number] for number in kept]
    unsure = {str(number): _said("; ".join(point.disturbed)) for number, point in enumerate(drawn) if point.disturbed}
    base = row.changes[0].before if row.changes else statistics.median(point.value for point in points)
    symbol = style["marker"]["symbol"]
    marker: dict[str, Any] = style["marker"] | {"size": 7 if len(drawn) <= 120 else 5}
    if unsure:
        marker["symbol"] = [f"{symbol}-open" if point.disturbed else symbol for point in drawn]
    shown: dict[str, Any] = {"mode": "lines+markers"}
    if 0 < len(unsure) <= _LABELLED_DOUBTS:
        shown = {
            "mode": "lines+markers+text",
            "text": ["disturbed" if point.disturbed else "" for point in drawn],
            "textposition": "bottom center",
        }
    if any(point.low is not None and point.high is not None for point in drawn):
        shown["error_y"] = _whiskers(drawn)
    return drawing.trace(
        "scatter",
        name=escape(row.settings),
        legendgroup=row.series.id,
        customdata=[at(point) for point in drawn],
        y=[_short(point.value, quantity) for point in drawn],
        hovertemplate=f"<b>{_value(quantity)}</b>%{{hovertext}}<extra></extra>",
        line=style["line"] | {"width": 1.5},
        marker=marker,
        meta={"runs": True, "line": True, "unsure": unsure, "base": base},
        **shown,
    )


def _whiskers(points: Sequence[Point]) -> dict[str, Any]:
    reaches = [(point.value, point.low, point.high) for point in points]
    return {
        "type": "data",
        "symmetric": False,
        "array": [None if high is None else _rounded(max(0.0, high - value)) for value, _, high in reaches],
        "arrayminus": [None if low is None else _rounded(max(0.0, value - low)) for value, low, _ in reaches],
        "thickness": 0.8,
        "width": 2,
    }


def _levels(row: SeriesView, style: dict[str, Any], at: Callable[[Point], int]) -> dict[str, Any]:
    """Return the levels between changes, each from its first run to its last."""
    points, changes = row.series.points, row.changes
    edges = [0, *(change.at for change in changes), len(points)]
    heights = [changes[0].before, *(change.after for change in changes)]
    levels = [
        (at(points[start]), at(points[end - 1]), height)
        for start, end, height in zip(edges, edges[1:], heights, strict=False)
        if end > start
    ]
    return drawing.trace(
        "scatter",
        name=f"level of {escape(row.settings)}",
        legendgroup=row.series.id,
        showlegend=False,
        mode="lines",
        line={"color": style["line"]["color"], "width": 6},
        opacity=0.3,
        hoverinfo="skip",
        meta={"levels": levels, "base": changes[0].before},
    )


def _changes(row: SeriesView, at: Callable[[Point], int]) -> dict[str, Any]:
    points, quantity = row.series.points, row.series.quantity
    kinds = [site_words.kind(change, quantity) for change in row.changes]
    return drawing.trace(
        "scatter",
        name="changes",
        legendgroup=row.series.id,
        showlegend=False,
        mode="markers+text",
        customdata=[at(points[change.at]) for change in row.changes],
        y=[points[change.at].value for change in row.changes],
        text=[f"<b>{_flag(change, kind)}</b>" for change, kind in zip(row.changes, kinds, strict=True)],
        textposition=["top center" if change.after >= change.before else "bottom center" for change in row.changes],
        cliponaxis=False,
        marker={
            "symbol": "circle-open",
            "size": 19,
            "color": [_WORDS.get(kind, drawing.SERIES[-1]) for kind in kinds],
            "line": {"width": 2.5},
        },
        hoverinfo="skip",
        meta={"runs": True, "base": row.changes[0].before},
    )


def _flag(change: Change, kind: str) -> str:
    return site_words.percent(change.ratio) + ("" if kind == "changed" else f" {kind}")


def _marks(runs: Sequence[HistoryRun]) -> dict[str, Any] | None:
    """Return where versions change, as marks beneath the lines; None where none does."""
    marked, said = [], set[tuple[str, ...]]()
    for number, run in enumerate(runs):
        if run.marks and run.marks not in said:  # the same for other settings is the same change
            marked.append((number, run))
            said.add(run.marks)
    if not marked:
        return None
    few = len(marked) <= _LABELLED_MARKS
    return drawing.trace(
        "scatter",
        name="a version changes",
        mode="markers+text" if few else "markers",
        customdata=[number for number, _ in marked],
        y=[0.5 if place % 2 else -0.5 for place in range(len(marked))],  # so that words do not meet
        yaxis="y2",
        text=[_said(site_words.listed(run.marks, 1)) if few else "" for _, run in marked],
        textposition=["middle left" if number > len(runs) / 2 else "middle right" for number, _ in marked],
        marker={"symbol": "triangle-up", "size": 9, "color": drawing.SERIES[-1]},
        hovertemplate="%{hovertext}<extra></extra>",
        meta={"runs": True, "marks": [_said("<br>".join(map(escape, run.marks)), escaped=True) for _, run in marked]},
        cliponaxis=False,
    )


def of_runs(runs: Sequence[HistoryRun], pages: Mapping[str, str]) -> dict[str, list[Any]]:
    """Return what the points of a page's figures name by number: when each run was, what is said of it, its page."""
    return {
        "at": [run.point.at.strftime("%Y-%m-%d %H:%M:%S") for run in runs],
        "said": [_words(run) for run in runs],
        "page": [pages.get(run.point.record) for run in runs],
    }


def _words(run: HistoryRun) -> str:
    labels = run.point.labels
    branch = f" on {_said(labels['branch'])}" if "branch" in labels else ""
    commit = f"<br>commit {escape(site_words.commit(labels['commit']))}{branch}" if "commit" in labels else ""
    return f"{_said(run.settings)}<br>{site_words.moment(run.point.at)}<br>{_said(run.point.run_id)}{commit}"


def _said(text: str, *, escaped: bool = False) -> str:
    short = site_words.word(text, 300)
    return short if escaped else escape(short)


def _value(quantity: Quantity) -> str:
    """Return how a value is written at the pointer: what is exact to its last digit, what is measured with four."""
    unit = escape(quantity.unit)
    return f"%{{y:,.12~g}} {unit}".rstrip() if quantity.kind == "exact" else f"%{{y:.4s}}{unit}"


def _short(value: float, quantity: Quantity) -> float:
    return value if quantity.kind == "exact" else _rounded(value)


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else value
