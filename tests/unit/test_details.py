"""Percentiles, time balance, cold start and slowest layers of a few networks; ranges of many."""

from __future__ import annotations

import re
import statistics

import msgspec
import pytest
import record_factory as factory
from printed import printed
from session_records import in_sessions

from mbench.core import stats, units
from mbench.core.records import Record, Result
from mbench.terminal import details, totals

PAIR = factory.PAIR


def table(record: Record, width: int = 80) -> str:
    return printed(*details.table(totals.rows(record)), width=width)


def layers(record: Record, count: int = 6, width: int = 80) -> str:
    part = details.layers(record, totals.rows(record), count)
    return "" if part is None else printed(part, width=width)


def row(text: str, name: str) -> str:
    [found] = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return " ".join(found.split())


def test_percentiles_are_of_all_samples_that_count() -> None:
    record = in_sessions(factory.record())
    samples = record.results[0].end_to_end.latency_s or ()
    shown = " ".join(units.seconds(stats.quantile(samples, at)) for at in (0.5, 0.9, 0.99))
    assert row(table(record), PAIR[0]).startswith(f"{PAIR[0]} {shown} ")
    heads = [line.split() for line in table(record).splitlines()[:2]]
    assert heads == [["p50", "of", "layers", "+", "runtime"], ["network", "samples", "p90", "p99", "+", "unattributed"]]
    single = table(in_sessions(factory.record(), (1.0,))).splitlines()
    assert single[1].split()[:2] == ["network", "p50"], "of one session it is the headline"


def test_the_time_balance_adds_up_in_one_line_a_network() -> None:
    record = in_sessions(factory.record())
    books = record.results[0].time_balance
    assert books is not None
    *_, layers_s, _, runtime_s, sign, rest_s, unit = row(table(record), PAIR[0]).split()
    assert (sign, unit) == ("+", "ms")
    shown = [float(value) * 1e-3 for value in (layers_s, runtime_s, rest_s)]
    assert shown == pytest.approx([books.layer_sum_s, books.overhead_s, books.unattributed_s], rel=0.02)
    assert sum(shown) == pytest.approx(books.end_to_end_s, rel=0.01)
    slower = msgspec.structs.replace(books, unattributed_s=-1e-3)
    result = msgspec.structs.replace(record.results[0], time_balance=slower)
    assert row(table(msgspec.structs.replace(record, results=(result,))), PAIR[0]).endswith(" - 1.00 ms")


def without(result: Result, *fields: str) -> Result:
    return msgspec.structs.replace(result, **dict.fromkeys(fields))


def test_what_was_not_seen_is_left_out() -> None:
    record = in_sessions(factory.record(PAIR[:1]))
    plain = msgspec.structs.replace(record, results=(without(record.results[0], "time_balance"),))
    assert "layers" not in table(plain)
    assert table(factory.record(latency=False)) == ""


def test_of_a_disturbed_network_nothing_looks_sure() -> None:
    record = in_sessions(factory.record(), disturbed=PAIR[:1])
    figures = row(table(record), PAIR[0]).removeprefix(f"{PAIR[0]} ")
    assert figures.count("~") == 4
    assert all(len(number) <= 2 for number in re.findall(r"~(\d+) ms", figures))
    assert "~" not in row(table(record), PAIR[1])


# ----------------------------------------------------------------------------------------------------------- sentences
def test_a_cold_start_is_the_median_over_the_sessions_that_count() -> None:
    assert list(details.sentences(totals.rows(in_sessions(factory.record(), left_out=4)))) == [
        "Cold start: load 30.0 ms, first inference 6.00 ms."
    ]
    assert list(details.sentences(totals.rows(factory.record()))) == [], "an older record does not have it"


def test_of_many_networks_there_are_ranges() -> None:
    names = ("mobilenet_v1_0.25_32", "mobilenet_v1_0.25_64", "mobilenet_v1_0.5_32")
    record = in_sessions(factory.record(names))
    lines = totals.rows(record)
    assert list(details.table(lines)) == []
    assert layers(record) == ""
    samples = record.results[0].end_to_end.latency_s or ()
    p90, p99 = (units.ratio(stats.quantile(samples, at) / statistics.median(samples)) for at in (0.9, 0.99))
    assert next(details.sentences(lines)) == f"p90 is {p90} the median, p99 {p99}."
    doubtful = totals.rows(in_sessions(factory.record(names), disturbed=names))
    assert not any("p90" in sentence for sentence in details.sentences(doubtful))


# -------------------------------------------------------------------------------------------------------------- layers
def test_the_slowest_layers_come_first() -> None:
    record = in_sessions(factory.record(PAIR[:1]))
    slowest = max(record.results[0].layers, key=lambda layer: statistics.median(layer.latency_s or ()))
    head, *rows = layers(record).splitlines()
    assert head.split() == ["slowest", "layers", "op", "latency", "share", "FLOP/s", "bound", "of", "roof"]
    assert len(rows) == 6
    assert rows[0].split()[:2] == [slowest.name, slowest.op]
    assert rows[0].split()[2:4] == units.seconds(statistics.median(slowest.latency_s or ())).split()


def test_those_of_two_networks_stand_side_by_side_where_there_is_room() -> None:
    record = in_sessions(factory.record())
    beside, below = layers(record, 3).splitlines(), layers(record, 3, width=60).splitlines()
    assert (len(beside), len(below)) == (5, 10)
    assert all(name in beside[0] for name in PAIR)


def at_roof(record: Record, share: float) -> Record:
    """Return the record with all layers at a share of their rooflines."""
    results = tuple(
        msgspec.structs.replace(
            result,
            layers=tuple(
                msgspec.structs.replace(
                    each, roofline=each.roofline and msgspec.structs.replace(each.roofline, fraction_of_bound=share)
                )
                for each in result.layers
            ),
        )
        for result in record.results
    )
    return msgspec.structs.replace(record, results=results)


@pytest.mark.parametrize(("share", "shown"), [(0.654, "65 %"), (1.09, "109 %"), (95.43, ">100 %")])
def test_what_exceeds_the_peak_for_no_reason_is_no_figure(share: float, shown: str) -> None:
    _, *rows = layers(at_roof(in_sessions(factory.record(PAIR[:1])), share)).splitlines()
    assert all(line.rstrip().endswith(f" {shown}") for line in rows)
    assert not any("9543" in line for line in rows)


def test_no_share_of_a_roof_of_a_disturbed_network_is_a_figure() -> None:
    text = layers(in_sessions(factory.record(PAIR[:1]), disturbed=PAIR))
    assert all(re.search(r" ~\d+ µs +~\d+ % +\? .* \?$", line.rstrip()) for line in text.splitlines()[1:])


def test_an_emulated_network_shows_those_with_most_instructions() -> None:
    record = factory.emulated()
    assert "most instructions" in layers(record, 2)
    assert "latency" not in layers(record, 2)
    assert layers(record, 0) == ""
