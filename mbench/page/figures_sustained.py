"""The figure of a network under load: latency over time, and beneath it clock and temperature, where they are known.

Pure functions from a table to a plotly figure; `points` makes the table. Values stay in SI units; the axes and the
hover texts scale them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mbench.core import durations, units
from mbench.core.sustained import SteadyState, Sustained
from mbench.page import drawing
from mbench.page.drawing import Drawing

if TYPE_CHECKING:
    import pandas as pd

_ROWS = {
    "frequency_hz": ("clock", "Hz", drawing.SERIES[2]),
    "temperature_c": ("temperature", " °C", drawing.SERIES[1]),
}
"""What may be drawn beneath: title, unit and colour."""
_LATENCY_HEIGHT, _ROW_HEIGHT = 300, 130
_GAP = 0.07
"""Between the rows, as a share of the height."""
_BAND = "rgba(0,114,178,0.22)"
"""The colour of the latency, pale."""
SHOWN = 12
"""Rows of the table that stands for the figure."""


def points(sustained: Sustained) -> pd.DataFrame:
    """Return a row for each point of a curve: `at_s`, `median_s`, `p25_s`, `p75_s`, `p90_s`, clock, temperature."""
    import pandas as pd

    names = ("at_s", "runs", "median_s", "p25_s", "p75_s", "p90_s", *_ROWS)
    return pd.DataFrame(
        [[getattr(point, name) for name in names] for point in sustained.points], columns=list(names)
    ).astype(dict.fromkeys(_ROWS, "float64"))


def thinned(sustained: Sustained, most: int = SHOWN) -> tuple[Any, ...]:
    """Return so many points at most, evenly spread, the last one among them: those of the figure's table."""
    count = min(most, len(sustained.points))
    return tuple(sustained.points[round(len(sustained.points) * at / count) - 1] for at in range(1, count + 1))


def latency_over_time(table: pd.DataFrame, steady: SteadyState | None) -> Drawing | None:
    """Return latency over time with the band between its quartiles, the steady state drawn; None without points.

    `table` has the columns of `points`. Clock and temperature have a row each, beneath, where any point has them.
    """
    if len(table) == 0:
        return None
    rows = [name for name in _ROWS if table[name].notna().any()]
    height = _LATENCY_HEIGHT + _ROW_HEIGHT * len(rows)
    figure = drawing.empty("time under load", None, height=height)
    times = table["at_s"].tolist()
    _add_latency(figure, table, times)
    if steady is not None:
        _add_steady(figure, steady, times[-1])
    for number, name in enumerate(rows, start=2):
        _add_row(figure, times, table[name], name, f"y{number}")
    _lay_out(figure, rows)
    return figure


def _add_latency(figure: Drawing, table: pd.DataFrame, times: list[float]) -> None:
    low, middle, high = (table[name].tolist() for name in ("p25_s", "median_s", "p75_s"))
    figure.add(
        "scatter", name="between the quartiles", x=[*times, *times[::-1]], y=[*high, *low[::-1]], fill="toself",
        fillcolor=_BAND, line={"width": 0}, mode="lines", hoverinfo="skip",
    )  # fmt: skip
    figure.add(
        "scatter", name="median", x=times, y=middle, mode="lines", line={"color": drawing.SERIES[0], "width": 2},
        hovertext=[
            f"{durations.words(at)}: {units.seconds(m)}<br>{units.seconds(a)} to {units.seconds(b)} between the "
            f"quartiles<br>90 % of {runs} runs within {units.seconds(slow)}"
            for at, m, a, b, slow, runs in zip(
                times, middle, low, high, table["p90_s"], table["runs"], strict=True
            )
        ],
        hovertemplate=drawing.HOVER,
    )  # fmt: skip


def _add_steady(figure: Drawing, steady: SteadyState, end_s: float) -> None:
    figure.add(
        "scatter", name=f"steady state: {units.seconds(steady.latency_s)}", x=[steady.from_s, end_s],
        y=[steady.latency_s] * 2, mode="lines", line={"color": drawing.LOSS, "width": 3, "dash": "dash"},
        hoverinfo="skip",
    )  # fmt: skip
    figure.mark("x", steady.from_s)


def _add_row(figure: Drawing, times: list[float], values: pd.Series[Any], name: str, axis: str) -> None:
    title, _, colour = _ROWS[name]
    shown = [None if missing else value for value, missing in zip(values, values.isna(), strict=True)]
    figure.add(
        "scatter", name=title, x=times, y=shown, mode="lines", yaxis=axis, line={"color": colour, "width": 2},
        hovertext=[f"{durations.words(at)}: {_said(name, value)}" for at, value in zip(times, shown, strict=True)],
        hovertemplate=drawing.HOVER,
    )  # fmt: skip


def _said(name: str, value: float | None) -> str:
    if value is None:
        return units.NOT_AVAILABLE
    return units.frequency(value) if name == "frequency_hz" else f"{value:.0f} °C"


def _lay_out(figure: Drawing, rows: list[str]) -> None:
    """Put the latency above its rows, all of them over one axis of time."""
    whole = _LATENCY_HEIGHT + _ROW_HEIGHT * len(rows)
    beneath = _ROW_HEIGHT * len(rows) / whole
    figure.lay_x(ticksuffix=" s", rangemode="tozero", anchor=f"y{len(rows) + 1}" if rows else "y")
    figure.lay_out(
        yaxis={
            "title": {"text": "latency"}, "tickformat": "~s", "ticksuffix": "s", "rangemode": "tozero",
            "domain": [beneath, 1.0],
        },
        hovermode="x",
    )  # fmt: skip
    each = beneath / len(rows) if rows else 0.0
    for number, name in enumerate(rows):
        title, unit, _ = _ROWS[name]
        top = beneath - number * each
        axis = {
            "title": {"text": title}, "ticksuffix": unit, "domain": [top - each, top - _GAP], "rangemode": "normal",
            "anchor": "x", "nticks": 4, "automargin": True, "tickformat": "~s" if name == "frequency_hz" else "",
        }  # fmt: skip
        figure.lay_out(**{f"yaxis{number + 2}": axis})
