"""Shared by the tests that run `mbench` as a user does: in a process of its own, watched line by line."""

from __future__ import annotations

import os
import platform
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil

import mbench
from mbench.core import record_files
from mbench.core.artifact import Artifact, load
from mbench.core.records import Record
from mbench.hardware import host, targets
from mbench.pipeline import calibrations

ROOT = Path(mbench.__file__).parent.parent
PAIR = ("mobilenet_v1_0.25_32", "mobilenet_v1_0.25_32_standard")
TARGET = "x86_64_v2" if platform.machine() == "x86_64" else "host"
STOPPING = Path(__file__).with_name("stopping")
SILENCE_S = float(os.environ.get("MBENCH_TEST_SILENCE_S", "600"))


class Running:
    """A running `mbench`: its lines on standard error, its children, its end."""

    def __init__(
        self,
        *arguments: str | Path,
        cache: Path,
        cwd: Path,
        temporary: Path | None = None,
        tuned: Path | None = None,
        **environ: str,
    ) -> None:
        self._mark = uuid.uuid4().hex
        paths = f"{STOPPING}{os.pathsep}{ROOT}"
        environment = {
            **os.environ, "COLUMNS": "80", "PYTHONPATH": paths, "MBENCH_CACHE_DIR": str(cache), "MARK": self._mark,
            **environ,
        }  # fmt: skip
        if temporary:
            environment["TMPDIR"] = str(temporary)
        if tuned:
            environment["MBENCH_TUNED_DIR"] = str(tuned)
        command = [sys.executable, "-m", "mbench", *map(str, arguments)]
        self.process = subprocess.Popen(
            command, cwd=cwd, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        self.lines: list[str] = []
        self.out = ""
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._readers = [threading.Thread(target=self._read_err), threading.Thread(target=self._read_out)]
        for reader in self._readers:
            reader.start()

    def _read_err(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def _read_out(self) -> None:
        assert self.process.stdout is not None
        self.out = self.process.stdout.read()

    def wait_for(self, pattern: str) -> str:
        """Return the next line on standard error that matches."""
        while True:
            line = self._queue.get(timeout=SILENCE_S)
            assert line is not None, f"ended with {self.process.wait()} before {pattern!r}:\n{self.err}"
            self.lines.append(line)
            if re.search(pattern, line):
                return line

    def pass_line(self, within_s: float) -> None:
        """Read a line of standard error if there is one soon."""
        with suppress(queue.Empty):
            line = self._queue.get(timeout=within_s)
            assert line is not None, f"ended with {self.process.wait()}:\n{self.err}"
            self.lines.append(line)

    @property
    def err(self) -> str:
        """Return what was read of standard error so far."""
        return "\n".join(self.lines)

    def end(self) -> int:
        """Wait for the end; return the exit status."""
        code = self.process.wait(timeout=SILENCE_S)
        for reader in self._readers:
            reader.join(SILENCE_S)
        while not self._queue.empty() and (line := self._queue.get()) is not None:
            self.lines.append(line)
        return code

    def send(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to the process, or to it and all its children at once, as a terminal does."""
        (os.killpg if group else os.kill)(self.process.pid, number)

    def wait_until_stopped(self) -> None:
        """Wait until it has stopped itself: see stopping/sitecustomize.py."""
        process = psutil.Process(self.process.pid)
        while process.status() != psutil.STATUS_STOPPED:
            assert process.status() != psutil.STATUS_ZOMBIE, self.err
            time.sleep(0.01)

    def relatives(self) -> list[psutil.Process]:
        """Return every process that this one started, and those they started, wherever their parents went."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            ours = process.environ().get("MARK") == self._mark
            return ours and process.pid != self.process.pid and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def workers(self) -> list[psutil.Process]:
        """Return the direct children that build or measure."""
        try:
            children = psutil.Process(self.process.pid).children()
            return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        except psutil.Error:
            return []

    def assert_nobody_left(self, within_s: float = 300.0) -> None:
        """Fail if a process that this one started is still there."""
        deadline = time.monotonic() + within_s
        while (left := self.relatives()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not left, [process.cmdline() for process in left]


@contextmanager
def running(*arguments: str | Path, **options: Any) -> Iterator[Running]:
    """Start `mbench`; whatever happens, nothing of it is left behind."""
    started = Running(*arguments, **options)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.process.kill()
        for process in started.relatives():
            process.kill()
        started.end()


def finished(*arguments: str | Path, **options: Any) -> tuple[int, Running]:
    """Run `mbench` to its end; return its exit status and what it printed."""
    with running(*arguments, **options) as started:
        return started.end(), started


def only_record(folder: Path) -> Path:
    """Return the one record of an output folder; nothing but it and its page may lie there."""
    [file] = folder.glob("*.json")
    there = {path.name for path in folder.iterdir() if not path.name.startswith(".mbench-lock-")}  # of a killed run
    assert there <= {file.name, file.with_suffix(".html").name}
    return file


def artifact_of(cache: Path, variant: str, target: str = TARGET) -> Artifact:
    """Return the artifact of a variant, for one image a run, from a cache."""
    found = [load(folder) for folder in (cache / "artifacts").iterdir() if not folder.name.startswith(".")]
    wanted = (variant, 1, target)
    [one] = [
        item
        for item in found
        if (item.manifest.variant.name, item.manifest.variant.batch, item.manifest.target) == wanted
    ]
    return one


def warm_cache(base: Path) -> Path:
    """Return a cache with the pair's artifacts, and with peaks even where the machine is too busy to keep them.

    One for all tests of a session: `base` is its folder for temporary files.
    """
    folder = base / "mbench-cache"
    if folder.exists():
        return folder
    folder.mkdir()
    work = folder.with_name(f"{folder.name}-work")
    work.mkdir()
    code, started = finished("run", *PAIR, "--target", TARGET, "--quick", "--repeat", "5", cache=folder, cwd=work)
    assert code == 0, started.err
    record = record_files.read(only_record(work / "mbench-results"))
    keep_peaks(folder, record)
    shutil.rmtree(work)
    return folder


def keep_peaks(cache: Path, record: Record) -> None:
    """Put the peaks of a record into a cache, so that the next run need not measure them."""
    before = os.environ.get("MBENCH_CACHE_DIR")
    os.environ["MBENCH_CACHE_DIR"] = str(cache)
    try:
        machine = host.describe()
        target = targets.as_run_here(record.target, machine)
        [name] = {record.device.name}
        device: Any = type("Device", (), {"name": name})
        file = calibrations._file(device, target, machine, record.settings.threads)
    finally:
        if before is None:
            del os.environ["MBENCH_CACHE_DIR"]
        else:
            os.environ["MBENCH_CACHE_DIR"] = before
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(msgspec.json.encode(record.device.calibration))


def without_peaks(cache: Path, copy: Path) -> Path:
    """Return a copy of a cache without peaks."""
    shutil.copytree(cache / "artifacts", copy / "artifacts")
    return copy
