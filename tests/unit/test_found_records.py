"""Folders are taken wherever records are: what of them counts."""

from __future__ import annotations

import json
from pathlib import Path

import fit_factory
import msgspec
import pytest
import record_factory as factory
from conftest import Mbench, assert_one_line

import mbench
from mbench.analysis import found_records
from mbench.core import fit_files, record_files
from mbench.core.errors import RecordError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of two jobs and a search, as `mbench-results` is after a while."""
    found = tmp_path / "mbench-results"
    found.mkdir()
    for day, networks in ((1, factory.PAIR), (2, ("mobilenet_v1_0.25_32",))):
        record = factory.record(networks, run_id=f"run-{day}")
        record_files.write(
            found / f"run-{day}.json", msgspec.structs.replace(record, created_at_utc=f"2031-01-0{day}T00:00:00Z")
        )
    fit = msgspec.structs.replace(fit_factory.record(), created_at_utc="2030-01-01T00:00:00Z")
    fit_files.write(found / "fit.json", fit)
    return found


def test_records_of_a_folder_are_those_that_are_no_search(folder: Path) -> None:
    assert [record.run_id for _, record in found_records.read(folder)] == ["run-1", "run-2"]
    assert [file.name for file, _ in found_records.read(folder / "run-*.json")] == ["run-1.json", "run-2.json"]
    with pytest.raises(RecordError, match=r"fit\.json"):
        found_records.read(folder / "fit.json")
    for each in ("run-1.json", "run-2.json"):
        (folder / each).unlink()
    with pytest.raises(RecordError, match="no record there but of 'mbench fit'"):
        found_records.read(folder)


def test_the_newest_of_a_folder_is_shown_whatever_else_lies_there(run: Mbench, folder: Path) -> None:
    shown = run("show", folder, "--json")
    assert json.loads(shown.out)["run_id"] == "run-2"
    assert "run-2.json" in shown.err
    assert found_records.newest(folder / "fit.json")[0] == folder / "fit.json"


def test_a_page_of_a_folder_has_all_its_records(run: Mbench, folder: Path) -> None:
    done = run("report", folder, "-o", "all.html")
    assert (done.code, done.err) == (0, "")
    page = Path("all.html").read_text(encoding="utf-8")
    assert "run-1" in page
    assert "run-2" in page


def test_one_job_in_a_folder_is_compared_beside_a_search(run: Mbench, folder: Path) -> None:
    (folder / "run-2.json").unlink()
    assert run("compare", folder, folder / "run-1.json").code == 0


def test_a_table_and_a_history_of_a_folder_leave_searches_out(run: Mbench, folder: Path) -> None:
    assert set(mbench.load(folder)["run_id"]) == {"run-1", "run-2"}
    added = run("history", "add", folder, "--store", "h.db", "--json")
    assert (added.code, json.loads(added.out)["new"]) == (0, 2)


@pytest.mark.parametrize("command", [("show",), ("report", "-o", "x.html"), ("compare", "x"), ("gate", "x")])
def test_an_empty_folder_is_one_line(run: Mbench, command: tuple[str, ...]) -> None:
    Path("empty").mkdir()
    assert_one_line(run(command[0], "empty", *command[1:]), "empty: no record there; expected *.json")
