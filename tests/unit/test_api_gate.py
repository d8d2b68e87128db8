"""Comparisons and verdicts by the API: the same as by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Mbench
from gate_records import arena

import mbench
from mbench.core.errors import UsageError
from mbench.gating import comparison

pytest_plugins = ("api_fixtures", "gate_fixtures")
pytestmark = pytest.mark.usefixtures("machine")


def test_a_verdict_is_the_same_from_python_and_from_the_command_line(run: Mbench, sides: tuple[Path, Path]) -> None:
    words = "--threshold latency=3% --sensitivity latency=9% --allow-different host --html page.html"
    outcome = run("gate", *sides, "--json", *words.split())
    options = mbench.GateOptions(
        thresholds=("latency=3%",), sensitivities=("latency=9%",), allowed=("host",), outputs={"html": Path("own.html")}
    )
    verdict = mbench.gate(*sides, options=options)
    printed, ours = json.loads(outcome.out), json.loads(comparison.encode(verdict))
    del printed["created_at_utc"], ours["created_at_utc"]
    assert printed == ours
    assert (verdict.conclusion, outcome.code) == ("regressed", 1)
    assert Path("own.html").read_text().count("<tr") == Path("page.html").read_text().count("<tr") > 3


def test_a_comparison_is_the_same_from_python_and_from_the_command_line(run: Mbench, sides: tuple[Path, Path]) -> None:
    outcome = run("compare", *sides, "--json")
    assert json.loads(outcome.out) == json.loads(comparison.encode(mbench.compare(*sides)))


def test_records_in_memory_are_compared_and_judged(sides: tuple[Path, Path], tmp_path: Path) -> None:
    base, head = (mbench.read(path) for path in sides)
    assert mbench.compare(base, head).findings == mbench.compare(*sides).findings
    assert mbench.gate(base, head).conclusion == "regressed"
    assert mbench.gate(base, base).conclusion == "passed", "a record against itself"
    with pytest.raises(UsageError, match="--update-baseline replaces a file by another"):
        mbench.gate(base, head, options=mbench.GateOptions(update_baseline=True))
    with pytest.raises(UsageError, match="--paired"):
        mbench.gate(base, head, options=mbench.GateOptions(paired=True, recorded=True))


def test_records_in_memory_are_paired_through_the_cache_and_offer_no_command(
    run: Mbench, cached: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    del run  # in an empty folder, with a cache of its own
    base, head = map(mbench.read, cached)
    arena(monkeypatch, 1.5)
    assert mbench.gate(base, head, options=mbench.GateOptions(paired=True)).conclusion == "regressed"
    assert mbench.gate(base, head).paired_command is None, "no command names them"
    assert mbench.gate(*cached).paired_command == f"mbench gate {cached[0]} {cached[1]} --paired"


def test_a_baseline_that_moves_is_told(sides: tuple[Path, Path]) -> None:
    said: list[str] = []
    mbench.gate(*sides, options=mbench.GateOptions(update_baseline=True), note=said.append)
    assert said == [f"baseline {sides[0]} stays as it is: regressed"]


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ({"junitt": "a.xml"}, "there is no form 'junitt'; did you mean 'junit'?"),
        ({"xyz": "a.xml"}, "there is no form 'xyz'; expected one of: junit"),
        ({"html": "no/folder/page.html"}, "--html no/folder/page.html: the folder no/folder does not exist"),
    ],
)
def test_outputs_that_cannot_be_written_are_refused_first(
    run: Mbench, sides: tuple[Path, Path], outputs: dict[str, Path], said: str
) -> None:
    del run  # in an empty folder
    for judge in (
        lambda: mbench.gate(*sides, options=mbench.GateOptions(outputs=outputs)),
        lambda: mbench.compare(*sides, outputs={name: Path(path) for name, path in outputs.items()}),
    ):
        with pytest.raises(UsageError) as caught:
            judge()
        assert said in str(caught.value)
