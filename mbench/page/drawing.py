"""What the figures share: colours, patterns, symbols, the empty figure, and names made harmless. No data, no theme.

Background and text colours are left to the page, which has a light and a dark scheme.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

_OTHER = "#999999"
OP_COLOURS = {
    "conv2d": "#0072B2",
    "depthwise_conv2d": "#E69F00",
    "pointwise_conv2d": "#009E73",
    "grouped_conv2d": "#D55E00",
    "transposed_conv2d": "#117733",
    "inverted_residual": "#332288",
    "depthwise_separable": "#6699CC",
    "expand_depthwise": "#CC6677",
    "dense": "#CC79A7",
    "matmul": "#882255",
    "softmax": "#AA4499",
    "layer_norm": "#44AA99",
    "norm": "#44AA99",
    "pool": "#56B4E9",
    "resize": "#88CCEE",
    "reduce": "#DDCC77",
    "elementwise": "#999933",
    "transpose": "#BBBBBB",
    "concat": "#BBBBBB",
    "slice": "#BBBBBB",
    "pad": "#BBBBBB",
    "gather": "#BBBBBB",
    "expand": "#BBBBBB",
    "other": _OTHER,
}
"""Sources: Okabe and Ito, "Color Universal Design" (2008); for what networks have less of, Paul Tol, "Colour Schemes"
(2021), muted and medium-contrast; greys for the rest."""
OP_PATTERNS = {
    "depthwise_conv2d": "/",
    "grouped_conv2d": "\\",
    "transposed_conv2d": "x",
    "inverted_residual": "/",
    "depthwise_separable": "+",
    "expand_depthwise": "|",
    "dense": "x",
    "matmul": "+",
    "softmax": "|",
    "layer_norm": ".",
    "norm": "/",
    "resize": "\\",
    "reduce": "|",
    "pad": "+",
    "gather": ".",
    "expand": "-",
    "pool": ".",
    "elementwise": "-",
    "transpose": "/",
    "concat": "x",
    "slice": "|",
    "other": "-",
}
OP_SYMBOLS = {
    "conv2d": "square",
    "depthwise_conv2d": "triangle-up",
    "pointwise_conv2d": "circle",
    "grouped_conv2d": "triangle-down",
    "transposed_conv2d": "triangle-ne",
    "inverted_residual": "star",
    "depthwise_separable": "star-square",
    "expand_depthwise": "star-diamond",
    "dense": "diamond",
    "matmul": "hexagon",
    "softmax": "pentagon",
    "layer_norm": "octagon",
    "norm": "hexagon2",
    "pool": "cross",
    "elementwise": "bowtie",
    "transpose": "triangle-left",
    "concat": "triangle-right",
    "slice": "hourglass",
    "resize": "diamond-wide",
    "reduce": "star-triangle-down",
    "pad": "square-cross",
    "gather": "circle-cross",
    "expand": "diamond-tall",
    "other": "x",
}
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
"""Of the same source, for what is not a kind of layer."""
SERIES_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x")
SERIES_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "solid")
PREDICTED, ACHIEVED = "#E69F00", "#0072B2"
LOSS, GAIN, TOTAL = "#D55E00", "#009E73", "#0072B2"
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif'
CLEAR = "rgba(0,0,0,0)"
HOVER = "%{hovertext}<extra></extra>"


@dataclasses.dataclass(frozen=True)
class Drawing:
    """What plotly's script draws, in its own words: https://plotly.com/javascript/reference.

    plotly's classes for Python check each value, which takes half of a page's time. The tests have them check figures.
    """

    data: list[dict[str, Any]]
    """Traces."""
    layout: dict[str, Any]

    def add(self, kind: str, **how: Any) -> None:
        """Add a trace of a kind, such as `bar` or `scatter`."""
        self.data.append(trace(kind, **how))

    def lay_out(self, **changes: Any) -> None:
        """Change the layout; what else is in a dictionary there stays."""
        _merge(self.layout, changes)

    def lay_x(self, **changes: Any) -> None:
        """Change the axis that goes across."""
        self.lay_out(xaxis=changes)

    def lay_y(self, **changes: Any) -> None:
        """Change the axis that goes up."""
        self.lay_out(yaxis=changes)

    def mark(self, axis: Literal["x", "y"], at: float) -> None:
        """Draw a dotted line across the figure, where an axis has a value."""
        other = "y" if axis == "x" else "x"
        ends = {f"{axis}0": at, f"{axis}1": at, f"{other}0": 0, f"{other}1": 1}
        line = {"type": "line", f"{axis}ref": axis, f"{other}ref": f"{other} domain", **ends}
        self.layout.setdefault("shapes", []).append({**line, "line": {"width": 1, "dash": "dot"}})

    def to_json(self) -> str:
        """Return it as plotly's script reads it; what is no number is null."""
        return msgspec.json.encode({"data": self.data, "layout": self.layout}, enc_hook=_plain).decode()


def _merge(into: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _plain(number: Any) -> Any:
    """Return a number of numpy as one of Python."""
    return number.item()


def trace(kind: str, **how: Any) -> dict[str, Any]:
    """Return a trace of a kind, such as `bar` or `scatter`."""
    return {"type": kind, **how}


def empty(x_title: str | None, y_title: str | None, *, height: int = 380) -> Drawing:
    """Return a figure without data, with a legend above it."""
    layout: dict[str, Any] = {
        "height": height,
        "margin": {"l": 64, "r": 12, "t": 40, "b": 48 if x_title else 8},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "font": {"family": FONT, "size": 12},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "showlegend": True,
        "xaxis": {"title": {"text": x_title}} if x_title else {},
        "yaxis": {"title": {"text": y_title}} if y_title else {},
        "hoverlabel": {"align": "left"},
    }
    return Drawing([], layout)


def op_colour(op: str) -> str:
    """Return the colour of a kind of layer; one that is not known has that of the rest."""
    return OP_COLOURS.get(op, _OTHER)


def hatched(colour: str, shape: str) -> dict[str, Any]:
    """Return a bar's marker: its colour, and over it a pattern, so that the colour is never alone."""
    pattern = {
        "shape": shape,
        "fillmode": "overlay",
        "fgcolor": "white",
        "fgopacity": 0.55,
        "size": 6,
        "solidity": 0.25,
    }
    return {"color": colour, "pattern": pattern} if shape else {"color": colour}


def series(number: int) -> dict[str, Any]:
    """Return how the series of that number is drawn as a line: colour, dash and symbol all differ."""
    at = number % len(SERIES)
    return {
        "mode": "lines+markers",
        "line": {"color": SERIES[at], "dash": SERIES_DASHES[at], "width": 2},
        "marker": {"color": SERIES[at], "symbol": SERIES_SYMBOLS[at], "size": 9},
    }


def whiskers(
    middle: Iterable[float], low: Iterable[float], high: Iterable[float], *, width: int, thickness: float = 1
) -> dict[str, Any]:
    """Return how far marks reach, below and above, as plotly's error bars; `width` and `thickness` in pixels."""
    reaches = [(above - at, at - below) for at, below, above in zip(middle, low, high, strict=True)]
    return {
        "type": "data",
        "symmetric": False,
        "array": [up for up, _ in reaches],
        "arrayminus": [down for _, down in reaches],
        "thickness": thickness,
        "width": width,
    }


def escape(text: str) -> str:
    """Take from plotly its small language of tags, which it reads in every text: `<b>`, `<a href>`, `&lt;`."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
