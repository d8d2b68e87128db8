"""`mbench show` as a user runs it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest
import record_factory as factory
from conftest import Mbench, assert_one_line
from session_records import in_sessions

from mbench.cli.report import report
from mbench.cli.run import run as run_command
from mbench.cli.show import show
from mbench.core import record_files
from mbench.pipeline import runner


def test_line_breaks_and_control_characters_in_arguments_stay_in_the_line(run: Mbench) -> None:
    outcome = run(show, "a\nb\x1b[31m\udcff.json")
    assert_one_line(outcome, "a b\\x1b[31m\\xff.json")


@pytest.mark.parametrize("disturbed", [(), factory.PAIR])
def test_it_prints_what_the_run_printed(
    run: Mbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disturbed: tuple[str, ...]
) -> None:
    file = tmp_path / "record.json"
    record_files.write(file, in_sessions(factory.record(), disturbed=disturbed))
    monkeypatch.setattr(runner, "run", lambda job, _: job.before)
    ran, shown = run(run_command, "--resume", file), run(show, file)
    assert shown.out == ran.out
    assert ("disturbed" in shown.out) == bool(disturbed)
    assert len(shown.out.splitlines()) <= 22


def test_hostile_names_reach_no_terminal(run: Mbench, tmp_path: Path) -> None:
    record = factory.hostile(factory.record())
    file = tmp_path / "record.json"
    spoiled = msgspec.structs.replace(record.host, cpu="\x1b]0;owned\x07\x1b[2J")
    record_files.write(file, msgspec.structs.replace(record, host=spoiled))
    outcome = run(show, file)
    assert outcome.code == 0
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", outcome.out)


BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "cut": (b'{"format_version": 1, "run_id": "x', "truncated"),
    "binary": (bytes(range(256)), "not a whole JSON document"),
    "list": (b"[]", "no format_version"),
    "newer": (b'{"format_version": 3}', "format_version is 3, this mbench reads up to 2: newer format"),
    "bare": (b'{"format_version": 1}', "missing required field"),
    "deep": (b"[" * 100_000, "not a whole JSON document"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files(run: Mbench, tmp_path: Path, record_file: Path, name: str) -> None:
    content, said = BAD_FILES[name]
    file = tmp_path / f"{name}.json"
    file.write_bytes(content)
    assert_one_line(run(show, file), str(file), said)
    assert_one_line(run(show, file, "--json"), str(file), said)
    assert_one_line(run(report, record_file, file, "-o", "page.html"), str(file), said)
    assert list(Path.cwd().iterdir()) == []


def test_a_near_name_beside_a_record_that_is_not_there_is_offered(run: Mbench, record_file: Path) -> None:
    there = record_file.with_name("recrod.json")
    assert_one_line(run(show, there), "cannot be read: No such file or directory; did you mean 'record.json'?")
    assert_one_line(run(show, "none/record.json"), "No such file or directory\n")


def test_of_a_folder_the_newest_record_is_shown(run: Mbench, tmp_path: Path) -> None:
    first = factory.record()
    newer = msgspec.structs.replace(factory.record(run_id="newer"), created_at_utc="2031-01-01T00:00:00Z")
    for record in (newer, first):
        record_files.write(tmp_path / f"{record.run_id}.json", record)
    shown = run(show, tmp_path, "--json")
    assert json.loads(shown.out)["run_id"] == "newer"
    assert shown.err.strip() == f"record  {tmp_path / 'newer.json'}"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert_one_line(run(show, empty), f"{empty}: no record there; expected *.json that 'mbench run' wrote")
