"""Layers under the measured peaks of a machine: a pure function from tables to a plotly figure.

A figure without data is None. Values stay in SI units; the axes and the hover texts scale them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mbench.analysis import labels
from mbench.core import dtypes, units
from mbench.page import drawing
from mbench.page.drawing import Drawing, escape, trace

if TYPE_CHECKING:
    import pandas as pd

_NEAR = 1.8
"""Peaks closer than this factor would have their names on top of each other."""


def roofline(layers: pd.DataFrame, peaks: pd.DataFrame) -> Drawing | None:
    """Return layers as points under the measured peaks, both axes logarithmic; None if there is no point.

    `layers` has the columns of `figure_data.of_layers`, `peaks` those of its `of_peaks`. A point's area is
    its share of the layers' time.
    """
    points = layers[(layers["flops_per_s"] > 0) & (layers["arithmetic_intensity"] > 0) & (layers["latency_s"] > 0)]
    peaks = peaks[peaks["value"] > 0]
    if len(points) == 0 or len(peaks) == 0:
        return None
    operation = dtypes.operation(str(points["dtype"].iloc[0]))
    figure = drawing.empty(f"arithmetic intensity ({operation} a byte of input, weights and output)", None, height=400)
    low, high = points["arithmetic_intensity"].min() / 4, points["arithmetic_intensity"].max() * 2
    top = max(points["flops_per_s"].max(), peaks.loc[peaks["kind"] == "compute", "value"].max())
    figure.data.extend(_peaks(peaks, low, high, operation))
    for op, rows in points.groupby("op", sort=False):
        figure.data.append(_points(str(op), rows, layers["latency_s"].sum(), operation))
    floor = points["flops_per_s"].min() / 3
    figure.lay_x(type="log", dtick=1, range=[math.log10(low), math.log10(high)])
    figure.lay_y(
        type="log", dtick=1, tickformat="~s", ticksuffix=f"{operation}/s",
        range=[math.log10(floor), math.log10(top * 2)],
    )  # fmt: skip
    figure.lay_out(margin={"l": 88})
    return figure


def _peaks(peaks: pd.DataFrame, low: float, high: float, operation: str) -> list[dict[str, Any]]:
    """Draw the peaks; the name of a level stands below its line, or above it where the next line below is near.

    Those with writing are thin and have their names where they are pointed at.
    """
    peak = peaks.loc[peaks["kind"] == "compute", "value"].max()
    rates = sorted(peaks.loc[peaks["kind"] == "memory", "value"])
    traces = []
    for row in peaks.to_dict("records"):
        rate = row["value"]
        compute, mixed = row["kind"] == "compute", row["kind"] == "mixed"
        if compute:
            xs, ys, position = [low, high], [rate, rate], "top right"
            text = ["", f"{escape(row['name'])} {units.flops_rate(rate, operation)}"][::-1]
        else:
            ridge = min(max(peak / rate, low * 1.1), high)
            xs = [low, low * (ridge / low) ** 0.3, ridge]
            ys = [x * rate for x in xs]
            text = ["", f"{escape(row['name'])} {units.bytes_rate(rate)}", ""]
            if mixed:
                traces.append(_mixed(f"{escape(row['name'])}: {units.bytes_rate(rate)}", xs, ys))
                continue
            crowded = any(rate / _NEAR < other < rate for other in rates)
            position = "top left" if crowded else "bottom right"
        traces.append(
            trace(
                "scatter", x=xs, y=ys, mode="lines+text", text=text, textposition=position, hoverinfo="skip",
                showlegend=False,
                line={"width": 1.5, "dash": "solid" if compute else "dash", "color": drawing.SERIES[-1]},
            )
        )  # fmt: skip
    return traces


def _mixed(name: str, xs: list[float], ys: list[float]) -> dict[str, Any]:
    return trace(
        "scatter", x=xs, y=ys, mode="lines", hovertext=name, hovertemplate=drawing.HOVER, showlegend=False,
        line={"width": 1, "dash": "dot", "color": drawing.SERIES[-1]},
    )  # fmt: skip


def _points(op: str, rows: pd.DataFrame, whole: float, operation: str) -> dict[str, Any]:
    hover = [
        f"{escape(row['layer'])}<br>{escape(labels.op(op))}<br>{units.flops_rate(row['flops_per_s'], operation)} at "
        f"{units.intensity(row['arithmetic_intensity'], operation)}<br>"
        f"{labels.of_roof(row['fraction_of_bound'], above=row['above'])} of what "
        f"{escape(row['bound'])} allows<br>{units.seconds(row['latency_s'])}"
        for row in rows.to_dict("records")
    ]
    return trace(
        "scatter",
        name=escape(labels.op(op)),
        x=rows["arithmetic_intensity"].tolist(),
        y=rows["flops_per_s"].tolist(),
        mode="markers",
        marker={
            "color": drawing.op_colour(op),
            "symbol": drawing.OP_SYMBOLS.get(op, "x"),
            "size": [8 + 40 * (value / whole) ** 0.5 for value in rows["latency_s"]],
            "sizemode": "diameter",
            "opacity": 0.8,
            "line": {"width": 1, "color": "white"},
        },
        customdata=rows["layer_index"].tolist(),
        hovertext=hover,
        hovertemplate=drawing.HOVER,
    )
