"""What is said of values, changes and settings."""

from __future__ import annotations

import math

import pytest
import site_factory as factory

from mbench.core import units
from mbench.history import site_words
from mbench.history.series import Quantity


@pytest.mark.parametrize(
    ("amount", "quantity", "expected"),
    [
        (3.5e-3, factory.LATENCY, "3.50 ms"),
        (16_900_000, factory.LIBRARY, "16.9 MB"),
        (568_740_352.0, factory.MACS, "569 M"),
        (12.0, factory.INSTRUCTIONS, "12"),
        (None, factory.LATENCY, units.NOT_AVAILABLE),
    ],
)
def test_values_have_their_unit(amount: float | None, quantity: Quantity, expected: str) -> None:
    assert site_words.value(None if amount is None else float(amount), quantity) == expected


def test_levels_that_read_the_same_are_written_to_the_last_digit() -> None:
    assert site_words.step(3.5e-3, 3.68e-3, factory.LATENCY) == "3.50 ms → 3.68 ms"
    assert site_words.step(500_000_000.0, 500_000_001.0, factory.INSTRUCTIONS) == "500,000,000 → 500,000,001"


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (1.052, "+5.2 %"),
        (0.93, "-7.0 %"),
        (1.0004, "+0.04 %"),
        (1.000000002, "+0.000000 %"),
        (1.0, "+0.0 %"),
        (math.inf, "from 0"),
    ],
)
def test_percent_has_the_decimals_that_it_needs(ratio: float, expected: str) -> None:
    assert site_words.percent(ratio) == expected


def test_a_change_in_a_sentence() -> None:
    series = factory.series()
    change = factory.change(series, 20, 1.052)
    said = "latency of mobilenet_v1_1.0_224 on arm64"
    assert site_words.sentence(series, change) == f"{said} rose by 5.2 %"
    assert site_words.between(change) == "+4.2 % to +6.2 %"
    fell = factory.change(series, 20, 0.9, certainty="perhaps", more_runs=1)
    assert site_words.sentence(series, fell) == f"{said} perhaps fell by 10.0 %"
    assert site_words.certainty(fell) == "1 more run will show whether it lasts."
    assert site_words.sentence(series, factory.change(series, 20, 1.1, last=30)) == f"{said} slowly rose by 10.0 %"
    moved = factory.change(series, 20, 1.1, machine=True)
    assert site_words.sentence(series, moved) == f"{said} rose by 10.0 %, with the machine"
    started = factory.change(series, 20, math.inf, before=0.0, after=3.5e-3)
    assert site_words.sentence(series, started) == f"{said} rose from 0"
    assert site_words.between(started) == ""


def test_kinds_of_changes() -> None:
    series, counted = factory.series(), factory.series(factory.MACS, level=5e8)
    kinds = [
        site_words.kind(factory.change(series, 20, ratio, **more), series.quantity)
        for ratio, more in (
            (1.1, {}),
            (0.9, {}),
            (1.1, {"certainty": "perhaps"}),
            (1.1, {"machine": True}),
            (1.1, {"accepted": "agreed"}),
        )
    ]
    assert kinds == ["worse", "better", "perhaps", "machine", "accepted"]
    assert site_words.kind(factory.change(counted, 20, 1.1), counted.quantity) == "changed"
    modelled = [site_words.kind(factory.change(series, 20, each, model=True), series.quantity) for each in (1.1, 0.9)]
    assert modelled == ["changed", "changed"]
    assert set(kinds) | {"changed"} == set(site_words.BADGES)


def test_commits_around_a_change() -> None:
    series = factory.series()
    one, two = "a" * 40, "b" * 40
    for commits, expected in (
        ((one, two), "after commit aaaaaaaaaa, up to bbbbbbbbbb"),
        ((None, two), "with commit bbbbbbbbbb"),
        ((two, two), "with commit bbbbbbbbbb"),
        ((one, None), "after commit aaaaaaaaaa"),
        ((None, None), ""),
    ):
        assert site_words.commits(factory.change(series, 20, 1.1, commits=commits)) == expected


@pytest.mark.parametrize(
    ("name", "family", "dtype", "batch", "expected"),
    [
        ("mobilenet_v2_1.0_224_int8", "mobilenet_v2", "int8", 1, "mobilenet_v2_1.0_224"),
        ("mobilenet_v2_1.0_224_int8_b8", "mobilenet_v2", "int8", 8, "mobilenet_v2_1.0_224"),
        ("mobilenet_v1_1.0_224_standard", "mobilenet_v1", "float32", 1, "mobilenet_v1_1.0_224_standard"),
        ("mnasnet_b1", "mnasnet_b1", "float32", 1, "mnasnet_b1"),
        ("net_b1", "net", "float32", 1, "net"),
    ],
)
def test_type_and_batch_are_settings_of_one_network(
    name: str, family: str, dtype: str, batch: int, expected: str
) -> None:
    assert site_words.network(factory.identity(name, family=family, dtype=dtype, batch=batch)) == expected


def test_settings_say_what_differs_and_no_more() -> None:
    one = factory.identity()
    assert list(site_words.settings([one]).values()) == ["float32, 1 thread"]
    others = [
        one,
        factory.identity(dtype="int8", threads=2),
        factory.identity(batch=8),
        factory.identity(machine="ci-2"),
        factory.identity(machine="ci-2", hardware="Intel Xeon"),
    ]
    assert list(site_words.settings(others).values()) == [
        "float32, 1 thread, batch 1, on ci-1",
        "int8, 2 threads, batch 1, on ci-1",
        "float32, 1 thread, batch 8, on ci-1",
        "float32, 1 thread, batch 1, on ci-2, AMD EPYC 9654",
        "float32, 1 thread, batch 1, on ci-2, Intel Xeon",
    ]


def test_marks_and_lists() -> None:
    assert site_words.mark("apache-tvm", "0.26.0", "0.27.0") == "apache-tvm 0.26.0 → 0.27.0"
    assert site_words.mark("build", "a" * 64, "") == "build aaaaaaaaaa → none"
    assert site_words.listed("abcde", 2) == "a, b and 3 more"
    assert site_words.listed("ab", 2) == "a, b"


def test_what_cannot_be_printed_is_escaped() -> None:
    assert site_words.word("a\x1b[31m\u202e\n") == r"a\x1b[31m\u202e "
    assert len(site_words.word("x" * 1000)) == 120
