"""Widths by resolutions as coloured cells with their figures: of a search, of a sweep, of networks side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mbench.page import drawing
from mbench.page.drawing import Drawing

_ROW, _FRAME = 26, 90
"""Pixels of a width, and of what stands around all of them."""
_LEAST, _MOST, _INK = "#eef5fb", "#6aa5d8", "#1b1f24"
"""The ink can be read on each colour between (WCAG 2.1, 1.4.3), on a dark page as well."""
_SIZE = "width %{y}, resolution %{x}<br>%{text}<extra></extra>"


def size_of(parameters: Mapping[str, object]) -> tuple[float, float] | None:
    """Return width and resolution of a network; None where it has no such."""
    width, resolution = (parameters.get(name) for name in ("width_multiplier", "resolution"))
    if isinstance(width, int | float) and isinstance(resolution, int | float):
        return float(width), float(resolution)
    return None


def of(
    widths: Sequence[float],
    resolutions: Sequence[float],
    values: Sequence[Sequence[float | None]],
    texts: Sequence[Sequence[str]],
    numbers: Sequence[Sequence[int | None]] | None = None,
) -> Drawing | None:
    """Return the cells, a line for each width; None if no value is known.

    Args:
        widths: in order.
        resolutions: in order.
        values: what colours a cell; None: not known.
        texts: what stands in it.
        numbers: of its row in the table that belongs to it, which says what is pointed at; None: it has none. Without
            such a table the size and the text say it.
    """
    if all(value is None for line in values for value in line):
        return None
    drawn = drawing.empty(None, "width", height=_FRAME + _ROW * len(widths))
    drawn.add(
        "heatmap", x=[f"{value:g}" for value in resolutions], y=[f"{value:g}" for value in widths], z=values,
        text=texts, texttemplate="%{text}", showscale=False, xgap=2, ygap=2,
        customdata=numbers, hovertemplate=_SIZE if numbers is None else drawing.HOVER,
        colorscale=[[0, _LEAST], [1, _MOST]], textfont={"color": _INK},
    )  # fmt: skip
    drawn.lay_x(side="top", type="category", showgrid=False, automargin=True, title={"text": "resolution"})
    drawn.lay_y(type="category", showgrid=False, automargin=True)
    drawn.lay_out(showlegend=False, margin={"t": 8, "b": 8})
    return drawn
