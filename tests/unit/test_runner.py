from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import fake_devices as fakes
import msgspec
import pytest
from run_world import NAMES, World, names, resumed

from mbench import devices
from mbench.analysis import completeness, pairs
from mbench.build import build as builder
from mbench.build import builders
from mbench.core import atomic_files, machine_types, record_files, records, system_limits
from mbench.core.artifact import Artifact
from mbench.core.children import Died, TaskLimits, TookTooLong, TooLarge
from mbench.core.errors import BuildError, MeasureError, OutputError, TargetError, UsageError
from mbench.core.records import Record
from mbench.devices.process import WorkerDied
from mbench.hardware import host, targets
from mbench.pipeline import runner

pytest_plugins = ("run_fixtures",)


def disk_is_full_after(monkeypatch: pytest.MonkeyPatch, path: Path, text: bytes) -> None:
    """Let a record be written as long as it holds a text, and nowhere but in other folders afterwards."""
    write = atomic_files.write_atomically

    def full(place: Path, data: bytes) -> None:
        if place == path and text not in data:
            raise OutputError(f"{place}: cannot be written: No space left on device")
        write(place, data)

    monkeypatch.setattr(record_files, "write_atomically", full)


# -------------------------------------------------------------------------------------------------------- all is well
def test_all_variants_in_order(world: World) -> None:
    record = world.run()
    assert tuple(names(record)) == NAMES
    assert record.failures == ()
    assert record.device.calibration == world.device.peaks
    assert world.device.calibrated == 1
    assert world.device.closed
    assert [world.ended(name) for name in NAMES] == ["done"] * 3
    assert all(plan.threads == 1 and plan.repeat == 5 for plan in world.device.plans)
    assert [path.name for path in world.path.parent.iterdir()] == ["run.json"]


@pytest.mark.parametrize("threads", [1, 2])
def test_kernels_are_cut_for_the_threads_of_the_run(
    world: World, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    cores: list[int] = []

    def build(variant: records.Variant, *, target: machine_types.Target, **given: Any) -> tuple[Artifact, bool]:
        cores.append(target.processor.cores)
        return world.build(variant, **given)

    monkeypatch.setattr(builder, "build", build)
    many = msgspec.structs.replace(world.target.processor, cores=16)
    world.target = msgspec.structs.replace(world.target, processor=many)
    record = world.run(settings={"threads": threads})
    assert set(cores) == {targets.CORES_OF_ONE_THREAD if threads == 1 else threads}
    assert record.target == world.target, "the record says what the target is"


def test_the_record_is_written_after_every_step(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    write = record_files.write

    def count(path: Path, record: Record) -> None:
        written.append(len(record.results))
        write(path, record)

    monkeypatch.setattr(record_files, "write", count)
    world.run()
    assert sorted(set(written)) == [0, 1, 2, 3]
    assert written == sorted(written)


def test_compile_only_opens_no_device(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(devices.OPENERS, "local", lambda *_, **__: pytest.fail("opened"))
    record = world.run(settings={"compile_only": True})
    assert tuple(names(record)) == NAMES
    assert record.device.kind == "none"
    assert record.device.missing == {"calibration": runner.COMPILE_ONLY}
    for result in record.results:
        assert result.end_to_end.latency_s is None
        assert {pairs.why_missing(result, path) for path in ("end_to_end.latency_s", "numerics", "time_balance")} == {
            runner.COMPILE_ONLY
        }


def test_run_ids_are_all_different() -> None:
    found = {runner.new_run_id() for _ in range(200)}
    assert len(found) == 200


# ----------------------------------------------------------------------------------------------------------- failures
BUILD_FAILURES = {
    "refused": (BuildError("linking failed: no space"), "linking failed: no space"),
    "defect": (ValueError("first line\nsecond line"), "ValueError: first line"),
    "full disk": (OSError(28, "No space left on device"), "No space left on device"),
    "memory": (MemoryError(), "out of memory"),
    "files": (OSError(24, "Too many open files"), "too many open files; open files are limited to"),
    "too long": (TookTooLong("it took more than 5 s"), "it took more than 5 s; raise --build-timeout"),
    "too large": (TooLarge("it took more than 2 GiB of memory"), "it took more than 2 GiB of memory, 90% of what"),
    "died": (Died("gone"), "died"),
    "foreign": (OutputError("notes.txt is not mbench's, and is not removed"), "notes.txt is not mbench's"),
}


@pytest.mark.parametrize("name", BUILD_FAILURES)
def test_a_failed_build_is_recorded_and_the_rest_measured(world: World, name: str) -> None:
    error, said = BUILD_FAILURES[name]
    world.builds[NAMES[1]] = error
    record = world.run()
    assert names(record) == [NAMES[0], NAMES[2]]
    [failure] = record.failures
    assert (failure.variant, failure.stage) == (NAMES[1], "compiling")
    assert said in failure.reason
    assert "\n" not in failure.reason
    assert world.ended(NAMES[1]) == "failed"


def test_a_build_whose_process_died_is_tried_once_more(world: World) -> None:
    world.builds[NAMES[1]] = [Died("gone")]
    record = world.run()
    assert tuple(names(record)) == NAMES
    assert record.failures == ()
    assert world.built.count(NAMES[1]) == 2


def test_a_build_that_is_too_large_beside_others_is_tried_alone_with_all_the_memory(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[TaskLimits] = []

    class Pool(fakes.InThisProcess):
        def submit_within(self, limits: TaskLimits, task: Any, /, *arguments: Any) -> Any:
            given.append(limits)
            return self.submit(task, *arguments)

    monkeypatch.setattr(builders, "children", lambda _workers: Pool())
    monkeypatch.setattr(builders, "builders", lambda: 2)
    monkeypatch.setattr(system_limits, "memory_bytes", lambda: 10 * 2**30)
    world.builds[NAMES[1]] = [TooLarge("it took more than 4.5 GiB of memory")]
    assert tuple(names(world.run(build_timeout_s=7.0))) == NAMES
    assert sorted(limits.memory_bytes / 2**30 for limits in given) == [4.5, 4.5, 4.5, 9.0]
    assert {limits.time_s for limits in given} == {7.0}


def test_a_network_that_is_larger_than_the_memory_is_refused_before_anything_is_built(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin alone: weights of 2.0 million parameters beside 0.5 and 1.3 million."""
    monkeypatch.setattr(system_limits, "available_bytes", lambda: 50 * 10**6)
    with monkeypatch.context() as patched:
        patched.setattr(builders, "already_built", lambda wanted, *_: frozenset(each.name for each in wanted))
        assert tuple(names(world.run())) == NAMES, "what is built already is only run"
    world.path.unlink()
    world.built.clear()
    record = world.run()
    assert names(record) == [NAMES[0], NAMES[2]]
    assert NAMES[1] not in world.built
    [failure] = record.failures
    assert (failure.variant, failure.stage, world.ended(NAMES[1])) == (NAMES[1], "planning", "failed")
    assert "too large for this machine" in failure.reason
    assert not completeness.complete(record)
    monkeypatch.setattr(system_limits, "available_bytes", lambda: 10**9)
    assert sorted(names(world.run(before=record))) == sorted(NAMES)


def test_what_the_user_should_know_is_said_first(world: World) -> None:
    world.run(notes=("--standard: x has no twin",))
    assert world.progress.notes[0] == "--standard: x has no twin"


def test_a_build_that_takes_too_long_is_not_tried_again(world: World) -> None:
    world.builds[NAMES[1]] = TookTooLong("it took more than 5 s")
    world.run()
    assert world.built.count(NAMES[1]) == 1


def test_all_builds_fail(world: World) -> None:
    world.builds.update({name: BuildError("no") for name in NAMES})
    record = world.run()
    assert (len(record.results), len(record.failures)) == (0, 3)
    assert record.device.missing == {"calibration": runner.NOT_YET}
    assert world.device.calibrated == 0


def test_a_wrong_target_leaves_nothing(world: World) -> None:
    world.builds[NAMES[0]] = TargetError("target 'x': tvm.mcpu 'y' is not a processor")
    with pytest.raises(TargetError):
        world.run()
    assert list(world.path.parent.iterdir()) == []


def test_a_record_that_is_resumed_stays_where_its_target_is_wrong(world: World) -> None:
    world.builds[NAMES[0]] = BuildError("no compiler")
    world.builds[NAMES[1]] = BuildError("no compiler")
    world.builds[NAMES[2]] = BuildError("no compiler")
    world.run()
    before = world.path.read_bytes()
    world.builds = {NAMES[0]: TargetError("target 'x': tvm.mcpu 'y' is not a processor")}
    with pytest.raises(TargetError):
        runner.run(runner.resumed(world.path, host.describe(), use_cache=True), world.progress)
    assert world.path.read_bytes() == before
    assert [path.name for path in world.path.parent.iterdir()] == [world.path.name]


@pytest.mark.parametrize("wrong", [{"latency_s": (float("nan"),) * 5}, {"wall_s": -1.0}, {"warmup_runs": 2**63}])
def test_what_no_reader_would_take_is_a_failure_and_the_rest_is_kept(world: World, wrong: dict[str, Any]) -> None:
    world.device.behaviour[NAMES[1]] = msgspec.structs.replace(fakes.unseen(fakes.PASSED), **wrong)
    record = world.run()
    assert record_files.read(world.path) == record_files.decode(record_files.encode(record), source="")
    assert names(record) == [NAMES[0], NAMES[2]]
    [failure] = record.failures
    assert (failure.variant, failure.stage) == (NAMES[1], "recording")
    assert "not a valid record" in failure.reason
    assert world.ended(NAMES[1]) == "failed"


def test_a_reason_of_any_length_is_shortened_to_what_a_record_may_hold(world: World) -> None:
    world.builds[NAMES[0]] = BuildError("first " + "x" * 10**6 + " last")
    world.run()
    [failure] = record_files.read(world.path).failures
    assert failure.reason.startswith("first ")
    assert failure.reason.endswith(" last")
    assert len(failure.reason) < 1000


# ------------------------------------------------------------------------------------------------- interrupt and resume
@pytest.mark.parametrize("number", range(3))
def test_an_interrupt_leaves_a_record_to_go_on_with(world: World, number: int) -> None:
    world.fails(NAMES[number], KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        world.run()
    record = record_files.read(world.path)
    assert tuple(names(record)) == NAMES[:number]
    assert record.unfinished() == NAMES[number:]
    assert world.device.closed
    world.device.behaviour.clear()
    world.built.clear()
    job = runner.resumed(world.path, host.describe(), use_cache=True)
    finished = runner.run(job, world.progress)
    assert tuple(names(finished)) == NAMES
    assert tuple(world.built) == NAMES[number:]
    assert finished.run_id == record.run_id
    assert finished.results[:number] == record.results


def test_an_interrupt_while_writing_loses_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    write, pending = record_files.write, [KeyboardInterrupt()]

    def interrupted(path: Path, record: Record) -> None:
        if record.results and pending:
            raise pending.pop()
        write(path, record)

    monkeypatch.setattr(record_files, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        world.run()
    assert names(record_files.read(world.path)) == [NAMES[0]]


def test_an_interrupt_while_a_full_disk_is_written_to_is_an_interrupt(
    world: World, refuge: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, pending = record_files.write, [KeyboardInterrupt()]

    def full(path: Path, record: Record) -> None:
        if path == world.path and record.results:
            raise pending.pop() if pending else OutputError(f"{path}: cannot be written: No space left on device")
        write(path, record)

    monkeypatch.setattr(record_files, "write", full)
    with pytest.raises(KeyboardInterrupt):
        world.run()
    assert names(record_files.read(refuge / "run.json")) == [NAMES[0]], "what was measured is not lost"
    assert [note for note in world.progress.notes if str(refuge / "run.json") in note], "and it is said where it is"


def test_resume_tries_what_failed_again(world: World) -> None:
    world.builds[NAMES[0]] = BuildError("no compiler")
    world.fails(NAMES[1], WorkerDied("ended by SIGKILL", stage="loading"))
    world.device.behaviour[NAMES[2]] = fakes.unseen(fakes.WRONG)
    first = world.run()
    assert len(first.failures) == 3
    world.builds.clear()
    world.device.behaviour.clear()
    finished = runner.run(runner.resumed(world.path, host.describe(), use_cache=True), world.progress)
    assert set(names(finished)) == set(NAMES)
    [left] = finished.failures  # a wrong result is a result
    assert left.variant == NAMES[2]


def test_resume_has_nothing_to_do(world: World) -> None:
    first, built = world.run(), len(world.built)
    before = world.path.stat()
    assert runner.run(resumed(world), world.progress) == first
    assert world.progress.notes[-1] == "nothing is left to measure"
    assert len(world.built) == built
    assert world.path.stat() == before, "the record is not written again"


# ------------------------------------------------------------------------------------------------------- two at once
def test_a_run_that_made_nothing_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, _record: Record) -> None:
        raise OutputError(f"{path}: no space")

    monkeypatch.setattr(record_files, "write", full)
    with pytest.raises(OutputError):
        world.run(keep_artifacts=True)
    assert list(world.path.parent.iterdir()) == []


def test_resume_refuses_another_machine(world: World) -> None:
    world.builds[NAMES[0]] = BuildError("no")
    world.run()
    elsewhere = msgspec.structs.replace(host.describe(), cpu="another")
    with pytest.raises(UsageError, match="processor was"):
        runner.resumed(world.path, elsewhere, use_cache=True)


def test_resume_of_compile_only_stays_so(world: World) -> None:
    world.builds[NAMES[0]] = BuildError("no")
    world.run(settings={"compile_only": True})
    world.builds.clear()
    finished = runner.run(runner.resumed(world.path, host.describe(), use_cache=True), world.progress)
    assert set(names(finished)) == set(NAMES)
    assert world.device.plans == []


# ----------------------------------------------------------------------------------------------------------- full disk
def test_what_cannot_be_written_is_saved_elsewhere(world: World, refuge: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk_is_full_after(monkeypatch, world.path, b'"results":[]')
    with pytest.raises(OutputError) as caught:
        world.run()
    saved = refuge / "run.json"
    assert f"--resume {saved}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert names(record_files.read(saved)) == [NAMES[0]]
    assert names(record_files.read(world.path)) == []
    assert world.device.closed
    finished = runner.run(runner.resumed(saved, host.describe(), use_cache=True), world.progress)
    assert tuple(names(finished)) == NAMES


def test_what_no_reader_takes_is_saved_elsewhere_as_a_failure(
    world: World, refuge: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_is_full_after(monkeypatch, world.path, b'"failures":[]')
    world.device.behaviour[NAMES[0]] = msgspec.structs.replace(fakes.unseen(fakes.PASSED), wall_s=-1.0)
    with pytest.raises(OutputError, match=r"what was measured is saved in .*refuge"):
        world.run()
    [failure] = record_files.read(refuge / "run.json").failures
    assert (failure.variant, failure.stage) == (NAMES[0], "recording")


def test_a_machine_that_no_record_can_hold_is_named_before_anything_is_done(world: World) -> None:
    machine = msgspec.structs.replace(host.describe(), cpu="x" * 100_000)
    with pytest.raises(MeasureError, match=r"of itself cannot be recorded.*host\.cpu"):
        runner.run(world.job(host=machine), world.progress)
    assert world.built == []
    assert list(world.path.parent.iterdir()) == []


def test_nowhere_to_write(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OutputError(f"{path}: cannot be written: No space left on device")

    monkeypatch.setattr(record_files, "write_atomically", full)
    with pytest.raises(OutputError, match=r"run\.json"):
        runner.run(world.job(), world.progress)
    assert world.built == []  # noticed before anything was done


# ----------------------------------------------------------------------------------------------- the machine it runs on
def test_the_record_keeps_the_target_as_it_is_described(world: World) -> None:
    assert record_files.encode(world.run())
    assert json.loads(world.path.read_bytes())["target"]["processor"]["cores"] == world.target.processor.cores


# ------------------------------------------------------------------------------------------------------------ children
def die(_name: str) -> None:
    os.abort()


@pytest.mark.slow
def test_the_process_that_asks_for_the_host_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(targets, "load", die)
    with pytest.raises(BuildError, match="process that asked LLVM"):
        runner.resolve_target("host")
