from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pytest
import quantized_records as quantized
import record_factory as factory
from history_records import GRID, at, emulated, replace

from mbench.analysis import disturbances, record_history
from mbench.core.records import Record


def test_networks_have_accuracy_and_place() -> None:
    table = record_history.networks([factory.record(), emulated()])
    assert list(table["top1_percent"]) == [70.9, 71.7, 70.9, 71.7]
    assert list(table["accuracy_source"].str.contains("1704.04861")) == [False, True, False, True]
    assert table["accuracy_source"].str.contains("mobilenet_v1.md|1704.04861").all()
    assert table["place"].nunique() == 2
    assert record_history.networks([factory.record(("mobilenet_v1_0.5_96",))])["top1_percent"].isna().all()


def test_what_is_published_is_of_no_imported_network() -> None:
    record = factory.record()
    own = [replace(each, variant=replace(each.variant, source="onnx")) for each in record.results]
    table = record_history.networks([replace(record, results=tuple(own))])
    assert table["top1_percent"].isna().all()


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


def in_sessions(day: int, factor: float = 1.0, disturbed: Sequence[int] = ()) -> Record:
    record = factory.in_sessions(at(day, factor), disturbed=disturbed)
    return replace(record, run_id=f"day{day}")


def test_of_sessions_the_interval_decides() -> None:
    """The sessions of a run lie 4 % apart, so that 3 % more lies within the interval, and 20 % beyond it."""
    table = record_history.history(record_history.networks([in_sessions(1), in_sessions(2, 1.03), in_sessions(3, 1.3)]))
    assert list(table["changed"]) == [False, False, True]
    assert list(table["range_low_s"]) == list(table["latency_low_s"])
    assert list(table["range_high_s"]) == list(table["latency_high_s"])
    before = record_history.history(record_history.networks([at(1), at(2)]))
    assert list(before["range_low_s"]) == list(before["latency_p10_s"])


def test_a_disturbed_run_is_compared_with_none() -> None:
    runs = [in_sessions(1), in_sessions(2, 3.0, disturbed=range(5)), in_sessions(3), in_sessions(4, 1.5)]
    table = record_history.history(record_history.networks(runs))
    assert list(table["quiet"]) == [True, False, True, True]
    assert list(table["compared"]) == [True, False, False, True]
    assert list(table["change"].isna()) == [True, True, True, False]
    assert list(table["changed"]) == [False, False, False, True]


def test_a_disturbed_cost_is_on_no_front_and_beats_none() -> None:
    table = pd.DataFrame(
        {
            "place": ["a", "a", "a"], "top1_percent": [60.0, 70.0, 65.0], "latency_s": [1.0, 0.5, 2.0],
            "disturbed": pd.array([False, True, pd.NA], dtype="boolean"),
        }
    )  # fmt: skip
    found = record_history.front(table, "latency_s", "disturbed")
    assert list(found["front"]) == [True, False, True]
    assert list(found["cost_disturbed"]) == [False, True, False]
    assert list(record_history.front(table, "latency_s")["front"]) == [False, True, False]


def test_energy_with_static_power_over_a_disturbed_time_is_marked() -> None:
    record = factory.in_sessions(factory.record(), disturbed=range(5), only=factory.PAIR[:1])
    assert list(record_history.networks([record])["energy_disturbed"]) == [True, False]
    energy = record.results[0].energy
    parts = {name: joules for name, joules in energy.components_j.items() if name != "static"}
    without = replace(record.results[0], energy=replace(energy, components_j=parts))
    assert not disturbances.of_energy(without)


def test_a_network_in_two_types_is_one() -> None:
    record = quantized.both()
    assert not record_history.several(record_history.networks([record]))
    other = quantized.both("mobilenet_v2_0.35_96")
    both = replace(record, results=(*record.results, *other.results))
    assert record_history.several(record_history.networks([both]))


def test_no_published_accuracy_is_that_of_a_quantised_network() -> None:
    table = record_history.networks([quantized.both("mobilenet_v1_1.0_224")])
    accuracy = table.set_index("dtype")["top1_percent"]
    assert accuracy["float32"] == 70.9
    assert accuracy.isna()["int8"]
