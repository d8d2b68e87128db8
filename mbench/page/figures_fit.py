"""Figures of a search for a network: pure functions from its rows to a plotly figure.

A figure without data is None. A point names its candidate by number, and page.js adds what the table says of it, so
that thousands of candidates are in the page once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mbench.analysis import pareto
from mbench.analysis.fit_ranking import SHOWN
from mbench.core import dtypes, units
from mbench.core.fit_records import CostEstimate
from mbench.page import drawing, size_map
from mbench.page.drawing import Drawing, escape, trace
from mbench.page.fit_view import UNIT, CandidateRow, figure, top1

_NAMED, _BETWEEN = 11, 7
"""Sizes of points in pixels: of those with a published accuracy, and of those between."""
_FAR = 20
"""An axis whose largest value is so many times its least is logarithmic."""
_GREY = "rgba(127,127,127,0.35)"
_RING = drawing.SERIES[-1]


def _number(value: float) -> float:
    return float(f"{value:.5g}")


def trade_off(
    rows: Sequence[CandidateRow], quantity: str, *, limit: float | None, least: float | None, answers: Iterable[int]
) -> Drawing | None:
    """Return accuracy over a cost, the Pareto front, the limits; None if no candidate has both.

    Colour and shape are the family's, filling the type's; a large point has a published accuracy; a ring is around
    what was measured, and a bar shows the interval of a figure.

    Args:
        rows: the candidates.
        quantity: `latency`, `memory`, `weights` or `energy`.
        limit: of that quantity.
        least: the least accuracy, in percent.
        answers: numbers of the candidates that answer the question, the best first.
    """
    known = [(row, found) for row in rows if (found := row.result.estimate(quantity)) and row.top1 is not None]
    if not known:
        return None
    drawn = drawing.empty(quantity, "top-1 on ImageNet", height=520)
    best = [known[number] for number in pareto.front([(found.value, row.top1 or 0.0) for row, found in known])]
    drawn.add(
        "scatter", name="Pareto front: no other is as accurate for less", mode="lines", hoverinfo="skip",
        x=[_number(found.value) for _, found in best], y=[row.top1 for row, _ in best],
        line={"color": _RING, "width": 1.5, "shape": "hv"},
    )  # fmt: skip
    for number, (name, group) in enumerate(_groups(known).items()):
        drawn.data.append(_points(name, group, number))
    drawn.data.extend(_marks(known, answers))
    _axes(drawn, [found.value for _, found in known], quantity, limit)
    if least is not None:
        drawn.mark("y", least)
        _say(drawn, f"at least {units.accuracy(least)}", x=1, xref="paper", y=least, xanchor="right", yanchor="bottom")
    return drawn


_Known = Sequence[tuple[CandidateRow, CostEstimate]]


def _groups(known: _Known) -> dict[tuple[str, str], list[tuple[CandidateRow, CostEstimate]]]:
    """Return the candidates by family and type, in the order of names."""
    found: dict[tuple[str, str], list[tuple[CandidateRow, CostEstimate]]] = {}
    for row, estimate in known:
        found.setdefault((row.family, row.result.network.dtype), []).append((row, estimate))
    return dict(sorted(found.items()))


def _points(name: tuple[str, str], group: _Known, number: int) -> dict[str, Any]:
    family, dtype = name
    colour, symbol = _look(number)
    bars = [found if found.low is not None and found.high is not None else None for _, found in group]
    point = trace(
        "scatter", name=f"{escape(family)}, {escape(dtype)}", mode="markers",
        x=[_number(found.value) for _, found in group], y=[row.top1 for row, _ in group],
        customdata=[row.number for row, _ in group],
        marker={
            "color": colour, "symbol": filled(symbol, dtype), "opacity": 0.9,
            "size": [_NAMED if row.published else _BETWEEN for row, _ in group],
        },
        hovertemplate=drawing.HOVER,
    )  # fmt: skip
    if any(bars):
        point["error_x"] = {
            "type": "data", "symmetric": False, "thickness": 1, "width": 0, "color": _GREY,
            "array": [_number((found.high or found.value) - found.value) for _, found in group],
            "arrayminus": [_number(found.value - (found.low or found.value)) for _, found in group],
        }  # fmt: skip
    return point


def _look(number: int) -> tuple[str, str]:
    """Return colour and shape of a series, another pair for each of 42."""
    colours, symbols = drawing.SERIES[:-1], drawing.SERIES_SYMBOLS
    return colours[number % len(colours)], symbols[(number % len(colours) + number // len(colours)) % len(symbols)]


def filled(symbol: str, dtype: str) -> str:
    """Return a shape filled by type: float32 whole, int8 hollow, others hollow with a dot."""
    return symbol + {dtypes.DEFAULT: "", dtypes.INT8: "-open"}.get(dtype, "-open-dot")


def _marks(known: _Known, answers: Iterable[int]) -> Iterable[dict[str, Any]]:
    timed = [(row, found) for row, found in known if found.basis != "predicted"]
    how = ", ".join(dict.fromkeys(found.basis for _, found in timed))
    yield _over(timed, f"ring: {how or 'measured'}", "circle-open", 18, _RING)
    at = {row.number: (row, found) for row, found in known}
    shown = [at[number] for number in answers if number in at]
    yield _over(shown, "diamond: an answer", "diamond-open", 24, drawing.LOSS) | {
        "mode": "markers+text", "textposition": "top left", "cliponaxis": False,
        "text": [escape(row.result.network.name) if place == 0 else "" for place, (row, _) in enumerate(shown)],
    }  # fmt: skip
    for name, size in (("large: published or given accuracy", _NAMED), ("small: between published", _BETWEEN)):
        yield _over((), name, "circle", size, _RING)
    if any(found.low is not None for _, found in known):
        yield trace("scatter", name="bar: interval", x=[None], y=[None], mode="lines", line={"color": _GREY})


def _over(shown: _Known, name: str, symbol: str, size: int, colour: str) -> dict[str, Any]:
    """Return marks over the points of some candidates; without any, what stands in the legend alone."""
    return trace(
        "scatter", name=name, mode="markers", hoverinfo="skip",
        x=[_number(found.value) for _, found in shown] or [None], y=[row.top1 for row, _ in shown] or [None],
        marker={"color": colour, "symbol": symbol, "size": size, "line": {"width": 2}},
    )  # fmt: skip


def _axes(drawn: Drawing, values: Sequence[float], quantity: str, limit: float | None) -> None:
    low, high, unit = min(values), max(values), UNIT[quantity]
    inside = limit is not None and limit <= 2 * high
    top = 1.08 * max(high, limit if limit is not None and inside else high)
    logarithmic = low > 0 and high > _FAR * low
    reach = [math.log10(low / 1.3), math.log10(top * 1.1)] if logarithmic else [0, top]
    drawn.lay_x(
        type="log" if logarithmic else "linear", range=reach,
        **(_ticks(low / 1.3, top * 1.1, unit) if logarithmic else {"tickformat": "~s", "ticksuffix": unit}),
    )  # fmt: skip
    drawn.lay_y(ticksuffix=" %")
    drawn.lay_out(margin={"t": 24}, legend={"y": -0.16, "yanchor": "top"})
    if limit is not None and limit <= 2 * high:
        drawn.mark("x", limit)
        at = math.log10(limit) if logarithmic else limit
        side = "right" if at > sum(reach) / 2 else "left"
        _say(drawn, f"at most {SHOWN[quantity](limit)}", x=at, y=1, yref="paper", xanchor=side, yanchor="bottom")


def _ticks(low: float, high: float, unit: str) -> dict[str, Any]:
    """Return marks of a logarithmic axis, of which plotly leaves the unit away: at 1, 2 and 5 of each decade."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [first * 10.0**decade for decade in decades for first in (1, 2, 5)]
    shown = [value for value in found if low <= value <= high]
    return {"tickvals": shown, "ticktext": [units.scaled(value, unit, 1) for value in shown]}


def _say(drawn: Drawing, text: str, **where: Any) -> None:
    drawn.layout.setdefault("annotations", []).append({"text": escape(text), "showarrow": False, **where})


Cell = Callable[[CandidateRow], tuple[float | None, str]]
"""What a heat map shows of a candidate: a value, and how it is written."""


def cell_of(quantity: str) -> Cell:
    """Return what shows a quantity, `latency`, …, or `accuracy`; a mark stands before what fits."""

    def show(row: CandidateRow) -> tuple[float | None, str]:
        mark = {"fits": "\u2713 ", "open": "? "}.get(row.verdict, "")
        if quantity == "accuracy":
            return row.top1, f"{mark}{top1(row.result.accuracy)}"
        found = row.result.estimate(quantity)
        value = math.log10(found.value) if found and found.value > 0 else None
        return value, f"{mark}{figure(found, quantity)}"

    return show


def grids(rows: Iterable[CandidateRow]) -> dict[str, list[CandidateRow]]:
    """Return the candidates that lie in a grid of widths and resolutions, by family and type."""
    groups: dict[str, list[CandidateRow]] = {}
    for row in rows:
        if size_of(row) is not None:
            groups.setdefault(f"{row.family}, {row.result.network.dtype}", []).append(row)
    return {name: group for name, group in groups.items() if all(len(side) > 1 for side in _sides(group))}


def size_of(row: CandidateRow) -> tuple[float, float] | None:
    """Return width and resolution; None where a network has no such."""
    return size_map.size_of(row.result.network.parameters)


def _sides(rows: Iterable[CandidateRow]) -> tuple[list[float], list[float]]:
    found = [size for row in rows if (size := size_of(row)) is not None]
    return sorted({width for width, _ in found}), sorted({resolution for _, resolution in found})


def heat_map(rows: Sequence[CandidateRow], cell: Cell) -> Drawing | None:
    """Return widths by resolutions as coloured cells with their figures; None if none is known."""
    widths, resolutions = _sides(rows)
    at = {size_of(row): row for row in rows}
    lines = [[at.get((width, resolution)) for resolution in resolutions] for width in widths]
    cells = [[cell(row) if row else (None, "") for row in line] for line in lines]
    return size_map.of(
        widths, resolutions,
        [[None if value is None else _number(value) for value, _ in line] for line in cells],
        [[text for _, text in line] for line in cells],
        [[None if row is None else row.number for row in line] for line in lines],
    )  # fmt: skip
