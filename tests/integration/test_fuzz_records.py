"""Records that nobody wrote, given to the command line: it may refuse them in a line, and never fall over them.

A thousand cases by default. `MBENCH_FUZZ_SEED` and `MBENCH_FUZZ_CASES` (`0-999`, or one) choose others, and
`MBENCH_FUZZ_SECONDS` goes on until time is up, with every command for each. What fails is kept in a folder whose name
is printed: a file that shows a fault goes to `tests/data/records`, all of which are given to every command too.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import msgspec
import pytest
import record_factory as factory
import record_mutations as mutations
from sustained_factory import sustained, with_sustained

import mbench
from mbench.cli import ending, main
from mbench.core import record_files
from mbench.core.errors import MbenchError
from mbench.core.records import Record, Result
from mbench.hardware import host
from mbench.pipeline import runner

KEPT = Path(__file__).parents[1] / "data" / "records"
SEED = os.environ.get("MBENCH_FUZZ_SEED", "20250301")
FIRST, _, LAST = os.environ.get("MBENCH_FUZZ_CASES", "0-999").partition("-")
SECONDS = float(os.environ.get("MBENCH_FUZZ_SECONDS", "0"))
HANGS_AFTER_S = 120
"""Only a hang takes so long: the slowest case takes a few seconds."""
MOST_LINES = 6
LONGEST_LINE = 2000
LAYERS = ("conv0", "block1.dw", "block1.pw", "block1.conv", "pool", "fc")


class Command(NamedTuple):
    """What is run on the record BAD, with a good one GOOD beside it, and the exit codes that it may have."""

    words: tuple[str, ...]
    codes: tuple[int, ...]
    json: bool = False


_GATE_FILES = ("--junit", "j.xml", "--markdown", "m.md", "--benchmark-action", "a.json", "--bencher", "b.json",
               "--html", "g.html")  # fmt: skip
SHOW = Command(("show", "BAD"), (0, 2))
COMMANDS = {
    "json": Command(("show", "BAD", "--json"), (0, 2), json=True),
    "report": Command(("report", "BAD", "-o", "page.html", "--plotlyjs", "directory"), (0, 2)),
    "report of two": Command(("report", "GOOD", "BAD", "-o", "page.html", "--plotlyjs", "directory"), (0, 2)),
    "compare": Command(
        ("compare", "GOOD", "BAD", "--json", "--markdown", "m.md", "--html", "c.html"), (0, 2, 3, 4), json=True
    ),
    "compare base": Command(("compare", "BAD", "GOOD"), (0, 2, 3, 4)),
    "gate": Command(("gate", "GOOD", "BAD", "--json", *_GATE_FILES), (0, 1, 2, 3, 4), json=True),
    "gate base": Command(("gate", "BAD", "GOOD", "--annotations", *_GATE_FILES), (0, 1, 2, 3, 4)),
    "resume": Command(("run", "--resume", "BAD", "--json"), (0, 2, 4), json=True),
}  # fmt: skip


class _HangError(BaseException):
    """Raised by the clock: nothing on the way catches it."""


class Case(NamedTuple):
    """A record to be read, and how it came to be."""

    name: str
    data: bytes
    said: str


# ------------------------------------------------------------------------------------------------------- good records
def _few_layers(result: Result) -> Result:
    """Keep a few layers, so that a case takes milliseconds."""
    layers = factory.chained(layer for layer in result.layers if layer.name in LAYERS)
    return msgspec.structs.replace(result, layers=layers)


def _small(record: Record) -> Record:
    return msgspec.structs.replace(record, results=tuple(map(_few_layers, record.results)))


PAIR = ("mobilenet_v1_0.25_128", "mobilenet_v1_0.25_128_standard")


@functools.cache
def good() -> dict[str, bytes]:
    """Return records of each kind, as files hold them."""
    timed = functools.partial(factory.record, PAIR, repeat=40, layer_repeat=5)
    failed = ("mobilenet_v1_0.25_160",)
    curves = (sustained(count=60), sustained(lambda now_s: 5e-3 * (1 + now_s / 60), count=60))
    kinds = {
        "timed": timed(failed=failed),
        "compiled": factory.record(PAIR, latency=False, failed=failed),
        "counted": with_sustained(factory.counted(timed(failed=failed)), *curves),
        "emulated": factory.emulated(PAIR),
        "board": factory.on_board(timed(failed=failed)),
        "gpu": factory.on_gpu(timed(failed=failed)),
        "sessions": factory.in_sessions(timed(failed=failed), disturbed=(1,)),
        "disturbed": factory.in_sessions(timed(failed=failed), count=2, disturbed=(0, 1)),
        "sustained": with_sustained(timed(failed=failed), *curves),
    }
    return {name: record_files.encode(_small(record)) for name, record in kinds.items()}


# ---------------------------------------------------------------------------------------------------------- one command
@contextlib.contextmanager
def _streams() -> Iterator[tuple[io.BytesIO, io.BytesIO]]:
    out, err = io.BytesIO(), io.BytesIO()
    before = sys.stdout, sys.stderr
    wrapped = [io.TextIOWrapper(raw, "utf-8", write_through=True) for raw in (out, err)]
    sys.stdout, sys.stderr = wrapped
    try:
        yield out, err
    finally:
        sys.stdout, sys.stderr = before
        for stream in wrapped:  # which would close what is inside
            stream.detach()


def _hang(*_: object) -> None:
    raise _HangError(f"still running after {HANGS_AFTER_S} s")


def run(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str, str]:
    """Run the command line in this process; return exit code, standard output, standard error."""
    handlers = [(number, signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGALRM)]
    signal.signal(signal.SIGALRM, _hang)
    signal.setitimer(signal.ITIMER_REAL, HANGS_AFTER_S)
    monkeypatch.setattr(sys, "argv", ["mbench", *words])
    try:
        with warnings.catch_warnings(), _streams() as (out, err):
            warnings.simplefilter("error", RuntimeWarning)  # numpy's, that would be lines on standard error
            with pytest.raises(SystemExit) as caught:
                ending.end(main.command_line)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in handlers:
            signal.signal(number, handler)
    assert isinstance(caught.value.code, int)
    return caught.value.code, out.getvalue().decode(), err.getvalue().decode()


def _strict(text: str) -> Any:
    def refuse(token: str) -> None:
        raise AssertionError(f"{token} is no JSON")

    return json.loads(text, parse_constant=refuse)


def check(command: Command, case: Case, monkeypatch: pytest.MonkeyPatch) -> int:
    """Assert what holds for every record; return the exit code."""
    folder = Path.cwd()
    for file in folder.iterdir():
        file.unlink()
    (folder / "BAD").write_bytes(case.data)
    (folder / "GOOD").write_bytes(good()["counted"])
    code, out, err = run(command.words, monkeypatch)
    assert code in command.codes, f"exit code {code}: {err[-3000:]}"
    lines = err.splitlines()
    assert "Traceback" not in err, err
    assert len(lines) <= MOST_LINES, err
    assert all(len(line) <= LONGEST_LINE and line.isprintable() for line in lines), ascii(err)
    if code == 2:
        assert len(lines) == 1, err
        assert not out
        assert sorted(file.name for file in folder.iterdir()) == ["BAD", "GOOD"]
    if command.json and out:
        _strict(out)
    for name in ("a.json", "b.json"):
        if (folder / name).exists():
            _strict((folder / name).read_text())
    if (folder / "j.xml").exists():
        ElementTree.parse(folder / "j.xml")
    assert (folder / "BAD").read_bytes() == case.data, "the record was changed"
    assert (folder / "GOOD").read_bytes() == good()["counted"]
    return code


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty working folder, on the machine of the records; what `run` would do is replaced by nothing."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("MBENCH_CONFIG_DIR", str(tmp_path / "config"))
    machine = factory.record(PAIR).host
    monkeypatch.setattr(host, "describe", lambda *_, **__: machine)
    monkeypatch.setattr(runner, "run", lambda *_: None)
    return folder


def _failed(case: Case, name: str, error: BaseException) -> str:
    """Keep a case that failed, and return how to repeat it."""
    folder = Path(tempfile.mkdtemp(prefix="mbench-fuzz-"))
    (folder / "BAD").write_bytes(case.data)
    shutil.copyfile("GOOD", folder / "GOOD")
    return f"case {case.name}, {name}: {case.said}\nkept in {folder / 'BAD'}\n{type(error).__name__}: {error}"


# ---------------------------------------------------------------------------------------------------------------- tests
def cases() -> Iterator[Case]:
    end = itertools.count(int(FIRST)) if SECONDS else range(int(FIRST), int(LAST or FIRST) + 1)
    for number in end:
        generator = random.Random(f"{SEED}-{number}")
        kind = generator.choice(sorted(good()))
        data, said = mutations.mutated(good()[kind], generator)
        yield Case(f"MBENCH_FUZZ_SEED={SEED} MBENCH_FUZZ_CASES={number}", data, f"{kind}: {said}")


def test_no_record_makes_the_command_line_fall_over(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    print(f"seed {SEED}")  # noqa: T201 - it repeats the run
    until_s = time.monotonic() + SECONDS
    wrong, taken, seen = [], 0, 0
    for number, case in enumerate(cases()):
        if SECONDS and time.monotonic() > until_s:
            break
        seen += 1
        names = list(COMMANDS) if SECONDS else [list(COMMANDS)[(number + step) % len(COMMANDS)] for step in (0, 3)]
        for said, command in (("show", SHOW), *((name, COMMANDS[name]) for name in names)):
            try:
                code = check(command, case, monkeypatch)
            except (Exception, _HangError, pytest.fail.Exception) as error:  # noqa: BLE001 - told, all at the end
                wrong.append(_failed(case, said, error))
                break
            if said == "show" and code == 2:
                break  # refused here, refused by all: `test_every_reader_refuses_alike`
            taken += said == "show"
    print(f"{seen} cases, {taken} of them read as records")  # noqa: T201
    assert not wrong, "\n\n".join([f"{len(wrong)} cases failed", *wrong[:40]])
    assert taken >= seen // 10, "hardly any case is read as a record: the mutations are too wild to find anything"


@pytest.mark.parametrize("name", ["show", *COMMANDS])
@pytest.mark.parametrize("kind", ["timed", "compiled", "counted", "emulated", "board", "gpu", "sustained"])
def test_the_records_that_are_mutated_are_good(
    here: Path, monkeypatch: pytest.MonkeyPatch, kind: str, name: str
) -> None:
    case = Case(kind, good()[kind], "as it is")
    assert check(COMMANDS.get(name, SHOW), case, monkeypatch) != 2 or (name, kind) in (
        ("resume", "emulated"), ("resume", "board"), ("resume", "gpu"), ("resume", "compiled"),
    )  # fmt: skip


@pytest.mark.parametrize("file", sorted(KEPT.rglob("*.json")), ids=lambda file: str(file.name))
def test_records_that_were_a_fault_once(here: Path, monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    for command in (SHOW, *COMMANDS.values()):
        check(command, Case(file.name, file.read_bytes(), "kept"), monkeypatch)


def test_every_reader_refuses_alike(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = 0
    for case in itertools.islice(cases(), 40):
        codes = {name: check(command, case, monkeypatch) for name, command in COMMANDS.items()}
        try:
            record_files.decode(case.data, source="BAD")
        except MbenchError as error:
            refused += 1
            assert set(codes.values()) == {2}, (case.said, codes)
            with pytest.raises(type(error)):
                mbench.load("BAD")
        else:
            mbench.load("BAD")
    assert refused
