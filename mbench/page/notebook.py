"""A record as a fragment of HTML for notebooks: headline, table and main figure, without scripts.

The figure is drawn here as SVG, since a notebook may run no script. It is the waterfall from the predicted to the
achieved speed-up where the record has a pair of networks; else the time, or the instructions, of each layer.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator

import jinja2

from mbench.analysis import disturbances, labels, pairs, session_figures
from mbench.core import plain, units
from mbench.core.records import Record
from mbench.page import drawing, figure_data, headlines, session_drawing, templates, views
from mbench.page.view_types import PairView, RecordView, ResultView

_ROW, _BAR, _LABELS, _WIDTH, _VALUES = 18, 12, 270, 640, 70
"""In pixels: a bar's place and height, the room for labels, the whole width, and the room for values."""
_MOST_BARS = 40
"""Of a network with more layers the slowest are drawn."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BarShape:
    """A bar of the figure: its words, and its place in pixels."""

    label: str
    text: str
    colour: str
    x: float
    width: float
    y: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class BarFigure:
    """Bars under each other."""

    title: str
    bars: tuple[BarShape, ...]
    width: int = _WIDTH
    row: int = _ROW
    bar: int = _BAR
    labels: int = _LABELS

    @property
    def height(self) -> int:
        """In pixels."""
        return self.row * len(self.bars)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Span:
    label: str
    text: str
    colour: str
    start: float
    end: float


def render(record: Record) -> str:
    """Return the fragment; every name in it is escaped, and nothing in it runs."""
    view = views.of_record(plain.cleaned(record))
    return _environment().get_template("notebook.html.j2").render(view=view, figure=main_figure(view))


def main_figure(view: RecordView) -> BarFigure | None:
    """Return the record's main figure; None if there is nothing to draw."""
    if view.pairs:
        figure = _waterfall(view.pairs[0])
        if figure is not None:
            return figure
    return next((figure for item in view.results if (figure := _layers(item, view)) is not None), None)


def _waterfall(pair: PairView) -> BarFigure | None:
    if isinstance(pair.waterfall, str):
        return None
    spans, at = [], 0.0
    steps = figure_data.of_waterfall(pair.waterfall)
    for label, kind, value in zip(*(steps[name].tolist() for name in ("label", "kind", "value")), strict=True):
        if kind == "total":
            spans.append(_Span(label=label, text=units.ratio(value), colour=drawing.TOTAL, start=0.0, end=value))
            at = value
        else:
            colour = drawing.LOSS if value < 0 else drawing.GAIN
            spans.append(_Span(label=label, text=f"{value:+.2f}x", colour=colour, start=at, end=at + value))
            at += value
    return _figure(f"From the predicted to the achieved speed-up of {pair.separable.label}", spans)


def _layers(item: ResultView, view: RecordView) -> BarFigure | None:
    if not item.slowest or (item.disturbed and not view.emulated):
        return None
    shown = {share.row.anchor: share for share in item.slowest[:_MOST_BARS]}
    what = "instructions" if view.emulated else "time"
    spans = [
        _Span(
            label=row.layer.name, text=units.percent(shown[row.anchor].share), start=0.0, end=shown[row.anchor].share,
            colour=drawing.op_colour(row.layer.op),
        )
        for row in item.layers
        if row.anchor in shown
    ]  # fmt: skip
    return _figure(f"Share of the {what} of each layer of {item.label}", spans)


def _figure(title: str, spans: list[_Span]) -> BarFigure | None:
    return BarFigure(title=title, bars=tuple(_placed(spans))) if spans else None


def _placed(spans: list[_Span]) -> Iterator[BarShape]:
    ends = [*itertools.chain.from_iterable((span.start, span.end) for span in spans), 0.0]
    low, high = min(ends), max(ends)
    scale = (_WIDTH - _LABELS - _VALUES) / ((high - low) or 1.0)
    for number, span in enumerate(spans):
        left, right = sorted((span.start, span.end))
        yield BarShape(
            label=span.label, text=span.text, colour=span.colour, x=round(_LABELS + (left - low) * scale, 1),
            width=round((right - left) * scale, 1), y=number * _ROW,
        )  # fmt: skip


@functools.cache
def _environment() -> jinja2.Environment:
    known = {"units": units, "pairs": pairs, "labels": labels, "headlines": headlines, "views": views}
    return templates.environment(
        {**known, "session_drawing": session_drawing, "disturbances": disturbances, "session_figures": session_figures}
    )
