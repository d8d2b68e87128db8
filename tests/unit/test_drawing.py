"""Colours, marks and texts that all figures share."""

from __future__ import annotations

import html

import pytest

from mbench.analysis import labels
from mbench.page import drawing


def test_kinds_differ_by_more_than_colour() -> None:
    looks = [(drawing.OP_PATTERNS.get(op, ""), drawing.OP_SYMBOLS[op]) for op in labels.OPS]
    assert len(set(looks)) == len(labels.OPS)
    assert len({drawing.OP_SYMBOLS[op] for op in labels.OPS}) == len(labels.OPS)
    series = [drawing.series(number) for number in range(len(drawing.SERIES))]
    assert len({line["marker"]["symbol"] for line in series}) == len(series)


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
