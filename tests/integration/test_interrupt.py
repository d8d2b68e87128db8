"""Whatever ends a run, what it has measured stays, nothing else is left, and it can be taken up again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import require
from running_mbench import (
    PAIR,
    TARGET,
    Running,
    artifact_of,
    finished,
    only_record,
    running,
    warm_cache,
    without_peaks,
)

from mbench.core import record_files
from mbench.core.records import Record

pytestmark = pytest.mark.slow
REPEAT = "1500"  # some tenths of a second for each stage of measuring
OPTIONS = ("--target", TARGET, "--quick", "--repeat", REPEAT)
STAGES = ("compiling", "calibrating", "loading", "checking", "warming up", "measuring", "measuring layers", "done")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return warm_cache(tmp_path_factory.getbasetemp())


@pytest.fixture
def folders(tmp_path: Path, cache: Path) -> dict[str, Path]:
    """Return the cache that lets a run be at each stage for a while."""
    (tmp_path / "temporary").mkdir()
    (tmp_path / "empty").mkdir()
    unmeasured = without_peaks(cache, tmp_path / "unmeasured")
    return {**dict.fromkeys(STAGES, cache), "compiling": tmp_path / "empty", "calibrating": unmeasured}


def begin(stage: str, tmp_path: Path, folders: dict[str, Path], record: Path | None, **environ: Any) -> Running:
    """Start a run, or go on with one, and wait until it has stopped itself at a stage."""
    arguments = ("--resume", record) if record else (*PAIR, *OPTIONS, "--output", "out")
    started = Running(
        "run", *arguments, cache=folders[stage], cwd=tmp_path, temporary=tmp_path / "temporary",
        MBENCH_TEST_STOP=stage, **environ,
    )  # fmt: skip
    started.wait_for(f": {stage}$")
    started.wait_until_stopped()
    return started


def read_after(tmp_path: Path, so_far: set[str]) -> tuple[Path, Record]:
    """Return the record that is left; it is whole, it is the only one, and it has lost nothing."""
    file = only_record(tmp_path / "out")
    record = record_files.read(file)
    measured = {result.variant.name for result in record.results}
    assert measured >= so_far
    assert len(measured) == len(record.results)
    return file, record


def strays(tmp_path: Path) -> list[str]:
    """Return what lies about in the folder for temporary files; torch keeps a cache there."""
    return [path.name for path in (tmp_path / "temporary").iterdir() if not path.name.startswith("torchinductor_")]


def artifacts_in(cache: Path) -> list[str]:
    return [path.name for path in (cache / "artifacts").glob("[!.]*")]


MANNERS = {
    "Ctrl-C": (signal.SIGINT, True, STAGES),
    "SIGINT to the parent": (signal.SIGINT, False, ("compiling", "measuring")),
    "SIGTERM": (signal.SIGTERM, False, ("compiling", "measuring")),
    "a terminal that closes": (signal.SIGHUP, True, ("compiling", "measuring")),
}


@pytest.mark.parametrize("manner", MANNERS)
def test_interrupted_at_every_stage_then_resumed(tmp_path: Path, folders: dict[str, Path], manner: str) -> None:
    number, group, stages = MANNERS[manner]
    file, done = None, set[str]()
    for stage in stages:
        started = begin(stage, tmp_path, folders, file)
        started.send(number, group=group)
        started.send(signal.SIGCONT)
        code = started.end()
        assert code == 130, (stage, code, started.err)
        assert artifacts_in(folders["compiling"]) == []  # it did not wait until they were built
        started.assert_nobody_left()
        file, record = read_after(tmp_path, done)
        done = {result.variant.name for result in record.results}
        assert f"interrupted: {len(done)} of 2 variants are recorded; go on with: mbench run --resume" in started.err
        assert started.lines[-1].endswith(file.name)
        assert "Traceback" not in started.err, f"{stage}: {started.err}"
        assert strays(tmp_path) == [], stage
    assert_resumes(tmp_path, folders, file)


def assert_resumes(tmp_path: Path, folders: dict[str, Path], file: Path | None) -> None:
    assert file is not None
    code, started = finished("run", "--resume", file, cache=folders["done"], cwd=tmp_path)
    assert code == 0, started.err
    record = record_files.read(file)
    assert {result.variant.name for result in record.results} == set(PAIR)
    assert record.failures == ()
    assert all(len(result.end_to_end.latency_s or ()) >= 3 for result in record.results)
    assert file.with_suffix(".html").exists()


def test_killed_at_several_stages_then_resumed(tmp_path: Path, folders: dict[str, Path]) -> None:
    file, done = None, set[str]()
    for stage in ("compiling", "calibrating", "loading", "measuring", "done"):
        started = begin(stage, tmp_path, folders, file)
        started.send(signal.SIGKILL)
        assert started.end() == -signal.SIGKILL
        started.assert_nobody_left()
        file, record = read_after(tmp_path, done)
        done = {result.variant.name for result in record.results}
    assert_resumes(tmp_path, folders, file)


def test_the_worker_is_killed_at_every_stage(tmp_path: Path, folders: dict[str, Path]) -> None:
    """The other network is measured; the one that failed is tried again by --resume."""
    file = None
    for stage in ("loading", "checking", "warming up", "measuring", "measuring layers"):
        started = begin(stage, tmp_path, folders, file, MBENCH_TEST_STOP_WORKERS="1")
        [worker] = started.workers()
        worker.send_signal(signal.SIGKILL if stage != "checking" else signal.SIGSEGV)
        with suppress(psutil.NoSuchProcess):
            worker.resume()
        started.send(signal.SIGCONT)
        assert started.end() == 4, started.err
        started.assert_nobody_left()
        file, record = read_after(tmp_path, set())
        [failure] = record.failures
        assert failure.variant == PAIR[0]
        assert ("SIGKILL" if stage != "checking" else "SIGSEGV") in failure.reason
        assert failure.stage in STAGES[STAGES.index(stage) :]
        assert [result.variant.name for result in record.results] == [PAIR[1]]
        assert f"FAILED: {PAIR[0]}" in started.out
        assert f"{PAIR[0]}: failed" in started.err
        assert strays(tmp_path) == []
    assert_resumes(tmp_path, folders, file)


def test_the_worker_is_killed_while_it_calibrates(tmp_path: Path, folders: dict[str, Path]) -> None:
    started = begin("calibrating", tmp_path, folders, None, MBENCH_TEST_STOP_WORKERS="1")
    [worker] = started.workers()
    worker.kill()
    started.send(signal.SIGCONT)
    assert started.end() == 4
    _, record = read_after(tmp_path, set(PAIR))
    assert "SIGKILL" in record.device.missing["calibration"]
    assert record.device.calibration is None
    for result in record.results:
        assert result.end_to_end.latency_s
        assert all(layer.roofline is None for layer in result.layers)
        assert "peaks" in result.missing["layers.roofline"]
    assert "SIGKILL" in started.err


def test_the_building_process_is_killed(tmp_path: Path, folders: dict[str, Path]) -> None:
    cache = folders["calibrating"]
    shutil.rmtree(artifact_of(cache, PAIR[0]).folder)
    with running("run", *PAIR, *OPTIONS, "--output", "out", cache=cache, cwd=tmp_path) as started:
        started.wait_for(f"{PAIR[1]}: compiled")
        assert kill_builders_until(started, f"{PAIR[0]}: failed") >= 2  # it was tried once more, alone
        assert started.end() == 4
        started.assert_nobody_left()
    file, record = read_after(tmp_path, {PAIR[1]})
    [failure] = record.failures
    assert failure.variant == PAIR[0]
    assert failure.stage in ("starting", "compiling")  # a process that is killed at once had no time to begin
    assert "died" in failure.reason
    assert [result.variant.name for result in record.results] == [PAIR[1]]
    assert_resumes(tmp_path, folders, file)


def kill_builders_until(started: Running, line: str) -> int:
    killed = set[int]()
    while line not in started.err:
        for worker in started.workers():
            killed.add(worker.pid)
            worker.kill()
        started.pass_line(0.05)
    return len(killed)


def test_a_building_process_that_is_killed_once_is_tried_again(tmp_path: Path, folders: dict[str, Path]) -> None:
    cache = folders["calibrating"]
    with running("run", *PAIR, *OPTIONS, "--output", "out", "--compile-only", cache=cache, cwd=tmp_path) as started:
        while not (workers := started.workers()):
            time.sleep(0.01)
        workers[0].kill()
        assert started.end() == 0, started.err
    _, record = read_after(tmp_path, set(PAIR))
    assert record.failures == ()


# ----------------------------------------------------------------------------------------------------------- full disk
@contextmanager
def mounted(disk: Path, size: str) -> Iterator[Path]:
    require(os.geteuid() == 0 and shutil.which("mount"), "root, to mount a small file system")
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], check=False)
    require(done.returncode == 0, "the right to mount a small file system")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", "256k") as disk:
        yield disk


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as filler:
        try:
            while filler.write(b"x" * 4096):
                pass
        except OSError:
            return


def test_the_disk_is_full_from_the_start(tmp_path: Path, cache: Path, small_disk: Path) -> None:
    fill(small_disk)
    code, started = finished("run", *PAIR, *OPTIONS, "--output", small_disk, cache=cache, cwd=tmp_path)
    assert code == 4
    assert started.out == ""
    [line] = started.lines
    assert "No space left on device" in line
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


def test_the_disk_fills_up_on_the_way(tmp_path: Path, folders: dict[str, Path], small_disk: Path) -> None:
    arguments = ("run", *PAIR, *OPTIONS, "--output", small_disk)
    temporary = tmp_path / "temporary"
    with running(*arguments, cache=folders["done"], cwd=tmp_path, temporary=temporary) as started:
        started.wait_for(": measuring$")
        fill(small_disk)
        assert started.end() == 4
        started.assert_nobody_left()
    [said] = [line for line in started.lines if line.startswith("mbench: ")]
    assert said == started.lines[-1]
    [before] = small_disk.glob("*.json")
    assert {path.name for path in small_disk.iterdir()} == {"filler", before.name}
    assert record_files.read(before).results == ()
    [saved] = temporary.glob("*.json")
    assert f"--resume {saved}" in said
    assert str(before) in said
    record = record_files.read(saved)
    assert [result.variant.name for result in record.results] == [PAIR[0]]
    assert_resumes(tmp_path, folders, saved)


def test_the_disk_has_no_room_for_the_page(tmp_path: Path, cache: Path, small_disk: Path) -> None:
    arguments = ("run", *PAIR, "--target", TARGET, "--quick", "--repeat", "5", "--output", small_disk)
    code, started = finished(*arguments, cache=cache, cwd=tmp_path)
    assert code == 4
    [line] = [line for line in started.lines if line.startswith("mbench: ")]
    assert ".html: cannot be written: No space left on device" in line
    assert len(record_files.read(only_record(small_disk)).results) == 2
    assert "latency" in started.out


def test_the_cache_is_full(tmp_path: Path, cache: Path) -> None:
    """What lies in it is used; what would have to be built is a failure with its reason."""
    with mounted(tmp_path / "cache", "128m") as full:
        shutil.copytree(cache, full, dirs_exist_ok=True)
        shutil.rmtree(artifact_of(full, PAIR[1]).folder)
        (full / "device-local.lock").unlink(missing_ok=True)
        fill(full)
        code, started = finished("run", *PAIR, *OPTIONS, "--output", "out", cache=full, cwd=tmp_path)
        assert code == 4
        assert "Traceback" not in started.err
    record = record_files.read(only_record(tmp_path / "out"))
    assert [result.variant.name for result in record.results] == [PAIR[0]]
    [failure] = record.failures
    assert (failure.variant, failure.stage) == (PAIR[1], "compiling")
    assert "No space left on device" in failure.reason


# -------------------------------------------------------------------------------------------------------- two at once
def test_two_runs_in_one_folder(tmp_path: Path, cache: Path) -> None:
    arguments = ("run", *PAIR, *OPTIONS, "--output", "out")
    with running(*arguments, cache=cache, cwd=tmp_path) as first:
        first.wait_for(": measuring")
        with running(*arguments, cache=cache, cwd=tmp_path) as second:
            line = second.wait_for("another run measures")
            assert f"process {first.process.pid}" in line
            assert not any(": measuring" in line for line in second.lines)
            assert (first.end(), second.end()) == (0, 0)
    files = sorted((tmp_path / "out").glob("*.json"))
    assert len(files) == 2
    assert len(list((tmp_path / "out").iterdir())) == 4
    assert all(len(record_files.read(file).results) == 2 for file in files)


def test_a_record_is_resumed_by_one_at_a_time(tmp_path: Path, cache: Path) -> None:
    with running("run", *PAIR, *OPTIONS, "--output", "out", cache=cache, cwd=tmp_path) as first:
        first.wait_for(": measuring")
        first.send(signal.SIGSTOP)  # however long the second takes to begin
        [file] = (tmp_path / "out").glob("*.json")
        code, second = finished("run", "--resume", file, cache=cache, cwd=tmp_path)
        first.send(signal.SIGCONT)
        assert (code, second.out) == (2, "")
        [line] = second.lines
        assert f"another process ({first.process.pid}) works on it" in line
        first.send(signal.SIGINT, group=True)
        assert first.end() == 130
    assert record_files.read(only_record(tmp_path / "out")).failures == ()


def test_four_runs_build_the_same_at_once(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    arguments = ("run", PAIR[0], "--target", TARGET, "--compile-only", "--output", "out")
    with ExitStack() as stack:
        started = [stack.enter_context(running(*arguments, cache=tmp_path / "cache", cwd=tmp_path)) for _ in range(4)]
        assert [each.end() for each in started] == [0] * 4
    files = sorted((tmp_path / "out").glob("*.json"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        name for file in files for name in (file.name, file.with_suffix(".html").name)
    }
    assert [len(record_files.read(file).results) for file in files] == [1] * 4
    artifact_of(tmp_path / "cache", PAIR[0])
    assert list((tmp_path / "cache").rglob(".*")) == []


def test_who_waits_can_be_interrupted(tmp_path: Path, cache: Path) -> None:
    arguments = ("run", *PAIR, *OPTIONS)
    with running(*arguments, "--output", "a", cache=cache, cwd=tmp_path) as first:
        first.wait_for(": measuring")
        with running(*arguments, "--output", "b", cache=cache, cwd=tmp_path) as second:
            second.wait_for("another run measures")
            second.send(signal.SIGINT, group=True)
            assert second.end() == 130
            second.assert_nobody_left()
        psutil.Process(first.process.pid).kill()
        first.end()
        first.assert_nobody_left()
    assert record_files.read(only_record(tmp_path / "b")).results == ()
