"""Where a file is wanted, everything that can have a name is tried: nothing waits, nothing is replaced that is none."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
import record_factory as factory
from conftest import Mbench, assert_one_line

import mbench
from mbench.core import artifact, atomic_files, record_files, regular_files, toml_files
from mbench.core.errors import MbenchError, OutputError
from mbench.devices import registry
from mbench.hardware import target_file
from mbench.tuning import choice_files

ROOT = Path(mbench.__file__).parent.parent
HANGS_S = 60
"""After so long a test that waits for a pipe is ended: what it tries waits for ever, or not at all."""
ODD = os.fsdecode(b"caf\xe9 \xff$(x)'\x1b[31m\xe2\x80\xae")


@pytest.fixture(autouse=True)
def not_for_ever() -> Iterator[None]:
    def fail(_: int, __: FrameType | None) -> None:
        raise AssertionError("it waits for ever")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(HANGS_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))


def device(path: Path) -> None:
    path.symlink_to(os.ttyname(os.openpty()[1]))  # where nobody types; both ends stay open


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


KINDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "fifo": (fifo, "named pipe"),
    "socket": (unix_socket, "socket"),
    "device": (device, "device"),
    "loop": (link_to_itself, "Too many levels of symbolic links"),
    "folder": (Path.mkdir, "directory"),
}
READERS: dict[str, Callable[[Path], object]] = {
    "record": record_files.read,
    "gate's toml": lambda path: toml_files.load(toml_files.Source(path)),
    "target": target_file.read,
    "tuned": choice_files.read,
    "devices": lambda path: registry.devices(),
    "artifact": lambda path: artifact.load(path.parent),
}
NAMES = {"devices": "devices.toml", "artifact": artifact.MANIFEST, "target": "target.toml"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reader", READERS)
def test_no_reader_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str, kind: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MBENCH_CONFIG_DIR", str(tmp_path))
    make, said = KINDS[kind]
    path = tmp_path / NAMES.get(reader, "file")
    make(path)
    with pytest.raises(MbenchError, match=f"(?i){said}") as caught:
        READERS[reader](path)
    assert path.name in str(caught.value) or str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("kind", ["fifo", "socket", "device"])
def test_nothing_but_a_file_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.chdir(tmp_path)
    make, said = KINDS[kind]
    path = tmp_path / "page.html"
    make(path)
    before = path.lstat()
    with pytest.raises(OutputError, match=said):
        atomic_files.write_atomically(path, b"page")
    assert path.lstat() == before
    assert [item.name for item in tmp_path.iterdir()] == ["page.html"]


def test_a_dangling_link_gives_way_to_a_file(tmp_path: Path) -> None:
    dangling(tmp_path / "page.html")
    atomic_files.write_atomically(tmp_path / "page.html", b"page")
    assert stat.S_ISREG((tmp_path / "page.html").lstat().st_mode)


def test_dev_null_is_an_empty_file() -> None:
    assert regular_files.read(os.devnull) == b""
    assert toml_files.load(toml_files.Source(Path(os.devnull))) == {}


def test_a_pipe_is_refused_where_the_system_does_not_say_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_proc(path: Path) -> Path:
        raise FileNotFoundError(path)

    reading, writing = os.pipe()
    try:
        monkeypatch.setattr(Path, "readlink", no_proc)
        with pytest.raises(OSError, match="named pipe"):
            regular_files.opened(f"/dev/fd/{reading}", pipes=True)
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("command", ["show <(cat record.json)", "show /dev/stdin < record.json"])
def test_a_pipe_that_the_shell_made_is_read(tmp_path: Path, command: str) -> None:
    record_files.write(tmp_path / "record.json", factory.record())
    for line in (command, "cat record.json | {} show /dev/stdin"):
        whole = line.format(f"'{sys.executable}' -m mbench") if "{}" in line else f"'{sys.executable}' -m mbench {line}"
        done = subprocess.run(
            ["bash", "-c", whole], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, check=False,
            capture_output=True,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), whole
        assert "latency: median" in done.stdout


# --------------------------------------------------------------------------------------------------------------- names
LONG = "x" * 5000
COMMANDS = (
    "show {}",
    "report {} -o page.html",
    "report good.json -o {}",
    "gate {} good.json",
    "gate good.json good.json --config {}",
    "gate good.json good.json --accepted {}",
    "gate good.json good.json --junit {}",
    "targets --targets {}",
    "run --resume {}",
    "run --output {}",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_names_that_cannot_be(run: Mbench, command: str) -> None:
    record_files.write(Path("good.json"), factory.record())
    link_to_itself(Path("loop"))
    for name, said in ((LONG, "File name too long"), ("loop", "Too many levels"), (f"{'y/' * 3000}z", "too long")):
        assert_one_line(run(*command.format(name).split()), said)


@pytest.mark.parametrize("variable", ["MBENCH_CACHE_DIR", "MBENCH_CONFIG_DIR", "MBENCH_TUNED_DIR"])
def test_own_folders_that_cannot_be(run: Mbench, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, LONG)
    command = {"MBENCH_CACHE_DIR": "doctor", "MBENCH_CONFIG_DIR": "device list"}.get(variable, "run --target x86_64_v2")
    assert_one_line(run(*command.split()), "File name too long", variable)


def test_bytes_that_are_no_utf8(run: Mbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ODD
    folder.mkdir()
    for variable in ("HOME", "MBENCH_CACHE_DIR", "MBENCH_CONFIG_DIR", "MBENCH_TUNED_DIR"):
        monkeypatch.setenv(variable, str(folder / variable))
    monkeypatch.chdir(folder)
    name = f"{ODD}.json"
    record_files.write(Path(name), factory.record())
    outputs = [f"--{kind}={ODD}.{kind}" for kind in ("junit", "markdown", "bencher", "benchmark-action", "html")]
    for command in (
        ("show", name), ("show", name, "--json"), ("report", name, "-o", f"{ODD}.html"), ("doctor",), ("targets",),
        ("device", "list"), ("compare", name, folder / name), ("compare", name, folder, "--json"),
    ):  # fmt: skip
        outcome = run(*command)
        assert (outcome.code, outcome.err) == (0, ""), command
        assert all(char.isprintable() or char == "\n" for char in outcome.out), command
    judged = run("gate", name, folder, "--json", *outputs)
    assert (judged.code in (0, 3), judged.err) == (True, "")
    assert all(Path(output.partition("=")[2]).exists() for output in outputs)


def test_a_library_has_a_name_that_tvm_takes(tmp_path: Path) -> None:
    files = [tmp_path / f"{ODD}{number}" / "model.so" for number in range(2)]
    for file in files:
        file.parent.mkdir()
        file.write_text(file.parent.name[-1])
    names = [regular_files.utf8_name(file) for file in files]
    assert [Path(name).read_text() for name in names] == ["0", "1"]
    assert len(set(names)) == 2  # the loader takes two of one name for one
    assert all(name.isascii() for name in names)
    assert regular_files.utf8_name(tmp_path / "é") == os.path.realpath(tmp_path / "é")
