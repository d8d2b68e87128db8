"""What check and show print: the figures are those of the changes that were planted."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
import series_factory as factory
from printed import printed
from series_factory import INSTRUCTIONS, LIBRARY, commit, record, series, timed

from mbench.history import changes, check, shown, site_words
from mbench.history.series import Change, Quantity, Series
from mbench.terminal.listings import Listing


def text(listing: Listing, width: int = 80) -> str:
    return printed(*listing.parts, width=width)


def flat(listing: Listing) -> str:
    return " ".join(text(listing).split())


def of(*found: Series) -> Listing:
    return shown.of_series(found[:1], changes.found(found), found[1:])


# ---------------------------------------------------------------------------------------------------------------- words
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"ratio": 1.052, "low": 1.041, "high": 1.063, "p_value": 1e-9}, "+5.2 % (4.1 to 6.3)"),
        ({"ratio": 0.9, "low": 0.9, "high": 0.9, "p_value": None}, "-10.0 %"),
        ({"ratio": 1.00004, "low": 1.00004, "high": 1.00004, "p_value": None}, "+0.004 %"),
        ({"ratio": float("inf"), "low": float("inf"), "high": float("inf"), "p_value": None}, "from 0"),
    ],
)
def test_a_size_has_its_interval_where_there_is_one(fields: dict[str, float | None], said: str) -> None:
    [change] = changes.of_series(series([1.0, 2.0], INSTRUCTIONS))
    assert shown.size(msgspec.structs.replace(change, **fields)) == said


@pytest.mark.parametrize(
    ("around", "said"),
    [
        (("a" * 40, "b" * 40), "commits aaaaaaaaaa..bbbbbbbbbb"), ((None, "b" * 40), "commit bbbbbbbbbb"),
        (("a" * 40, None), "after commit aaaaaaaaaa"), (("a", "a"), "commit a"), ((None, None), ""),
    ],
)  # fmt: skip
def test_commits_are_short_and_those_that_are_known(around: tuple[str | None, str | None], said: str) -> None:
    [change] = changes.of_series(series([1.0, 2.0], INSTRUCTIONS))
    assert shown.commits(msgspec.structs.replace(change, commits=around)) == said


@pytest.mark.parametrize(
    ("quantity", "amount", "said"),
    [
        (factory.LATENCY, 1.5e-3, "1.50 ms"), (INSTRUCTIONS, 301e6, "301 M"), (INSTRUCTIONS, 12.0, "12"),
        (LIBRARY, 9e4, "90.0 kB"),
    ],
)  # fmt: skip
def test_a_value_is_in_the_unit_of_its_quantity(quantity: Quantity, amount: float, said: str) -> None:
    assert site_words.value(amount, quantity) == said


# ----------------------------------------------------------------------------------------------------------------- show
def test_a_series_is_a_chart_with_its_changes_below() -> None:
    listing = of(series(timed(60, (40, 0.08)), disturbed=(3,)))
    assert "latency of mobilenet_v1_0.25_128 (float32, batch 1)" in text(listing)
    assert "60 runs, 1 disturbed" in text(listing)
    said = flat(listing)
    assert re.search(r"1 \+[78]\.\d % \(\d\.\d to \d\.\d\); 2026-04-10 04:00; first record 041eeeeeee;", said)
    assert f"commits {commit(39)[:10]}..{commit(40)[:10]}; another build" in said
    assert all(len(line) <= 80 for line in text(listing).splitlines())


def test_nothing_found_is_said() -> None:
    assert "20 runs, no change" in text(of(series(timed(20))))


def test_a_change_that_is_unsure_says_so() -> None:
    assert "perhaps: 1 more run will show" in flat(of(series(timed(43, (40, 0.06)))))


def test_other_quantities_of_the_same_have_a_line_each() -> None:
    counts = series([300e6] * 40 + [303e6] * 20, INSTRUCTIONS)
    elsewhere = series([1.0, 2.0], INSTRUCTIONS, threads=4)
    said = text(of(series(timed(60)), counts, series([9e4] * 60, LIBRARY), elsewhere))
    assert "instructions  303 M, +1.0 % on 2026-04-10" in said
    assert "library  90.0 kB, no change" in said
    assert said.count("instructions") == 1


def test_the_document_has_points_and_changes() -> None:
    found, beside = series(timed(60, (40, 0.08))), series([9e4] * 60, LIBRARY)
    listing = of(found, beside)
    first, second = json.loads(json.dumps(listing.data))
    assert first["series"]["points"][40]["record"] == record(40)
    assert msgspec.convert(first["changes"], tuple[Change, ...]) == changes.found([found], [beside])[found.id]
    assert second["changes"] == []


def test_a_hostile_name_cannot_steer_the_terminal() -> None:
    said = text(of(series(timed(20), network="net\x1b[31m[red]\n")))
    assert "\x1b" not in said
    assert "[red]" in said


# ---------------------------------------------------------------------------------------------------------------- check
def test_a_check_says_first_what_is_worse_and_then_what_else_changed() -> None:
    verdict = check.judge([
        series(timed(100, (95, 0.05))), series([300e6] * 95 + [290e6] * 5, INSTRUCTIONS),
        series(timed(100, (98, 0.06)), network="mobilenet_v2_0.35_96"), series(timed(5), network="left"),
    ])  # fmt: skip
    said = text(shown.of_check(verdict))
    assert flat(shown.of_check(verdict)).startswith(
        "REGRESSED: 1 regressed in the last 10 runs: latency of mobilenet_v1_0.25_128 +"
    )
    assert said.index("\nWorse\n") < said.index("\nPerhaps\n") < said.index("\nBetter\n")
    assert "Judged: 3 series of 300 runs" in said
    assert "not judged: 1 ended" in " ".join(said.split())
    assert all(len(line) <= 80 for line in said.splitlines())
    document = json.loads(json.dumps(shown.of_check(verdict).data))
    assert [each["standing"] for each in document["findings"]] == ["regressed", "perhaps", "improved"]


def test_a_check_without_a_verdict_and_one_that_passes_say_so() -> None:
    assert text(shown.of_check(check.judge([]))).startswith("NO VERDICT: no series has")
    assert text(shown.of_check(check.judge([series(timed(50))]))).startswith("PASSED: nothing worse")


def test_a_target_is_named_where_there_are_several() -> None:
    here, there = (series(timed(100, (95, 0.05)), target=name) for name in ("host", "cortex-a53"))
    assert "cortex-a53" in text(shown.of_check(check.judge([here, there])))
    assert "host" not in text(shown.of_check(check.judge([here])))


def test_a_long_list_is_counted_not_printed() -> None:
    many = [series([1.0] * 9 + [2.0], INSTRUCTIONS, network=f"net{number:02}") for number in range(25)]
    said = text(shown.of_check(check.judge(many)))
    assert "… and 5 more: see --json" in said
    assert "net24" not in said
