from __future__ import annotations

import pandas as pd
import pytest
import record_factory as factory
from history_records import GRID, at, emulated, replace

from mbench.analysis import record_history
from mbench.core.records import Record


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


def without_depthwise(record: Record) -> Record:
    """Return the record as of networks that have no depthwise convolution."""
    results = (replace(result, variant=replace(result.variant, convolution=None)) for result in record.results)
    return replace(record, results=tuple(results))


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([factory.record()], False),
        ([factory.record(GRID)], True),
        ([factory.record(), emulated()], True),
        ([at(1), at(2)], True),
        ([], False),
        ([without_depthwise(factory.record(GRID[:1]))], False),
        ([without_depthwise(factory.record(GRID[:2]))], True),
        ([factory.record(GRID[1:2]), without_depthwise(factory.record(GRID[:1], run_id="another"))], True),
    ],
)
def test_when_there_is_something_to_see(items: list[Record], expected: bool) -> None:
    assert record_history.several(record_history.networks(items)) is expected


def test_rows_have_none_for_what_is_missing() -> None:
    [row] = record_history.rows(record_history.networks([factory.emulated(("mobilenet_v1_0.5_96",))]))
    assert row["latency_s"] is None
    assert row["top1_percent"] is None
    assert row["macs"] > 0
