"""Exact counts in tables: whole networks, and the layers with most instructions."""

from __future__ import annotations

import msgspec
import pytest
import record_factory as factory
from printed import printed

from mbench.core import units
from mbench.core.records import Record
from mbench.terminal import count_tables, record_tables
from mbench.terminal.table import Fitted


def networks(record: Record, *, few: int = 2) -> str:
    return printed(*count_tables.networks(record, few=few))


def test_counts_of_whole_networks() -> None:
    record = factory.emulated(factory.PAIR[:1])
    counts = record.results[0].counts
    assert counts is not None
    text = networks(record)
    row = next(line.split() for line in text.splitlines() if line.startswith(factory.PAIR[0]))
    expected = ["1.32", units.count(counts.counters.loads), units.count(counts.counters.stores)]
    assert " ".join(row).startswith(" ".join([factory.PAIR[0], *expected]))
    assert counts.counters.instructions / (568_740_352 / 4) == pytest.approx(1.32, abs=0.005)
    flat = " ".join(text.split())
    assert "per FMA: for each vector multiply-add of 4 lanes; DRAM*: traffic, modelled" in flat


def test_counts_of_other_code_say_whose_they_are() -> None:
    flat = " ".join(networks(factory.counted(factory.record())).split())
    assert "counts: exact, of code for x86_64_v3 in emulation, not of what was timed" in flat
    assert "of 8 lanes" in flat
    assert flat.split()[:2] == ["network", "instr"]
    assert "latency" not in flat


@pytest.mark.parametrize(
    ("types", "said"),
    [
        (("float16",), "for each vector of multiply-adds, 8 of float16;"),
        (("int8",), "for each vector of multiply-adds, 16 of int8;"),
        (("float32", "int8"), "for each vector of multiply-adds, 4 of float32, 16 of int8;"),
    ],
)
def test_multiply_adds_of_each_type_are_counted_by_vectors(types: tuple[str, ...], said: str) -> None:
    record = factory.emulated(factory.PAIR[:1])
    [result] = record.results
    results = [
        msgspec.structs.replace(result, variant=msgspec.structs.replace(result.variant, dtype=dtype)) for dtype in types
    ]
    record = msgspec.structs.replace(record, results=tuple(results))
    assert f"per FMA: {said}" in " ".join(networks(record).split())


def test_counts_of_many_networks_are_in_the_main_table() -> None:
    text = networks(factory.counted(factory.record()), few=1)
    assert "loads" not in text
    assert "not of what was timed" in " ".join(text.split())


def test_a_vector_width_that_is_not_known_is_said() -> None:
    record = factory.counted(factory.record())
    results = []
    for result in record.results:
        assert result.counts is not None
        counts = msgspec.structs.replace(result.counts, vector_bits=None)
        results.append(msgspec.structs.replace(result, counts=counts))
    text = " ".join(networks(msgspec.structs.replace(record, results=tuple(results))).split())
    assert "per FMA: not known, the record lacks the vector width of x86_64_v3" in text


def test_the_layers_with_most_instructions_come_first() -> None:
    record = factory.emulated(factory.PAIR[:1])
    text = printed(*record_tables.record_tables(record))
    listed = text[text.index("most instructions") :].splitlines()
    shares = [float(line.split(" %")[0].split()[-1]) for line in listed if line.startswith("block")]
    assert record_tables.SLOWEST >= len(shares) > record_tables.SLOWEST / 2
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 5
    alone = printed(Fitted(count_tables.layers(record.results[0], 3)))
    assert [line.split() for line in alone.splitlines() if line.startswith("block")] == [
        line.split() for line in listed if line.startswith("block")
    ][:3]


def test_counts_that_were_asked_for_and_failed_say_why() -> None:
    record = factory.record(factory.PAIR[:1])
    assert networks(record) == ""
    missing = {**record.results[0].missing, "counts": "no QEMU here"}
    result = msgspec.structs.replace(record.results[0], missing=missing)
    settings = msgspec.structs.replace(record.settings, counts=True)
    record = msgspec.structs.replace(record, settings=settings, results=(result,))
    assert "No counts: no QEMU here." in networks(record)
    both = factory.counted(factory.record())
    some = msgspec.structs.replace(record, results=(result, both.results[1]))
    assert "No counts (1 of 2 networks): no QEMU here." in networks(some)
