"""`mbench fit` as a user runs it; what it finds is `mbench.fitting`'s, and made up here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fit_factory
import msgspec
import pytest
import record_factory as factory
from conftest import Mbench, assert_one_line

from mbench.api import fit as api
from mbench.cli import fit as command
from mbench.cli.compare import compare
from mbench.cli.report import report
from mbench.cli.schema import schema
from mbench.cli.show import show
from mbench.core import fit_files, record_files
from mbench.core.errors import OutputError
from mbench.core.fit_options import FitOptions
from mbench.core.fit_records import DeviceLimits, FitRecord

FIT = command.fit
FOUND = fit_factory.record()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[str, ...], FitOptions]]:
    """Return what searches are asked for; each finds the same."""
    seen: list[tuple[tuple[str, ...], FitOptions]] = []

    def found(families: tuple[str, ...], *, options: FitOptions, **_: Any) -> FitRecord:
        seen.append((families, options))
        options.output.mkdir(exist_ok=True)
        record_files.write(options.output / fit_factory.MEASURED, factory.record(latency=False))
        fit_files.write(options.output / "fit-search.json", FOUND)
        return FOUND

    monkeypatch.setattr(api, "fit", found)
    return seen


def test_amounts_become_limits_in_si_units(run: Mbench, asked: list[Any]) -> None:
    words = ("mobilenet_v2", "--max-latency", "2ms", "--max-memory", "4MB", "--max-weights", "1MiB")
    outcome = run(FIT, *words, "--max-energy", "5mJ", "--min-accuracy", "65", "--time", "2min")
    assert outcome.code == 0
    [(families, options)] = asked
    assert families == ("mobilenet_v2",)
    assert options.limits == DeviceLimits(
        latency_s=0.002, memory_bytes=4e6, weight_bytes=2**20, energy_j=0.005, accuracy_percent=65
    )
    assert options.time_s == 120


def test_it_writes_a_page_that_leads_to_the_measurements(run: Mbench, asked: list[Any]) -> None:
    outcome = run(FIT, "--max-latency", "2ms")
    assert "record  mbench-results/fit-search.json" in outcome.err
    assert "page    mbench-results/fit-search.html" in outcome.err
    page = Path("mbench-results/fit-search.html").read_text(encoding="utf-8")
    assert 'href="./fit-search-measured.html#network=' in page
    assert Path("mbench-results/fit-search-measured.html").is_file()
    assert FOUND.answers[0].network in outcome.out


def test_json_is_one_document_that_is_the_file(run: Mbench, asked: list[Any]) -> None:
    outcome = run(FIT, "--max-latency", "2ms", "--json")
    assert json.loads(outcome.out) == json.loads(Path("mbench-results/fit-search.json").read_bytes())


def test_without_an_answer_or_a_page_it_does_not_end_as_done(
    run: Mbench, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OutputError("page.html cannot be written")

    monkeypatch.setattr("mbench.api.report.report", refuse)
    outcome = run(FIT, "--max-latency", "2ms")
    assert outcome.code == 4
    assert "page.html cannot be written" in outcome.err


def test_an_interrupted_search_shows_what_it_has(run: Mbench, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: Any, options: FitOptions, **__: Any) -> FitRecord:
        options.output.mkdir()
        raise api.FitInterrupted(
            msgspec.structs.replace(FOUND, measured_record=None), options.output / "fit-search.json"
        )

    monkeypatch.setattr(api, "fit", stopped)
    outcome = run(FIT, "--max-latency", "2ms")
    assert outcome.code == 130
    assert "interrupted: what was measured is kept" in outcome.err
    assert FOUND.answers[0].network in outcome.out
    assert Path("mbench-results/fit-search.html").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no limit is given"),
        (("--max-latency", "20"), "a time, such as 20ms"),
        (("--max-memory", "0MB"), "nothing fits"),
        (("--min-accuracy", "0.7"), "write 70"),
        (("--max-latency", "1ms", "--minimize", "energy"), "--min-accuracy"),
        (("--max-latency", "1ms", "--minimize", "speed"), "speed"),
        (("resnet50", "--max-latency", "1ms"), "resnet50"),
    ],
)
def test_wrong_use_is_refused_in_a_line(run: Mbench, words: tuple[str, ...], said: str) -> None:
    assert_one_line(run(FIT, *words), said)
    assert list(Path.cwd().iterdir()) == []


@pytest.fixture
def fit_file(tmp_path: Path) -> Path:
    fit_files.write(tmp_path / "fit.json", FOUND)
    return tmp_path / "fit.json"


def test_show_and_report_take_its_file(run: Mbench, fit_file: Path) -> None:
    shown = run(show, fit_file)
    assert shown.code == 0
    assert FOUND.answers[0].network in shown.out
    assert json.loads(run(show, fit_file, "--json").out)["kind"] == "fit"
    assert run(report, fit_file, "-o", "page.html", "--plotlyjs", "directory").code == 0
    page = Path("page.html").read_text(encoding="utf-8")
    assert "is the most accurate that fits" in page
    assert "-measured.html" not in page  # it is not there


def test_its_file_is_refused_beside_records_and_where_records_are_expected(
    run: Mbench, fit_file: Path, record_file: Path
) -> None:
    assert_one_line(run(report, record_file, fit_file, "-o", "page.html"), f"{fit_file} is what 'mbench fit' found")
    assert_one_line(run(compare, record_file, fit_file), f"{fit_file} is what 'mbench fit' found, not a record")


def test_the_schema_of_its_file(run: Mbench) -> None:
    assert json.loads(run(schema, "fit").out) == json.loads(json.dumps(fit_files.json_schema()))
    assert_one_line(run(schema, "page"), "'page'")


def test_hostile_names_reach_no_terminal(run: Mbench, tmp_path: Path) -> None:
    escape = "\x1b]0;owned\x07"
    first = FOUND.candidates[0]
    spoiled = msgspec.structs.replace(first, network=msgspec.structs.replace(first.network, name=f"a{escape}"))
    answer = msgspec.structs.replace(FOUND.answers[0], next_better=spoiled.network.name, next_over=(escape,))
    found = msgspec.structs.replace(
        FOUND, candidates=(spoiled, *FOUND.candidates[1:]), answers=(answer,), open=(escape,), certain=False
    )
    fit_files.write(tmp_path / "fit.json", found)
    outcome = run(show, tmp_path / "fit.json")
    assert outcome.code == 0
    assert "\x1b" not in outcome.out
    assert "\\x1b" in outcome.out
