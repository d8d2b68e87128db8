"""Figures of the page: pure functions from a table (`mbench.frame`) to a plotly figure. No record, no HTML, no theme.

Background and text colours are left to the page, which has a light and a dark scheme. A figure without data is None.
Values stay in SI units; the axes and the hover texts scale them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from mbench import units

if TYPE_CHECKING:
    import pandas as pd

OP_COLOURS = {
    "conv2d": "#0072B2",
    "depthwise_conv2d": "#E69F00",
    "pointwise_conv2d": "#009E73",
    "dense": "#CC79A7",
    "pool": "#56B4E9",
    "other": "#999999",
}
"""Source: Okabe and Ito, "Color Universal Design" (2008); grey added for the rest."""
OP_LABELS = {
    "conv2d": "standard convolution",
    "depthwise_conv2d": "depthwise",
    "pointwise_conv2d": "pointwise (1x1)",
    "dense": "fully connected",
    "pool": "pooling",
    "other": "other",
}
PROMISED, ACHIEVED = "#56B4E9", "#D55E00"
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif'


def layer_latency(layers: pd.DataFrame) -> go.Figure | None:
    """Return one network's layers in order as bars: median latency, whiskers from the 10th to the 90th percentile.

    `layers` has the columns of `mbench.frame` and one row per layer. Layers without latency leave a gap; if none has
    one, the answer is None.
    """
    return _depth(layers, "latency_s", "median latency", "s", _latency_bars)


def layer_instructions(layers: pd.DataFrame) -> go.Figure | None:
    """Return one network's layers in order as bars: instructions as counted, which are exact and have no whiskers.

    `layers` as for `layer_latency`. Layers without counts leave a gap; if none has counts, the answer is None.
    """
    return _depth(layers, "instructions", "instructions", "", _instruction_bars)


def _depth(
    layers: pd.DataFrame, column: str, title: str, unit: str, bars: Callable[[str, pd.DataFrame], go.Bar]
) -> go.Figure | None:
    known = layers[layers[column].notna()]
    if len(known) == 0:
        return None
    figure = _figure(title)
    for op, rows in known.groupby("op", sort=False):
        figure.add_trace(bars(str(op), rows))
    order = _categories(layers)
    figure.update_xaxes(
        categoryorder="array", categoryarray=order, tickvals=order, ticktext=[_escape(name) for name in layers["layer"]]
    )
    figure.update_xaxes(tickangle=-60, automargin=True, showgrid=False)
    figure.update_yaxes(tickformat="~s", ticksuffix=unit, rangemode="tozero")
    figure.update_layout(barmode="overlay", bargap=0.25)
    return figure


def _latency_bars(op: str, rows: pd.DataFrame) -> go.Bar:
    median, low, high = (rows[name].tolist() for name in ("latency_s", "latency_p10_s", "latency_p90_s"))
    hover = [
        f"{_escape(name)}<br>{OP_LABELS.get(op, _escape(op))}<br>median {units.seconds(m)}<br>"
        f"10th to 90th percentile {units.seconds(a)} to {units.seconds(b)}<br>{units.count(macs)} multiply-adds"
        for name, m, a, b, macs in zip(rows["layer"], median, low, high, rows["macs"], strict=True)
    ]
    bars = _bars(op, rows, median, hover)
    bars.error_y = {
        "type": "data",
        "symmetric": False,
        "array": [b - m for b, m in zip(high, median, strict=True)],
        "arrayminus": [m - a for a, m in zip(low, median, strict=True)],
        "thickness": 1,
        "width": 2,
    }
    return bars


def _instruction_bars(op: str, rows: pd.DataFrame) -> go.Bar:
    hover = [
        f"{_escape(row['layer'])}<br>{OP_LABELS.get(op, _escape(op))}<br>"
        f"{units.exact(row['instructions'])} instructions<br>{units.count(row['loads'])} load, "
        f"{units.count(row['stores'])} store, {units.count(row['fma_instructions'])} multiply and add<br>"
        f"{units.count(row['macs'])} multiply-adds needed"
        for row in rows.to_dict("records")
    ]
    return _bars(op, rows, rows["instructions"].tolist(), hover)


def _bars(op: str, rows: pd.DataFrame, heights: list[float], hover: list[str]) -> go.Bar:
    return go.Bar(
        name=OP_LABELS.get(op, op),
        x=_categories(rows),
        y=heights,
        marker={"color": OP_COLOURS.get(op, OP_COLOURS["other"])},
        hovertext=hover,
        hovertemplate="%{hovertext}<extra></extra>",
    )


def block_speedup(blocks: pd.DataFrame) -> go.Figure | None:
    """Return, block by block, the promised and the achieved speed-up as grouped bars; None if nothing was measured.

    `blocks` has the columns of `mbench.frame.of_blocks`.
    """
    return _promise(blocks, "achieved", "achieved (median latency)", "speed-up over a standard convolution")


def block_instructions(blocks: pd.DataFrame) -> go.Figure | None:
    """Return, block by block, how many times fewer instructions were promised and executed; None if none were counted.

    `blocks` has the columns of `mbench.frame.of_blocks`. This is no speed-up in time.
    """
    return _promise(blocks, "fewer", "executed (instructions)", "times fewer than a standard convolution")


def _promise(blocks: pd.DataFrame, column: str, came: str, title: str) -> go.Figure | None:
    if blocks[column].notna().sum() == 0:
        return None
    figure = _figure(title)
    names = [_escape(name) for name in blocks["block"]]
    outline = {"color": "rgba(0,0,0,0)", "line": {"color": PROMISED, "width": 2}}
    for label, name, marker in (
        ("promised by the multiply-adds", "promised", outline),
        (came, column, {"color": ACHIEVED}),
    ):
        values = [None if missing else value for value, missing in zip(blocks[name], blocks[name].isna(), strict=True)]
        text = [f"{block}<br>{label}: {units.ratio(value)}" for block, value in zip(names, values, strict=True)]
        figure.add_trace(
            go.Bar(
                name=label,
                x=names,
                y=values,
                marker=marker,
                hovertext=text,
                hovertemplate="%{hovertext}<extra></extra>",
            )
        )
    figure.add_hline(y=1, line_width=1, line_dash="dot")
    figure.update_xaxes(type="category", tickangle=-60, automargin=True, showgrid=False)
    figure.update_yaxes(ticksuffix="x", rangemode="tozero")
    figure.update_layout(barmode="group", bargap=0.3)
    return figure


def _figure(y_title: str) -> go.Figure:
    layout: dict[str, Any] = {
        "template": go.layout.Template(),
        "height": 380,
        "margin": {"l": 64, "r": 8, "t": 40, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 12},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "showlegend": True,
        "yaxis": {"title": {"text": y_title}},
        "hoverlabel": {"align": "left"},
    }
    return go.Figure(layout=layout)


def _categories(rows: pd.DataFrame) -> list[str]:
    """Return a category for each layer that is unique even if two layers share a name."""
    return [f"{index}: {_escape(name)}" for index, name in zip(rows["layer_index"], rows["layer"], strict=True)]


def _escape(text: str) -> str:
    """Take from plotly its small language of tags, which it reads in every text: `<b>`, `<a href>`, `&lt;`."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
