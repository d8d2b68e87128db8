"""Where files lie, for users without a home too; and what does not hang on the clock on the wall."""

from __future__ import annotations

import ast
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Mbench, assert_one_line

import mbench
from mbench.core import resources
from mbench.core.errors import UsageError
from mbench.devices import registry
from mbench.tuning import choice_files

FOLDERS = {
    "MBENCH_CACHE_DIR": (resources.cache_dir, Path(".cache/mbench")),
    "MBENCH_TUNED_DIR": (choice_files.folder, Path(".local/share/mbench/tuned")),
    "MBENCH_CONFIG_DIR": (lambda: registry.file().parent, Path(".config/mbench")),
}


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no variable that names a folder."""
    for name in (*FOLDERS, "HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def no_home(bare: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a user whom the system does not know, as in a container that is started with a number for a user."""

    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", unknown)


@pytest.mark.parametrize("variable", FOLDERS)
def test_folders(bare: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str) -> None:
    folder, usual = FOLDERS[variable]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder() == tmp_path / usual
    monkeypatch.setenv(variable, str(tmp_path / "chosen"))
    assert folder() == tmp_path / "chosen"
    monkeypatch.setenv(variable, "")
    assert folder() == tmp_path / usual


@pytest.mark.parametrize("variable", FOLDERS)
def test_without_a_home(no_home: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str) -> None:
    folder: Callable[[], Path] = FOLDERS[variable][0]
    with pytest.raises(UsageError, match=f"no home folder.*{variable}"):
        folder()
    monkeypatch.setenv(variable, str(tmp_path))
    assert folder() == tmp_path


@pytest.mark.parametrize(
    "command",
    [("run", "mobilenet_v1_0.25_32"), ("targets", "host"), ("device", "list"), ("tune", "mobilenet_v1_0.25_32")],
)
def test_commands_without_a_home(run: Mbench, no_home: None, command: tuple[str, ...]) -> None:
    assert_one_line(run(*command), "this user has no home folder; set HOME, or choose")
    assert list(Path.cwd().iterdir()) == []


def test_a_home_that_is_no_folder(run: Mbench, bare: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/dev/null")
    outcome = run("run", "mobilenet_v1_0.25_32", "--target", "x86_64_v2", "--compile-only")
    assert_one_line(outcome, "the cache folder /dev/null/.cache/mbench", "MBENCH_CACHE_DIR")


def test_no_time_between_two_moments_is_read_from_the_clock_on_the_wall() -> None:
    """It is set, also backwards: what lasts is measured by clocks that only go forward."""
    for file in Path(mbench.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert (node.value.id, node.attr) not in {("time", "time"), ("time", "time_ns")}, file
