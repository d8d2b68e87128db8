"""Shared by all tests: `require`, the command line, and this folder on the import path (pytest adds it)."""

from __future__ import annotations

import dataclasses
import gc
import os
import re
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import click
import pytest
import record_factory as factory
from hypothesis import settings

from mbench.cli import ending, main
from mbench.core import record_files, signals
from mbench.core.errors import MbenchError

settings.register_profile("mbench", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("mbench")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the tests in tests/integration out of what coverage is measured of (see pyproject.toml); calm torch.

    Its threads wait for each other by spinning, on processors that other tests use.
    """
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    for item in items:
        if "integration" in item.path.parts:
            item.add_marker("no_cover")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage while tests are imported, and none of that later: nearly all of it stays until the end."""
    gc.disable()
    try:
        found = yield
        gc.collect()
        gc.freeze()
    finally:
        gc.enable()
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print which commands of the documents no test runs, and why, where their tests ran."""
    reports = [each for kind in terminalreporter.stats.values() for each in kind if hasattr(each, "nodeid")]
    if not any("test_documents.py" in each.nodeid for each in reports):
        return
    import documents

    terminalreporter.section("commands of the documents that no test runs")
    for place, line, reason in documents.left_out():
        terminalreporter.write_line(f"{place}: {reason}: {line}")


def require(condition: object, reason: str) -> None:
    """Skip the test unless `condition` holds; with MBENCH_REQUIRE_ALL=1 fail instead, so that no skip goes unseen."""
    if condition:
        return
    if os.environ.get("MBENCH_REQUIRE_ALL") == "1":
        pytest.fail(f"required by MBENCH_REQUIRE_ALL: {reason}")
    pytest.skip(reason)


@dataclasses.dataclass
class Outcome:
    code: int
    out: str
    err: str


_PYTHON = re.compile(
    r"\[('[^']*'[,\]]|\w*\()|\{'[^']*': |\('[^']*', |\((\d+, )+\d*\)|Path\(|\[Errno|<\w+\.\w+: |<\w.* object at 0x"
    r"|\b[A-Z]\w+\([a-z_]+="
)
"""What lists, tuples, dicts, paths, exceptions, enums and structs look like where a message holds them as they are."""


@pytest.fixture(autouse=True)
def processors() -> Iterator[None]:
    """Give the next test the processors that this one had: TVM's runtime pins the thread that runs a kernel."""
    usable = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, usable)


@pytest.fixture(autouse=True)
def every_gpu_is_visible(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let recorded GPUs not depend on `CUDA_VISIBLE_DEVICES`; integration tests measure on the GPU that it names."""
    if request.path.parent.name == "unit":
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def handlers() -> Iterator[None]:
    """Leave the handlers of signals as they were."""
    before = {number: signal.getsignal(number) for number in signals.HEARD}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def messages_are_for_people(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test in which an error's message holds a value as Python writes it."""
    said: list[str] = []

    def keep(self: MbenchError, *arguments: object) -> None:
        said.extend(map(str, arguments))
        Exception.__init__(self, *arguments)

    monkeypatch.setattr(MbenchError, "__init__", keep, raising=False)
    yield
    assert [message for message in said if speaks_python(message)] == []


def speaks_python(message: str) -> bool:
    """Return whether a message holds a list, a tuple, a dict, … as Python writes it."""
    return _PYTHON.search(message) is not None


Mbench = Callable[..., Outcome]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Mbench]:
    """Return a function that runs the command line in this process, in an empty folder.

    A command can be given itself, in place of its name. Lines are as long as in a terminal of 80 columns.
    """
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("MBENCH_CONFIG_DIR", str(tmp_path / "config"))
    before = signal.getsignal(signal.SIGTERM)

    def invoke(*arguments: str | Path | click.Command) -> Outcome:
        words = (each.name if isinstance(each, click.Command) else each for each in arguments)
        monkeypatch.setattr(sys, "argv", ["mbench", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            ending.end(main.command_line)
        seen = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return Outcome(caught.value.code, seen.out, seen.err)

    yield invoke
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def record_file(tmp_path: Path) -> Path:
    """Return the file of a record of two networks."""
    file = tmp_path / "record.json"
    record_files.write(file, factory.record())
    return file


def assert_one_line(outcome: Outcome, *said: str, code: int = 2) -> None:
    assert (outcome.code, outcome.out) == (code, ""), outcome
    assert outcome.err.startswith("mbench: ")
    assert outcome.err.count("\n") == 1, outcome.err
    assert outcome.err.endswith("\n")
    for text in said:
        assert text in outcome.err
