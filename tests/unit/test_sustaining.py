"""After the sessions: each network under load, on a device that takes no time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fake_devices as fakes
import pytest
from run_world import NAMES, World, names, resumed
from sustained_factory import points, seen, series, throttling

from mbench.analysis import headline, pairs
from mbench.core import record_files
from mbench.core.artifact import Artifact
from mbench.core.errors import MeasureError
from mbench.core.records import Record
from mbench.devices.process import WorkerDied
from mbench.measure import sustain
from mbench.measure.sustain import SustainedRun, SustainPlan
from mbench.pipeline import missing_fields, quiet_machine, runner, sustaining

pytest_plugins = ("run_fixtures",)

RUN = seen(points(series(throttling())))
ASKED = {"sustain_s": 60.0}


class HotDevice(fakes.Device):
    """A device that can be put under load, and shows `RUN`, or does as it is told for a network."""

    def __init__(self) -> None:
        super().__init__()
        self.under_load: list[tuple[str, SustainPlan]] = []
        self.order: list[tuple[str, str]] = []
        self.then: dict[str, BaseException] = {}

    def measure(self, built: Artifact, *arguments: Any) -> Any:
        self.order.append(("session", built.manifest.variant.name))
        return super().measure(built, *arguments)

    def sustain(self, built: Artifact, plan: SustainPlan, report: Callable[[str, float], None]) -> SustainedRun:
        name = built.manifest.variant.name
        self.order.append(("sustain", name))
        self.under_load.append((name, plan))
        report("loading", 0.0)
        for share in (0.0, 0.01, 0.5, 0.99, 1.0):
            report(sustain.STAGE, share)
        if name in self.then:
            raise self.then[name]
        return RUN


@pytest.fixture
def hot(world: World) -> World:
    world.device = HotDevice()
    return world


def device(world: World) -> HotDevice:
    assert isinstance(world.device, HotDevice)
    return world.device


def test_each_network_is_put_under_load_after_all_sessions(hot: World) -> None:
    record = hot.run(settings={**ASKED, "sessions": 2})
    assert device(hot).order == [("session", name) for name in NAMES * 2] + [("sustain", name) for name in NAMES]
    for result in record.results:
        found, quick = result.sustained, headline.of_result(result)
        assert found is not None
        assert quick is not None
        assert (found.asked_s, len(found.points)) == (60.0, 600)
        assert found.ran_s == pytest.approx(60.0)
        assert found.steady is not None
        assert found.steady.slower_than_headline == pytest.approx(found.steady.latency_s / quick.median_s - 1)
        assert "sustained" not in result.missing
        assert len(result.sessions) == 2
    assert record.unfinished() == ()
    assert [hot.ended(name) for name in NAMES] == ["done"] * 3


def test_the_plan_is_that_of_the_run(hot: World) -> None:
    hot.run(settings={"sustain_s": 7.5})
    plans = [plan for _, plan in device(hot).under_load]
    assert {(plan.seconds, plan.threads) for plan in plans} == {(7.5, 1)}
    assert len({plan.memory_offset for plan in plans}) > 1  # each process has its own layout of memory


def test_a_hot_device_may_cool_down_before_each_network(hot: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet_machine, "wait", lambda *_, **__: device(hot).order.append(("wait", "")))
    hot.run(settings=ASKED, wait_quiet_s=30.0)
    assert [what for what, _ in device(hot).order] == ["wait", *["session"] * 3, *["wait", "sustain"] * 3]


def test_nothing_is_put_under_load_where_nobody_asked(hot: World) -> None:
    record = hot.run()
    assert device(hot).under_load == []
    assert {result.missing["sustained"] for result in record.results} == {missing_fields.NOT_SUSTAINED}
    assert "--sustain TIME" in missing_fields.NOT_SUSTAINED


def test_the_time_left_is_shown(hot: World) -> None:
    hot.run(settings=ASKED)
    assert hot.progress.notes == [f"{name}: under load for 60 s" for name in NAMES]
    said = [stage for name, stage, _ in hot.progress.stages if name == NAMES[0] and stage.startswith(sustain.STAGE)]
    assert said == [f"sustaining, {left} s left" for left in (60, 60, 60, 30, 5, 0)]  # the first while it is loaded
    fractions = [fraction for _, stage, fraction in hot.progress.stages if stage.startswith(sustain.STAGE)]
    assert fractions[:6] == [0.0, 0.0, 0.01, 0.5, 0.99, 1.0]
    order = [stage for name, stage, _ in hot.progress.stages if name == NAMES[0]]
    assert order.index("done") > order.index("sustaining, 0 s left")


@pytest.mark.parametrize("seconds", [0.5, 3.0, 60.0, 90.0, 3600.0, 86_400.0])
def test_a_log_has_few_lines_of_the_time_left(seconds: float) -> None:
    progress = fakes.Progress()
    report = sustaining._report(progress, "a", seconds)
    for step in range(10_001):
        report(sustain.STAGE, step / 10_000)
    said = list(dict.fromkeys(stage for _, stage, _ in progress.stages))
    assert 2 <= len(said) <= 30
    assert said[-1] == "sustaining, 0 s left"


FAILURES = {
    "crash": WorkerDied("the worker process was ended by SIGKILL", stage="sustaining", detail="last words"),
    "refused": MeasureError("wrong result: 0.1 > 0.0001; it is not timed"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_network_that_dies_under_load_keeps_its_sessions(hot: World, name: str) -> None:
    device(hot).then[NAMES[0]] = FAILURES[name]
    record = hot.run(settings=ASKED)
    assert tuple(names(record)) == NAMES
    first, *others = record.results
    assert first.end_to_end.latency_s
    assert (first.sustained, first.missing["sustained"]) == (None, str(FAILURES[name]))
    assert all(result.sustained for result in others)
    [failure] = record.failures
    assert (failure.variant, failure.reason) == (NAMES[0], str(FAILURES[name]))
    assert failure.stage == ("--sustain, sustaining" if name == "crash" else "--sustain, measuring")
    assert hot.ended(NAMES[0]) == "failed"
    assert record.unfinished() == (NAMES[0],)


def test_an_interrupt_leaves_the_sessions_and_what_was_under_load(hot: World) -> None:
    device(hot).then[NAMES[1]] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        hot.run(settings=ASKED)
    record = record_files.read(hot.path)
    assert tuple(names(record)) == NAMES
    assert [result.sustained is not None for result in record.results] == [True, False, False]
    assert all(result.end_to_end.latency_s for result in record.results)
    assert record.results[2].missing["sustained"] == sustaining.NOT_YET
    assert record.unfinished() == NAMES[1:]


def test_resume_puts_the_rest_under_load(hot: World) -> None:
    device(hot).then[NAMES[1]] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        hot.run(settings=ASKED)
    del device(hot).then[NAMES[1]]
    first = record_files.read(hot.path).results[0]
    runner.run(resumed(hot), hot.progress)
    record = record_files.read(hot.path)
    assert [name for name, _ in device(hot).under_load] == [*NAMES[:2], *NAMES[1:]]
    assert all(result.sustained for result in record.results)
    assert record.results[0] == first
    assert record.unfinished() == ()


def test_a_wrong_network_is_not_put_under_load(hot: World) -> None:
    device(hot).behaviour[NAMES[1]] = fakes.unseen(fakes.WRONG)
    record = hot.run(settings=ASKED)
    assert [name for name, _ in device(hot).under_load] == [NAMES[0], NAMES[2]]
    assert "wrong" in record.results[1].missing["sustained"]


def test_a_device_that_cannot_is_named_once(world: World) -> None:
    record: Record = world.run(settings=ASKED)
    [note] = world.progress.notes
    assert note == "--sustain: the device local cannot run a network without a pause for a time"
    assert all(pairs.why_missing(result, "sustained") in note for result in record.results)
