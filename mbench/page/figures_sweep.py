"""Figures of a sweep: pure functions from its cells to a plotly figure. A figure without data is None.

A point names its cell by number, and sweep.js adds what the table says of it: thousands of cells are in the page once.
A family has one colour and one shape in all figures of a page.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mbench.analysis import fit_ranking, sweep_answers
from mbench.core import units
from mbench.core.sweep_records import SweepCell
from mbench.page import drawing, size_map
from mbench.page.drawing import Drawing, escape, trace

_NAMED, _BETWEEN = 10, 6
"""Sizes of points in pixels: of those with a published accuracy, and of those between."""
_FAR = 8
"""An axis whose largest value is so many times its least is logarithmic."""
_GREY = "rgba(127,127,127,0.35)"
_HEIGHT = 340

Numbers = Mapping[int, int]
"""The number of a cell in the page's table, by `id`."""


def looks(families: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return the colour and the shape of each family, another pair for each of 42."""
    colours, symbols = drawing.SERIES[:-1], drawing.SERIES_SYMBOLS
    return {
        name: (colours[at % len(colours)], symbols[(at % len(colours) + at // len(colours)) % len(symbols)])
        for at, name in enumerate(dict.fromkeys(families))
    }


def front(
    ranked: Sequence[SweepCell], best: Sequence[SweepCell], look: Mapping[str, tuple[str, str]], numbers: Numbers
) -> Drawing | None:  # fmt: skip
    """Return accuracy over latency of the cells of a type at a place, and their front; None if there is none.

    Args:
        ranked: cells with both figures.
        best: those on the front, the fastest first.
        look: colour and shape of each family.
        numbers: of the cells.
    """
    if not ranked:
        return None
    drawn = drawing.empty(None, None, height=_HEIGHT)
    drawn.add(
        "scatter", name="front", mode="lines", hoverinfo="skip", showlegend=False,
        x=[_number(sweep_answers.latency_s(cell)) for cell in best], y=[sweep_answers.top1(cell) for cell in best],
        line={"color": drawing.SERIES[-1], "width": 1.5, "shape": "hv"},
    )  # fmt: skip
    groups: dict[str, list[SweepCell]] = {}
    for cell in ranked:
        groups.setdefault(sweep_answers.family(cell), []).append(cell)
    for name in look:
        if name in groups:
            drawn.data.append(_points(name, groups[name], look[name], numbers))
    _axes(drawn, [sweep_answers.latency_s(cell) for cell in ranked])
    return drawn


def _points(name: str, cells: Sequence[SweepCell], look: tuple[str, str], numbers: Numbers) -> dict[str, Any]:
    colour, symbol = look
    found = [cell.figures.latency_s for cell in cells if cell.figures and cell.figures.latency_s]
    point = trace(
        "scatter", name=escape(name), meta=name, mode="markers", x=[_number(each.value) for each in found],
        y=[sweep_answers.top1(cell) for cell in cells], customdata=[numbers[id(cell)] for cell in cells],
        marker={
            "color": colour, "symbol": symbol, "opacity": 0.9,
            "size": [_NAMED if cell.accuracy.kind != "interpolated" else _BETWEEN for cell in cells],
        },
        hovertemplate=drawing.HOVER,
    )  # fmt: skip
    if any(each.low is not None and each.basis == "measured" for each in found):
        point["error_x"] = {
            "type": "data", "symmetric": False, "thickness": 1, "width": 0, "color": _GREY,
            "array": [_number((each.high or each.value) - each.value) for each in found],
            "arrayminus": [_number(each.value - (each.low or each.value)) for each in found],
        }  # fmt: skip
    return point


def _axes(drawn: Drawing, values: Sequence[float]) -> None:
    low, high = min(values), max(values)
    logarithmic = low > 0 and high > _FAR * low
    reach = [math.log10(low / 1.2), math.log10(high * 1.2)] if logarithmic else [0, 1.08 * high]
    drawn.lay_x(
        type="log" if logarithmic else "linear", range=reach,
        **(_ticks(low / 1.2, high * 1.2) if logarithmic else {"tickformat": "~s", "ticksuffix": "s", "nticks": 6}),
    )  # fmt: skip
    drawn.lay_y(ticksuffix=" %")
    drawn.lay_out(margin={"l": 48, "t": 8, "b": 24}, legend={"y": -0.12, "yanchor": "top"})


def _ticks(low: float, high: float) -> dict[str, Any]:
    """Return marks of a logarithmic axis, of which plotly leaves the unit away: at 1, 2 and 5 of each decade."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [first * 10.0**decade for decade in decades for first in (1, 2, 5)]
    shown = [value for value in found if low <= value <= high]
    return {"tickvals": shown, "ticktext": [units.scaled(value, "s", 1) for value in shown]}


def _number(value: float) -> float:
    return float(f"{value:.5g}")


# ----------------------------------------------------------------------------------------------------------- heat maps
def size_of(cell: SweepCell) -> tuple[float, float] | None:
    """Return width and resolution; None where a network has no such."""
    return size_map.size_of(cell.network.parameters)


def is_grid(cells: Iterable[SweepCell]) -> bool:
    """Return whether cells lie in a grid of several sizes."""
    found = {size for cell in cells if (size := size_of(cell)) is not None}
    return len(found) > 1


def heat_map(cells: Sequence[SweepCell], numbers: Numbers) -> Drawing | None:
    """Return the latency of widths by resolutions of one family, type and place; None if none is known."""
    at = {size_of(cell): cell for cell in cells}
    sizes = [size for size in at if size is not None]
    widths, resolutions = sorted({width for width, _ in sizes}), sorted({resolution for _, resolution in sizes})
    lines = [[at.get((width, resolution)) for resolution in resolutions] for width in widths]
    values = [[_logarithm(cell) for cell in line] for line in lines]
    return size_map.of(
        widths, resolutions, values, [[_said(cell) for cell in line] for line in lines],
        [[None if cell is None else numbers[id(cell)] for cell in line] for line in lines],
    )  # fmt: skip


def _logarithm(cell: SweepCell | None) -> float | None:
    value = sweep_answers.latency_s(cell) if cell else math.inf
    return _number(math.log10(value)) if 0 < value < math.inf else None


def _said(cell: SweepCell | None) -> str:
    if cell is None:
        return ""
    found = cell.figures.latency_s if cell.figures else None
    if found:
        return fit_ranking.SHOWN["latency"](found.value)
    return "" if cell.state == "done" else cell.state
