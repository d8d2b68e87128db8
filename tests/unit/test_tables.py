from __future__ import annotations

import io

import factory
import msgspec
import pytest
from rich.console import Console

from mbench import models, records, tables, units, variants


def printed(record: records.Record, *, width: int = 80) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width)
    for part in tables.record_tables(record):
        console.print(part)
    return stream.getvalue()


def numerics(record: records.Record, **changes: object) -> records.Record:
    replace = msgspec.structs.replace
    results = tuple(replace(item, numerics=replace(item.numerics, **changes)) for item in record.results)
    return replace(record, results=results)


def test_totals_say_what_was_seen() -> None:
    record = factory.record()
    text = printed(record)
    assert "mobilenet_v1_1.0_224 " in text
    assert "mobilenet_v1_1.0_224_standard " in text
    for part in ("569 M", "4.87 G", "4.21 M", "29.3 M", "8.56x", "6.96x"):
        assert part in text, part
    flat = " ".join(text.split())
    assert "latency 7.8 times; 8.6 times promised by the multiply-adds" in flat
    assert "Smallest slow-down that a comparison of this length would show: +0.8 % in mobilenet_v1_1.0_224," in flat
    assert text.count(" ok") == 2
    assert "modelled, not measured" in text


@pytest.mark.parametrize("record", [factory.record(), factory.record(latency=False), factory.hostile(factory.record())])
def test_eighty_columns(record: records.Record) -> None:
    assert max(map(len, printed(record).splitlines())) <= 80


def test_the_tables_themselves_are_ascii_but_for_units() -> None:
    assert {character for character in printed(factory.record()) if ord(character) > 127} <= {"µ", units.NOT_AVAILABLE}


def test_the_slowest_layers_come_first() -> None:
    record = factory.record(factory.PAIR[:1])
    text = printed(record)
    slowest = max(record.results[0].layers, key=lambda layer: sorted(layer.latency_s or ())[10])
    listed = text[text.index("Slowest layers") :].splitlines()
    assert slowest.op == "pointwise_conv2d"
    assert listed[3].startswith("block")
    assert sum(line.startswith(("block", "conv", "fc")) for line in listed) == tables.SLOWEST
    assert "compute" in text


def test_without_latency_it_says_why_and_shows_no_zero() -> None:
    text = printed(factory.record(latency=False))
    assert factory.NO_LATENCY.split(":")[0] in text
    assert "569 M" in text
    assert "not measured; 8.6" in " ".join(text.split())
    assert "Slowest" not in text
    assert " 0 s" not in text


def test_failures_and_the_unfinished_are_loud() -> None:
    record = factory.record(failed=("mobilenet_v1_0.5_128",))
    assert "FAILED: mobilenet_v1_0.5_128 (build): out of registers" in printed(record)
    assert "UNFINISHED" not in printed(record)
    assert "UNFINISHED: mobilenet_v1_0.5_128" in printed(msgspec.structs.replace(record, failures=()))
    assert "FAILED" not in printed(factory.record())


def test_a_wrong_output_is_loud() -> None:
    text = " ".join(printed(numerics(factory.record(), passed=False, max_rel_error=0.5)).split())
    assert "WRONG OUTPUT: mobilenet_v1_1.0_224: relative error 0.5, tolerance 0.0001" in text
    assert "WRONG" not in printed(factory.record())


def test_no_pair_names_what_to_run() -> None:
    assert "run also: mobilenet_v1_1.0_224_standard." in " ".join(printed(factory.record(factory.PAIR[:1])).split())


def test_names_are_no_markup_and_no_terminal_codes() -> None:
    record = msgspec.structs.replace(factory.record().host, cpu="\x1b[31m[bold]red[/bold]")
    text = printed(msgspec.structs.replace(factory.record(), host=record))
    assert "[bold]red[/bold]" in text
    assert "\x1b" not in text


def test_metered_energy_is_named() -> None:
    record = factory.record(factory.PAIR[:1])
    metered = records.MeteredEnergy(energy_j=0.031, method="RAPL package", window_s=5.0, runs=400)
    [result] = record.results
    result = msgspec.structs.replace(result, energy=msgspec.structs.replace(result.energy, measured=metered))
    text = " ".join(printed(msgspec.structs.replace(record, results=(result,))).split())
    assert "measured 31.0 mJ for mobilenet_v1_1.0_224 (RAPL package)" in text


def test_a_record_without_results() -> None:
    assert "FAILED" in printed(factory.record((), failed=("mobilenet_v1_0.5_128",)))


def test_layers_and_the_papers_split() -> None:
    """Oracle: arXiv:1704.04861, table 2: 94.86 % of multiply-adds and 74.59 % of parameters in 1x1 convolutions."""
    stream = io.StringIO()
    Console(file=stream, width=80).print(tables.layers_table(models.layers(variants.parse(factory.PAIR[0]))))
    text = stream.getvalue()
    [pointwise] = [line.split() for line in text.splitlines() if line.startswith("pointwise_conv2d")]
    assert pointwise[3:5] == ["94.86", "%"]
    assert pointwise[-2:] == ["74.59", "%"]
    assert "1x1024x7x7" in text
    assert max(map(len, text.splitlines())) <= 80
