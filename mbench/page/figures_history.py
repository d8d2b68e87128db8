"""Figures of networks side by side and of their history: pure functions from a table to a plotly figure.

A figure that would show nothing (one cell, one point) is None. Values stay in SI units; the axes scale them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any

from mbench.analysis import disturbances, labels
from mbench.core import units
from mbench.page import drawing
from mbench.page.drawing import Drawing, escape, trace

if TYPE_CHECKING:
    import pandas as pd


_LATENCY = "latency_s"
_DWARFED = 1.5
"""Whiskers beyond this much of the largest median are shortened: one disturbed run would hide all others."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CostAxis:
    """Something that a whole network costs: its column, and how it is written."""

    column: str
    name: str
    unit: str
    format: Callable[[float | None], str]
    disturbed: str | None = None
    """The column that says whether it is disturbed; None: it does not depend on time."""
    derived: bool = False
    """Whether it follows from a time, so that there is no figure of it where that is disturbed."""

    def said(self, row: Mapping[Hashable, Any]) -> str:
        """Return what a row of the table has of it, in words."""
        if not self.unsure(row):
            return self.format(row[self.column])
        return disturbances.WORD if self.derived else f"{self.format(row[self.column])}, {disturbances.WORD}"

    def unsure(self, row: Mapping[Hashable, Any]) -> bool:
        """Return whether a row's figure is disturbed."""
        return self.disturbed is not None and row[self.disturbed] is True

    def known(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows that have a figure."""
        known = table[table[self.column].notna()]
        return known[~_flags(known, self.disturbed)] if self.derived else known


COSTS = {
    "latency": CostAxis(
        column="latency_s", name="latency", unit="s", format=units.seconds, disturbed="disturbed"
    ),
    "instructions": CostAxis(column="instructions", name="instructions", unit="", format=units.count),
    "modelled": CostAxis(column="latency_model_s", name="latency, modelled", unit="s", format=units.seconds),
    "macs": CostAxis(column="macs", name="multiply-adds", unit="", format=units.count),
    "energy": CostAxis(
        column="energy_j", name="energy, modelled", unit="J", format=units.joules, disturbed="energy_disturbed",
        derived=True,
    ),
    "memory": CostAxis(
        column="peak_bytes", name="weights, activations and workspace", unit="B", format=units.data_size
    ),
}  # fmt: skip


def _flags(table: pd.DataFrame, column: str | None) -> pd.Series[bool]:
    """Return a column of truths without what is missing; none: false throughout."""
    return table[column].fillna(False).astype(bool) if column else table["variant"].isna()


def heat_map(latest: pd.DataFrame, cost: CostAxis) -> Drawing | None:
    """Return variants x places as coloured cells with their figures; None unless there are two of each, most known.

    `latest` is of `mbench.analysis.record_history.latest`. The colour is the logarithm of the cost.
    """
    import numpy as np

    known = cost.known(latest)
    if known["variant"].nunique() < 2 or known["place"].nunique() < 2:
        return None
    if 2 * len(known) < known["variant"].nunique() * known["place"].nunique() + 2:
        return None
    cells = known.pivot_table(index="label", columns="place", values=cost.column, aggfunc="last", sort=False)
    amounts = cells.to_numpy(dtype=float, na_value=np.nan)
    said = {(row["label"], row["place"]): cost.said(row) for row in latest.to_dict("records")}
    logs = np.log10(np.where(amounts > 0, amounts, np.nan)).round(6)
    figure = drawing.empty(None, None, height=160 + 34 * len(cells))
    figure.add(
        "heatmap",
        x=[escape(place) for place in cells.columns],
        y=[escape(label) for label in cells.index],
        z=[[None if value != value else value for value in row] for row in logs.tolist()],
        text=[[said.get((label, place), units.NOT_AVAILABLE) for place in cells.columns] for label in cells.index],
        texttemplate="%{text}",
        hovertemplate="%{y}<br>%{x}<br>%{text}<extra></extra>",
        colorscale="Cividis",
        showscale=False,
        xgap=3,
        ygap=3,
    )
    figure.lay_x(side="top", showgrid=False, automargin=True)
    figure.lay_y(autorange="reversed", showgrid=False, automargin=True)
    figure.lay_out(showlegend=False, margin={"t": 8})
    return figure


def grid_curves(latest: pd.DataFrame, cost: CostAxis) -> Drawing | None:
    """Return a cost over the resolution, a line for each width multiplier (and place); None without a line.

    `latest` is of `mbench.analysis.record_history.latest`; standard twins are left out.
    """
    known = cost.known(latest)
    known = known[~known["convolution"].eq("standard").fillna(False)]
    keys = ["family", "width_multiplier", "place"]
    lines = [(key, rows.sort_values("resolution")) for key, rows in known.groupby(keys, sort=False)]
    lines = [(key, rows) for key, rows in lines if rows["resolution"].nunique() > 1]
    if not lines:
        return None
    places, families = (known[column].nunique() > 1 for column in ("place", "family"))
    figure = drawing.empty("resolution (pixels a side)", cost.name)
    for number, ((family, width, place), rows) in enumerate(lines):
        style, points = drawing.series(number), rows.to_dict("records")
        symbol = style["marker"]["symbol"]
        symbols = [f"{symbol}-open" if cost.unsure(row) else symbol for row in points]
        of_family = f"{escape(labels.family(str(family)))}, " if families else ""
        figure.add(
            "scatter",
            name=f"{of_family}width {width:g}" + (f", {escape(str(place))}" if places else ""),
            x=rows["resolution"].tolist(),
            y=rows[cost.column].tolist(),
            error_y=reach(rows) if cost.column == _LATENCY else {},
            hovertext=[f"{escape(row['label'])}<br>{escape(row['place'])}<br>{cost.said(row)}" for row in points],
            hovertemplate=drawing.HOVER,
            text=[disturbances.WORD if cost.unsure(row) else "" for row in points],
            textposition="top center",
            **style | {"mode": "lines+markers+text", "marker": style["marker"] | {"symbol": symbols}},
        )
    figure.lay_x(tickvals=sorted(known["resolution"].unique().tolist()), showgrid=False)
    figure.lay_y(tickformat="~s", ticksuffix=cost.unit, rangemode="tozero")
    return figure


def accuracy(points: pd.DataFrame, cost: CostAxis) -> Drawing | None:
    """Return published accuracy over a cost, the Pareto front of each place as a line; None below three networks.

    `points` is of `mbench.analysis.record_history.front`.
    """
    if points["variant"].nunique() < 3:
        return None
    figure = drawing.empty(cost.name, "published top-1 accuracy on ImageNet", height=440)
    families = points["family"].nunique() > 1
    for number, (place, rows) in enumerate(points.groupby("place", sort=False)):
        style = drawing.series(number)
        best = rows[rows["front"]].sort_values(cost.column)
        figure.add(
            "scatter", showlegend=False, x=best[cost.column].tolist(), y=best["top1_percent"].tolist(),
            mode="lines", line=style["line"], hoverinfo="skip",
        )  # fmt: skip
        unsure = rows["cost_disturbed"]
        for shown, words, hollow in (
            (rows[rows["front"]], "on the front", False),
            (rows[~rows["front"] & ~unsure], "beaten by another", True),
            (rows[unsure] if not cost.derived else rows[:0], disturbances.WORD, True),
        ):
            if len(shown):
                name = f"{escape(str(place))}: {words}"
                names = [escape(_short(row, whole=families)) for row in shown.to_dict("records")]
                names = [f"{text}, {words}" for text in names] if words == disturbances.WORD else names
                figure.data.append(_networks(shown, cost, name, style["marker"], names, hollow=hollow))
    figure.lay_x(tickformat="~s", ticksuffix=cost.unit, range=[0, 1.1 * points[cost.column].max()])
    figure.lay_y(ticksuffix=" %")
    return figure


def reach(rows: pd.DataFrame) -> dict[str, Any]:
    """Return the interval of latencies over the sessions; of a record without, the 10th to the 90th percentile."""
    values = [float(value) for value in rows["latency_s"]]
    ends = []
    for limit, percentile in (("latency_low_s", "latency_p10_s"), ("latency_high_s", "latency_p90_s")):
        found = rows[limit].combine_first(rows[percentile]).tolist()
        ends.append([value if end != end else end for value, end in zip(values, found, strict=True)])
    return drawing.whiskers(values, ends[0], ends[1], width=4, thickness=1.5)


def _networks(
    rows: pd.DataFrame, cost: CostAxis, name: str, marker: dict[str, Any], names: list[str], *, hollow: bool
) -> dict[str, Any]:
    symbol = f"{marker['symbol']}-open" if hollow else marker["symbol"]
    return trace(
        "scatter",
        name=name,
        x=rows[cost.column].tolist(),
        y=rows["top1_percent"].tolist(),
        mode="markers+text",
        text=names,
        textposition="bottom right",
        cliponaxis=False,
        error_x=reach(rows) if cost.column == _LATENCY else {},
        marker={**marker, "symbol": symbol, "size": 10},
        hovertext=[
            f"{escape(row['label'])}<br>{escape(row['place'])}<br>{cost.said(row)}<br>"
            f"{row['top1_percent']:g} %, published: {escape(row['accuracy_source'])}"
            for row in rows.to_dict("records")
        ],
        hovertemplate=drawing.HOVER,
    )


def _short(row: Mapping[Hashable, Any], *, whole: bool) -> str:
    """Return what stands beside a network's point: width and resolution, or its whole name."""
    if whole:
        return str(row["label"]).replace(", standard convolutions", " standard")
    standard = " standard" if str(row["convolution"]) == "standard" else ""
    return f"{row['width_multiplier']} {row['resolution']}{standard}"


def changes(table: pd.DataFrame) -> Drawing | None:
    """Return ratios of two records with their intervals as points on a line each, 1 marked; None without any.

    `table` has the columns of `figure_data.of_changes`. An infinite interval ends at the edge of the others.
    """
    known = table[table["ratio"].notna()]
    if len(known) == 0:
        return None
    figure = drawing.empty("latency of the second over the first", None, height=110 + 22 * len(known))
    lines = [f"{number}: {escape(name)}" for number, name in enumerate(known["name"])]
    figure.data.append(_intervals(known, lines))
    figure.mark("x", 1)
    figure.lay_x(ticksuffix="x")
    figure.lay_y(
        autorange="reversed", automargin=True, showgrid=False, tickmode="array", tickvals=lines,
        ticktext=[escape(name) for name in known["name"]],
    )  # fmt: skip
    figure.lay_out(showlegend=False, margin={"t": 8})
    return figure


def _intervals(known: pd.DataFrame, lines: list[str]) -> dict[str, Any]:
    finite = known[["low", "high"]].where(known[["low", "high"]].abs() < math.inf)
    low, high = known["low"].clip(lower=finite["low"].min()), known["high"].clip(upper=finite["high"].max())
    colours = [drawing.op_colour(op) if op else drawing.TOTAL for op in known["op"].fillna("")]
    return trace(
        "scatter",
        x=known["ratio"].tolist(),
        y=lines,
        mode="markers",
        marker={"size": 9, "color": colours},
        error_x=drawing.whiskers(known["ratio"], low, high, width=4, thickness=1.5) | {"color": drawing.SERIES[-1]},
        hovertext=[
            f"{escape(row['name'])}<br>{units.ratio(row['ratio'])}, {units.interval(row['low'], row['high'])}"
            for row in known.to_dict("records")
        ],
        hovertemplate=drawing.HOVER,
    )


def history(runs: pd.DataFrame) -> Drawing | None:
    """Return one network's latency from run to run with its range, changes marked; None without any.

    `runs` is of `mbench.analysis.record_history.history`: a line for each place. The range is the interval over a run's
    sessions, or its 10th to 90th percentile. A disturbed run is hollow.
    """
    if len(runs) == 0:
        return None
    figure = drawing.empty(None, "latency", height=420)
    for number, (place, rows) in enumerate(runs.groupby("place", sort=False)):
        figure.data.append(_line(rows, escape(str(place)), drawing.series(number)))
    changed = runs[runs["changed"]]
    if len(changed):
        figure.add(
            "scatter",
            name="changed by more than the noise",
            x=changed["created_at_utc"].tolist(),
            y=changed["latency_s"].tolist(),
            mode="markers+text",
            text=[units.change(value) for value in changed["change"]],
            textposition="top center",
            cliponaxis=False,
            marker={"symbol": "circle-open", "size": 18, "color": drawing.LOSS, "line": {"width": 2}},
            hoverinfo="skip",
        )
    highest = runs["latency_s"].max()
    top = max(highest, runs["range_high_s"].clip(upper=_DWARFED * highest).max())
    figure.lay_x(type="date", showgrid=False, automargin=True)
    figure.lay_y(tickformat="~s", ticksuffix="s", range=[0, 1.15 * top])
    return figure


def _line(rows: pd.DataFrame, name: str, style: dict[str, Any]) -> dict[str, Any]:
    median, low, high = (rows[column].tolist() for column in ("latency_s", "range_low_s", "range_high_s"))
    symbol, quiet = style["marker"]["symbol"], rows["quiet"].tolist()
    return trace(
        "scatter",
        name=name,
        x=rows["created_at_utc"].tolist(),
        y=median,
        error_y=drawing.whiskers(median, low, high, width=3),
        hovertext=[
            f"{name}<br>{units.timestamp(moment)}<br>{units.seconds(m)} ({units.seconds(a)} to {units.seconds(b)})"
            + ("" if sure else f", {disturbances.WORD}")
            for moment, m, a, b, sure in zip(rows["created_at_utc"], median, low, high, quiet, strict=True)
        ],
        hovertemplate=drawing.HOVER,
        text=["" if sure else disturbances.WORD for sure in quiet],
        textposition="bottom center",
        **style
        | {
            "mode": "lines+markers+text",
            "marker": style["marker"] | {"symbol": [symbol if sure else f"{symbol}-open" for sure in quiet]},
        },
    )
