from __future__ import annotations

import math

import msgspec
import pytest
import verdict_factory as make

from mbench.core import units
from mbench.gating.comparison import Finding
from mbench.gating.outputs import words

NONE = units.NOT_AVAILABLE


@pytest.mark.parametrize(
    ("finding", "said"),
    [
        (make.finding(base=1.0e-3, ratio=1.1), "1.00 ms → 1.10 ms, +10.0 % (+9.5 to +10.5 %), 1 % tolerated"),
        (make.counted(base=12_345_678, head=12_345_679, ratio=1 + 1 / 12_345_678),
         "12,345,678 → 12,345,679, +0.000008 %, 0.5 % tolerated"),
        (make.counted(base=1_000_000, ratio=0.75), "1.00 M → 750 k, -25.00 %, 0.5 % tolerated"),
        (make.counted(base=0, head=7, ratio=None), f"0 → 7, {NONE}, 0.5 % tolerated"),
        (make.counted(metric="memory", base=468_000, ratio=1.0, threshold=0.0), "468 kB → 468 kB, 0 %, 0 % tolerated"),
        (make.finding(ratio=1.02, interval=(0.0, math.inf), threshold=0.0025),
         "1.00 ms → 1.02 ms, +2.0 %, 0.25 % tolerated"),
        (make.bare(outcome="regressed", reason="gone"), ""),
        (make.finding(head=math.nan), f"1.00 ms → {NONE}, 0 % (-0.5 to +0.5 %), 1 % tolerated"),
    ],
)  # fmt: skip
def test_figures_in_one_line(finding: Finding, said: str) -> None:
    assert words.sentence(finding) == said


def test_what_matters_comes_first() -> None:
    found = make.regressed().comparison.of("regressed")
    assert [words.topic(finding) for finding in words.ranked(found)] == [
        "network", "block9.dw", "network, latency", "block3.dw, instructions", "block3.dw, latency",
    ]  # fmt: skip


def test_a_halving_weighs_as_much_as_a_doubling() -> None:
    ranked = words.ranked([make.finding("a", ratio=1.9), make.finding("b", ratio=0.5), make.finding("c", ratio=2.1)])
    assert [finding.layer for finding in ranked] == ["c", "b", "a"]


def test_what_forbids_says_how_to_go_on() -> None:
    free, allowed = make.regressed().comparison.differences
    (forbidding,) = make.incomparable().comparison.differences
    assert words.difference(free) == "tuned: none → 3f2a9c (forbids nothing)"
    assert words.difference(allowed).endswith("(allowed)")
    assert words.difference(forbidding).endswith("(forbids recorded; --allow-different cpu to compare all the same)")


def test_everything_is_counted() -> None:
    found = make.regressed().comparison
    counts = [int(part.split()[0]) for part in words.tally(found).split(", ")]
    assert sum(counts) == len(found.findings)
    assert words.tally(make.comparison()) == "nothing was compared"


def test_what_was_not_measured_is_counted_and_what_failed_now_is_apart() -> None:
    found = make.unmeasured()
    assert words.tally(found.comparison) == "1 not measured, 1 not judged, 2 same"
    assert words.failures_now(found) == [make.DIED]
    assert words.failures_now(make.passed()) == []


def test_of_information_only_what_the_head_alone_has_is_new() -> None:
    listed = words.sections(make.unmeasured().comparison)["New"]
    assert [each.variant for each in listed] == [make.MENDED]
    assert [words.is_mended(each) for each in listed] == [True]
    layer = make.bare("pool", outcome="information", reason="new")
    assert (words.is_new(layer), words.is_mended(layer)) == (True, False)
    assert not words.is_new(make.finding(outcome="information"))


def test_several_records_on_a_side_are_said() -> None:
    one = make.side("a")
    assert "records" not in words.side(one)
    assert words.side(msgspec.structs.replace(one, runs=7)).endswith("7 records")


def test_what_is_exactly_the_same_is_counted() -> None:
    timed, gone, same = make.finding(), make.bare(outcome="regressed", reason="gone"), make.counted()
    shown, left = words.telling([timed, gone, same, make.counted(ratio=2.0)])
    assert [each.metric for each in shown] == ["latency", "presence", "instructions"]
    assert left == "Exact values that are the same in both runs, left out here: 1."
    assert words.telling([timed]) == ([timed], "")


def test_one_reason_for_many_is_said_once() -> None:
    noisy = [make.finding(layer, outcome="undecided", reason="noise") for layer in ("a", None, "b")]
    gone = make.bare("c", outcome="regressed", reason="gone")
    assert words.grouped([*noisy, gone, make.counted("a", reason="noise")]) == [
        "latency of a, network, b: noise", "c: gone", "instructions of a: noise",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "0 %"), (0.002, "0.2 %"), (2.28031, "228 %"), (0.0123456, "1.23 %"), (1e-7, "0.00001 %"), (0.1, "10 %")],
)
def test_shares_have_three_digits(value: float, said: str) -> None:
    assert words.share(value) == said


def test_lists_are_cut_with_a_count() -> None:
    assert words.cut(["a", "b"], 2, "{count} more") == ["a", "b"]
    assert words.cut(["a", "b", "c", "d"], 2, "{count} more") == ["a", "3 more"]
