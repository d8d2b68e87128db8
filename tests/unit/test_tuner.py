"""Tuning whole networks: what is kept, what survives crashes and interruptions. Times are made up."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tuning_world import DEFAULT, GRID, KERNELS, OTHER, QUICK, SLOW, TARGET, A, B, World, in_place

from mbench.compile import to_relax
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import cpu
from mbench.compile.schedules.dispatch import schedule, signature
from mbench.compile.schedules.rule import Scheduled
from mbench.core import atomic_files, scratch
from mbench.core.choices import Choice
from mbench.core.errors import MeasureError, OutputError, UsageError
from mbench.devices.process import WorkerDied
from mbench.hardware import host, targets
from mbench.networks import architectures, imported_store, variants
from mbench.tuning import choice_files, in_network, tuner
from mbench.tuning.plans import Candidate, Readings, TimingPlan
from mbench.tuning.search import Bench
from mbench.tuning.tuner import Tuner

pytest_plugins = ("tuning_fixtures",)

MACHINE = KernelMachine.of(TARGET)


# ----------------------------------------------------------------------------------------------- choices, when building
def by_choice(product: tuple[str, Any], rule: str, parameters: dict[str, int]) -> Scheduled:
    name, function = product
    return schedule(function, MACHINE, {name: Choice(rule=rule, parameters=parameters)})


def test_a_choice_is_followed(product: tuple[str, Any]) -> None:
    default = schedule(product[1], MACHINE)
    assert not default.tuned
    other = dict(list(cpu.RULES["cpu.matmul"].candidates(Kernel(product[1]), MACHINE))[-1])
    made = by_choice(product, "cpu.matmul", other)
    assert made.tuned
    assert made.parameters == other != default.parameters
    assert made.ignored is None
    assert made.description.endswith("(tuned)")
    assert made.description != f"{default.description} (tuned)"


def test_a_choice_is_of_one_kernel(functions: dict[str, Any], product: tuple[str, Any]) -> None:
    name = product[0]
    other = next(function for key, function in functions.items() if key != name and Kernel(function).matmul)
    made = schedule(other, MACHINE, {name: Choice(rule="cpu.matmul", parameters={})})
    assert (made.tuned, made.ignored) == (False, None)


GOOD = {"rows": 1, "vectors": 1, "row_parts": 1, "panel_parts": 1}
STALE = {
    "no such rule": ("cpu.gone", {}, "there is no rule cpu.gone"),
    "a rule for others": ("cpu.depthwise", GOOD, "cpu.depthwise does not take this kernel"),
    "a parameter missing": ("cpu.matmul", {"rows": 1, "vectors": 1}, "cpu.matmul takes "),
    "a parameter too many": ("cpu.matmul", {**GOOD, "lanes": 4}, "not rows, vectors, row_parts, panel_parts, lanes"),
    "too large a tile": ("cpu.matmul", {**GOOD, "rows": 10_000}, "larger than"),
    "nothing": ("cpu.matmul", {**GOOD, "rows": 0}, "cpu.matmul: "),
    "no database": ("metaschedule", {}, "MetaSchedule's database ? is not there"),
}


@pytest.mark.parametrize("name", STALE)
def test_a_stale_choice_is_ignored_with_the_reason(product: tuple[str, Any], name: str) -> None:
    rule, parameters, reason = STALE[name]
    made = by_choice(product, rule, parameters)
    assert reason in (made.ignored or "")
    assert "\n" not in (made.ignored or "")
    default = schedule(product[1], MACHINE)
    assert (made.rule, made.parameters, made.tuned) == (default.rule, default.parameters, False)


def test_kernels_without_weights_are_not_tuned() -> None:
    lowered = to_relax.lower(architectures.folded(variants.parse("mobilenet_v1_0.25_32")).graph)
    named = {str(signature(Kernel(function))) for _, function in to_relax.kernel_calls(lowered.module)}
    assert "None" in named  # the pooling
    assert all(name.split("_")[0] in ("None", "conv2d", "depthwise", "matmul") for name in named)


# ------------------------------------------------------------------------------------------------------- whole searches
@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return in_place(tmp_path, monkeypatch)


def test_every_kernel_is_tuned_and_written(world: World) -> None:
    world.device.speeds = {str(OTHER): 0.9, str(GRID): 0.6}
    work = world.run()
    assert world.chosen() == {kernel: {"rows": 6, "row_parts": 2} for kernel in KERNELS}
    assert work.failures == []
    assert [entry.made_with.others_busy for _, entry in work.entries()] == [0.25] * 3
    assert world.arena.closed
    assert [entry.seconds for _, entry in work.entries()] == pytest.approx([6e-6] * 3)
    assert any("1.67x with cpu.matmul rows=6 row_parts=2; 0 s left" in note for note in world.progress.notes)


def test_where_nothing_is_quicker_the_rules_stay(world: World) -> None:
    work = world.run()
    assert world.chosen() == dict.fromkeys(KERNELS, DEFAULT.parameters)
    assert not any(entry.wins for _, entry in work.entries())


def test_kernels_shared_by_networks_are_tuned_once(world: World) -> None:
    work = world.run(variants=("mobilenet_v1_0.25_32", "mobilenet_v1_0.5_32"))
    assert [found.task.kernel for found in work.searches] == list(KERNELS)
    assert [len(found.task.layers) for found in work.searches] == [2, 2, 2]


def test_a_kernel_that_can_be_made_in_one_way_is_not_timed(world: World) -> None:
    world.tiles = ()
    work = world.run()
    assert work.searches == ()
    assert not (world.folder / "tuned.toml").exists()


def test_a_kernel_whose_default_fails_is_a_failure_and_the_others_go_on(world: World) -> None:
    world.refused = {f"{KERNELS[1]} {DEFAULT}": "no registers left"}
    work = world.run()
    assert set(world.chosen()) == {KERNELS[0], KERNELS[2]}
    assert [(failure.kernel, failure.candidate) for failure in work.failures] == [(KERNELS[1], "")]
    assert (KERNELS[1], "failed", 1.0) in world.progress.stages


def test_a_death_before_any_candidate_is_the_kernels_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(plan: TimingPlan, report: Any) -> Readings:
        raise WorkerDied("out of memory", stage="starting")

    monkeypatch.setattr(world.device, "time_kernel", die)
    work = world.run()
    assert [failure.reason for failure in work.failures] == ["out of memory"] * 3
    assert not (world.folder / "tuned.toml").exists()


# --------------------------------------------------------------------------------------------- interrupted, and gone on
def interrupted(world: World, at: int) -> None:
    """Tune until the `at`-th batch is timed, where Ctrl-C comes."""
    time_kernel = world.device.time_kernel

    def press(plan: TimingPlan, report: Any) -> Readings:
        if len(world.device.timed) == at:
            raise KeyboardInterrupt
        return time_kernel(plan, report)

    world.device.time_kernel = press  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        world.run()
    world.device.time_kernel = time_kernel  # type: ignore[method-assign]
    assert world.arena.closed


@pytest.mark.parametrize("at", [0, 1, 2, 3, 5])
def test_what_was_tuned_before_an_interruption_stays_and_is_not_tuned_again(world: World, at: int) -> None:
    world.device.speeds = {str(OTHER): 0.5}
    interrupted(world, at)
    done = KERNELS[: at // 2]
    file = world.folder / "tuned.toml"
    assert (set(world.chosen()) if file.exists() else set()) == set(done)
    world.device.timed.clear()
    work = world.run()
    assert set(world.chosen()) == set(KERNELS)
    assert [found.task.kernel for found in work.waiting] == list(KERNELS[len(done) :])
    assert len(world.device.timed) == 2 * (3 - len(done))
    told = f"{len(done)} are tuned already, and stay as they are without --again"
    assert any(told in note for note in world.progress.notes) == bool(done)


def test_again_tunes_everything(world: World) -> None:
    world.run()
    assert world.run().waiting == ()
    world.device.speeds = {str(OTHER): 0.5}
    assert len(world.run(again=True).waiting) == 3
    assert world.chosen() == dict.fromkeys(KERNELS, OTHER.parameters)


@pytest.mark.parametrize("what", ["version", "rules", "threads", "trials"])
def test_what_was_tuned_under_other_conditions_is_tuned_again(world: World, what: str) -> None:
    world.run()
    changes: dict[str, Any] = {}
    if what == "version":
        before = choice_files.read(world.folder / "tuned.toml")
        [old, *rest] = before.kernels
        old = msgspec.structs.replace(old, made_with=msgspec.structs.replace(old.made_with, mbench="0.0.1"))
        choice_files.write(world.folder / "tuned.toml", msgspec.structs.replace(before, kernels=(old, *rest)))
    elif what == "rules":
        world.default = Candidate(rule="cpu.matmul", parameters={"rows": 3})
    elif what == "threads":
        changes["threads"] = 2
    else:
        changes["trials"] = 8
    with Tuner(world.job(**changes)) as work:
        work.find(world.progress.note)
    assert len(work.waiting) == (1 if what == "version" else 3)


# ------------------------------------------------------------------------------------------------------ in the networks
def followed(work: Tuner) -> set[str]:
    return {entry.kernel for _, entry in work.entries() if entry.wins}


def test_a_choice_that_is_not_quicker_in_its_network_is_not_followed(world: World) -> None:
    world.device.speeds = {str(OTHER): 0.5}
    world.arena.ratios = {KERNELS[0]: QUICK, KERNELS[1]: SLOW, KERNELS[2]: QUICK}
    work = world.confirm()
    assert followed(work) == {KERNELS[0], KERNELS[2]}
    assert set(choice_files.choices_of(choice_files.read(work.job.file), work.job.file, 1).kernels) == followed(work)
    times = {
        entry.kernel: (entry.in_place.default_seconds, entry.in_place.seconds, entry.in_place.layers)
        for _, entry in work.entries()
        if entry.in_place
    }
    assert times[KERNELS[0]] == pytest.approx((1e-3, 0.8e-3, 1))
    assert times[KERNELS[1]] == pytest.approx((1e-3, 1.25e-3, 1))
    assert any(f"{KERNELS[1]}: not quicker in the network" in note for note in world.progress.notes)
    assert world.arena.closed


def test_a_network_is_timed_anew_without_what_was_not_quicker_there(world: World) -> None:
    world.device.speeds = {str(OTHER): 0.5}
    world.arena.ratios = {KERNELS[0]: QUICK, KERNELS[2]: QUICK}
    work = world.confirm()
    kept = frozenset((KERNELS[0], KERNELS[2]))
    processes = in_network.PROCESSES
    assert world.arena.fights == [(A, frozenset(KERNELS))] * processes + [(A, kept)] * processes
    [network] = work.networks()
    assert (network.default_seconds, network.seconds) == pytest.approx((3e-3, 2.6e-3))
    assert (network.threads, network.mcpu, network.made_with.others_busy) == (1, "some", 0.1)


def test_an_interruption_before_it_is_timed_anew_leaves_no_time_of_other_choices(world: World) -> None:
    world.device.speeds = {str(OTHER): 0.5}
    world.arena.ratios = {KERNELS[0]: QUICK}
    world.arena.interrupts_at = in_network.PROCESSES
    with pytest.raises(KeyboardInterrupt):
        world.confirm()
    assert choice_files.read(world.folder / "tuned.toml").networks == ()
    world.arena.interrupts_at = None
    [network] = world.confirm().networks()
    assert network.seconds == pytest.approx(2.8e-3)
    assert world.arena.fights[-1] == (A, frozenset(KERNELS[:1]))


def test_a_network_that_nothing_is_quicker_in_is_not_timed_anew(world: World) -> None:
    world.device.speeds = {str(OTHER): 0.5}
    work = world.confirm()
    assert len(world.arena.fights) == in_network.PROCESSES
    assert (work.networks(), followed(work), work.unconfirmed()) == ([], set(), [])


def test_it_takes_three_quarters_of_the_processes_to_follow_a_choice(world: World) -> None:
    world.device.speeds = {str(OTHER): 0.5}
    world.arena.ratios = {KERNELS[0]: (0.8, 0.8, 0.8, 0.9, 1.2), KERNELS[1]: (0.8, 0.8, 0.8, 1.1, 1.2)}
    assert followed(world.confirm()) == {KERNELS[0]}


def test_what_was_confirmed_is_not_timed_again(world: World) -> None:
    world.device.speeds = {str(OTHER): 0.5}
    world.arena.ratios = dict.fromkeys(KERNELS, QUICK)
    world.confirm()
    timed = len(world.arena.fights)
    assert timed == in_network.PROCESSES
    assert world.confirm().unconfirmed() == []
    assert len(world.arena.fights) == timed
    world.confirm(again=True)
    assert len(world.arena.fights) == 2 * timed


def test_where_nothing_was_quicker_no_network_is_timed(world: World) -> None:
    assert world.confirm().networks() == []
    assert world.arena.fights == []


def test_a_kernel_counts_by_all_the_networks_that_it_serves(world: World) -> None:
    world.device.speeds = {str(OTHER): 0.5}
    world.arena.ratios = dict.fromkeys(KERNELS, QUICK)
    work = world.confirm(variants=(A, B))
    assert [entry.in_place.layers for _, entry in work.entries() if entry.in_place] == [2, 2, 2]
    assert [network.variant for network in work.networks()] == [A, B]


def test_a_file_of_the_same_name_is_another_network(world: World) -> None:
    world.device.speeds = {str(OTHER): 0.5}
    world.arena.ratios = dict.fromkeys(KERNELS, QUICK)
    known = variants.parse(A)
    both = [
        msgspec.structs.replace(known, parameters={**known.parameters, imported_store.CONTENT: digit * 64})
        for digit in "12"
    ]
    for network in both:
        world.arena.fights.clear()
        work = world.confirm(networks=(network,))
        assert {name for name, _ in world.arena.fights} == {A}
        assert [each.content for each in work.networks()] == [network.parameters[imported_store.CONTENT]]
    assert len(choice_files.read(work.job.file).networks) == 2


def test_a_network_that_came_later_is_timed_with_what_was_confirmed_before(world: World) -> None:
    world.device.speeds = {str(OTHER): 0.5}
    world.arena.ratios = dict.fromkeys(KERNELS, QUICK)
    world.confirm(variants=(A,))
    world.arena.fights.clear()
    world.arena.ratios = {}
    work = world.confirm(variants=(A, B))
    assert {name for name, _ in world.arena.fights} == {B}
    assert followed(work) == set(KERNELS), "what was confirmed once stays so"
    assert [network.seconds for network in work.networks()] == pytest.approx([2.4e-3, 3.75e-3])


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), MeasureError("head: wrong result")])
def test_what_was_timed_before_a_fault_stays(world: World, fault: BaseException) -> None:
    world.device.speeds = {str(OTHER): 0.5}
    world.arena.ratios = dict.fromkeys(KERNELS, QUICK)
    world.arena.faults = {B: fault}
    with contextlib.suppress(KeyboardInterrupt):
        failures = world.confirm(variants=(A, B)).failures
        assert [(failure.kernel, failure.reason) for failure in failures] == [(B, "head: wrong result")]
    assert world.arena.closed
    written = choice_files.read(world.folder / "tuned.toml")
    assert [network.variant for network in written.networks] == [A]
    assert [entry.in_place for entry in written.kernels] == [None] * 3, "the other network would have a say"
    world.arena.faults = {}
    work = world.confirm(variants=(A, B))
    assert [network.variant for network in work.networks()] == [A, B]
    assert all(entry.in_place for _, entry in work.entries())


def test_a_network_that_cannot_be_built_leaves_the_others(world: World) -> None:
    world.device.speeds = {str(OTHER): 0.5}
    world.arena.ratios = dict.fromkeys(KERNELS, QUICK)
    world.refused = {B: "no memory left"}
    work = world.confirm(variants=(A, B))
    assert {(failure.kernel, failure.reason) for failure in work.failures} == {(B, "no memory left")}
    assert [network.variant for network in work.networks()] == [A]


def test_nothing_is_timed_in_place_on_a_gpu(world: World) -> None:
    world.device.speeds = {str(OTHER): 0.5}
    assert world.run().unconfirmed() == [A]
    with Tuner(world.job(target=targets.load("cuda_sm90"))) as work:
        work.find(world.progress.note)
        assert work.unconfirmed() == []


def test_a_file_that_cannot_be_written_ends_the_work(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, _data: bytes) -> None:
        raise OutputError(f"{path}: no space")

    monkeypatch.setattr(atomic_files, "write_atomically", full)
    with pytest.raises(OutputError, match="MBENCH_TUNED_DIR"):
        world.run()
    assert world.arena.closed


def test_two_do_not_tune_into_one_file(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_PATIENCE_S", 0.0)
    job = world.job()
    with Tuner(job), pytest.raises(UsageError) as caught, Tuner(job):
        pytest.fail("it was let in")
    assert f"{job.file}: another process ({os.getpid()}) works on it" in str(caught.value)
    with Tuner(job):  # the first has let go
        pass


def test_what_another_process_tuned_before_this_one_began_stays(world: World) -> None:
    late = Tuner(world.job())
    early = world.run()
    with late:
        assert late.file == early.file


# ---------------------------------------------------------------------------------------------------------- the helpers
def test_times_for_people() -> None:
    assert [tuner.about(seconds) for seconds in (0.0, 89.0, 600.0, 3 * 3600.0)] == ["0 s", "89 s", "10 min", "3.0 h"]


@pytest.mark.parametrize(("quota", "expected"), [(None, 6), (2.5, 2), (0.5, 1)])
def test_candidates_are_compiled_by_no_more_processes_than_the_quota_keeps_running(
    world: World, monkeypatch: pytest.MonkeyPatch, quota: float | None, expected: int
) -> None:
    seen: list[int] = []

    def bench(**given: Any) -> Bench:
        seen.append(given["processes"])
        return Bench(**given)

    monkeypatch.setattr(tuner, "Bench", bench)
    world.run(host=msgspec.structs.replace(host.describe(), processors_usable=6, processors_quota=quota))
    assert seen == [expected]
