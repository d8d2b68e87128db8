"""`mbench history show` as a user runs it, into a pipe."""

from __future__ import annotations

import json
from pathlib import Path

import changed_stores as stores
import pytest
import record_factory as factory
from changed_stores import COUNTED, NAME
from conftest import Mbench, assert_one_line

from mbench.cli.history_show import show


@pytest.fixture
def slower(tmp_path: Path) -> Path:
    return stores.store(tmp_path, stores.nights([1.0] * 20 + [1.1] * 5), iter([factory.emulated([COUNTED])]))


def test_a_chart_is_plain_and_80_columns_wide(run: Mbench, slower: Path) -> None:
    outcome = run("history", show, NAME, "--store", slower)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert "\x1b" not in outcome.out
    assert max(map(len, lines)) <= 80
    assert lines[0] == f"latency of {NAME} (float32, batch 1)"
    assert sum(line.count("•") for line in lines) == 25
    assert "commits 19cccccccc..20cccccccc" in " ".join(outcome.out.split())
    assert any(line.startswith("library  ") for line in lines)


def test_what_was_only_counted_is_drawn_by_its_instructions(run: Mbench, slower: Path) -> None:
    outcome = run("history", show, COUNTED, "--store", slower)
    assert outcome.out.startswith(f"instructions of {COUNTED}")


def test_a_quantity_can_be_chosen(run: Mbench, slower: Path) -> None:
    outcome = run("history", show, NAME, "--store", slower, "--quantity", "library_bytes")
    assert outcome.out.startswith(f"library of {NAME}")
    assert "25 runs, no change" in outcome.out


def test_the_document_has_all_quantities_with_their_changes(run: Mbench, slower: Path) -> None:
    document = json.loads(run("history", show, "*", "--store", slower, "--json").out)
    found = {(each["series"]["identity"]["network"], each["series"]["quantity"]["name"]): each for each in document}
    assert [change["at"] for change in found[NAME, "latency_s"]["changes"]] == [20]
    assert len(found[NAME, "latency_s"]["series"]["points"]) == 25
    assert (COUNTED, "instructions") in found


def test_many_series_are_counted_not_drawn(run: Mbench, tmp_path: Path) -> None:
    names = [f"mobilenet_v1_0.25_{side}" for side in range(32, 32 + 9 * 32, 32)]
    store = stores.store(tmp_path, *(stores.nights([1.0], name) for name in names))
    outcome = run("history", show, "*", "--store", store)
    assert outcome.out.count("latency of ") == 8
    assert "1 more series" in outcome.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mobilenet_v1_0.25_33"], f"did you mean '{NAME}'"), ([NAME, "--quantity", "energy_j"], "has no energy_j"),
        ([NAME, "--quantity", "speed"], "quantity 'speed' is not known"), ([], "Missing argument"),
    ],
)  # fmt: skip
def test_wrong_use_is_2_in_one_line(run: Mbench, slower: Path, words: list[str], said: str) -> None:
    assert_one_line(run("history", show, *words, "--store", slower), said)
