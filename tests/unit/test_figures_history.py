"""Figures over networks, places and days."""

from __future__ import annotations

import pytest
import record_factory as factory
from history_records import GRID, at, emulated

from mbench.analysis import record_history
from mbench.page import figures_history
from mbench.page.figures_history import COSTS


def test_the_heat_map_has_the_table() -> None:
    items = [factory.counted(factory.record(), target="host"), emulated()]
    latest = record_history.latest(record_history.networks(items))
    figure = figures_history.heat_map(latest, COSTS["instructions"])
    assert figure is not None
    [trace] = figure.data
    shown = {(x, y): t for y, row in zip(trace.y, trace.text, strict=True) for x, t in zip(trace.x, row, strict=True)}
    for row in latest.to_dict("records"):
        assert shown[row["place"], row["label"]] == COSTS["instructions"].format(row["instructions"])
    assert figures_history.heat_map(latest, COSTS["latency"]) is None  # one place has none


def test_a_curve_for_each_width() -> None:
    latest = record_history.latest(record_history.networks([factory.record(GRID)]))
    figure = figures_history.grid_curves(latest, COSTS["macs"])
    assert figure is not None
    assert [trace.name for trace in figure.data] == ["width 0.25", "width 0.5", "width 1"]
    assert list(figure.data[2].x) == [128, 160, 224]
    assert list(figure.data[2].y) == pytest.approx([186e6, 290e6, 569e6], abs=1e6)  # the paper, tables 6 and 7
    assert figures_history.grid_curves(latest[latest["resolution"] == 224], COSTS["macs"]) is None


def test_accuracy_over_cost_with_its_front() -> None:
    latest = record_history.latest(record_history.networks([factory.record(GRID)]))
    figure = figures_history.accuracy(record_history.front(latest, "macs"), COSTS["macs"])
    assert figure is not None
    line, *points = figure.data
    assert list(line.x) == sorted(line.x)
    assert list(line.y) == sorted(line.y)
    assert sum(len(trace.x) for trace in points) == 5  # of the grid these have a published accuracy
    assert "arXiv:1704.04861" in points[0].hovertext[0]
    assert figures_history.accuracy(record_history.front(latest[:1], "macs"), COSTS["macs"]) is None


def test_history_is_drawn_with_its_changes() -> None:
    figure = figures_history.history(record_history.history(record_history.networks([at(1), at(2, 1.001), at(3, 1.5)])))
    assert figure is not None
    line, marks = figure.data
    assert list(line.x) == ["2025-03-01T12:00:00Z", "2025-03-02T12:00:00Z", "2025-03-03T12:00:00Z"]
    assert list(marks.x) == ["2025-03-03T12:00:00Z"]
    assert marks.text[0].startswith("+49.9")
    assert figures_history.history(record_history.history(record_history.networks([at(1)]))) is None
