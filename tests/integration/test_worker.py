from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import psutil
import pytest
from conftest import require
from measure_plans import PLAN, Patience, assert_accounted, ignore

from mbench import devices
from mbench.core import artifact
from mbench.core.artifact import Artifact
from mbench.core.errors import MeasureError, UsageError
from mbench.core.records import Warmup
from mbench.devices import process
from mbench.devices.local import LocalDevice
from mbench.devices.process import WorkerDied
from mbench.hardware import targets
from mbench.measure.observation import Observation
from mbench.networks import variants, weights

STAGES = ("loading", "checking", "warming up", "measuring", "measuring layers")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    from mbench.build import build

    variant, cache = variants.parse("mobilenet_v1_0.25_32"), tmp_path_factory.mktemp("artifacts")
    return build.build(variant, targets.load("host"), cache)[0]


@pytest.fixture
def device(tmp_path: Path) -> Iterator[LocalDevice]:
    opened = LocalDevice(lock_dir=tmp_path / "locks", timeout_s=60)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    yield
    assert left_running() == []


def left_running() -> list[list[str]]:
    """Return the command lines of our children, but for what stays: Python's resource tracker, and torch."""
    stays = {child.pid for child in multiprocessing.active_children() if child.name == weights.PROCESS}
    commands = []
    for child in psutil.Process().children(recursive=True):
        if child.pid in stays:
            continue
        with contextlib.suppress(psutil.NoSuchProcess):
            commands.append(child.cmdline())
    return [command for command in commands if "resource_tracker" not in " ".join(command)]


# ------------------------------------------------------------------------------------------------------------ measuring
@pytest.fixture(scope="module")
def observed(tiny: Artifact, tmp_path_factory: pytest.TempPathFactory) -> tuple[Observation, list[tuple[str, float]]]:
    told: list[tuple[str, float]] = []
    opened = LocalDevice(lock_dir=tmp_path_factory.mktemp("locks"), timeout_s=60)
    try:
        return opened.measure(tiny, PLAN, lambda *what: told.append(what)), told
    finally:
        opened.close()


def test_as_many_samples_as_were_asked_for(observed: tuple[Observation, Any], tiny: Artifact) -> None:
    seen, _ = observed
    assert seen.latency_s is not None
    assert seen.twin_latency_s is not None
    assert seen.calls_s is not None
    assert seen.overhead_s is not None
    assert (len(seen.latency_s), len(seen.twin_latency_s)) == (30, 30)
    assert [len(samples) for samples in seen.calls_s] == [15] * len(tiny.manifest.calls)
    assert len(seen.overhead_s) == 15
    assert all(seconds > 0 for seconds in (*seen.latency_s, *seen.twin_latency_s))
    assert len(set(seen.latency_s)) > 1


def test_the_output_agrees_with_torch(observed: tuple[Observation, Any]) -> None:
    numerics = observed[0].numerics
    assert numerics.passed
    assert numerics.max_rel_error is not None
    assert 0 < numerics.max_rel_error < 1e-4  # exactly 0 would mean that nothing was compared


@pytest.mark.slow
def test_layers_and_the_whole_fit_each_other(tiny: Artifact, device: LocalDevice) -> None:
    plan = msgspec.structs.replace(PLAN, repeat=10, layer_repeat=10)
    assert_accounted(device, tiny, plan)


def test_conditions_and_process_are_recorded(observed: tuple[Observation, Any], tiny: Artifact) -> None:
    seen, _ = observed
    assert seen.threads == 1
    assert seen.affinity  # the runtime binds its threads to some of the processors that we may use
    assert set(seen.affinity) <= os.sched_getaffinity(0)
    assert seen.warmup_runs
    assert seen.warmup_s
    assert seen.process_peak_bytes is not None
    assert 20 * 2**20 < seen.process_peak_bytes < 4 * 2**30  # Python and the runtime at least
    assert seen.instrument_cost_s is not None
    assert seen.instrument_cost_s >= 0
    assert seen.conditions_before is not None
    assert seen.conditions_after is not None
    assert (seen.energy is None) == (seen.energy_missing is not None)


def test_the_stages_are_told_in_order(observed: tuple[Observation, list[tuple[str, float]]]) -> None:
    told = observed[1]
    order = list(dict.fromkeys(stage for stage, _ in told))
    assert order[:5] == list(STAGES)
    assert all(0 <= fraction <= 1 for _, fraction in told)


def test_the_runtime_uses_as_many_threads_as_it_is_told(tiny: Artifact, device: LocalDevice) -> None:
    require((os.cpu_count() or 1) >= 2, "needs two processors")
    few = msgspec.structs.replace(PLAN, threads=2, repeat=3, layer_repeat=2, block=3, warmup=Warmup(max_s=0.1))
    assert device.measure(tiny, few, ignore).threads == 2


def one_thread_more_than_set(send: Callable[[str, float], None]) -> None:
    from mbench.measure import session

    session.use_threads(int(os.environ["TVM_NUM_THREADS"]) + 1)


def test_another_number_of_threads_than_asked_for_is_an_error(device: LocalDevice) -> None:
    with pytest.raises(MeasureError, match="the runtime uses 1 threads, 2 were set; check TVM_NUM_THREADS"):
        device.run(one_thread_more_than_set, (), 1, ignore)


def affinity_in_use(_send: Callable[[str, float], None]) -> tuple[int, ...] | None:
    from mbench.measure import session

    session.use_threads(1)
    return session.affinity()


def affinities_of_two(_send: Callable[[str, float], None], processors: tuple[int, ...]) -> tuple[set[int], ...]:
    """Return where two threads may run: the first, and the one that TVM starts."""
    from mbench.hardware import host
    from mbench.measure import session

    host.processors_for = lambda threads: processors  # type: ignore[assignment, misc]
    before = set(Path("/proc/self/task").iterdir())
    session.use_threads(2)
    [started] = set(Path("/proc/self/task").iterdir()) - before
    return os.sched_getaffinity(0), os.sched_getaffinity(int(started.name))


@pytest.mark.parametrize("backwards", [False, True])
def test_each_thread_is_bound_to_one_of_the_processors_that_suit_best(device: LocalDevice, backwards: bool) -> None:
    require(len(os.sched_getaffinity(0)) >= 2, "needs two processors")
    first, second = sorted(os.sched_getaffinity(0), reverse=backwards)[:2]
    seen = device.run(affinities_of_two, ((first, second),), 2, ignore)
    assert seen == ({first}, {second})


def affinity_after_asking(_send: Callable[[str, float], None]) -> set[int]:
    from mbench.measure import session

    session.threads_in_use(2)
    return os.sched_getaffinity(0)


def test_asking_for_the_threads_binds_none(device: LocalDevice) -> None:
    """What tunes starts processes that compile side by side; they may run where it may."""
    require(len(os.sched_getaffinity(0)) >= 2, "needs two processors")
    assert device.run(affinity_after_asking, (), 2, ignore) == os.sched_getaffinity(0)


def test_threads_are_left_free_where_that_is_asked_for(device: LocalDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TVM_BIND_THREADS", "0")
    assert device.run(affinity_in_use, (), 1, ignore) == tuple(sorted(os.sched_getaffinity(0)))


def test_the_runtime_stays_on_the_processors_that_it_was_given(device: LocalDevice) -> None:
    given = os.sched_getaffinity(0)
    require(len(given) >= 2, "needs two processors")
    try:
        os.sched_setaffinity(0, {max(given)})  # as `taskset` does
        seen = device.run(affinity_in_use, (), 1, ignore)
    finally:
        os.sched_setaffinity(0, given)
    assert seen == (max(given),)


# ------------------------------------------------------------------------------------------------------ wrong artifacts
def with_reference(tiny: Artifact, tmp_path: Path, change: Callable[[np.ndarray], np.ndarray]) -> Artifact:
    """Return the same library with another expected output."""
    (work := tmp_path / "work").mkdir()
    shutil.copy(tiny.library, work)
    with np.load(tiny.reference) as reference:
        np.savez(work / artifact.REFERENCE, input=reference["input"], output=change(reference["output"]))
    return artifact.store(tiny.manifest, work, tmp_path / "wrong")


def test_a_wrong_result_is_not_timed(tiny: Artifact, device: LocalDevice, tmp_path: Path) -> None:
    told: list[str] = []
    wrong = with_reference(tiny, tmp_path, lambda output: output + 0.01 * np.abs(output).max())
    seen = device.measure(wrong, PLAN, lambda stage, _: told.append(stage))
    assert not seen.numerics.passed
    assert seen.numerics.max_rel_error == pytest.approx(0.01, rel=0.05)
    assert seen.numerics.detail is not None
    assert (seen.latency_s, seen.twin_latency_s, seen.calls_s, seen.energy) == (None, None, None, None)
    assert told == ["loading", "checking"]


def test_kernels_that_are_not_the_artifacts_end_the_measurement(
    tiny: Artifact, device: LocalDevice, tmp_path: Path
) -> None:
    (work := tmp_path / "work").mkdir()
    shutil.copy(tiny.library, work)
    shutil.copy(tiny.reference, work)
    calls = (("stranger", 0), *tiny.manifest.calls[1:])
    wrong = artifact.store(msgspec.structs.replace(tiny.manifest, calls=calls), work, tmp_path / "wrong")
    with pytest.raises(WorkerDied, match="ran where the artifact names 'stranger'") as caught:
        device.measure(wrong, PLAN, ignore)
    assert caught.value.stage == "measuring layers"


@pytest.mark.parametrize("name", [artifact.LIBRARY, artifact.MANIFEST])
def test_a_damaged_artifact_is_not_loaded(tiny: Artifact, device: LocalDevice, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(tiny.folder, folder)
    (folder / name).write_bytes((folder / name).read_bytes()[:-100])
    with pytest.raises(WorkerDied, match=f"artifact {folder}: ") as caught:
        device.measure(Artifact(folder, tiny.manifest), PLAN, ignore)
    assert caught.value.stage == "loading"
    assert "\n" not in str(caught.value)


# --------------------------------------------------------------------------------------------------- a worker that dies
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


# ------------------------------------------------------------------------------------------------------- one at a time
SECOND = """
import sys
from pathlib import Path
from mbench.devices.local import LocalDevice

LocalDevice(lock_dir=Path(sys.argv[1]), timeout_s=1, waiting=lambda text: print(text, flush=True))
print("held", flush=True)
"""


def test_a_second_run_waits_and_says_so(tmp_path: Path) -> None:
    first = LocalDevice(lock_dir=tmp_path, timeout_s=1)
    command = [sys.executable, "-c", SECOND, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as second:
        assert second.stdout is not None
        told = second.stdout.readline().strip()
        assert told == f"another run measures on this machine (process {os.getpid()}); waiting until it is done"
        assert select.select([second.stdout], [], [], 0.5)[0] == []  # still waiting
        first.close()
        assert second.stdout.readline().strip() == "held"
    assert second.returncode == 0


def test_a_free_machine_needs_no_waiting(tmp_path: Path) -> None:
    told: list[str] = []
    for _ in range(2):
        LocalDevice(lock_dir=tmp_path, timeout_s=1, waiting=told.append).close()
    assert told == []


def test_devices_are_opened_by_kind(tmp_path: Path) -> None:
    opened = devices.open_device(
        "local", targets.load("x86_64_v3"), lock_dir=tmp_path, timeout_s=1, waiting=lambda _: None
    )
    assert opened.name == "local"
    opened.close()


def test_an_unknown_kind_of_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"device 'moon' is not known; expected one of: .*local"):
        devices.open_device("moon", targets.load("x86_64_v3"), lock_dir=tmp_path, timeout_s=1, waiting=lambda _: None)
