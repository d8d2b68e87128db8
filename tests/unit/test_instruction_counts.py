from __future__ import annotations

from typing import Any

import msgspec
import pytest
import record_factory as factory

from mbench.analysis import instruction_counts, pairs
from mbench.core import record_files
from mbench.core.records import Record, Result
from mbench.page import report

SEPARABLE_MACS = 568_740_352
"""Of MobileNetV1 1.0 224. Source: arXiv:1704.04861, table 4: 569 million."""


def with_counts(record: Record, **changes: Any) -> tuple[Record, Result]:
    """Return the record and its first result, with other counts in it."""
    replace = msgspec.structs.replace
    counts = record.results[0].counts
    assert counts is not None
    result = replace(record.results[0], counts=replace(counts, **changes))
    return replace(record, results=(result, *record.results[1:])), result


@pytest.mark.parametrize(("bits", "lanes"), [(128, 4), (256, 8), (512, 16)])
def test_lanes_are_those_of_the_code_that_was_counted(bits: int, lanes: int) -> None:
    record = factory.counted(factory.record(), vector_bits=bits)
    assert record.target.processor.vector_bits == 512
    assert instruction_counts.lanes(record, record.results[0]) == lanes


def test_the_records_own_target_needs_no_width() -> None:
    record, result = with_counts(factory.emulated(), vector_bits=None)
    assert instruction_counts.lanes(record, result) == 4


def test_without_a_width_another_target_has_no_ratio() -> None:
    record, result = with_counts(factory.counted(factory.record()), vector_bits=None)
    assert instruction_counts.lanes(record, result) is None
    assert instruction_counts.of_network(record, result) is None


def test_instructions_for_each_multiply_add() -> None:
    record = factory.emulated(factory.PAIR[:1])
    counts = record.results[0].counts
    assert counts is not None
    instructions = msgspec.structs.replace(counts.counters, instructions=SEPARABLE_MACS // 2)
    record, result = with_counts(record, counters=instructions)
    assert instruction_counts.of_network(record, result) == pytest.approx(2.0)
    pointwise = next(layer for layer in result.layers if layer.op == "pointwise_conv2d")
    assert instruction_counts.of_layer(pointwise, 4) == pytest.approx(factory.PER_FMA["pointwise_conv2d"], rel=1e-3)


def test_a_layer_without_multiply_adds_has_no_ratio() -> None:
    [result] = factory.emulated(factory.PAIR[:1]).results
    pool = next(layer for layer in result.layers if layer.op == "pool")
    assert pool.counters is not None
    assert instruction_counts.of_layer(pool, 4) is None


def test_fewer_instructions_than_multiply_adds_are_explained() -> None:
    record = factory.emulated(factory.PAIR[1:])
    assert instruction_counts.below_one(record, record.results[0]) is None
    counts = record.results[0].counts
    assert counts is not None
    few = msgspec.structs.replace(counts.counters, instructions=10**9)
    record, result = with_counts(record, counters=few)
    assert instruction_counts.of_network(record, result) == pytest.approx(0.82, abs=0.01)
    assert "Winograd" in (instruction_counts.below_one(record, result) or "")
    assert "Winograd" in report.render([record])


def test_nothing_counted() -> None:
    record = factory.record()
    result = record.results[0]
    assert instruction_counts.lanes(record, result) is None
    assert instruction_counts.of_network(record, result) is None
    assert instruction_counts.of_layer(result.layers[0], 4) is None
    assert instruction_counts.levels(result) == ()
    assert instruction_counts.elsewhere(record, result) is None


def test_what_the_counts_are_of() -> None:
    emulated, timed = factory.emulated(), factory.counted(factory.record())
    assert instruction_counts.elsewhere(emulated, emulated.results[0]) is None
    assert instruction_counts.elsewhere(timed, timed.results[0]) == "x86_64_v3"
    assert instruction_counts.emulated(emulated)
    assert not instruction_counts.emulated(timed)


def test_levels_are_in_order() -> None:
    _, result = with_counts(factory.emulated(), traffic_bytes={"DRAM": 1, "SLC": 2, "L3": 3, "L1": 4})
    assert instruction_counts.levels(result) == ("L1", "L2", "L3", "DRAM", "SLC")


def test_fewer_instructions_than_standard() -> None:
    [pair] = pairs.of_record(factory.emulated())
    whole = [sum(layer.counters.instructions for layer in half.layers if layer.counters) for half in
             (pair.standard, pair.separable)]  # fmt: skip
    assert pair.fewer == pytest.approx(whole[0] / whole[1])
    assert pair.achieved is None
    assert pair.by_instructions
    layers = {layer.name: layer.counters for layer in (*pair.separable.layers, *pair.standard.layers) if layer.counters}
    block = pair.blocks()[4]
    both = layers["block5.dw"].instructions + layers["block5.pw"].instructions
    assert block.fewer == pytest.approx(layers["block5.conv"].instructions / both)


def test_instructions_never_stand_in_for_a_latency_that_was_measured() -> None:
    [timed] = pairs.of_record(factory.counted(factory.record()))
    assert timed.fewer is not None
    assert not timed.by_instructions
    [neither] = pairs.of_record(factory.record(latency=False))
    assert neither.fewer is None
    assert not neither.by_instructions
    assert all(block.fewer is None for block in neither.blocks())


@pytest.mark.parametrize("record", [factory.emulated(), factory.counted(factory.record())])
def test_counts_are_written_and_read_back(record: Record) -> None:
    read = record_files.decode(record_files.encode(record), source="test")
    assert [result.counts for result in read.results] == [result.counts for result in record.results]
    assert read.results[0].layers[3].counters == record.results[0].layers[3].counters
