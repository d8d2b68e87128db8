"""Figures of many networks of one page: pure functions from a table to a plotly figure.

A figure that would show nothing is None. Values stay in SI units; the axes and the hover texts scale them.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mbench.analysis import labels
from mbench.core import units
from mbench.page import drawing, figures_history, size_map
from mbench.page.drawing import Drawing, escape
from mbench.page.figures_history import CostAxis

if TYPE_CHECKING:
    import pandas as pd

_FEWEST = 3
"""Networks that are worth a figure: of two, a table says more."""
_NAMED = 40
"""So many networks have a line with their name; more are points by rank, named where they are pointed at."""
_OUTLIER = 12
"""Where the most costs so many times the middle, the axis is logarithmic: one network would flatten all others."""
_LINE = 24
"""Pixels of a network's line."""


def costs(latest: pd.DataFrame, cost: CostAxis) -> Drawing | None:
    """Return what each network costs, the least first, with the interval of a latency; None below three networks.

    `latest` is of `mbench.analysis.record_history.latest`.
    """
    known = cost.known(latest).sort_values(cost.column, kind="stable")
    known = known[known[cost.column] > 0]
    if len(known) < _FEWEST:
        return None
    named = len(known) <= _NAMED
    figure = (
        drawing.empty(cost.name, None, height=110 + _LINE * len(known)) if named else drawing.empty(None, cost.name)
    )
    values = [float(value) for value in known[cost.column]]
    reach = figures_history.reach(known) if cost.column == "latency_s" else {}
    places = known["place"].nunique() > 1
    rows = known.to_dict("records")
    names = [f"{row['label']}, {row['place']}" if places else str(row["label"]) for row in rows]
    lines = [f"{number}: {escape(name)}" for number, name in enumerate(names)]
    marks = {
        "mode": "markers",
        "marker": {
            "size": 9 if named else 6, "color": drawing.TOTAL,
            "symbol": ["circle-open" if cost.unsure(row) else "circle" for row in rows],
        },
        "hovertext": [f"{escape(name)}<br>{cost.said(row)}" for name, row in zip(names, rows, strict=True)],
        "hovertemplate": drawing.HOVER,
    }  # fmt: skip
    kind = {"type": "log"} if values[-1] > _OUTLIER * values[len(values) // 2] else {"rangemode": "tozero"}
    scale = {"tickformat": "~s", "ticksuffix": cost.unit, **kind}
    if named:
        figure.add("scatter", x=values, y=lines, error_x=reach, **marks)
        figure.lay_x(**scale)
        figure.lay_y(
            autorange="reversed", automargin=True, showgrid=True, tickmode="array", tickvals=lines,
            ticktext=[escape(name) for name in names],
        )  # fmt: skip
    else:
        figure.add("scatter", x=list(range(1, len(values) + 1)), y=values, error_y=reach, **marks)
        figure.lay_y(**scale)
        figure.lay_x(title={"text": "networks, by rank"}, showgrid=False)
        figure.lay_out(margin={"b": 48})
    figure.lay_out(showlegend=False, margin={"t": 8})
    return figure


def gains(table: pd.DataFrame, expected: str) -> Drawing | None:
    """Return what networks gain over others, the least first, beside what is expected; None below two.

    `table` has the columns `label`, `expected`, `achieved`, `low`, `high`; an interval may be missing.
    """
    known = table[table["achieved"].notna()].sort_values("achieved", kind="stable")
    if len(known) < 2:
        return None
    figure = drawing.empty(None, None, height=80 + _LINE * len(known))
    lines = [f"{number}: {escape(label)}" for number, label in enumerate(known["label"])]
    reached, beside = known["achieved"].tolist(), known["expected"].tolist()
    low, high = (
        [value if math.isnan(end) else end for value, end in zip(reached, known[name].tolist(), strict=True)]
        for name in ("low", "high")
    )
    figure.add(
        "scatter", name=expected, x=beside, y=lines, mode="markers", hovertemplate=drawing.HOVER,
        marker={"symbol": "line-ns-open", "size": 14, "color": drawing.PREDICTED, "line": {"width": 3}},
        hovertext=_said(known["label"], expected, beside),
    )  # fmt: skip
    figure.add(
        "scatter", name="achieved", x=reached, y=lines, mode="markers", hovertemplate=drawing.HOVER,
        marker={"size": 9, "color": drawing.ACHIEVED}, hovertext=_said(known["label"], "achieved", reached),
        error_x=drawing.whiskers(reached, low, high, width=4, thickness=1.5),
    )  # fmt: skip
    figure.mark("x", 1)
    figure.lay_out(margin={"b": 28})
    figure.lay_x(ticksuffix="x", rangemode="tozero")
    figure.lay_y(
        autorange="reversed", automargin=True, showgrid=True, tickmode="array", tickvals=lines,
        ticktext=[escape(label) for label in known["label"]],
    )  # fmt: skip
    return figure


def _said(names: pd.Series[Any], what: str, values: list[float]) -> list[str]:
    return [f"{escape(name)}<br>{what}: {units.ratio(value)}" for name, value in zip(names, values, strict=True)]


def grids(latest: pd.DataFrame, cost: CostAxis) -> Iterator[tuple[str, Drawing]]:
    """Yield, for each family, type and place with several widths and resolutions, these as coloured cells."""
    known = latest[~latest["convolution"].eq("standard").fillna(False)]
    known = known[known["width_multiplier"].notna() & known["resolution"].notna()]
    keys = ["family", "dtype", "batch", "place"]
    groups = [(key, rows) for key, rows in known.groupby(keys, sort=False) if _is_grid(rows)]
    several = [len({key[number] for key, _ in groups}) > 1 for number in range(len(keys))]
    for (family, dtype, batch, place), rows in groups:
        words = (labels.family(str(family)), str(dtype), f"batch {batch}", str(place))
        name = ", ".join([words[0], *(word for word, shown in zip(words[1:], several[1:], strict=True) if shown)])
        drawn = _grid(rows, cost)
        if drawn is not None:
            yield name, drawn


def _is_grid(rows: pd.DataFrame) -> bool:
    return rows["width_multiplier"].nunique() > 1 and rows["resolution"].nunique() > 1


def _grid(rows: pd.DataFrame, cost: CostAxis) -> Drawing | None:
    widths, resolutions = (sorted(rows[name].unique().tolist()) for name in ("width_multiplier", "resolution"))
    found: dict[tuple[Any, Any], Mapping[Hashable, Any]] = {
        (row["width_multiplier"], row["resolution"]): row for row in rows.to_dict("records")
    }
    cells = [[found.get((width, side)) for side in resolutions] for width in widths]
    amounts = [[_log(row, cost) for row in line] for line in cells]
    return size_map.of(
        widths, resolutions, amounts, [["" if row is None else cost.said(row) for row in line] for line in cells]
    )


def _log(row: Mapping[Hashable, Any] | None, cost: CostAxis) -> float | None:
    value = None if row is None or (cost.derived and cost.unsure(row)) else row[cost.column]
    return math.log10(float(value)) if value is not None and value == value and float(value) > 0 else None
