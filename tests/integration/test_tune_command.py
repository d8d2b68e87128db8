"""Tuning as a user does it: kernels are truly compiled and timed, and the next run is made by what was found."""

from __future__ import annotations

import importlib
import importlib.util
import json
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from conftest import Mbench, require
from kernel_bench import VARIANT
from running_mbench import TARGET, Running, finished, only_record, running, warm_cache

from mbench.build import compilers
from mbench.core import machine_types, record_files
from mbench.core.artifact import Artifact
from mbench.core.records import Record, Result
from mbench.devices.local import LocalDevice
from mbench.hardware import host
from mbench.measure import duel
from mbench.measure.duel import Bout
from mbench.tuning import choice_files, jobs, search, tuner
from mbench.tuning.choice_files import File, MadeWith, TimedChoice, TunedKernel
from mbench.tuning.plans import Candidate, Task
from mbench.tuning.timer import LocalTimer

pytest_plugins = ("tune_fixtures",)
pytestmark = pytest.mark.slow

ON_TARGET = (VARIANT, "--target", TARGET, "--threads", "1")
QUICK = (*ON_TARGET, "--tries", "1")
HOST = host.describe()


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: machine_types.Target) -> Path:
    """Return the user's file of choices, in an empty folder."""
    monkeypatch.setenv("MBENCH_TUNED_DIR", str(tmp_path / "own"))
    (tmp_path / "own").mkdir()
    return choice_files.own_file(target, HOST)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return warm_cache(tmp_path_factory.getbasetemp())


def entry(kernel: str, choice: Candidate, default: Candidate, **changes: Any) -> TunedKernel:
    made = TunedKernel(
        kernel=kernel, threads=1, rule=choice.rule, parameters=choice.parameters, seconds=1e-6, error=0.0,
        default=TimedChoice(rule=default.rule, parameters=default.parameters, seconds=2e-6),
        made_with=MadeWith(mbench=tuner._versions()[0], tvm=tuner._versions()[1], date="2026-01-31"),
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def file(*entries: TunedKernel) -> File:
    return File(format_version=1, target=TARGET, cpu=HOST.cpu, mcpu="some", kernels=entries)


def pointwise(tasks: tuple[Task, ...]) -> Task:
    return next(task for task in tasks if "k1x1" in task.kernel)


# ----------------------------------------------------------------------------------------------- what `run` makes of it
@pytest.fixture
def plain(cache: Path, tmp_path: Path) -> Path:
    """Return the cache; whatever is built in a test is built for it alone."""
    copy = tmp_path / "cache"
    shutil.copytree(cache, copy, ignore=shutil.ignore_patterns("artifacts", "*.lock", "*.log"))
    return copy


def run(cache: Path, cwd: Path, *options: str | Path) -> tuple[int, Running, Record]:
    (cwd / "out").mkdir(exist_ok=True)
    shutil.rmtree(cwd / "out")
    arguments = ("run", *ON_TARGET, "--quick", "--repeat", "5", "--output", "out", *options)
    code, started = finished(*arguments, cache=cache, cwd=cwd)
    return code, started, record_files.read(only_record(cwd / "out"))


def made_for(result: Result, task: Task) -> str:
    """Return how the kernel of a task was made, by the layer that it serves."""
    layer = next(layer for layer in result.layers if task.layers[0].endswith(f" {layer.name}"))
    return result.artifact.schedules[layer.kernel]


def test_a_planted_choice_is_used_and_named(tasks: Any, target: Any, own: Path, plain: Path, tmp_path: Path) -> None:
    task = pointwise(tasks)
    default, tiles = jobs.tiles(task.function, target, 3)
    planted = next(one for one in tiles if one.rule == default.rule)
    choice_files.write(own, file(entry(task.kernel, planted, default)))
    code, _, record = run(plain, tmp_path)
    assert code == 0
    [result] = record.results
    assert made_for(result, task).endswith("(tuned)")
    assert sum(name.endswith("(tuned)") for name in result.artifact.schedules.values()) == 1
    assert result.numerics is not None
    assert result.numerics.passed
    assert list(record.settings.tuned) == [own.name]
    code, _, without = run(plain, tmp_path, "--no-tuned")
    assert code == 0
    assert without.settings.tuned == {}
    assert not any("tuned" in name for name in without.results[0].artifact.schedules.values())
    assert without.results[0].artifact.digest != result.artifact.digest


def test_a_stale_choice_is_ignored_with_the_reason(tasks: Any, own: Path, plain: Path, tmp_path: Path) -> None:
    task = pointwise(tasks)
    gone = Candidate(rule="cpu.gone", parameters={"rows": 1})
    choice_files.write(own, file(entry(task.kernel, gone, Candidate(rule="cpu.matmul"))))
    code, started, record = run(plain, tmp_path)
    assert code == 0
    [result] = record.results
    assert not made_for(result, task).endswith("(tuned)")
    assert list(result.artifact.ignored.values()) == ["there is no rule cpu.gone"]
    [warning] = [warning for warning in result.warnings if "tuned choices not followed" in warning]
    assert "there is no rule cpu.gone" in warning
    assert "there is no rule cpu.gone" in " ".join(started.out.split())


def test_a_broken_file_is_one_line(own: Path, plain: Path, tmp_path: Path) -> None:
    own.write_text("format_version = 1\n")
    code, started = finished("run", *ON_TARGET, cache=plain, cwd=tmp_path)
    assert code == 2
    [line] = started.lines
    assert str(own) in line
    assert "--no-tuned" in line


def test_a_run_is_not_resumed_with_other_choices(
    tasks: Any, target: Any, own: Path, plain: Path, tmp_path: Path
) -> None:
    task = pointwise(tasks)
    default, tiles = jobs.tiles(task.function, target, 3)
    choice_files.write(own, file(entry(task.kernel, tiles[0], default)))
    _, _, record = run(plain, tmp_path)
    unfinished = msgspec.structs.replace(record, results=())
    path = only_record(tmp_path / "out")
    record_files.write(path, unfinished)
    choice_files.write(own, file(entry(task.kernel, tiles[1], default)))
    code, started = finished("run", "--resume", path, cache=plain, cwd=tmp_path)
    assert code == 2
    assert f"the tuned choices ({own.name}) have changed" in started.err
    choice_files.write(own, file(entry(task.kernel, tiles[0], default)))
    code, started = finished("run", "--resume", path, cache=plain, cwd=tmp_path)
    assert code == 0, started.err
    assert made_for(record_files.read(path).results[0], task).endswith("(tuned)")


# ---------------------------------------------------------------------------------------------------------- the command
@pytest.fixture
def two_left(tasks: tuple[Task, ...], target: machine_types.Target, own: Path) -> tuple[str, ...]:
    """Write a file that knows all kernels but two; return these."""
    known = []
    for task in tasks[2:]:
        default, _ = jobs.tiles(task.function, target, 1)
        known.append(entry(task.kernel, default, default))
    written = file()
    for one in known:
        written = written.with_entry(one)
    choice_files.write(own, written)
    return tuple(task.kernel for task in tasks[:2])


def test_tuned_from_the_name_to_the_table(two_left: tuple[str, ...], own: Path, cache: Path, tmp_path: Path) -> None:
    code, started = finished("tune", *QUICK, "--json", cache=cache, cwd=tmp_path)
    assert code == 0, started.err
    document = json.loads(started.out)
    kernels = {kernel["kernel"]: kernel for kernel in document["kernels"]}
    assert set(two_left) < set(kernels)
    assert document["failures"] == []
    for name in two_left:
        assert kernels[name]["seconds"] > 0
        default = kernels[name]["default"]
        same = all(kernels[name][field] == default[field] for field in ("rule", "parameters"))
        assert not same or kernels[name]["seconds"] == default["seconds"], "nothing was quicker: the rules' own choice"
    assert f"{len(kernels) - 2} are tuned already" in started.err
    assert f"choices {own}" in started.err
    started.assert_nobody_left()
    code, started = finished("tune", *QUICK, cache=cache, cwd=tmp_path)
    assert code == 0
    assert f"{len(kernels)} are tuned already" in started.err
    assert max(map(len, started.out.splitlines())) <= 80


BY_RULE_S, AS_TUNED_S = 1e-5, 1e-4


def with_times(bout: Bout, head: Artifact, layers: set[str]) -> Bout:
    """Return what a process saw, with other times: some layers take ten times as long as tuned, the rest the same."""

    def times(name: str, copy: int, samples: tuple[float, ...]) -> tuple[float, ...]:
        return (AS_TUNED_S if name in layers and copy == duel.COPIES.index("head") else BY_RULE_S,) * len(samples)

    names = [layer.name for layer in head.manifest.layers]
    read = [
        tuple(times(name, copy, samples) for name, samples in zip(names, of_copy, strict=True))
        for copy, of_copy in enumerate(bout.layers_s)
    ]
    return msgspec.structs.replace(bout, layers_s=tuple(read))


def test_a_choice_that_is_slower_in_its_network_is_found_out_there(
    tasks: tuple[Task, ...], target: Any, own: Path, plain: Path, tmp_path: Path, request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """It is truly compiled, run and read in its network; the times are put in where the process hands them over."""
    slow = Candidate(rule="cpu.matmul", parameters={"rows": 1, "vectors": 1, "row_parts": 1, "panel_parts": 1})
    planted, written = next(one for one in tasks if "1x8x8x32_k1x1" in one.kernel), file()
    for task in tasks:
        default, _ = jobs.tiles(task.function, target, 1)
        written = written.with_entry(entry(task.kernel, slow if task == planted else default, default))
    choice_files.write(own, written)
    served = {layer.split(" ", 1)[1] for layer in planted.layers}
    fight = LocalDevice.duel

    def timed(device: LocalDevice, base: Artifact, twin: Artifact, head: Artifact, *others: Any) -> Bout:
        return with_times(fight(device, base, twin, head, *others), head, served)

    monkeypatch.setattr(LocalDevice, "duel", timed)
    mbench: Mbench = request.getfixturevalue("run")
    ended = mbench("tune", *QUICK)
    assert ended.code == 0, ended.err
    assert f"{planted.kernel}: not quicker in the network" in ended.err
    assert "not in the network" in ended.out
    found = choice_files.read(own).find(planted.kernel, 1)
    assert found is not None
    assert found.in_place is not None
    assert found.in_place.default_seconds == pytest.approx(len(served) * BY_RULE_S)
    assert found.in_place.seconds == pytest.approx(len(served) * AS_TUNED_S)
    assert found.in_place.high_ratio == pytest.approx(AS_TUNED_S / BY_RULE_S)
    assert choice_files.choices(target, HOST, 1).kernels == {}
    code, _, record = run(plain, tmp_path)
    assert code == 0
    assert not made_for(record.results[0], planted).endswith("(tuned)")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_then_gone_on(
    two_left: tuple[str, ...], own: Path, cache: Path, tmp_path: Path, number: signal.Signals
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    long = (*ON_TARGET, "--tries", "8")  # not done before it is interrupted
    with running("tune", *long, cache=cache, cwd=tmp_path, temporary=temporary) as started:
        started.wait_for(rf"\[2/2\] {two_left[1]}: timing tiles")
        started.send(number, group=number == signal.SIGINT)
        assert started.end() == 130
        started.assert_nobody_left()
    assert "the same command goes on" in started.err
    assert "Traceback" not in started.err
    assert two_left[0] in started.out
    left = [path.name for path in temporary.iterdir() if not path.name.startswith("torchinductor_")]
    assert left == []
    known = {one.kernel for one in choice_files.read(own).kernels}
    assert two_left[0] in known
    assert two_left[1] not in known
    code, started = finished("tune", *QUICK, cache=cache, cwd=tmp_path)
    assert code == 0
    assert f"[1/1] {two_left[1]}" in started.err
    assert two_left[1] in {one.kernel for one in choice_files.read(own).kernels}


def test_a_worker_that_is_killed_costs_one_candidate(
    two_left: tuple[str, ...], own: Path, cache: Path, tmp_path: Path
) -> None:
    with running("tune", *QUICK, cache=cache, cwd=tmp_path) as started:
        started.wait_for(rf"\[1/2\] {two_left[0]}: timing tiles")
        builders = {process.pid for process in started.workers()}
        while not (new := [process for process in started.workers() if process.pid not in builders]):
            time.sleep(0.01)
        new[0].kill()
        code = started.end()
    said = [line for line in started.lines if "SIGKILL" in line]
    assert len(said) == 1
    assert (code, two_left[1] in {one.kernel for one in choice_files.read(own).kernels}) in ((0, True), (4, True))


# ----------------------------------------------------------------------------------------------------------------- deep
def test_metaschedule_from_the_search_to_the_run(
    tasks: Any, target: Any, own: Path, plain: Path, tmp_path: Path
) -> None:
    for module in ("xgboost", "cloudpickle"):
        require(importlib.util.find_spec(module), f"{module}, of the extra 'tune'")
    task = pointwise(tasks)
    device = LocalDevice(lock_dir=tmp_path / "locks", timeout_s=60)
    notes: list[str] = []
    with compilers.Compilers() as pool:
        bench = search.Bench(
            target=target, cache_bytes=2**19, threads=1, processes=2, tries=1, timeout_s=60, compilers=pool,
            timer=LocalTimer(device, target), scratch=tmp_path / "scratch", trials=4,
            database=choice_files.database(own),
        )  # fmt: skip
        (tmp_path / "scratch").mkdir()
        skip: Callable[..., None] = lambda candidate, reason: notes.append(f"{candidate}: {reason}")  # noqa: E731
        found = bench._deep(task, lambda *_: None, skip)
        device.close()
    assert notes == []
    [candidate] = found
    library = tmp_path / "deep.so"
    assert jobs.compiled(task.function, target, candidate, str(library)) == ""
    default, _ = jobs.tiles(task.function, target, 1)
    choice_files.write(own, file(entry(task.kernel, candidate, default, trials=4)))
    code, started, record = run(plain, tmp_path)
    assert code == 0, started.err
    assert made_for(record.results[0], task) == "metaschedule (tuned)"
    shutil.rmtree(choice_files.database(own))
    code, _, record = run(plain, tmp_path)
    assert code == 0
    assert "is not there" in next(iter(record.results[0].artifact.ignored.values()))
