"""Whatever standard output and error are, work is done, and the exit status says what became of it."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest
import record_factory as factory
from conftest import require

import mbench
from mbench.cli import streams
from mbench.core import record_files
from mbench.hardware import host

ROOT = Path(mbench.__file__).parent.parent
STATES = {
    "closed": "{}>&-",
    "full": "{}>/dev/full",
    "read-only": "{}</dev/null",
    "unread": "{}>&9",  # a pipe whose reader has left
}
RUN = """
from mbench.pipeline import runner
from mbench.core import record_files
def measure(job, progress):
    for name in job.settings.variants:
        progress.stage(name, "measuring", 0.5)
    open(job.path.with_name("measured"), "w").close()
    record_files.write(job.path, job.before)
    return job.before
runner.run = measure
"""
TUNE = """
import pathlib
from mbench.pipeline import options
from mbench.tuning import tuner, tuning_result
from mbench.terminal import tuning_tables
from mbench.terminal.listings import Listing
class Tuner:
    waiting = ()
    def __init__(self, job): self.job = job
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def find(self, say): say("looking")
    def run(self, shown): shown.stage("kernel", "timing", 0.5)
    def unconfirmed(self): return ["network"]
    def confirm(self, shown): pathlib.Path("measured").touch()
    def result(self):
        rest = dict.fromkeys(("kernels", "waiting", "networks", "failures"), ())
        return tuning_result.TuningResult(target="x", threads=1, file=self.job.file, **rest)
tuner.Tuner, options.prepare_tuning = Tuner, lambda _: None
tuning_tables.listing = lambda _: Listing(["tuned"], {})
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a record, one that is worse, and one that is to be gone on with."""
    made = tmp_path_factory.mktemp("records")
    good = factory.counted(factory.record(("mobilenet_v1_0.25_32",)))
    [result] = good.results
    layer = result.layers[3]
    assert layer.counters
    counters = msgspec.structs.replace(layer.counters, instructions=2 * layer.counters.instructions)
    layers = (*result.layers[:3], msgspec.structs.replace(layer, counters=counters), *result.layers[4:])
    worse = msgspec.structs.replace(
        good, run_id="worse", results=(factory.with_layers(result, layers),)
    )  # fmt: skip
    record_files.write(made / "good.json", good)
    record_files.write(made / "worse.json", worse)
    unfinished = factory.short(factory.record(factory.PAIR[:1], failed=factory.PAIR[1:]))
    unfinished = msgspec.structs.replace(unfinished, host=host.describe(), failures=())
    record_files.write(made / "unfinished.json", unfinished)
    return made


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for what commands find out once, such as compiled templates of pages."""
    return tmp_path_factory.mktemp("cache")


def in_shell(
    folder: Path, cache: Path, command: str, redirections: str, before: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command with its streams as a shell redirects them; what is left of them is captured."""
    require(Path("/dev/full").exists(), "/dev/full")
    program = f"{before}\nfrom mbench import __main__\n__main__.main()" if before else ""
    start = f"-c '{program}'" if before else "-m mbench"
    line = f"exec 9> >(exec true); wait $!; exec '{sys.executable}' {start} {command} {redirections}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MBENCH_CACHE_DIR": str(cache)}
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, text=True, check=False, capture_output=True, timeout=120
    )


COMMANDS = {
    # command: exit status; with a standard output that takes nothing; with one that nobody reads
    "show good.json": (0, 4, 0),
    "variants mobilenet_v1_0.25_32 --json": (0, 4, 0),
    "--help": (0, 4, 0),
    "show none.json": (2, 2, 2),
    "gate good.json worse.json": (1, 1, 1),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("command", ["show none.json", "gate good.json worse.json"])
def test_standard_error_never_changes_the_status(folder: Path, cache: Path, command: str, state: str) -> None:
    done = in_shell(folder, cache, command, STATES[state].format(2))
    assert (done.returncode, done.stderr) == (COMMANDS[command][0], "")
    assert bool(done.stdout) == (done.returncode != 2)


UNPRINTED = [(command, state) for command in COMMANDS for state in ("closed", "full")]
UNPRINTED += [(command, state) for command in ("show good.json", "--help") for state in ("read-only", "unread")]


@pytest.mark.parametrize(("command", "state"), UNPRINTED)
def test_results_that_could_not_be_printed_are_no_success(folder: Path, cache: Path, command: str, state: str) -> None:
    done = in_shell(folder, cache, command, STATES[state].format(1))
    usual, unprinted, unread = COMMANDS[command]
    assert done.returncode == (unread if state == "unread" else unprinted), done.stderr
    lines = done.stderr.splitlines()
    assert all(line.startswith("mbench: ") for line in lines)
    assert len(lines) == (0 if state == "unread" and usual != 2 else 1)
    if state != "unread" and usual != 2:
        assert "standard output cannot be written: " in lines[0]


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("state", STATES)
def test_a_run_measures_and_records_whatever_its_streams_are(
    folder: Path, cache: Path, tmp_path: Path, state: str, number: int
) -> None:
    file = tmp_path / "record.json"
    file.write_bytes((folder / "unfinished.json").read_bytes())
    done = in_shell(tmp_path, cache, f"run --resume {file}", STATES[state].format(number), RUN)
    assert done.returncode == (4 if number == 1 and state != "unread" else 0), done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "measured").exists()
    assert record_files.read(file).results
    assert file.with_suffix(".html").exists()
    assert bool(done.stdout) == (number == 2)


@pytest.mark.parametrize("state", ["closed", "full"])
def test_tune_goes_on_without_streams(cache: Path, tmp_path: Path, state: str) -> None:
    command = "tune mobilenet_v1_0.25_32"
    assert in_shell(tmp_path, cache, command, STATES[state].format(2), TUNE).returncode == 0
    assert (tmp_path / "measured").exists()
    done = in_shell(tmp_path, cache, command, STATES[state].format(1), TUNE)
    assert (done.returncode, "Traceback" in done.stderr) == (4, False)


def test_without_any_stream(folder: Path, cache: Path, tmp_path: Path) -> None:
    """A file that is opened gets none of the descriptors that were closed, where its content would be mixed up."""
    page = tmp_path / "page.html"
    done = in_shell(folder, cache, f"report good.json -o {page}", "<&- >&- 2>&-")
    assert done.returncode == 0
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert in_shell(folder, cache, "show good.json", "<&- >&- 2>&-").returncode == 4


def test_a_pipe_that_does_not_block_gets_everything(folder: Path, cache: Path) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETFL, os.O_NONBLOCK)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MBENCH_CACHE_DIR": str(cache)}
    command = [sys.executable, "-m", "mbench", "show", "good.json", "--json"]
    process = subprocess.Popen(command, cwd=folder, stdout=writing, env=environment)
    os.close(writing)
    found: list[bytes] = []
    with os.fdopen(reading, "rb") as pipe:
        reader = threading.Thread(target=lambda: found.append(pipe.read()))
        reader.start()
        reader.join(120)
    assert process.wait(120) == 0
    assert json.loads(found[0]) == json.loads((folder / "good.json").read_bytes())


def test_an_encoding_that_lacks_characters(folder: Path, cache: Path) -> None:
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "MBENCH_CACHE_DIR": str(cache), "LC_ALL": "C", "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
    }  # fmt: skip
    environment.pop("PYTHONIOENCODING", None)  # which tox sets
    for arguments in (
        ("show", "good.json"),
        ("show", "good.json", "--json"),
        ("show", os.fsdecode(b"\xc3\xa9\xff.json")),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "mbench", *arguments], cwd=folder, env=environment, capture_output=True, check=False
        )
        assert done.returncode == (2 if arguments[-1].endswith("\udcff.json") else 0)
        assert done.stdout.isascii()
        assert b"?" not in done.stdout
        assert b"Traceback" not in done.stderr


def test_a_line_is_one_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    streams.say("a\nb\x1b[31m")
    assert capsys.readouterr().err == "mbench: a b\\x1b[31m\n"


@pytest.mark.parametrize("text", ["::error::x\n", "  ::error::x\n", "a\n::error::x\n"])
def test_no_ci_finds_a_command_that_was_not_meant(text: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with streams.guarded():
        sys.stdout.write(text)
        streams.print_commands("::warning::meant\n")
    lines = capfdbinary.readouterr().out.decode().splitlines()
    assert [line for line in lines if line.strip().startswith("::")] == ["::warning::meant"]
    assert any("error" in line for line in lines)
