"""The search: what is tried, how it is decided, what survives crashes and interruptions. Times are made up."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fake_devices as fakes
import msgspec
import pytest
import tvm

from mbench.build import builders
from mbench.build.compilers import Compilers, Done
from mbench.cli import ending, main
from mbench.compile import to_relax
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import cpu
from mbench.compile.schedules.dispatch import schedule, signature
from mbench.compile.schedules.rule import Scheduled
from mbench.core import atomic_files, records, scratch
from mbench.core.artifact import Artifact
from mbench.core.choices import Choice, Choices
from mbench.core.errors import BuildError, MeasureError, OutputError, UsageError
from mbench.core.records import Variant
from mbench.devices.process import WorkerDied
from mbench.hardware import host, targets
from mbench.measure.duel import Bout, DuelPlan
from mbench.networks import architectures, variants
from mbench.pipeline import options
from mbench.terminal import tuning_tables
from mbench.tuning import choice_files, in_network, jobs, search, tuner
from mbench.tuning.choice_files import TimedChoice
from mbench.tuning.plans import Begun, Candidate, Read, Readings, Task, Timing, TimingPlan, read_log
from mbench.tuning.tuner import Tuner, TuningJob

TARGET = targets.load("x86_64_v2")
MACHINE = KernelMachine.of(TARGET)


# ----------------------------------------------------------------------------------------------- choices, when building
@pytest.fixture(scope="module")
def functions() -> dict[str, Any]:
    """Return the kernels of a small network by their signatures."""
    lowered = to_relax.lower(architectures.folded(variants.parse("mobilenet_v1_0.25_32")).graph)
    found = ((signature(Kernel(function)), function) for _, function in to_relax.kernel_calls(lowered.module))
    return {name: function for name, function in found if name}


@pytest.fixture(scope="module")
def product(functions: dict[str, Any]) -> tuple[str, Any]:
    """Return a 1x1 convolution that the rule for matrix products takes."""
    return next((name, made) for name, made in functions.items() if Kernel(made).matmul and "k1x1" in name)


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


# -------------------------------------------------------------------------------------------------------- what is tried
def function_json(made: Any) -> str:
    return str(tvm.ir.save_json(made))


def test_tiles_are_all_different_and_not_the_rules_own(product: tuple[str, Any]) -> None:
    default, tiles = jobs.tiles(function_json(product[1]), TARGET, 5)
    assert default.rule == "cpu.matmul"
    assert len({one.tile for one in (default, *tiles)}) == len(tiles) + 1
    rules = [one.rule for one in tiles]
    assert rules.count("cpu.matmul") == 5
    assert "cpu.convolution" in rules
    assert all(one.parameters for one in tiles)


def test_rules_that_are_not_asked_by_default_are_tried(
    product: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shy = dataclasses.replace(cpu.RULES["cpu.matmul"], by_default=lambda _kernel, _machine: False)
    monkeypatch.setattr(cpu, "RULES", {**cpu.RULES, "cpu.shy": shy})
    default, tiles = jobs.tiles(function_json(product[1]), TARGET, 3)
    assert default.rule == "cpu.matmul"
    assert [one.rule for one in tiles].count("cpu.shy") == 3


def test_grids_are_of_the_chosen_tiles(product: tuple[str, Any]) -> None:
    default, _ = jobs.tiles(function_json(product[1]), TARGET, 1)
    found = jobs.grids(function_json(product[1]), TARGET, [default], 4)
    assert 0 < len(found) <= 4
    assert {one.tile for one in found} == {default.tile}
    assert default not in found


def test_a_tile_is_all_but_the_shares() -> None:
    def tile(**parameters: int) -> tuple[object, ...]:
        return Candidate(rule="r", parameters=parameters).tile

    assert (
        tile(rows=1, row_parts=2, tasks=3) == tile(row_parts=9, tasks=8, rows=1) != tile(rows=2, row_parts=2, tasks=3)
    )


def test_a_candidate_that_its_rule_refuses_says_why(product: tuple[str, Any], tmp_path: Path) -> None:
    library = tmp_path / "kernel.so"
    wrong = Candidate(rule="cpu.matmul", parameters={**GOOD, "rows": 10_000})
    assert "larger than" in jobs.compiled(function_json(product[1]), TARGET, wrong, str(library))
    assert not library.exists()
    right = Candidate(rule="cpu.matmul", parameters=GOOD)
    assert jobs.compiled(function_json(product[1]), TARGET, right, str(library)) == ""
    assert library.exists()


# --------------------------------------------------------------------------------------------------------- the decision
DEFAULT = Candidate(rule="cpu.matmul", parameters={"rows": 4})
OTHER = Candidate(rule="cpu.matmul", parameters={"rows": 6})


def timing(ratio: float, *, high: float | None = None, final: bool = True) -> Timing:
    return Timing(
        seconds=ratio * 1e-5,
        default_seconds=1e-5,
        ratio=ratio,
        high_ratio=high or ratio * 1.001,
        error=1e-7,
        final=final,
    )


DECISIONS = {
    "clearly quicker": ([(OTHER, timing(0.8))], OTHER),
    "quicker by less than it takes": ([(OTHER, timing(0.985))], DEFAULT),
    "slower": ([(OTHER, timing(1.2))], DEFAULT),
    "quicker in half of the rounds": ([(OTHER, timing(0.9, high=1.05))], DEFAULT),
    "quicker at first sight alone": ([(OTHER, timing(0.5, final=False)), (OTHER, timing(0.99))], DEFAULT),
    "never looked at closely": ([(OTHER, timing(0.5, final=False))], DEFAULT),
    "the quicker of two": ([(Candidate(rule="x"), timing(0.9)), (OTHER, timing(0.7))], OTHER),
}


@pytest.mark.parametrize("name", DECISIONS)
def test_what_is_chosen(name: str) -> None:
    timed, wanted = DECISIONS[name]
    found = search.decided(DEFAULT, timed)
    assert (found["rule"], found["parameters"]) == (wanted.rule, wanted.parameters)
    assert found["default"] == TimedChoice(rule="cpu.matmul", parameters={"rows": 4}, seconds=1e-5)
    assert found["error"] == (None if wanted == DEFAULT else 1e-7)


def test_nothing_timed_is_no_decision() -> None:
    with pytest.raises(MeasureError, match="no candidate could be timed"):
        search.decided(DEFAULT, [])


# ------------------------------------------------------------------------------------------------------- whole searches
KERNELS = ("conv2d_a", "conv2d_b", "conv2d_c")
GRID = Candidate(rule="cpu.matmul", parameters={"rows": 6, "row_parts": 2})


class Device(fakes.Device):
    """Times candidates as `speeds` says, relative to the default; an exception is raised at that candidate."""

    def __init__(self) -> None:
        super().__init__()
        self.speeds: dict[str, Any] = {}
        self.timed: list[TimingPlan] = []

    def time_kernel(self, plan: TimingPlan, report: Any) -> Readings:
        self.timed.append(plan)
        report("timing", 0.5)
        reads = []
        for number, built in enumerate(plan.candidates):
            speed = self.speeds.get(str(built.candidate), 1.0)
            if isinstance(speed, BaseException):
                Path(plan.log).write_bytes(msgspec.json.encode(Begun(number=number)) + b"\n")
                raise speed
            if isinstance(speed, str):
                reads.append(Read(number=number, refused=speed))
            else:
                reads.append(Read(number=number, timing=timing(speed, final=plan.finalists > 0)))
        return Readings(reads=tuple(reads), wall_s=1.0, others_busy_s=0.25)


class Arena:
    """Times networks of KERNELS, 1 ms each by rule; those made as tuned take `ratios`, one process after the other."""

    def __init__(self) -> None:
        self.ratios: dict[str, Sequence[float]] = {}
        self.followed: dict[Path, set[str]] = {}
        """The kernels that an artifact has as tuned."""
        self.fights: list[tuple[str, frozenset[str]]] = []
        """The network of each process, and what was tuned in it."""
        self.faults: dict[str, BaseException] = {}
        self.interrupts_at: int | None = None
        self.closed = False

    def duel(self, base: Artifact, twin: Artifact, head: Artifact, plan: DuelPlan, _: Any) -> Bout:
        name, followed = head.manifest.variant.name, self.followed[head.folder]
        if name in self.faults:
            raise self.faults[name]
        if len(self.fights) == self.interrupts_at:
            raise KeyboardInterrupt
        number = len([one for one, _ in self.fights if one == name]) % in_network.PROCESSES
        self.fights.append((name, frozenset(followed)))
        ratios = [self.ratios.get(kernel, SLOW)[number] if kernel in followed else 1.0 for kernel in KERNELS]
        by_rule, as_tuned = ((1e-3,) * 4,) * 3, tuple((1e-3 * ratio,) * 4 for ratio in ratios)
        whole = ((3e-3,) * 4, (3e-3,) * 4, (sum(ratios) * 1e-3,) * 4)
        return Bout(
            order=plan.order, block=1, whole_s=whole, layers_s=(by_rule, by_rule, as_tuned), wall_s=1.0,
            others_busy_s=0.1,
        )  # fmt: skip

    def close(self) -> None:
        self.closed = True


QUICK, SLOW = (0.8,) * in_network.PROCESSES, (1.25,) * in_network.PROCESSES


class World:
    """A machine where finding, compiling and timing kernels takes no time."""

    def __init__(self, folder: Path) -> None:
        self.device = Device()
        self.arena = Arena()
        self.progress = fakes.Progress()
        self.refused: dict[str, str] = {}
        self.tiles: Sequence[Candidate] = (OTHER,)
        self.default = DEFAULT
        self.folder = folder

    def tasks(self, variant: Any) -> tuple[Task, ...]:
        return tuple(Task(kernel=name, function=name, layers=(f"{variant.name} {name}",)) for name in KERNELS)

    def list_tiles(self, *_: Any) -> tuple[Candidate, tuple[Candidate, ...]]:
        return self.default, tuple(self.tiles)

    def compiled(self, function: str, _target: Any, candidate: Candidate, _library: str) -> str:
        return self.refused.get(f"{function} {candidate}", "")

    def build_all(
        self, wanted: Sequence[Variant], _target: Any, report: Any, *, use_cache: bool, choices: Choices, **_: Any
    ) -> dict[str, builders.Build]:
        return {variant.name: self.build(variant, choices, report) for variant in wanted}

    def build(self, variant: Variant, choices: Choices, report: Any) -> builders.Build:
        report(variant.name, "compiling", 1.0)
        if self.refused.get(variant.name):
            return records.Failure(variant=variant.name, stage="compiling", reason=self.refused[variant.name])
        folder = self.folder / f"built-{len(self.arena.followed)}"
        self.arena.followed[folder] = set(choices.kernels)
        built = fakes.compiled(folder, variant)
        layers = zip(built.manifest.layers, KERNELS, strict=False)
        named = tuple(msgspec.structs.replace(layer, name=kernel) for layer, kernel in layers)
        return Artifact(folder, msgspec.structs.replace(built.manifest, layers=named)), False

    def job(self, **changes: Any) -> TuningJob:
        given = {
            "target": TARGET, "host": host.describe(), "processor": "a CPU", "mcpu": "some",
            "variants": ("mobilenet_v1_0.25_32",), "threads": 1, "tries": 4, "again": False, "timeout_s": 5.0,
            "file": self.folder / "tuned.toml", **changes,
        }  # fmt: skip
        return TuningJob(**given)

    def run(self, **changes: Any) -> Tuner:
        with Tuner(self.job(**changes)) as work:
            work.find(self.progress.note)
            work.run(self.progress)
        return work

    def confirm(self, **changes: Any) -> Tuner:
        with Tuner(self.job(**changes)) as work:
            work.find(self.progress.note)
            work.run(self.progress)
            work.confirm(self.progress)
        return work

    def chosen(self) -> dict[str, dict[str, int]]:
        return {entry.kernel: entry.parameters for entry in choice_files.read(self.folder / "tuned.toml").kernels}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(builders, "children", fakes.no_children)
    monkeypatch.setattr(jobs, "tasks", made.tasks)
    monkeypatch.setattr(jobs, "tiles", made.list_tiles)
    monkeypatch.setattr(jobs, "grids", lambda *_: (GRID,))
    monkeypatch.setattr(jobs, "compiled", made.compiled)
    monkeypatch.setattr(tuner, "LocalDevice", lambda **_: made.arena)
    monkeypatch.setattr(tuner, "LocalTimer", lambda *_: made.device)
    monkeypatch.setattr(builders, "build_all", made.build_all)
    return made


def test_every_kernel_is_tuned_and_written(world: World) -> None:
    world.device.speeds = {str(OTHER): 0.9, str(GRID): 0.6}
    work = world.run()
    assert world.chosen() == {kernel: {"rows": 6, "row_parts": 2} for kernel in KERNELS}
    assert work.failures == []
    assert [entry.made_with.others_busy for _, entry in work.entries()] == [0.25] * 3
    assert world.arena.closed
    assert [entry.seconds for _, entry in work.entries()] == pytest.approx([6e-6] * 3)
    assert any("1.67x with cpu.matmul rows=6 row_parts=2; 0 s left" in note for note in world.progress.notes)


def test_the_quickest_tiles_are_timed_again_beside_their_grids(world: World) -> None:
    world.device.speeds = {str(OTHER): 0.8, str(GRID): 0.9}
    world.run()
    first, second = world.device.timed[:2]
    assert [built.candidate for built in first.candidates] == [OTHER]
    assert [built.candidate for built in second.candidates] == [GRID, OTHER]
    assert (first.finalists, second.finalists) == (0, search.FINALISTS)
    assert world.chosen()[KERNELS[0]] == OTHER.parameters


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


FAULTS = {
    "it crashes": (WorkerDied("the worker process was ended by SIGSEGV", stage="timing"), "SIGSEGV"),
    "it hangs": (WorkerDied("the worker process was silent for 5 s and was stopped", stage="timing"), "silent for 5 s"),
    "it is wrong": ("relative error 1.0e+00, over 1e-04", "relative error 1.0e+00"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_candidate_is_noted_and_the_others_timed(world: World, name: str) -> None:
    fault, said = FAULTS[name]
    world.device.speeds = {str(OTHER): fault, str(GRID): 0.5}
    work = world.run()
    assert world.chosen() == dict.fromkeys(KERNELS, GRID.parameters)
    assert {failure.kernel for failure in work.failures} == set(KERNELS)
    assert all(failure.candidate == str(OTHER) and said in failure.reason for failure in work.failures)
    assert any(note.endswith("left out") and said in note for note in world.progress.notes)


def test_a_candidate_that_cannot_be_compiled_is_noted(world: World) -> None:
    world.device.speeds = {str(OTHER): 0.1, str(GRID): 0.5}
    world.refused = {f"{KERNELS[1]} {OTHER}": "cpu.matmul: too large"}
    work = world.run()
    assert world.chosen() == {**dict.fromkeys(KERNELS, OTHER.parameters), KERNELS[1]: GRID.parameters}
    assert [(failure.kernel, failure.reason) for failure in work.failures] == [(KERNELS[1], "cpu.matmul: too large")]


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
A, B = "mobilenet_v1_0.25_32", "mobilenet_v1_0.5_32"


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
def test_the_log_of_a_process_that_died(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert read_log(log) == ([], None)
    begun, read = (msgspec.json.encode(line) + b"\n" for line in (Begun(number=0), Read(number=0, timing=timing(1.0))))
    log.write_bytes(begun + read)
    assert read_log(log) == ([Read(number=0, timing=timing(1.0))], None)
    log.write_bytes(begun + read + msgspec.json.encode(Begun(number=1)) + b"\n" + read[:20])
    assert read_log(log) == ([Read(number=0, timing=timing(1.0))], 1)


def crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang() -> None:
    time.sleep(600)


def fail() -> None:
    raise RuntimeError("first line\nsecond line")


def answer() -> int:
    return 7


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "said"), [(crash, builders.DIED), (hang, "compiling was stopped: it took more than 20 s")]
)
def test_a_compilation_that_crashes_or_hangs_takes_no_other_with_it(fault: Any, said: str) -> None:
    with Compilers() as pool:
        found = pool.all_of({"a": answer, "b": fault, "c": answer, "d": fail}, 20.0)
        assert [found[name].answer() for name in ("a", "c")] == [7, 7]
        assert (found["b"].reason, found["d"].reason) == (said, "RuntimeError: first line")
        with pytest.raises(BuildError, match=said):
            found["b"].answer()
        assert pool.all_of({"e": answer}, 60.0)["e"].answer() == 7


def test_an_answer_may_be_nothing() -> None:
    assert Done("").answer() == ""


def test_times_for_people() -> None:
    assert [tuner.about(seconds) for seconds in (0.0, 89.0, 600.0, 3 * 3600.0)] == ["0 s", "89 s", "10 min", "3.0 h"]


# --------------------------------------------------------------------------------------------------------- command line
@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Any]:
    """Return a function that runs `mbench tune` in this process; it answers (exit status, output, errors)."""
    monkeypatch.setenv("MBENCH_TUNED_DIR", str(tmp_path / "own"))
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    before = signal.getsignal(signal.SIGTERM)

    def invoke(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mbench", "tune", *arguments])
        with pytest.raises(SystemExit) as caught:
            ending.end(main.command_line)
        seen = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, seen.out, seen.err

    yield invoke
    signal.signal(signal.SIGTERM, before)


V = "mobilenet_v1_0.25_32"
WRONG = {
    "": ("Missing argument 'VARIANT...'",),
    "resnet50": ("'resnet50' is not known",),
    f"{V} --target x86_65": ("target 'x86_65' is not known",),
    f"{V} --target cuda_sm90": ("target 'cuda_sm90': ", "choices are tuned where they can be measured"),
    f"{V} --target cuda_sm90 --deep": ("--deep is for CPUs", "'cuda_sm90'"),
    f"{V} --target cuda_sm90 --dtype int8": ("dtype 'int8' is not supported",),
    f"{V} --target x86_64_v2 --dtype float16": ("dtype 'float16' is for GPUs", "target 'x86_64_v2'"),
    f"{V} --target arm64_cortex_a72": ("arm64_cortex_a72",),
    f"{V} --target x86_64_v2 --device rpc://board:9090": ("--device rpc://board:9090", "'local' alone"),
    f"{V} --target x86_64_v2 --device moon": ("--device 'moon' is not known",),
    f"{V} --target x86_64_v2 --threads 0": ("--threads 0 is out of range",),
    f"{V} --target x86_64_v2 --threads 1000": ("--threads 1000 is out of range",),
    f"{V} --tries 0": ("--tries", "0 is not in the range"),
    f"{V} --timeout 0": ("--timeout",),
    f"{V} --deep --trials 0": ("--trials",),
    f"{V} --target x86_64_v2 --trials 8": ("--trials", "goes with --deep"),
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_use_is_one_line_and_leaves_nothing(command: Any, line: str, tmp_path: Path) -> None:
    code, out, err = command(*line.split())
    assert (code, out) == (2, "")
    assert err.startswith("mbench: ")
    assert err.count("\n") == 1, err
    for text in WRONG[line]:
        assert text in err
    assert not (tmp_path / "own").exists()


def test_deep_says_what_to_install(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "DEEP_NEEDS", ("no_such_module", "nor_this_one"))
    code, _, err = command(V, "--target", "x86_64_v2", "--deep")
    assert code == 2
    assert "--deep needs no_such_module and nor_this_one; install: pip install 'mobilenet-bench[tune]'" in err


def test_a_folder_that_cannot_be_made(command: Any, tmp_path: Path) -> None:
    (tmp_path / "own").write_text("a file")
    code, _, err = command(V, "--target", "x86_64_v2")
    assert code == 2
    assert "is a file, expected a folder; choose another with the environment variable MBENCH_TUNED_DIR" in err


def test_a_broken_file_is_refused_before_any_work(command: Any, tmp_path: Path) -> None:
    file = choice_files.own_file(TARGET, host.describe())
    (tmp_path / "own").mkdir()
    file.write_text("format_version = 3\n")
    code, out, err = command(V, "--target", "x86_64_v2")
    assert (code, out) == (2, "")
    assert f"{file}: format_version is 3" in err
    assert err.count("\n") == 1


def test_the_table_and_the_document(command: Any, world: World, tmp_path: Path) -> None:
    world.device.speeds = {str(OTHER): 0.5}
    world.arena.ratios = {KERNELS[0]: QUICK, KERNELS[1]: QUICK}
    code, out, err = command(V, "--target", "x86_64_v2", "--threads", "1")
    assert code == 0, err
    assert max(map(len, out.splitlines())) <= 80
    for text in ("conv2d_a", "10.0 µs", "5.00 µs", "2.00x", "cpu.matmul rows=6", "30.0 µs", "0.25 processors busy"):
        assert text in out
    lines = [line.split() for line in out.splitlines()]
    assert ["all", "3", "30.0", "µs", "20.0", "µs", "1.50x"] in lines
    assert ["not", "in", "the", "network:", "cpu.matmul", "rows=6"] in lines
    assert [A, "3.00", "ms", "2.60", "ms", "1.15x"] in lines
    [file] = (tmp_path / "own").iterdir()
    assert f"choices {file}" in err
    code, out, _ = command(V, "--target", "x86_64_v2", "--threads", "1", "--json")
    document = json.loads(out)
    assert code == 0
    assert (document["file"], document["threads"], document["waiting"], document["failures"]) == (str(file), 1, [], [])
    wins = {kernel["kernel"]: kernel["wins"] for kernel in document["kernels"]}
    assert wins == {KERNELS[0]: True, KERNELS[1]: True, KERNELS[2]: False}
    assert [(network["variant"], network["seconds"]) for network in document["networks"]] == [
        (A, pytest.approx(2.6e-3))
    ]


def test_where_nothing_is_quicker_in_place_the_table_says_what_that_means(command: Any, world: World) -> None:
    world.device.speeds = {str(OTHER): 0.5}
    code, out, err = command(V, "--target", "x86_64_v2", "--threads", "1")
    assert code == 0, err
    assert "Networks" not in out
    said = " ".join(out.split())
    assert f"not in the network: {OTHER}" in said
    assert tuning_tables.PLACE_NOTE in said


def test_each_kind_of_timing_that_others_disturbed_is_named(command: Any, world: World) -> None:
    world.device.speeds = {str(OTHER): 0.5}
    world.arena.ratios = {KERNELS[0]: QUICK}
    _, out, _ = command(V, "--target", "x86_64_v2", "--threads", "1")
    said = " ".join(out.split())
    for text in (
        "0.25 processors busy while kernels were timed (3)",
        "0.10 processors busy while kernels were timed in their networks (3)",
        "0.10 processors busy while networks were timed (1)",
    ):
        assert text in said


def test_a_kernel_that_failed_is_exit_4(command: Any, world: World) -> None:
    world.refused = {f"{KERNELS[1]} {DEFAULT}": "no registers left"}
    code, out, _ = command(V, "--target", "x86_64_v2", "--threads", "1")
    assert code == 4
    assert f"FAILED: {KERNELS[1]}: cpu.matmul rows=4: no registers left" in " ".join(out.split())


def test_a_candidate_that_failed_is_no_failure(command: Any, world: World) -> None:
    world.device.speeds = {str(OTHER): "wrong"}
    code, out, _ = command(V, "--target", "x86_64_v2", "--threads", "1")
    assert code == 0
    assert "3 candidates could not be timed and were left out" in " ".join(out.split())


def test_an_interruption_is_exit_130_and_says_how_to_go_on(command: Any, world: World) -> None:
    time_kernel = world.device.time_kernel

    def press(plan: TimingPlan, report: Any) -> Readings:
        if len(world.device.timed) == 3:
            raise KeyboardInterrupt
        return time_kernel(plan, report)

    world.device.time_kernel = press  # type: ignore[method-assign]
    code, out, err = command(V, "--target", "x86_64_v2", "--threads", "1")
    assert code == 130
    assert "interrupted: 1 of 3 kernels are tuned; the same command goes on" in err
    assert KERNELS[0] in out
    assert "Traceback" not in err
