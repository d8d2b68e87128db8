"""Searches by the API; what is found is made up here."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fit_factory
import msgspec
import pytest
import record_factory as factory

import mbench
from mbench.api import fit as api
from mbench.core import fit_files
from mbench.core.errors import UsageError
from mbench.core.fit_options import FitOptions
from mbench.fitting import finding

pytest_plugins = ("api_fixtures",)
pytestmark = pytest.mark.usefixtures("machine")
FOUND = fit_factory.record(measured=False)


def found(monkeypatch: pytest.MonkeyPatch, *, measured: bool = True, interrupted: bool = False) -> list[Any]:
    """Let searches find the same; return what they are asked."""
    asked: list[Any] = []

    def prepared(words: Any, target: str, _: Any, options: FitOptions, __: Any) -> Any:
        asked.append((words, target))
        return SimpleNamespace(path=options.output / "x.json"), None

    monkeypatch.setattr(finding, "prepared", prepared)
    record = factory.record(latency=False) if measured else None
    monkeypatch.setattr(finding, "find", lambda *_: (FOUND, record, interrupted))
    return asked


def test_it_writes_what_was_found_and_the_measurements_beside_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = found(monkeypatch)
    answer = mbench.fit("mobilenet_v2", options=mbench.FitOptions(max_latency_s=0.002, output=tmp_path))
    assert asked == [(("mobilenet_v2",), "host")]
    path = api.path_of(answer, tmp_path)
    assert answer.measured_record == "fit-search-measured.json"
    assert fit_files.read(path).measured_record == answer.measured_record
    assert mbench.read(path.with_name(answer.measured_record)).results
    mbench.report(path, path.with_suffix(".html"), plotlyjs="directory")
    assert FOUND.answers[0].network in path.with_suffix(".html").read_text(encoding="utf-8")


def test_where_nothing_was_measured_there_is_no_record(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found(monkeypatch, measured=False)
    answer = mbench.fit(options=mbench.FitOptions(max_latency_s=0.002, output=tmp_path))
    assert answer.measured_record is None
    assert [path.name for path in tmp_path.glob("fit*")] == ["fit-search.json"]


def test_an_interrupted_search_has_what_was_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found(monkeypatch, interrupted=True)
    with pytest.raises(mbench.FitInterrupted) as caught:
        mbench.fit(options=mbench.FitOptions(max_latency_s=0.002, output=tmp_path))
    assert caught.value.found.answers == FOUND.answers
    assert fit_files.read(caught.value.path).answers == FOUND.answers


def test_a_page_of_what_was_found_leads_to_measurements_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    fit_files.write(tmp_path / "a" / "fit.json", fit_factory.record())
    (tmp_path / "a" / fit_factory.MEASURED).with_suffix(".html").touch()
    page = mbench.report(tmp_path / "a" / "fit.json", tmp_path / "b" / "page.html", plotlyjs="directory")
    assert 'href="./../a/fit-search-measured.html#network=' in page.read_text(encoding="utf-8")


def test_what_was_found_has_a_page_alone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="search is what 'mbench fit' found, and has a page of its own"):
        mbench.report([factory.record(latency=False), FOUND], tmp_path / "page.html")
    strange = msgspec.structs.replace(FOUND, measured_record="../../etc/passwd")
    page = mbench.report(strange, tmp_path / "page.html", plotlyjs="directory").read_text(encoding="utf-8")
    assert "#network=" not in page
