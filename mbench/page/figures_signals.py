"""The figure of what quantisation costs: signal to noise of each value. A pure function from a table to a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mbench.page import drawing
from mbench.page.drawing import Drawing, escape

if TYPE_CHECKING:
    import pandas as pd


def signals(table: pd.DataFrame) -> Drawing | None:
    """Return the signal to noise of each value in order, outputs apart; None if none is known.

    `table` has the columns of `mbench.page.figure_data.of_signals`.
    """
    known = table[table["sqnr_db"].notna()]
    if len(known) == 0:
        return None
    figure = drawing.empty(None, "signal to noise", height=300)
    order = [f"{number}: {escape(name)}" for number, name in enumerate(known["value"])]
    places = known.assign(place=order)
    for is_output, name, colour in ((False, "rounded to 8 bits", drawing.SERIES[0]), (True, "output", drawing.GAIN)):
        rows = places[places["is_output"] == is_output]
        if len(rows):
            figure.add(
                "bar", name=name, x=rows["place"].tolist(), y=rows["sqnr_db"].tolist(), marker={"color": colour},
                hovertext=[
                    f"{escape(value)}<br>{decibels:.1f} dB"
                    for value, decibels in zip(rows["value"], rows["sqnr_db"], strict=True)
                ],
                hovertemplate=drawing.HOVER,
            )  # fmt: skip
    figure.lay_x(
        categoryorder="array", categoryarray=order, tickvals=order, ticktext=[escape(name) for name in known["value"]],
        tickangle=-60, automargin=True, showgrid=False,
    )  # fmt: skip
    figure.lay_y(ticksuffix=" dB", rangemode="tozero", automargin=True)
    figure.lay_out(bargap=0.25)
    return figure
