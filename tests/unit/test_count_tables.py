"""Exact counts in tables: whole networks, and the layers with most instructions."""

from __future__ import annotations

import msgspec
import pytest
import record_factory as factory
from printed import printed

from mbench.core import units
from mbench.terminal import count_tables, record_tables


def test_counts_of_whole_networks() -> None:
    record = factory.emulated(factory.PAIR[:1])
    counts = record.results[0].counts
    assert counts is not None
    text = printed(*count_tables.networks(record))
    lines = text[text.index("Counts, exact") :].splitlines()
    row = next(line.split() for line in lines if line.startswith(factory.PAIR[0]))
    expected = [units.count(counts.counters.instructions), "1.32", units.count(counts.counters.loads)]
    assert " ".join(row).startswith(" ".join([factory.PAIR[0], *expected]))
    assert " ".join(row).endswith(units.seconds(record.results[0].end_to_end.latency_model_s))
    assert counts.counters.instructions / (568_740_352 / 4) == pytest.approx(1.32, abs=0.005)


def test_the_layers_with_most_instructions_come_first() -> None:
    record = factory.emulated(factory.PAIR[:1])
    text = printed(*record_tables.record_tables(record))
    listed = text[text.index("Layers with most instructions") :].splitlines()
    shares = [float(line.split()[4]) for line in listed if line.startswith("block")]
    assert len(shares) == record_tables.SLOWEST
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 5
    alone = printed(count_tables.layers(record.results[0], 3))
    assert [line.split() for line in alone.splitlines() if line.startswith("block")] == [
        line.split() for line in listed if line.startswith("block")
    ][:3]


def test_counts_that_were_asked_for_and_failed_say_why() -> None:
    record = factory.record(factory.PAIR[:1])
    assert "No counts" not in printed(*count_tables.networks(record))
    missing = {**record.results[0].missing, "counts": "no QEMU here"}
    result = msgspec.structs.replace(record.results[0], missing=missing)
    settings = msgspec.structs.replace(record.settings, counts=True)
    record = msgspec.structs.replace(record, settings=settings, results=(result,))
    assert "No counts for mobilenet_v1_1.0_224: no QEMU here." in " ".join(
        printed(*count_tables.networks(record)).split()
    )
