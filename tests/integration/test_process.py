"""A worker process that dies, hangs, or outlives who asked for it."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import msgspec
import psutil
import pytest
from measure_plans import PLAN, STAGES, Patience, ignore, left_running

from mbench.core.artifact import Artifact
from mbench.core.errors import MeasureError
from mbench.devices import process
from mbench.devices.local import LocalDevice
from mbench.devices.process import WorkerDied

pytest_plugins = ("worker_fixtures",)
pytestmark = pytest.mark.usefixtures("nothing_left_running")


@pytest.mark.parametrize("stage", STAGES)
def test_a_worker_killed_at_any_stage_is_a_failure_that_names_it(
    stage: str, tiny: Artifact, device: LocalDevice
) -> None:
    def kill(told: str, _fraction: float) -> None:
        if told == stage:
            for child in multiprocessing.active_children():
                assert child.pid is not None
                os.kill(child.pid, signal.SIGKILL)

    long = msgspec.structs.replace(PLAN, repeat=10_000, layer_repeat=10_000)
    with pytest.raises(WorkerDied) as caught:
        device.measure(tiny, long, kill)
    assert str(caught.value) == "the worker process was ended by SIGKILL; out of memory?"
    # between what it told last and the signal, a worker gets through its quick stages
    later = {"checking": STAGES[1:4], "warming up": STAGES[2:4]}.get(stage, (stage,))
    assert caught.value.stage in later


def abort(send: Callable[[str, float], None]) -> None:
    send("dying", 0.5)
    print("last words", flush=True)  # noqa: T201
    os.abort()


def segfault(send: Callable[[str, float], None]) -> None:
    send("dying", 0.5)
    ctypes.string_at(0)


def leave(send: Callable[[str, float], None]) -> None:
    send("dying", 0.5)
    os._exit(3)


def exhaust_memory(send: Callable[[str, float], None]) -> None:
    send("dying", 0.5)
    limit = psutil.Process().memory_info().vms + 200 * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    held = []
    while True:
        held.append(bytearray(50 * 2**20))


def raise_two_lines(send: Callable[[str, float], None]) -> None:
    send("dying", 0.5)
    raise ValueError("first line\nsecond line")


def raise_expected(send: Callable[[str, float], None]) -> None:
    send("dying", 0.5)
    raise MeasureError("could not be measured")


def hang(send: Callable[[str, float], None], seconds: float) -> None:
    send("dying", 0.5)
    time.sleep(seconds)


@pytest.mark.parametrize(
    ("job", "reason", "detail"),
    [
        (abort, "the worker process was ended by SIGABRT", "last words"),
        (segfault, "the worker process was ended by SIGSEGV", ""),
        (leave, "the worker process exited with status 3", ""),
        (exhaust_memory, "out of memory", ""),
        (raise_two_lines, "ValueError: first line", "Traceback"),
        (raise_expected, "could not be measured", ""),
    ],
)
def test_whatever_ends_a_worker_is_a_failure_of_one_line(
    job: Callable[..., None], reason: str, detail: str, device: LocalDevice, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(WorkerDied) as caught:
        device.run(job, (), 1, ignore)
    said, _, limit = str(caught.value).partition("; memory is limited to ")
    assert said == reason
    assert bool(limit) == (job is exhaust_memory)
    assert caught.value.stage == "dying"
    assert caught.value.exit_code == 4
    assert detail in caught.value.detail
    assert capfd.readouterr() == ("", "")  # whatever it printed is in the detail


def test_a_worker_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patience = Patience(monkeypatch)
    silent = "the worker process was silent for 10 s and was stopped"
    with (
        contextlib.closing(LocalDevice(lock_dir=tmp_path, timeout_s=10)) as device,
        pytest.raises(WorkerDied, match=silent) as caught,
    ):
        device.run(hang, (600.0,), 1, lambda *_: patience.end())
    assert caught.value.stage == "dying"
    assert left_running() == []


@pytest.mark.parametrize("timeout_s", [0.05, 7.5])
def test_a_silence_lasts_as_long_as_was_asked_for(tmp_path: Path, timeout_s: float) -> None:
    class Pipe:
        asked: ClassVar[list[float]] = []

        def poll(self, seconds: float) -> bool:
            self.asked.append(seconds)
            return False

    with (
        contextlib.closing(LocalDevice(lock_dir=tmp_path, timeout_s=timeout_s)) as device,
        pytest.raises(WorkerDied, match=f"was silent for {timeout_s:g} s"),
    ):
        device._listen(None, Pipe(), ignore, device._timeout_s)
    assert Pipe.asked == [timeout_s]


def test_the_next_job_runs_after_one_has_died(device: LocalDevice) -> None:
    with pytest.raises(WorkerDied):
        device.run(segfault, (), 1, ignore)
    assert device.run(hang, (0.0,), 1, ignore) is None


def test_an_error_in_our_own_report_ends_the_worker(device: LocalDevice) -> None:
    def report(_stage: str, _fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        device.run(hang, (600.0,), 1, report)
    assert left_running() == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (None, "the worker process closed its line and did not end"),
        (0, "the worker process exited with status 0"),
        (-signal.SIGTERM, "the worker process was ended by SIGTERM"),
        (-200, "the worker process was ended by signal 200"),
    ],
)
def test_how_a_process_ended_in_words(code: int | None, said: str) -> None:
    assert process._cause(code) == said


JOB = """
import os, time

def job(send, seconds):
    send(str(os.getpid()), 0.0)
    time.sleep(seconds)
"""
ORPHAN = """
import sys
from pathlib import Path
from mbench.devices.local import LocalDevice

sys.path.insert(0, sys.argv[1])
from task import job

if __name__ == "__main__":
    device = LocalDevice(lock_dir=Path(sys.argv[1]), timeout_s=600)
    device.run(job, (600.0,), 1, lambda stage, _: print(stage, flush=True))
"""


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """A process of its own that measures, and its worker."""
    program = tmp_path / "orphan.py"
    program.write_text(ORPHAN)
    (tmp_path / "task.py").write_text(JOB)
    with subprocess.Popen([sys.executable, program, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        worker = psutil.Process(int(process.stdout.readline()))
        yield process, worker
        process.kill()
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()


def test_a_worker_ends_when_its_parent_is_killed(parent: tuple[subprocess.Popen[str], psutil.Process]) -> None:
    process, worker = parent
    assert worker.is_running()
    process.kill()
    process.wait()
    worker.wait(timeout=60)  # raises TimeoutExpired


def test_a_killed_parent_lets_go_of_the_machine(
    parent: tuple[subprocess.Popen[str], psutil.Process], tmp_path: Path
) -> None:
    process, worker = parent
    process.kill()
    process.wait()
    worker.wait(timeout=60)
    told: list[str] = []
    LocalDevice(lock_dir=tmp_path, timeout_s=1, waiting=told.append).close()
    assert told == []
