from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fake_devices as fakes
import msgspec
import pytest
from run_world import NAMES, World, resumed

from mbench.core import spread_history
from mbench.core.artifact import Artifact
from mbench.core.errors import MeasureError
from mbench.core.records import Result
from mbench.devices.process import WorkerDied
from mbench.measure.observation import MeasurePlan, Observation
from mbench.networks import variants
from mbench.pipeline import quiet_machine, runner, turns

pytest_plugins = ("run_fixtures",)
FIRST = NAMES[0]
BUSY: dict[str, Any] = {"others_busy_s": 0.9}


class Several(fakes.Device):
    """A device whose sessions of a network are what a list says, one after the other; then quiet ones."""

    def __init__(self, planned: dict[str, list[dict[str, Any] | BaseException]] | None = None) -> None:
        super().__init__()
        self.planned = planned or {}
        self.order: list[str] = []

    def measure(self, built: Artifact, plan: MeasurePlan, report: Callable[[str, float], None]) -> Observation:
        name = built.manifest.variant.name
        self.order.append(name)
        self.plans.append(plan)
        report("measuring", 0.5)
        changes = self.planned[name].pop(0) if self.planned.get(name) else {}
        if isinstance(changes, BaseException):
            raise changes
        return fakes.observed(built, **changes)


@pytest.fixture
def several(world: World) -> Several:
    world.device = Several()
    return world.device


def run(world: World, sessions: int, **changes: Any) -> dict[str, Result]:
    record = world.run(settings={"sessions": sessions, **changes.pop("settings", {})}, **changes)
    return {result.variant.name: result for result in record.results}


def test_a_network_that_failed_is_timed_no_more(tmp_path: Path) -> None:
    built = fakes.compiled(tmp_path, variants.parse(FIRST))
    network = turns.Turns(built, cached=False)
    assert not network.timed
    network.seen.append(fakes.observed(built))
    assert network.timed
    network.seen.append(fakes.unseen(fakes.WRONG))
    assert (network.wrong, network.timed) == (True, False)


def test_networks_take_turns(world: World, several: Several) -> None:
    results = run(world, 3)
    assert several.order == [*NAMES] * 3
    assert [len(result.sessions) for result in results.values()] == [3] * 3
    assert [world.ended(name) for name in NAMES] == ["done"] * 3


def test_meters_are_read_in_the_first_session_alone_and_each_has_its_own_layout(world: World, several: Several) -> None:
    run(world, 5, settings={"variants": (FIRST,)})
    assert [plan.meter for plan in several.plans] == [True, False, False, False, False]
    assert len({plan.memory_offset for plan in several.plans}) > 1


def test_a_disturbed_session_is_repeated_and_left_out(world: World, several: Several) -> None:
    several.planned = {NAMES[1]: [{}, BUSY, {}]}
    results = run(world, 3)
    assert several.order == [*NAMES] * 3 + [NAMES[1]]
    assert [each.left_out for each in results[NAMES[1]].sessions] == [False, True, False, False]
    assert len(results[FIRST].sessions) == 3


def test_repeating_ends_when_it_brings_nothing(world: World, several: Several) -> None:
    several.planned = {FIRST: [*[BUSY] * 100]}
    result = run(world, 5, settings={"variants": (FIRST,)})[FIRST]
    assert len(result.sessions) == 5 + 2
    assert not any(each.left_out for each in result.sessions)


def test_repeating_goes_on_while_it_helps_and_has_an_end(world: World, several: Several) -> None:
    several.planned = {FIRST: [*[BUSY] * 4, {}, BUSY, {}, BUSY, {}, *[BUSY] * 100]}
    result = run(world, 4, settings={"variants": (FIRST,)})[FIRST]
    assert len(result.sessions) == 8, "at most as many again"


def test_one_session_is_not_repeated(world: World, several: Several) -> None:
    several.planned = {FIRST: [BUSY]}
    assert len(run(world, 1, settings={"variants": (FIRST,)})[FIRST].sessions) == 1


def test_a_session_that_dies_leaves_those_before_and_ends_the_network(world: World, several: Several) -> None:
    several.planned = {FIRST: [{}, WorkerDied("it died", stage="measuring")]}
    record = world.run(settings={"sessions": 4})
    [failure] = record.failures
    assert (failure.variant, failure.stage) == (FIRST, "session 2, measuring")
    assert several.order.count(FIRST) == 2
    assert len(record.results[0].sessions) == 1
    assert [len(result.sessions) for result in record.results[1:]] == [4, 4]
    assert record.unfinished() == (FIRST,)


def test_a_wrong_result_in_any_session_is_wrong(world: World, several: Several) -> None:
    several.planned = {FIRST: [{}, {"numerics": fakes.WRONG, "latency_s": None, "calls_s": None}]}
    record = world.run(settings={"sessions": 3, "variants": (FIRST,)})
    assert several.order == [FIRST] * 2
    assert "wrong result" in record.failures[0].reason
    assert record.results[0].numerics == fakes.WRONG
    assert record.results[0].end_to_end.latency_s is None


def test_an_interrupted_run_keeps_its_sessions_and_goes_on(world: World, several: Several) -> None:
    several.planned = {NAMES[2]: [{}, KeyboardInterrupt()]}
    with pytest.raises(KeyboardInterrupt):
        world.run(settings={"sessions": 3})
    job = resumed(world)
    assert job.before is not None
    assert [len(result.sessions) for result in job.before.results] == [2, 2, 1]
    assert job.before.unfinished() == NAMES
    record = runner.run(job, world.progress)
    assert [len(result.sessions) for result in record.results] == [3, 3, 3]
    assert record.unfinished() == ()


def test_what_was_measured_stays_until_there_is_more(world: World, several: Several) -> None:
    several.planned = {FIRST: [{}, {}, KeyboardInterrupt()]}
    with pytest.raises(KeyboardInterrupt):
        world.run(settings={"sessions": 3, "variants": (FIRST,)})
    several.planned = {FIRST: [{}, KeyboardInterrupt()]}
    with pytest.raises(KeyboardInterrupt):
        runner.run(resumed(world), world.progress)
    before = resumed(world).before
    assert before is not None
    assert len(before.results[0].sessions) == 2


def test_what_a_run_showed_of_the_machine_is_remembered(
    world: World, several: Several, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    apart: Any = [{"latency_s": (factor * 1e-3, factor * 1.0001e-3)} for factor in (1.0, 1.02, 0.98, 1.01, 0.99)]
    several.planned = {name: list(apart) for name in NAMES}
    record = world.run(settings={"sessions": 5})
    assert spread_history.known(record.host, 1) == pytest.approx(0.0158, rel=0.01)
    assert spread_history.known(record.host, 2) is None


def test_a_quiet_machine_is_waited_for_before_it_is_measured(
    world: World, several: Several, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def wait(most_s: float, *_: Any, **__: Any) -> bool:
        assert several.order == []
        asked.append(most_s)
        return True

    monkeypatch.setattr(quiet_machine, "wait", wait)
    world.run(settings={"sessions": 2}, wait_quiet_s=30.0)
    world.path.unlink()
    several.order.clear()
    world.run(settings={"sessions": 2})
    assert asked == [30.0]


def test_loops_that_cannot_be_compiled_are_told_and_the_run_goes_on(
    world: World, several: Several, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise MeasureError("no linker")

    monkeypatch.setattr(Several, "build_pace", fail, raising=False)
    results = run(world, 2)
    assert len(results) == 3
    assert any("the processors' pace is not read between samples: no linker" in note for note in world.progress.notes)


def test_loops_are_passed_to_every_session(world: World, several: Several, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Several, "build_pace", lambda _, loops, __: loops.library.write_bytes(b"code"), raising=False)
    run(world, 2, settings={"variants": (FIRST,)})
    assert {plan.pace.threads for plan in several.plans if plan.pace} == {1}
    assert len([plan for plan in several.plans if plan.pace]) == 2
    assert msgspec.structs.asdict(several.plans[0])["pace"].library.suffix == ".so"


def stages(world: World, name: str) -> list[str]:
    """Return what was reported of a network once it was compiled: which session begins, and how it ended."""
    told = [stage for variant, stage, _ in world.progress.stages if variant == name][2:]
    return [stage.removesuffix(" measuring") for stage in told if not stage.endswith(" measured")]


def test_a_stage_says_which_session_it_is_of_and_how_many_are_expected(world: World, several: Several) -> None:
    several.planned = {NAMES[1]: [{}, BUSY, {}]}
    run(world, 3)
    assert stages(world, FIRST) == ["1/3", "2/3", "3/3", "done"]
    assert stages(world, NAMES[1]) == ["1/3", "2/3", "3/4", "again 4/4", "done"]
    order = [(variant, stage) for variant, stage, _ in world.progress.stages]
    assert order.index((FIRST, "done")) < order.index((NAMES[1], "again 4/4 measuring"))


def test_what_a_session_showed_is_reported_at_its_end(world: World, several: Several) -> None:
    several.planned = {FIRST: [{}, BUSY, {}]}
    run(world, 3, settings={"variants": (FIRST,)})
    ends = [stage for _, stage, _ in world.progress.stages if stage.endswith(" measured")]
    assert ends == ["1/3 measured", "2/4 measured", "3/4 measured"]


def test_where_all_sessions_were_disturbed_two_more_are_expected(world: World, several: Several) -> None:
    several.planned = {FIRST: [BUSY] * 100}
    run(world, 4, settings={"variants": (FIRST,)})
    assert stages(world, FIRST) == ["1/4", "2/5", "3/6", "4/6", "again 5/6", "again 6/6", "done"]


def test_what_more_sessions_do_not_mend_is_over_at_once(world: World, several: Several) -> None:
    several.planned = {NAMES[1]: [BUSY]}
    run(world, 1)
    assert [stages(world, name) for name in NAMES] == [["measuring", "done"]] * 3
    order = [(variant, stage) for variant, stage, _ in world.progress.stages]
    assert order.index((NAMES[1], "done")) < order.index((NAMES[2], "measuring"))
    several.planned = {FIRST: [{}, WorkerDied("it died", stage="measuring")]}
    world.path.unlink()
    world.progress.stages.clear()
    run(world, 4)
    assert stages(world, FIRST) == ["1/4", "2/4", "failed"]
