"""The command that comes next: one line for people at a terminal, and none for programs."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import record_factory as factory
from command_process import ROOT
from conftest import Mbench
from gate_records import counted, one_layer

from mbench.cli import hints
from mbench.core import record_files
from mbench.pipeline import runner


@pytest.fixture
def at_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have hints printed as at a terminal."""
    monkeypatch.setattr(hints, "wanted", lambda *, hushed: not hushed)


def put(folder: Path, run_id: str, **changes: object) -> Path:
    file = folder / f"{run_id}.json"
    record_files.write(file, msgspec.structs.replace(factory.record(run_id=run_id), **changes))
    return file


@pytest.mark.usefixtures("at_terminal")
def test_after_a_run_the_one_before_is_compared(run: Mbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "run", lambda job, _: job.before)
    first = put(tmp_path, "20310101-000000-aaaaaa")
    assert run("run", "--resume", first).err.splitlines()[-1] == (
        f"next    after a change, run again, then: mbench compare {first} NEW.json"
    )
    second = put(tmp_path, "20310102-000000-bbbbbb")
    assert run("run", "--resume", second).err.splitlines()[-1] == f"next    mbench compare {first} {second}"
    for hushed in ("--json", "--quiet"):
        assert "next" not in run("run", "--resume", second, hushed).err


@pytest.mark.usefixtures("at_terminal")
def test_a_comparison_leads_to_a_gate_and_a_regression_to_a_comparison(run: Mbench, tmp_path: Path) -> None:
    base, slower = tmp_path / "base.json", tmp_path / "slower.json"
    record_files.write(base, counted(run_id="base"))
    record_files.write(slower, one_layer(counted(run_id="worse"), instructions=10**7))
    compared = run("compare", base, base)
    assert compared.err.splitlines()[-1] == f"next    mbench gate {base} {base}"
    assert run("compare", base, base, "--json").err == ""
    judged = run("gate", base, slower)
    assert judged.code == 1
    assert judged.err.splitlines()[-1] == f"next    mbench compare {base} {slower}"
    assert run("gate", base, slower, "--json").err == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_a_pipe_hears_no_hint(record_file: Path, terminal: bool) -> None:
    ours, theirs = pty.openpty() if terminal else os.pipe()[::1]
    command = [sys.executable, "-m", "mbench", "compare", str(record_file), str(record_file)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=theirs, env=environment, check=True)
    os.write(theirs, b".")  # a read of nothing would wait
    said = os.read(ours, 4096).decode()
    assert ("next    mbench gate" in said) == terminal
