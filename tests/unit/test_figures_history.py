"""Figures over networks, places and days."""

from __future__ import annotations

import msgspec
import pytest
import record_factory as factory
from checked_figures import checked
from history_records import GRID, at, emulated

from mbench.analysis import record_history
from mbench.core.records import Record
from mbench.page import figures_history
from mbench.page.figures_history import COSTS


def test_the_heat_map_has_the_table() -> None:
    items = [factory.counted(factory.record(), target="host"), emulated()]
    latest = record_history.latest(record_history.networks(items))
    figure = checked(figures_history.heat_map(latest, COSTS["instructions"]))
    [trace] = figure.data
    shown = {(x, y): t for y, row in zip(trace.y, trace.text, strict=True) for x, t in zip(trace.x, row, strict=True)}
    for row in latest.to_dict("records"):
        assert shown[row["place"], row["label"]] == COSTS["instructions"].format(row["instructions"])
    assert figures_history.heat_map(latest, COSTS["latency"]) is None  # one place has none


def test_a_curve_for_each_width() -> None:
    latest = record_history.latest(record_history.networks([factory.record(GRID)]))
    figure = checked(figures_history.grid_curves(latest, COSTS["macs"]))
    assert [trace.name for trace in figure.data] == ["width 0.25", "width 0.5", "width 1"]
    assert list(figure.data[2].x) == [128, 160, 224]
    assert list(figure.data[2].y) == pytest.approx([186e6, 290e6, 569e6], abs=1e6)  # the paper, tables 6 and 7
    assert figures_history.grid_curves(latest[latest["resolution"] == 224], COSTS["macs"]) is None


TWO_FAMILIES = tuple(
    f"mobilenet_{family}_{width}_{side}" for family in ("v1", "v2") for width in (0.75, "1.0") for side in (128, 224)
)


def test_curves_of_two_families_say_whose_they_are() -> None:
    latest = record_history.latest(record_history.networks([factory.record(TWO_FAMILIES)]))
    figure = checked(figures_history.grid_curves(latest, COSTS["macs"]))
    assert [trace.name for trace in figure.data] == [
        f"MobileNetV{version}, width {width}" for version in (1, 2) for width in ("0.75", "1")
    ]
    points = checked(figures_history.accuracy(record_history.front(latest, "macs"), COSTS["macs"]))
    names = [text for trace in points.data if trace.text is not None for text in trace.text]
    assert {"MobileNetV1 1.0 224", "MobileNetV2 1.0 224"} <= set(names)


def test_a_network_without_depthwise_convolutions_has_its_curve_too() -> None:
    record = factory.record(GRID)
    plain = msgspec.structs.replace(
        record,
        results=tuple(
            msgspec.structs.replace(result, variant=msgspec.structs.replace(result.variant, convolution=None))
            for result in record.results
        ),
    )
    latest = record_history.latest(record_history.networks([plain]))
    figure = checked(figures_history.grid_curves(latest, COSTS["macs"]))
    assert len(figure.data) == 3
    assert figures_history.accuracy(record_history.front(latest, "macs"), COSTS["macs"]) is not None


def test_accuracy_over_cost_with_its_front() -> None:
    latest = record_history.latest(record_history.networks([factory.record(GRID)]))
    figure = checked(figures_history.accuracy(record_history.front(latest, "macs"), COSTS["macs"]))
    line, *points = figure.data
    assert list(line.x) == sorted(line.x)
    assert list(line.y) == sorted(line.y)
    assert sum(len(trace.x) for trace in points) == 9  # all of the grid have a published accuracy
    assert "tensorflow/models, research/slim/nets/mobilenet_v1.md" in points[0].hovertext[0]
    assert figures_history.accuracy(record_history.front(latest[:1], "macs"), COSTS["macs"]) is None


def test_history_is_drawn_with_its_changes() -> None:
    runs = [at(1), at(2, 1.001), at(3, 1.5)]
    figure = checked(figures_history.history(record_history.history(record_history.networks(runs))))
    line, marks = figure.data
    assert list(line.x) == ["2025-03-01T12:00:00Z", "2025-03-02T12:00:00Z", "2025-03-03T12:00:00Z"]
    assert list(marks.x) == ["2025-03-03T12:00:00Z"]
    assert marks.text[0].startswith("+49.9")
    assert figures_history.history(record_history.history(record_history.networks([at(1)]))) is None


def disturbed(*names: str) -> Record:
    record = factory.in_sessions(factory.record(GRID, repeat=20, layer_repeat=3), count=2, disturbed=(0, 1), only=names)
    return msgspec.structs.replace(record, run_id="disturbed")


def test_a_disturbed_latency_is_marked_wherever_it_is_drawn() -> None:
    latest = record_history.latest(record_history.networks([disturbed(GRID[0], GRID[-1])]))
    curves = checked(figures_history.grid_curves(latest, COSTS["latency"]))
    symbols = {trace.name: list(trace.marker.symbol) for trace in curves.data}
    assert symbols["width 0.25"] == ["circle-open", "circle", "circle"]
    assert list(curves.data[0].text) == ["disturbed", "", ""]
    assert [text.endswith(", disturbed") for text in curves.data[0].hovertext] == [True, False, False]
    points = checked(figures_history.accuracy(record_history.front(latest, "latency_s", "disturbed"), COSTS["latency"]))
    [marked] = [trace for trace in points.data if trace.name and trace.name.endswith("disturbed")]
    assert list(marked.text) == ["0.25 128, disturbed", "1.0 224, disturbed"]
    assert marked.marker.symbol.endswith("-open")
    assert "1.0 224" not in [text for trace in points.data if trace is not marked for text in trace.text or ()]


def test_energy_over_a_disturbed_time_is_not_drawn() -> None:
    latest = record_history.latest(record_history.networks([disturbed(GRID[0])]))
    curves = checked(figures_history.grid_curves(latest, COSTS["energy"]))
    assert [len(trace.x) for trace in curves.data] == [2, 3, 3]


def test_cells_say_what_is_disturbed() -> None:
    record = disturbed(GRID[0])
    elsewhere = msgspec.structs.replace(
        factory.again(factory.in_sessions(factory.record(GRID, repeat=20, layer_repeat=3), count=2), "b"),
        host=msgspec.structs.replace(record.host, name="elsewhere"),
    )
    latest = record_history.latest(record_history.networks([record, elsewhere]))
    for cost, ends in (("latency", ", disturbed"), ("energy", "disturbed")):
        figure = checked(figures_history.heat_map(latest, COSTS[cost]))
        texts = [text for row in figure.data[0].text for text in row]
        assert [text.endswith(ends) for text in texts].count(True) == 1
    assert "disturbed" in texts  # of the energy, the word alone


def test_a_disturbed_run_of_the_history_is_hollow() -> None:
    quiet = [factory.in_sessions(at(day), count=3) for day in (1, 3)]
    runs = [quiet[0], factory.in_sessions(at(2), count=3, disturbed=range(3)), quiet[1]]
    figure = checked(figures_history.history(record_history.history(record_history.networks(runs))))
    [line] = figure.data
    assert list(line.marker.symbol) == ["circle", "circle-open", "circle"]
    assert list(line.text) == ["", "disturbed", ""]
