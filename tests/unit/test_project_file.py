"""`mbench.toml`: what it may hold, and what it says of a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbench.cli import main
from mbench.core import project_file
from mbench.core.errors import UsageError


def test_every_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MBENCH_STORE", raising=False)
    assert project_file.read() == project_file.ProjectFile()
    assert project_file.store() is None
    text = '[gate.thresholds]\nlatency = "3%"\n[history]\nstore = "a.db"\n'
    Path("mbench.toml").write_text(text)
    assert project_file.read().gate.thresholds == {"latency": "3%"}
    assert project_file.store() == "a.db"
    monkeypatch.setenv("MBENCH_STORE", "b.db")
    assert project_file.store() == "b.db"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[history]\nstores = 'a.db'\n", "history.stores: unknown key; did you mean 'store'?"),
        ("[history]\nstore = 1\n", "history.store: got 1, expected a string"),
        ("[gate.treshold]\n", "gate.treshold: unknown key"),
        ("gate = 3\n", "gate: got 3, expected a table"),
        ("[histories]\n", "histories: unknown key; did you mean 'history'?"),
        ("run = 3\n", "run: unknown key"),
    ],
)
def test_what_it_may_not_hold(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "mbench.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        project_file.read(file)
    assert said in str(caught.value)


def test_commands_are_those_of_the_command_line() -> None:
    assert set(project_file.COMMANDS) == set(main.main.commands)


def test_defaults_of_options_are_not_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "mbench.toml"
    file.write_text("[run]\nthreads = 1\n[gate]\npaired = true\n[history.list]\nbranch = 'main'\n")
    assert project_file.read(file) == project_file.ProjectFile()


def test_a_file_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        project_file.read(tmp_path / "none.toml")
