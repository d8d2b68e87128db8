"""What ends the command line: errors, defects, signals, imports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import record_factory as factory
from conftest import Mbench, assert_one_line

import mbench
from mbench.cli import ending
from mbench.core import exits, record_files
from mbench.core.errors import UsageError
from mbench.core.exits import Exit
from mbench.hardware import host
from mbench.page import report
from mbench.pipeline import runner

ROOT = Path(mbench.__file__).parent.parent
QUICK = ("run", "mobilenet_v1_0.25_32", "--target", "x86_64_v2", "--repeat", "3")


def raising(error: BaseException) -> Callable[..., Any]:
    def raise_it(*_: object) -> None:
        raise error

    return raise_it


ENDS: dict[str, tuple[BaseException, int, str]] = {
    "import": (ImportError("No module named 'tvm'"), 4, "No module named 'tvm'"),
    "memory": (MemoryError(), 4, "out of memory"),
    "recursion": (RecursionError("maximum recursion depth exceeded"), 4, "RecursionError"),
    "system": (OSError(24, "Too many open files", "/x/y"), 4, "too many open files; open files are limited to"),
    "file": (OSError(5, "Input/output error", "/x/y"), 4, "/x/y: Input/output error"),
}


@pytest.mark.parametrize("name", ENDS)
def test_what_is_raised_becomes_one_line(run: Mbench, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    error, code, said = ENDS[name]
    monkeypatch.setattr(runner, "run", raising(error))
    assert_one_line(run(*QUICK), said, code=code)


def test_no_error_is_taken_for_a_regression() -> None:
    assert {exits.decide(code, unprinted=True) for code in Exit} == {1, 2, 4, 130}
    assert all(exits.decide(code, unprinted=False) is code for code in Exit)
    assert [name for name, code in exits.VERDICTS.items() if code == Exit.REGRESSED] == ["regressed"]


IMPORTS = {
    "import sys; sys.modules['click'] = None": 4,
    """
import sys
class Interrupts:
    def find_spec(self, name, *_):
        if name == "click":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupts())
""": 130,
}


@pytest.mark.parametrize("before", IMPORTS)
def test_imports_that_fail_or_are_interrupted(before: str) -> None:
    program = f"{before}\nfrom mbench.__main__ import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (IMPORTS[before], "")
    assert done.stderr.startswith("mbench: ")
    assert done.stderr.count("\n") == 1


# ------------------------------------------------------------------------------------------------------------- signals
@pytest.fixture
def unfinished(tmp_path: Path) -> Path:
    """Return a record of this machine that lacks one of its variants, under a name that a shell takes apart."""
    record = factory.record(factory.PAIR[:1], failed=factory.PAIR[1:])
    file = tmp_path / "it's $(here); \x1b[31m.json"
    record_files.write(file, msgspec.structs.replace(record, host=host.describe()))
    return file


def hint(err: str) -> list[str]:
    """Return the words that a shell makes of the command that is hinted at, whatever escapes are in it."""
    [line] = [line for line in err.splitlines() if line.startswith("interrupted: ")]
    command = line.partition("go on with: ")[2]
    said = subprocess.run(["bash", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True)
    return said.stdout.splitlines()


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize("second", [*SIGNALS, None])
@pytest.mark.parametrize("first", SIGNALS)
def test_signals_in_a_run(
    run: Mbench, unfinished: Path, monkeypatch: pytest.MonkeyPatch, first: int, second: int | None
) -> None:
    def measure(*_: object) -> None:
        try:
            signal.raise_signal(first)
        finally:  # while children are ended and what was measured is written
            if second is not None:
                signal.raise_signal(second)
            (unfinished.parent / "cleaned up").touch()

    monkeypatch.setattr(runner, "run", measure)
    before = [signal.getsignal(number) for number in SIGNALS]
    outcome = run("run", "--resume", unfinished)
    assert outcome.code == 130
    assert (unfinished.parent / "cleaned up").exists()
    assert len(record_files.read(unfinished).results) == 1
    assert unfinished.with_suffix(".html").exists()
    assert hint(outcome.err) == ["mbench", "run", "--resume", str(unfinished)]
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_the_page_is_made(
    run: Mbench, unfinished: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """All was measured: the hint is of the page."""
    whole = msgspec.structs.replace(record_files.read(unfinished), failures=())
    settings = msgspec.structs.replace(whole.settings, variants=factory.PAIR[:1])

    def measure(job: Any, _: object) -> None:
        record_files.write(job.path, msgspec.structs.replace(whole, settings=settings))

    monkeypatch.setattr(runner, "run", measure)
    monkeypatch.setattr(report, "write", lambda *_, **__: signal.raise_signal(number))
    outcome = run("run", "--resume", unfinished)
    assert outcome.code == 130
    assert hint(outcome.err) == ["mbench", "report", str(unfinished), "-o", str(unfinished.with_suffix(".html"))]


def test_sigpipe_ends_nothing(run: Mbench, unfinished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(job: Any, _: object) -> None:
        signal.raise_signal(signal.SIGPIPE)
        record_files.write(job.path, msgspec.structs.replace(job.before, failures=()))

    monkeypatch.setattr(runner, "run", measure)
    assert run("run", "--resume", unfinished).code == 0


def test_what_the_caller_had_ignored_stays_ignored(
    run: Mbench, unfinished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(job: Any, _: object) -> None:
        signal.raise_signal(signal.SIGHUP)
        record_files.write(job.path, msgspec.structs.replace(job.before, failures=()))

    monkeypatch.setattr(runner, "run", measure)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        assert run("run", "--resume", unfinished).code == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_interrupt_in_code_that_was_compiled_from_a_text_ends_as_any_other(tmp_path: Path) -> None:
    """A data class is made by such code, and Python's `-m` remembers an interrupt in it."""
    (tmp_path / "interrupted.py").write_text(
        "from mbench.cli import ending\nending.end(lambda: exec('raise KeyboardInterrupt'), of_process=True)\n"
    )
    for words in (["-m", "interrupted"], ["interrupted.py"]):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), *sys.path)), "PYTHONSAFEPATH": "1"}
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (130, "mbench: interrupted\n"), words


@pytest.mark.parametrize(
    ("work", "code", "said"),
    [
        (lambda: 3, 3, ""),
        (raising(UsageError("no such thing")), 2, "mbench: no such thing\n"),
        (raising(KeyboardInterrupt()), 130, "mbench: interrupted\n"),
        (raising(SystemExit(0)), 4, "SystemExit: 0\n"),
    ],
)
def test_work_ends_with_its_own_status_or_that_of_what_it_raised(
    work: Callable[[], int], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        ending.end(work)
    assert caught.value.code == code
    assert capsys.readouterr().err.endswith(said)
