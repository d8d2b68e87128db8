"""Colours, marks and texts that all figures share."""

from __future__ import annotations

import html
import math

import numpy as np
import pytest
from checked_figures import checked

from mbench.analysis import labels
from mbench.page import drawing


def test_kinds_differ_by_more_than_colour() -> None:
    looks = [(drawing.OP_PATTERNS.get(op, ""), drawing.OP_SYMBOLS[op]) for op in labels.OPS]
    assert len(set(looks)) == len(labels.OPS)
    assert len({drawing.OP_SYMBOLS[op] for op in labels.OPS}) == len(labels.OPS)
    series = [drawing.series(number) for number in range(len(drawing.SERIES))]
    assert len({line["marker"]["symbol"] for line in series}) == len(series)


def test_a_figure_keeps_what_is_not_changed_and_is_plotlys() -> None:
    figure = drawing.empty("x", "y")
    figure.add("scatter", x=[1.0, np.float64(2.0)], y=[math.nan, np.int64(4)])
    figure.lay_y(ticksuffix="s", title={"standoff": 7})
    figure.mark("x", 1.5)
    found = checked(figure)
    assert (found.layout.yaxis.title.text, found.layout.yaxis.title.standoff) == ("y", 7)
    assert found.layout.yaxis.ticksuffix == "s"
    assert [list(found.data[0].x), list(found.data[0].y)] == [[1.0, 2.0], [None, 4]]
    [line] = found.layout.shapes
    assert (line.x0, line.x1, line.xref, line.y0, line.y1, line.yref) == (1.5, 1.5, "x", 0, 1, "y domain")


@pytest.mark.parametrize("wrong", [{"colour": "red"}, {"marker": {"size": "big"}}, {"mode": "dots"}])
def test_what_plotly_does_not_know_is_refused_in_tests(wrong: dict[str, object]) -> None:
    figure = drawing.empty(None, None)
    figure.add("scatter", x=[1], y=[2], **wrong)
    with pytest.raises(ValueError, match="Invalid"):
        checked(figure)


def test_whiskers_reach_from_the_mark_to_both_ends() -> None:
    found = drawing.whiskers([2.0, 5.0], [1.5, 5.0], [4.0, 5.5], width=3)
    assert (found["array"], found["arrayminus"]) == ([2.0, 0.5], [0.5, 0.0])
    assert not found["symmetric"]
    with pytest.raises(ValueError, match="zip"):
        drawing.whiskers([2.0], [1.0], [], width=3)


@pytest.mark.parametrize("text", ["<b>x</b>", "&lt;", "a < b & c > d"])
def test_an_escaped_text_is_read_as_it_was_written(text: str) -> None:
    escaped = drawing.escape(text)
    assert not set("<>") & set(escaped)
    assert html.unescape(escaped) == text
