from __future__ import annotations

import msgspec
import pytest
import record_factory as factory
from checked_figures import checked

from mbench.analysis import frame, labels, pairs, waterfall
from mbench.core.records import Record
from mbench.page import figure_data, figures_roofline


def taken(record: Record) -> waterfall.Waterfall:
    [pair] = pairs.of_record(record)
    found = waterfall.of_pair(pair, record)
    assert isinstance(found, waterfall.Waterfall)
    return found


def test_blocks_of_a_pair() -> None:
    [pair] = pairs.of_record(factory.record(latency=False))
    table = figure_data.of_blocks(pair)
    assert len(table) == 13
    assert table["achieved"].isna().all()
    assert table["fewer"].isna().all()
    assert table["predicted"].iloc[0] == pytest.approx(1 / (1 / 64 + 1 / 9))
    [pair] = pairs.of_record(factory.emulated())
    assert list(figure_data.of_blocks(pair)["fewer"]) == [block.fewer for block in pair.blocks()]


@pytest.mark.parametrize("record", [factory.record(), factory.emulated()])
def test_the_rows_of_a_waterfall_add_up(record: Record) -> None:
    way = taken(record)
    table = figure_data.of_waterfall(way)
    changes = table[table["kind"] == "change"]["value"]
    first, last = table[table["kind"] == "total"]["value"]
    assert first + changes.sum() == pytest.approx(last, rel=1e-9)
    assert last == pytest.approx(way.achieved)


def test_what_hardly_shows_is_one_row() -> None:
    way = taken(factory.record())
    small = [step for step in way.steps if abs(step.change) < figure_data.SMALL * way.predicted]
    assert small
    table = figure_data.of_waterfall(way).set_index("label")
    row = table.loc["smaller steps, together"]
    assert row["value"] == pytest.approx(sum(step.change for step in small))
    assert labels.step(small[0].part, small[0].cause, small[0].excess) in row["detail"]


def test_the_plan_has_the_workspace_in_it() -> None:
    [result] = factory.record(factory.PAIR[:1]).results
    memory = msgspec.structs.replace(result.memory, workspace_bytes=1000)
    table = figure_data.of_live(msgspec.structs.replace(result, memory=memory))
    assert set(table["planned_bytes"]) == {memory.activation_peak_bytes + 1000}


def test_energy_rows_are_the_components() -> None:
    results = factory.record().results
    table = figure_data.of_energy(results)
    assert set(table["kind"]) == {"modelled"}
    for result in results:
        rows = table[table["label"] == labels.variant(result.variant)]
        assert dict(zip(rows["component"], rows["energy_j"], strict=True)) == result.energy.components_j


def test_static_power_over_a_disturbed_time_is_no_figure() -> None:
    record = factory.in_sessions(factory.record(), disturbed=range(5), only=factory.PAIR[1:])
    table = figure_data.of_energy(record.results)
    quiet, disturbed = (table[table["label"] == labels.variant(result.variant)] for result in record.results)
    assert set(quiet["component"]) == {"arithmetic", "DRAM", "static"}
    assert set(disturbed["component"]) == {"arithmetic", "DRAM"}
    assert set(disturbed["kind"]) == {"modelled, without static power (disturbed)"}


def test_a_meter_read_while_others_worked_is_said() -> None:
    record = factory.on_gpu(factory.in_sessions(factory.record(), disturbed=range(5), only=factory.PAIR[1:]))
    kinds = figure_data.of_energy(record.results)["kind"]
    assert {kind for kind in kinds if "measured" in kind} == {"measured", "measured, disturbed"}


def test_samples_of_sessions_lie_apart() -> None:
    record = factory.in_sessions(factory.record(factory.PAIR[:1], layer_repeat=10), count=2)
    table = figure_data.of_samples(record.results[0])
    first = table[table["layer_index"] == 0]
    assert list(first["run"]) == [*range(1, 11), *range(14, 24)]
    assert first["latency_s"].iloc[10] == pytest.approx(1.01 * first["latency_s"].iloc[0], rel=1e-3)


def test_layers_above_their_peak_are_marked() -> None:
    record = factory.record(factory.PAIR[:1])
    [result] = record.results
    layer = result.layers[2]
    assert layer.roofline
    above = msgspec.structs.replace(layer, roofline=msgspec.structs.replace(layer.roofline, fraction_of_bound=1.2))
    result = msgspec.structs.replace(result, layers=(*result.layers[:2], above, *result.layers[3:]))
    table = frame.from_records([msgspec.structs.replace(record, results=(result,))])
    rows = figure_data.of_layers(table, result)
    assert list(rows[rows["above"]]["layer"]) == [layer.name]
    figure = checked(figures_roofline.roofline(rows, figure_data.of_peaks(record, "float32")))
    hover = [text for trace in figure.data for text in trace.hovertext or () if layer.name in text]
    assert [">100 % of what" in text for text in hover] == [True]
