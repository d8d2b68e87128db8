"""Figures of a history."""

from __future__ import annotations

import pytest
import site_factory as factory
from checked_figures import checked

from mbench.history import site_figures, site_view
from mbench.history.site_view import HistoryPlace


def place() -> HistoryPlace:
    return next(each for each in site_view.of_series(*factory.history()) if each.network == "mobilenet_v1_1.0_224")


def latencies(of: HistoryPlace) -> list[site_view.SeriesView]:
    return [row for row in of.rows if row.series.quantity.name == "latency_s"]


def test_a_line_for_each_of_the_settings_and_points_that_name_their_runs() -> None:
    shown = place()
    runs = site_view.runs(shown)
    figure = checked(site_figures.history(latencies(shown), runs))
    lines = [trace for trace in figure.data if trace.error_y.array is not None]
    assert [line.name for line in lines] == ["float32, 1 thread", "int8, 1 thread"]
    for line, row in zip(lines, latencies(shown), strict=True):
        named = [runs[number].point.record for number in line.customdata]
        assert named == [point.record for point in row.series.points]
        assert list(line.y) == pytest.approx([point.value for point in row.series.points], rel=1e-5)
        upper = [value + up for value, up in zip(line.y, line.error_y.array, strict=True)]
        assert upper == pytest.approx([point.high for point in row.series.points], rel=1e-4)


def test_a_disturbed_point_is_hollow_and_says_so() -> None:
    shown = place()
    figure = checked(site_figures.history(latencies(shown), site_view.runs(shown)))
    line = next(trace for trace in figure.data if trace.error_y.array is not None)
    assert [number for number, symbol in enumerate(line.marker.symbol) if symbol.endswith("-open")] == [7, 25]
    assert [number for number, text in enumerate(line.text) if text] == [7, 25]
    assert line.meta["unsure"] == dict.fromkeys(("7", "25"), "another process kept 1.2 CPUs busy")


def test_a_change_has_its_words_and_its_levels() -> None:
    series = factory.series(steps=[(20, 1.052)])
    [shown] = site_view.of_series([series], {series.id: (factory.change(series, 20, 1.052),)})
    figure = checked(site_figures.history(shown.rows, site_view.runs(shown)))
    [words] = [trace for trace in figure.data if trace.name == "changes"]
    assert list(words.text) == ["<b>+5.2 % worse</b>"]
    [levels] = [trace for trace in figure.data if trace.meta and "levels" in trace.meta]
    assert [level[:2] for level in levels.meta["levels"]] == [[0, 19], [20, 39]]
    [marks] = [trace for trace in figure.data if trace.meta and "marks" in trace.meta]
    assert list(marks.customdata) == [20, 30]
    assert list(marks.text) == ["mbench 0.2.0 → 0.3.0", "apache-tvm 0.26.0 → 0.27.0"]


def test_long_lines_are_thinned_and_keep_their_changes() -> None:
    series = factory.series(count=5000, steps=[(1234, 1.1)])
    [shown] = site_view.of_series([series], {series.id: (factory.change(series, 1234, 1.1),)})
    figure = checked(site_figures.history(shown.rows, site_view.runs(shown)))
    line = next(trace for trace in figure.data if trace.error_y.array is not None)
    assert len(line.y) <= site_figures.MOST_POINTS + 2
    assert {0, 1233, 1234, 4999} <= set(line.customdata)


def test_an_unknown_interval_has_no_bar_and_names_cannot_be_tags() -> None:
    whose = factory.identity(dtype="<b>float32</b>")
    series = factory.series(factory.INSTRUCTIONS, level=1e6, of=whose)
    [shown] = site_view.of_series([series], {})
    figure = checked(site_figures.history(shown.rows, site_view.runs(shown)))
    line = figure.data[0]
    assert line.error_y.array is None
    assert line.name == "&lt;b&gt;float32&lt;/b&gt;, 1 thread"


def test_what_points_name() -> None:
    shown = place()
    runs = site_view.runs(shown)
    data = site_figures.of_runs(runs, {runs[3].point.record: "record-3.html"})
    assert data["page"].count(None) == len(runs) - 1
    assert data["page"][3] == "record-3.html"
    assert data["at"][0] == "2026-03-01 12:00:00"
    assert "commit b6589fc6ab on main" in data["said"][0]  # SHA-1 of "0"
