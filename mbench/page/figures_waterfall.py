"""Figures of a network beside another, its standard twin or itself in float32: pure functions from a table to a figure.

A figure without data is None. Values stay in SI units; the axes and the hover texts scale them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mbench.core import units
from mbench.page import drawing
from mbench.page.drawing import Drawing, escape

if TYPE_CHECKING:
    import pandas as pd

_FRAME, _STEP = 56, 28
"""Pixels around the steps, and of each: one line, or two small ones where the page is narrow."""


def block_speedup(blocks: pd.DataFrame) -> Drawing | None:
    """Return, block by block, the predicted and the achieved speed-up; None if nothing was measured.

    `blocks` has the columns of `mbench.page.figure_data.of_blocks`.
    """
    return _against_prediction(blocks, "achieved", "achieved (median latency)", "speed-up over a standard convolution")


def block_instructions(blocks: pd.DataFrame) -> Drawing | None:
    """Return, block by block, how many times fewer instructions were predicted and executed; None if none were counted.

    `blocks` has the columns of `mbench.page.figure_data.of_blocks`. This is no speed-up in time.
    """
    return _against_prediction(blocks, "fewer", "executed (instructions)", "times fewer than a standard convolution")


def layer_gain(layers: pd.DataFrame) -> Drawing | None:
    """Return, layer by layer, the gain expected of a narrower type and the one achieved; None if nothing was measured.

    `layers` has the columns of `mbench.page.figure_data.of_typed_layers`.
    """
    timed = layers["achieved"].notna().any()
    column, came = ("achieved", "achieved (median latency)") if timed else ("fewer", "executed (instructions)")
    title = "times quicker than in float32" if timed else "times fewer instructions than in float32"
    return _against_prediction(layers, column, came, title, label="expected of the type")


def _against_prediction(
    blocks: pd.DataFrame, column: str, came: str, title: str, label: str = "predicted by the multiply-adds"
) -> Drawing | None:
    if blocks[column].notna().sum() == 0:
        return None
    figure = drawing.empty(None, title)
    names = [escape(name) for name in blocks["block"]]
    predicted, reached = _present(blocks["predicted"]), _present(blocks[column])
    figure.add(
        "bar", name=came, x=names, y=reached, marker={"color": drawing.ACHIEVED}, hovertemplate=drawing.HOVER,
        hovertext=_ratios(names, came, reached),
    )  # fmt: skip
    figure.add(
        "scatter", name=label, x=names, y=predicted, mode="lines", hovertemplate=drawing.HOVER,
        line={"shape": "hvh", "color": drawing.PREDICTED, "width": 3},
        hovertext=_ratios(names, label, predicted),
    )  # fmt: skip
    figure.mark("y", 1)
    figure.lay_x(type="category", tickangle=-60, automargin=True, showgrid=False)
    figure.lay_y(ticksuffix="x", rangemode="tozero")
    figure.lay_out(bargap=0.45)
    return figure


def _present(column: pd.Series[Any]) -> list[float | None]:
    return [None if missing else value for value, missing in zip(column, column.isna(), strict=True)]


def _ratios(names: list[str], label: str, values: list[float | None]) -> list[str]:
    return [f"{name}<br>{label}: {units.ratio(value)}" for name, value in zip(names, values, strict=True)]


def waterfall(steps: pd.DataFrame) -> Drawing | None:
    """Return the waterfall from the predicted to the achieved speed-up; None if there are no steps.

    `steps` has the columns of `figure_data.of_waterfall`: `label`, `kind` (`total` or `change`), `value`, `detail`.
    """
    if len(steps) == 0:
        return None
    figure = drawing.empty(None, None, height=_FRAME + _STEP * len(steps))
    names = [escape(label) for label in steps["label"]]
    totals = steps["kind"] == "total"
    figure.add(
        "waterfall",
        orientation="h",
        y=names,
        x=steps["value"].tolist(),
        measure=["absolute" if total else "relative" for total in totals],
        text=[
            units.ratio(value) if total else f"{value:+.2f}x"
            for value, total in zip(steps["value"], totals, strict=True)
        ],
        textposition="outside",
        cliponaxis=False,
        hovertext=[escape(detail).replace("\n", "<br>") for detail in steps["detail"]],
        hovertemplate=drawing.HOVER,
        decreasing={"marker": {"color": drawing.LOSS}},
        increasing={"marker": {"color": drawing.GAIN}},
        totals={"marker": {"color": drawing.TOTAL}},
        connector={"line": {"width": 1, "dash": "dot", "color": drawing.SERIES[-1]}},
    )
    top = max(steps["value"].where(totals).max(), steps["value"].cumsum()[:-1].max())
    figure.lay_x(ticksuffix="x", range=[min(0.0, steps["value"].cumsum()[:-1].min()), top * 1.12])
    figure.lay_y(
        autorange="reversed", automargin=True, showgrid=False, tickmode="array", tickvals=names, ticktext=names
    )
    figure.lay_out(showlegend=False, margin={"t": 8, "b": 32, "r": 36})
    return figure
