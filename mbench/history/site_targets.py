"""Targets side by side: the last value of each quantity, for each network and settings that several of them have."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from mbench.core import units
from mbench.history import site_words
from mbench.history.series import Identity
from mbench.history.site_view import HistoryPlace, SeriesView
from mbench.page import drawing
from mbench.page.drawing import Drawing, escape

_ROW_PIXELS, _AROUND_PIXELS = 26, 130


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetCell:
    """What a network has on one target."""

    row: SeriesView
    ratio: str
    """Over the row's lowest value; empty: it is the lowest."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetComparison:
    """One quantity on several targets."""

    quantity: str
    columns: tuple[str, ...]
    """Targets, with the device and the machine where a target has several."""
    rows: tuple[tuple[str, dict[str, TargetCell]], ...]
    """Networks with their settings, and their cells by column."""
    figure: Drawing


def of_places(places: Sequence[HistoryPlace]) -> tuple[TargetComparison, ...]:
    """Return the comparisons of all quantities that a network has on more than one target."""
    columns = _columns([row for place in places for row in place.rows])
    grouped: dict[str, dict[str, dict[str, SeriesView]]] = defaultdict(lambda: defaultdict(dict))
    for row in (row for place in places for row in place.rows):
        identity = row.series.identity
        grouped[row.series.quantity.name][_name(row)][columns[identity]] = row
    found = []
    for rows in grouped.values():
        several = {name: cells for name, cells in rows.items() if len(cells) > 1}
        if several:
            found.append(_comparison(several, list(dict.fromkeys(columns.values()))))
    return tuple(found)


def _name(row: SeriesView) -> str:
    each = row.series.identity
    threads = units.counted(each.threads, "thread")
    batch = f", batch {each.batch}" if each.batch != 1 else ""
    return f"{row.network}, {site_words.word(each.dtype)}, {threads}{batch}"


def _columns(rows: Sequence[SeriesView]) -> dict[Identity, str]:
    """Return what each series' column is called: its target, and what else distinguishes places of one target."""
    identities = list(dict.fromkeys(row.series.identity for row in rows))
    places = list(dict.fromkeys(map(_place, identities)))
    named = {}
    for place in places:
        alike = [other for other in places if other[0] == place[0]]
        parts = [part for number, part in enumerate(place) if number and len({each[number] for each in alike}) > 1]
        named[place] = ", ".join(site_words.word(part, 40) for part in (place[0], *parts) if part)
    return {each: named[_place(each)] for each in identities}


def _place(each: Identity) -> tuple[str, str, str, str]:
    return each.target, each.device, each.machine, each.hardware


def _comparison(rows: dict[str, dict[str, SeriesView]], columns: Sequence[str]) -> TargetComparison:
    used = [column for column in columns if any(column in cells for cells in rows.values())]
    first = next(iter(next(iter(rows.values())).values()))
    return TargetComparison(
        quantity=first.series.quantity.label,
        columns=tuple(used),
        rows=tuple((name, _cells(cells)) for name, cells in sorted(rows.items())),
        figure=_figure(rows, used),
    )


def _cells(cells: dict[str, SeriesView]) -> dict[str, TargetCell]:
    least = min(row.series.points[-1].value for row in cells.values())
    found = {}
    for column, row in cells.items():
        value = row.series.points[-1].value
        found[column] = TargetCell(row=row, ratio=units.ratio(value / least) if value > least > 0 else "")
    return found


def _figure(rows: dict[str, dict[str, SeriesView]], columns: Sequence[str]) -> Drawing:
    quantity = next(iter(next(iter(rows.values())).values())).series.quantity
    figure = drawing.empty(quantity.label, None, height=_AROUND_PIXELS + _ROW_PIXELS * len(rows))
    names = sorted(rows)
    for number, column in enumerate(columns):
        style = drawing.series(number)
        points = [(name, rows[name][column]) for name in names if column in rows[name]]
        figure.add(
            "scatter",
            name=escape(column),
            mode="markers",
            x=[row.series.points[-1].value for _, row in points],
            y=[escape(name) for name, _ in points],
            marker=_marker(style, [bool(row.disturbed) for _, row in points]),
            hovertext=[_said(name, column, row) for name, row in points],
            hovertemplate=drawing.HOVER,
        )
    values = [row.series.points[-1].value for cells in rows.values() for row in cells.values()]
    ticks = _ticks([value for value in values if value > 0])
    figure.lay_x(type="log", tickvals=ticks, ticktext=[site_words.value(tick, quantity) for tick in ticks])
    figure.lay_y(autorange="reversed", automargin=True)
    return figure


def _ticks(values: Sequence[float]) -> list[float]:
    """Return where a logarithmic axis has words: 1, 2 and 5 of each power of ten, as far as values reach."""
    if not values:
        return []
    low, high = min(values) / 1.5, max(values) * 1.5
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(powers) <= 4 else (1,)
    found = [step * 10.0**power for power in powers for step in steps]
    return [tick for tick in found if low <= tick <= high] or [min(values), max(values)]


def _marker(style: dict[str, Any], unsure: Sequence[bool]) -> dict[str, Any]:
    symbol = style["marker"]["symbol"]
    return {**style["marker"], "size": 11, "symbol": [f"{symbol}-open" if each else symbol for each in unsure]}


def _said(name: str, column: str, row: SeriesView) -> str:
    why = f"<br>disturbed: {escape(row.disturbed)}" if row.disturbed else ""
    return f"<b>{escape(row.last)}</b> on {escape(column)}<br>{escape(name)}<br>{row.last_day}{why}"
