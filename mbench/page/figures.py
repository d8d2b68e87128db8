"""Figures of one record: pure functions from a table (`mbench.page.figure_data`) to a plotly figure.

No record, no HTML, no theme. A figure without data is None. Values stay in SI units; the axes and the hover texts scale
them.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from mbench.analysis import labels
from mbench.core import units
from mbench.page import drawing
from mbench.page.drawing import Drawing, escape, trace

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    import pandas as pd


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerMetric:
    """Something that each layer has an amount of: its column, and how it is written."""

    column: str
    name: str
    title: str
    unit: str
    format: Callable[[float | None], str]

    @property
    def counted(self) -> bool:
        """Whether it is exact counts, which may be of other code than what was timed."""
        return self.column == "instructions"


METRICS = {
    "latency": LayerMetric(
        column="latency_s", name="latency", title="median latency", unit="s", format=units.seconds,
    ),
    "instructions": LayerMetric(
        column="instructions", name="instructions", title="instructions", unit="", format=units.count
    ),
    "macs": LayerMetric(
        column="macs", name="multiply-adds", title="multiply-adds", unit="", format=units.count
    ),
    "memory": LayerMetric(
        column="touched_bytes", name="memory", title="weights, input, output, workspace", unit="B",
        format=units.data_size,
    ),
    "energy": LayerMetric(
        column="energy_j", name="energy (modelled)", title="energy, modelled", unit="J", format=units.joules
    ),
}  # fmt: skip
"""What the bars over a network's depth can show."""
_LIVE = {
    "input": ("input", drawing.SERIES[0], ""),
    "output": ("output", drawing.SERIES[5], "/"),
    "kept": ("kept for later layers", drawing.SERIES[2], "-"),
    "workspace": ("workspace", drawing.SERIES[1], "x"),
}
"""What is alive while a layer runs: name, colour and pattern."""
_MANY_LAYERS = 60
_WEIGHTS = {
    "other_weight": ("weights of other layers", drawing.SERIES[-1], ""),
    "weight": ("weights that it reads", drawing.SERIES[3], "."),
}
"""What stays throughout: name, colour and pattern."""


_TOLD = dict.fromkeys(
    ("layer", "op", "macs", "latency_p10_s", "latency_p90_s", "instructions", "loads", "stores", "fma_instructions")
)
"""Columns that a bar shows of its layer beside the metric: a fraction of all, which are slow to go through."""


def over_depth(layers: pd.DataFrame, metric: LayerMetric, *, remark: str = "") -> Drawing | None:
    """Return one network's layers in order as bars of a metric, coloured by kind; latency with whiskers, p10 to p90.

    `remark` stands behind the axis's title. `layers` has the columns of `mbench.page.figure_data.of_layers` and one row
    per layer. Layers without the metric leave a gap; if none has it, the answer is None.
    """
    known = layers[layers[metric.column].notna()]
    if len(known) == 0:
        return None
    figure = drawing.empty(None, f"{metric.title}{remark}")
    for op, rows in known.groupby("op", sort=False):
        figure.data.append(_bars(str(op), rows, metric))
    _name_layers(figure, layers)
    figure.lay_y(tickformat="~s", ticksuffix=metric.unit, rangemode="tozero")
    figure.lay_out(barmode="overlay", bargap=0.25)
    return figure


def _bars(op: str, rows: pd.DataFrame, metric: LayerMetric) -> dict[str, Any]:
    heights = rows[metric.column].tolist()
    bar = trace(
        "bar",
        name=escape(labels.op(op)),
        x=_categories(rows),
        y=heights,
        marker=drawing.hatched(drawing.op_colour(op), drawing.OP_PATTERNS.get(op, "")),
        customdata=rows["layer_index"].tolist(),
        hovertext=[_hover(row, metric) for row in rows[list({metric.column: None} | _TOLD)].to_dict("records")],
        hovertemplate=drawing.HOVER,
    )
    if metric.column == "latency_s":
        bar["error_y"] = drawing.whiskers(heights, rows["latency_p10_s"], rows["latency_p90_s"], width=2)
    return bar


def _hover(row: Mapping[Hashable, Any], metric: LayerMetric) -> str:
    lines = [escape(row["layer"]), escape(labels.op(row["op"]))]
    lines.append(f"{metric.title}: {metric.format(row[metric.column])}")
    if metric.column == "latency_s":
        lines.append(
            f"10th to 90th percentile {units.seconds(row['latency_p10_s'])} to {units.seconds(row['latency_p90_s'])}"
        )
    if metric.counted:
        lines.append(
            f"{units.exact(row['instructions'])}, of these {units.count(row['loads'])} load, "
            f"{units.count(row['stores'])} store, {units.count(row['fma_instructions'])} multiply and add"
        )
    if metric.column != "macs":
        lines.append(f"{units.count(row['macs'])} multiply-adds")
    return "<br>".join(lines)


def memory(live: pd.DataFrame, *, weights: bool = False) -> Drawing | None:
    """Return what is alive while each layer runs as stacked bars, and the compiler's plan as a line; None if not known.

    `live` has the columns of `mbench.page.figure_data.of_live`; with `weights`, these lie beneath.
    """
    if len(live) == 0:
        return None
    figure = drawing.empty(None, "weights and activations" if weights else "activations alive")
    order = _categories(live)
    beneath = _WEIGHTS if weights else {}
    for part, (name, colour, pattern) in (beneath | _LIVE).items():
        values = live[f"{part}_bytes"].tolist()
        if any(values):
            hover = [
                f"{escape(layer)}<br>{name}: {units.data_size(value)}"
                for layer, value in zip(live["layer"], values, strict=True)
            ]
            marker = drawing.hatched(colour, pattern)
            figure.add("bar", name=name, x=order, y=values, marker=marker, hovertext=hover, hovertemplate=drawing.HOVER)
    planned = live["planned_bytes"].iloc[0]
    if weights:
        planned += live["weight_bytes"].iloc[0] + live["other_weight_bytes"].iloc[0]
    figure.add(
        "scatter",
        name=f"planned by the compiler for the whole run: {units.data_size(planned)}",
        x=order,
        y=[planned] * len(order),
        mode="lines",
        line={"dash": "dash", "width": 2, "color": drawing.SERIES[-1]},
        hoverinfo="skip",
    )
    _name_layers(figure, live)
    figure.lay_y(tickformat="~s", ticksuffix="B", rangemode="tozero")
    figure.lay_out(barmode="stack", bargap=0.15, legend={"traceorder": "normal"})
    return figure


def energy(parts: pd.DataFrame) -> Drawing | None:
    """Return energy by component as one bar a network and method, modelled and measured apart; None if there is none.

    `parts` has the columns of `mbench.page.figure_data.of_energy`.
    """
    if len(parts) == 0:
        return None
    several = parts["label"].nunique() > 1
    bars = [
        f"{escape(label).replace(', ', ',<br>')},<br>{kind}" if several else str(kind)
        for label, kind in zip(parts["label"], parts["kind"], strict=True)
    ]
    order = list(dict.fromkeys(bars))
    figure = drawing.empty(None, None, height=76 + (54 if several else 40) * len(order))
    patterns = ("", "/", "x", ".", "-", "+", "")
    for number, name in enumerate(dict.fromkeys(parts["component"])):
        rows = parts[parts["component"] == name]
        figure.add(
            "bar",
            orientation="h",
            name=escape(name),
            y=[bar for bar, component in zip(bars, parts["component"], strict=True) if component == name],
            x=rows["energy_j"].tolist(),
            marker=drawing.hatched(drawing.SERIES[number % 7], patterns[number % 7]),
            hovertext=[f"{escape(name)}: {units.joules(value)}" for value in rows["energy_j"]],
            hovertemplate=drawing.HOVER,
        )
    figure.lay_x(tickformat="~s", ticksuffix="J", rangemode="tozero")
    figure.lay_y(categoryorder="array", categoryarray=order[::-1], automargin=True, showgrid=False)
    figure.lay_out(barmode="stack", bargap=0.35, legend={"traceorder": "normal"}, margin={"b": 28})
    return figure


def samples(table: pd.DataFrame) -> Drawing | None:
    """Return every layer's samples in order beside their distribution; None if there are none.

    `table` has the columns of `figure_data.of_samples`. Each layer has its own two traces, whose `meta` is its
    index: the page shows one layer's at a time.
    """
    if len(table) == 0:
        return None
    figure = drawing.empty("run", "latency", height=260)
    for _, rows in table.groupby("layer_index", sort=False):
        values = rows["latency_s"].tolist()
        meta = rows["layer_index"].iloc[0].item()
        colour = drawing.op_colour(str(rows["op"].iloc[0]))
        figure.add(
            "scatter", y=values, x=rows["run"].tolist(), mode="markers", marker={"color": colour, "size": 6},
            meta=meta, hovertemplate="run %{x}: %{y:.3s}s<extra></extra>",
        )  # fmt: skip
        figure.add(
            "histogram", y=values, marker={"color": colour}, meta=meta, xaxis="x2", nbinsy=24,
            hovertemplate="%{x} runs: %{y}s<extra></extra>",
        )  # fmt: skip
    figure.lay_out(
        xaxis={"domain": [0, 0.68]},
        xaxis2={"domain": [0.72, 1], "title": {"text": "how many runs"}, "anchor": "y"},
        yaxis={"tickformat": "~s", "ticksuffix": "s"},
        showlegend=False,
        margin={"t": 8},
    )
    return figure


def _name_layers(figure: Drawing, rows: pd.DataFrame) -> None:
    """Let a figure have a category for each layer, in order, with its name beneath; many are written upright."""
    order = _categories(rows)
    many = len(order) > _MANY_LAYERS
    figure.lay_x(
        categoryorder="array", categoryarray=order, tickvals=order, ticktext=[escape(name) for name in rows["layer"]],
        tickangle=-90 if many else -60, tickfont={"size": 10} if many else {}, automargin=True, showgrid=False,
    )  # fmt: skip


def _categories(rows: pd.DataFrame) -> list[str]:
    """Return a category for each layer that is unique even if two layers share a name."""
    return [f"{index}: {escape(name)}" for index, name in zip(rows["layer_index"], rows["layer"], strict=True)]
