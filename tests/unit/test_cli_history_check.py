"""`mbench history check` as a nightly job runs it."""

from __future__ import annotations

import json
from pathlib import Path

import changed_stores as stores
import pytest
from changed_stores import NAME
from conftest import Mbench, assert_one_line

from mbench.cli.history_check import check

SLOWER = [1.0] * 20 + [1.1] * 5


@pytest.fixture
def steady(tmp_path: Path) -> Path:
    return stores.store(tmp_path, stores.nights([1.0] * 25))


@pytest.fixture
def slower(tmp_path: Path) -> Path:
    return stores.store(tmp_path, stores.nights(SLOWER))


def test_nothing_worse_is_0(run: Mbench, steady: Path) -> None:
    outcome = run("history", check, "--store", steady)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("PASSED: nothing worse in the last 10 runs of ")


def test_a_certain_regression_is_1_and_names_commits_and_record(run: Mbench, slower: Path) -> None:
    outcome = run("history", check, "--store", slower)
    assert outcome.code == 1
    said = " ".join(outcome.out.split())
    assert said.startswith(f"REGRESSED: 1 regressed in the last 10 runs: latency of {NAME} +")
    assert "commits 19cccccccc..20cccccccc" in said
    document = json.loads(run("history", check, "--store", slower, "--json").out)
    [worse] = [each for each in document["findings"] if each["standing"] == "regressed"]
    assert (worse["quantity"]["name"], worse["change"]["at"]) == ("latency_s", 20)
    assert worse["change"]["low"] < 1.1 < worse["change"]["high"]


def test_what_more_runs_must_show_is_3(run: Mbench, tmp_path: Path) -> None:
    store = stores.store(tmp_path, stores.nights([1.0] * 20 + [1.1] * 2))
    outcome = run("history", check, "--store", store)
    assert outcome.code == 3
    assert outcome.out.startswith("NO VERDICT: 1 perhaps worse")
    assert "2 more runs will show" in " ".join(outcome.out.split())


def test_what_is_old_passes_and_a_window_takes_it_in(run: Mbench, slower: Path) -> None:
    assert run("history", check, "--store", slower, "--last", 4).code == 0
    assert run("history", check, "--store", slower, "--last", 5).code == 1
    assert run("history", check, "--store", slower, "--since", "2026-03-21").code == 1
    assert run("history", check, "--store", slower, "--since", "2026-03-22").code == 0


def test_what_was_agreed_to_passes_until_it_expires(run: Mbench, slower: Path) -> None:
    entry = f'[[accepted]]\nvariant = "{NAME}"\nmetric = "latency"\nreason = "exact borders"\nexpires = '
    Path("mbench-accepted.toml").write_text(f"{entry}2099-01-01\n")
    outcome = run("history", check, "--store", slower)
    assert outcome.code == 0
    assert "exact borders" in outcome.out
    Path("other.toml").write_text(f"{entry}2020-01-01\n")
    assert_one_line(run("history", check, "--store", slower, "--accepted", "other.toml"), "expired on 2020-01-01")


def test_thresholds_are_those_of_the_gate(run: Mbench, slower: Path) -> None:
    assert run("history", check, "--store", slower, "--threshold", "latency=20%").code == 0
    Path("mbench.toml").write_text('[gate.thresholds]\nlatency = "20%"\n')
    assert run("history", check, "--store", slower).code == 0
    assert run("history", check, "--store", slower, "--threshold", "latency=5%").code == 1


def test_networks_and_quantities_choose_what_is_judged(run: Mbench, slower: Path) -> None:
    assert run("history", check, "mobilenet_v1_*", "--store", slower).code == 1
    assert run("history", check, "--store", slower, "--quantity", "library_bytes").code == 0
    assert run("history", check, "--store", slower, "--quantity", "latency_s").code == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mobilenet_v9"], "has no runs of mobilenet_v9"), (["--quantity", "latencys"], "did you mean 'latency_s'"),
        (["--last", "0"], "--last"), (["--since", "soon"], "--since 'soon': expected a date"),
        (["--threshold", "speed=3%"], "speed"), (["--threads", "two"], "--threads"), (["--target", "none"], "no runs"),
    ],
)  # fmt: skip
def test_wrong_use_is_2_in_one_line(run: Mbench, steady: Path, words: list[str], said: str) -> None:
    assert_one_line(run("history", check, "--store", steady, *words), said)


def test_a_store_that_is_not_there_is_2(run: Mbench, tmp_path: Path) -> None:
    assert_one_line(run("history", check, "--store", tmp_path / "none.db"), "none.db")
