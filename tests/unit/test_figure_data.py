from __future__ import annotations

import msgspec
import pytest
import record_factory as factory

from mbench.analysis import labels, pairs, waterfall
from mbench.core.records import Record
from mbench.page import figure_data


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
