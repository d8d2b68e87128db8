"""What benchmarks/RESULTS.md claims, against the data that are shipped: the gate's trials, tuned choices, peers."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MOST_LINES = 400


@pytest.fixture(scope="module")
def results() -> Iterator[Any]:
    """Return benchmarks/results.py, which is in no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("results")


@pytest.fixture(scope="module")
def text(results: Any) -> str:
    return str(results.FILE.read_text())


@pytest.fixture(scope="module")
def computed(results: Any) -> dict[str, str]:
    return {name: make() for name, make in results.TABLES.items()}


def test_results_claim_what_the_data_show(results: Any, text: str, computed: dict[str, str]) -> None:
    assert results.differing(text, computed) == [], "renew them with: python benchmarks/results.py --write"
    assert results.renewed(text, computed) == text


@pytest.mark.parametrize(
    ("table", "claim", "other"),
    [
        ("gate", "201 of 201", "202 of 202"),
        ("gate", "56 of 57", "57 of 57"),
        ("gate", "wrong in at most 1.5%", "wrong in at most 1.0%"),
        ("gate", "17 of 20", "20 of 20"),
        ("gate", "within 0.5 in 51 of 57", "within 0.5 in 57 of 57"),
        ("peers", "0.882, goal", "0.782, goal"),
        ("peers", "**missed**", "met"),
        ("choices", "| 131 |", "| 120 |"),
    ],
)
def test_a_changed_figure_is_found(
    results: Any, text: str, computed: dict[str, str], table: str, claim: str, other: str
) -> None:
    ours = results.claimed(text)[table]
    assert claim in ours
    wrong = results.differing(text.replace(ours, ours.replace(claim, other, 1)), computed)
    assert any(other in line for line in wrong)
    assert any(claim in line for line in wrong)


def test_a_table_that_is_gone_or_has_no_data_is_found(results: Any, text: str, computed: dict[str, str]) -> None:
    [line] = results.differing(text.replace("<!-- data: gate -->", ""), computed)
    assert "no table 'gate'" in line
    found = results.differing(text, {"gate": computed["gate"], "peers": computed["peers"]})
    assert any("'choices' has no data" in line for line in found)


@pytest.mark.parametrize("digest", ["timed", "counted"])
def test_trials_of_code_that_decides_otherwise_show_nothing(
    results: Any, text: str, computed: dict[str, str], digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.import_module("gate_digest"), digest, lambda: "0123456789abcdef")
    now = results.TABLES["gate"]()
    assert "0 of 0" in now
    assert results.differing(text, computed | {"gate": now})


def test_every_shipped_trial_is_of_the_code_as_it_is(results: Any) -> None:
    trials = results.gate_trials.read(results.TRIALS)
    assert len(trials) > 400
    assert results.gate_trials.current(trials) == trials


def test_ratios_that_are_kept_are_those_of_the_medians(results: Any) -> None:
    for row in results.kept_peers.read():
        ours_ms = float(row["mbench_ms"])
        best_ms = min(
            float(value) for name, value in row.items() if name.endswith("_ms") and value and name != "mbench_ms"
        )
        rounding = 0.0005 + 0.0005 / best_ms * (1 + ours_ms / best_ms)
        assert float(row["ratio"]) == pytest.approx(ours_ms / best_ms, abs=rounding), row


def test_the_report_is_short(text: str) -> None:
    assert len(text.splitlines()) <= MOST_LINES
