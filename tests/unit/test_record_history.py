from __future__ import annotations

import factory
import msgspec
import pandas as pd
import pytest

from mbench.analysis import record_history
from mbench.core.records import Record
from mbench.page import figures_history
from mbench.page.figures_history import COSTS

replace = msgspec.structs.replace
GRID = tuple(f"mobilenet_v1_{width}_{side}" for width in ("0.25", "0.5", "1.0") for side in (128, 160, 224))


def emulated() -> Record:
    return replace(factory.emulated(), run_id="emulated")


def at(day: int, factor: float = 1.0, names: tuple[str, ...] = factory.PAIR[:1]) -> Record:
    """Return a record of one day, slower by a factor."""
    record = factory.again(factory.record(names), f"day{day}", factor)
    return replace(record, created_at_utc=f"2025-03-0{day}T12:00:00Z")


def test_networks_have_accuracy_and_place() -> None:
    table = record_history.networks([factory.record(), emulated()])
    assert list(table["top1_percent"]) == [70.6, 71.7, 70.6, 71.7]
    assert table["accuracy_source"].str.contains("1704.04861").all()
    assert table["place"].nunique() == 2
    assert record_history.networks([factory.record(("mobilenet_v1_0.5_96",))])["top1_percent"].isna().all()


def test_two_machines_are_two_places_but_emulation_is_everywhere_the_same() -> None:
    def moved(record: Record, run_id: str) -> Record:
        again = factory.again(record, run_id)
        return replace(again, host=replace(record.host, name="elsewhere"))

    record, other = factory.record(), emulated()
    assert record_history.networks([record, moved(record, "b")])["place"].nunique() == 2
    assert record_history.networks([other, moved(other, "b")])["place"].nunique() == 1


def test_the_latest_of_each() -> None:
    table = record_history.latest(record_history.networks([at(2, 3.0), at(1), at(1)]))
    assert list(table["run_id"]) == ["day2"]


def test_the_front_is_what_nothing_beats() -> None:
    table = pd.DataFrame(
        {
            "place": ["a", "a", "a", "a", "b"],
            "top1_percent": [70.0, 60.0, 65.0, 65.0, 50.0],
            "latency_s": [4.0, 1.0, 5.0, 2.0, 9.0],
        }
    )
    assert list(record_history.front(table, "latency_s")["front"]) == [True, True, False, True, True]
    table.loc[0, "top1_percent"] = None
    assert len(record_history.front(table, "latency_s")) == 4


def test_history_marks_what_exceeds_the_noise() -> None:
    table = record_history.history(record_history.networks([at(1), at(2, 1.001), at(3, 1.5), at(4, 0.7)]))
    assert list(table["changed"]) == [False, False, True, True]
    assert table["change"].iloc[2] == pytest.approx(1.5 / 1.001 - 1)
    assert pd.isna(table["change"].iloc[0])


def test_history_needs_a_second_run() -> None:
    assert len(record_history.history(record_history.networks([at(1)]))) == 0
    assert len(record_history.history(record_history.networks([factory.emulated()]))) == 0


def test_without_a_noise_nothing_is_called_a_change() -> None:
    short = [replace(at(day), results=tuple(
        replace(result, end_to_end=replace(result.end_to_end, twin_latency_s=None)) for result in at(day, day).results
    )) for day in (1, 2)]  # fmt: skip
    table = record_history.history(record_history.networks(short))
    assert list(table["changed"]) == [False, False]


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([factory.record()], False),
        ([factory.record(GRID)], True),
        ([factory.record(), emulated()], True),
        ([at(1), at(2)], True),
        ([], False),
    ],
)
def test_when_there_is_something_to_see(items: list[Record], expected: bool) -> None:
    assert record_history.several(record_history.networks(items)) is expected


def test_rows_have_none_for_what_is_missing() -> None:
    [row] = record_history.rows(record_history.networks([factory.emulated(("mobilenet_v1_0.5_96",))]))
    assert row["latency_s"] is None
    assert row["top1_percent"] is None
    assert row["macs"] > 0


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
