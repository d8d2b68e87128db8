"""The time left holds: of runs whose clock is a test's own, whatever the networks and the machine are like."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from rich.console import Console

from mbench.core.progress import NetworkPlan, RunPlan
from mbench.terminal import progress, time_left
from mbench.terminal.time_left import Estimator, FarmLeft, RunLeft, SessionsLeft, SessionStage, ShareLeft

NAMES = ("small", "middle", "large", "larger")
HOLDS_WITHIN = 0.3
STAGES = {"loading": 0.2, "checking": 0.05, "warming up": 0.25, "measuring": 0.3, "measuring layers": 0.2}
"""What part of a session each takes."""


class World:
    """A clock, and what an estimator said when."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.said: list[tuple[float, float | None]] = []

    def clock(self) -> float:
        return self.now_s

    def passes(self, seconds: float, left: Estimator) -> None:
        """Let time pass, and ask four times meanwhile."""
        for _ in range(4):
            self.said.append((self.now_s, left.seconds()))
            self.now_s += seconds / 4

    def errors(self, since_s: float = 0.0) -> list[float]:
        """Return by what share of what was left each answer was wrong; the last session or so counts whole."""
        end, last_s = self.now_s, 0.05 * (self.now_s - 1000.0)
        return [
            abs(said - (end - at)) / max(last_s, end - at)
            for at, said in self.said
            if said is not None and at >= since_s
        ]


def session(world: World, left: Estimator, name: str, prefix: str, seconds: float, meter_s: float = 0.0) -> None:
    for stage, part in STAGES.items():
        for fraction in (0.0, 0.5):
            left.stage(name, prefix + stage, fraction)
            world.passes(seconds * part / 2, left)
    if meter_s:
        left.stage(name, f"{prefix}metering energy", 0.0)
        world.passes(meter_s, left)


def build(world: World, left: Estimator, seconds: float = 8.0) -> None:
    for name in NAMES:
        left.stage(name, "compiling", 0.0)
    for name in NAMES:
        world.passes(seconds, left)
        left.stage(name, "compiling", 1.0)
    left.stage("machine", "calibrating", 0.0)
    world.passes(5.0, left)


def lasting(*seconds: float, jitter: float = 0.15) -> Callable[[str], float]:
    """Return how long a session of each network takes, a little different each time."""
    generator, usual = random.Random(7), dict(zip(NAMES, seconds, strict=True))
    return lambda name: usual[name] * (1 + generator.uniform(-jitter, jitter))


def run(
    world: World, left: Estimator, lasts: Callable[[str], float], *, sessions: int = 5, meter_s: float = 0.0
) -> Iterator[float]:
    """Run networks in turn; yield the time after each turn."""
    build(world, left)
    for number in range(1, sessions + 1):
        for name in NAMES:
            session(world, left, name, f"{number}/{sessions} ", lasts(name), meter_s if number == 1 else 0.0)
            if number == sessions:
                left.stage(name, "done", 1.0)
        yield world.now_s


@pytest.mark.parametrize("sessions", [3, 5, 9])
def test_of_like_networks_it_holds_from_the_first_session_on(sessions: int) -> None:
    world = World()
    left = SessionsLeft(NAMES, world.clock)
    for _ in run(world, left, lasting(2.0, 2.1, 1.9, 2.0), sessions=sessions):
        pass
    assert len(world.errors()) > 20
    assert max(world.errors()) < HOLDS_WITHIN


@pytest.mark.parametrize("meter_s", [0.0, 6.0])
def test_of_unlike_networks_it_holds_from_the_second_turn_on(meter_s: float) -> None:
    """Meters are read in the first session of each network alone: it lasts four times as long as the others."""
    world = World()
    left = SessionsLeft(NAMES, world.clock)
    first, *_ = list(run(world, left, lasting(1.2, 2.0, 4.0, 9.0), meter_s=meter_s))
    assert max(world.errors(first)) < HOLDS_WITHIN
    assert len(world.errors(first)) > 20


def test_of_one_session_each_it_holds_once_half_are_done() -> None:
    world = World()
    left = SessionsLeft(NAMES, world.clock)
    build(world, left)
    ends = []
    for name in NAMES:
        session(world, left, name, "", lasting(2.0, 2.2, 1.8, 2.0)(name))
        left.stage(name, "done", 1.0)
        ends.append(world.now_s)
    assert max(world.errors(ends[1])) < HOLDS_WITHIN


def test_counting_in_emulation_is_of_the_first_session_alone() -> None:
    world = World()
    left = SessionsLeft(NAMES, world.clock)
    build(world, left)
    turn = []
    for number in range(1, 6):
        for name in NAMES:
            session(world, left, name, f"{number}/5 ", 2.0)
            if number == 1:  # the emulator's own stages say no session
                for stage in ("loading", "checking", "counting"):
                    left.stage(name, stage, 0.0)
                    world.passes(4.0, left)
            if number == 5:
                left.stage(name, "done", 1.0)
        turn.append(world.now_s)
    assert max(world.errors(turn[0])) < HOLDS_WITHIN


def test_sessions_that_are_repeated_count_as_soon_as_that_is_known() -> None:
    world = World()
    left = SessionsLeft(NAMES[:2], world.clock)
    turns = []
    for number in range(1, 6):  # the first's sessions 2 and 3 are disturbed
        session(world, left, "small", f"{number}/{5 + min(2, max(0, number - 2))} ", 2.0)
        session(world, left, "middle", f"{number}/5 ", 2.0)
        turns.append(world.now_s)
    left.stage("middle", "done", 1.0)
    for number in (6, 7):
        session(world, left, "small", f"again {number}/7 ", 2.0)
    left.stage("small", "done", 1.0)
    assert max(world.errors(turns[2])) < HOLDS_WITHIN


def test_what_a_session_showed_counts_at_its_end() -> None:
    world = World()
    left = SessionsLeft(NAMES[:2], world.clock)
    session(world, left, "small", "1/5 ", 2.0)
    left.stage("small", "1/6 measured", 1.0)
    assert left.seconds() == pytest.approx((5 + 6) * 2.0)
    world.now_s += 100.0
    assert left.seconds() == pytest.approx((5 + 6) * 2.0), "between sessions no session runs"


def test_one_that_failed_has_none_to_come() -> None:
    world = World()
    left = SessionsLeft(NAMES[:2], world.clock)
    session(world, left, "small", "1/5 ", 2.0)
    session(world, left, "middle", "1/5 ", 2.0)
    left.stage("middle", "failed", 1.0)
    assert left.seconds() == pytest.approx(4 * 2.0)


def test_nothing_is_known_before_a_session_is_over() -> None:
    world = World()
    left = SessionsLeft(NAMES, world.clock)
    build(world, left)
    session(world, left, "small", "1/5 ", 2.0)
    assert {said for _, said in world.said} == {None}
    left.stage("middle", "1/5 loading", 0.0)
    assert left.seconds() == pytest.approx((4 + 5 + 5 + 5) * 2.0)
    left.stage("larger", "failed", 1.0)
    left.stage("nobody", "measuring", 0.0)
    assert left.seconds() == pytest.approx((4 + 5 + 5) * 2.0)


def test_a_session_that_takes_longer_than_usual_leaves_no_less_than_nothing() -> None:
    world = World()
    left = SessionsLeft(["small"], world.clock)
    session(world, left, "small", "1/2 ", 2.0)
    left.stage("small", "2/2 loading", 0.0)
    world.now_s += 100.0
    assert left.seconds() == 0.0


def share(stage: str, _fraction: float) -> float:
    return {"begun": 0.0, "half": 0.5, "done": 1.0}[stage]


def test_other_work_goes_by_its_share() -> None:
    world = World()
    left = ShareLeft(["one", "two"], share, world.clock)
    assert left.seconds() is None
    left.stage("nobody", "done", 1.0)
    world.now_s += 10.0
    assert left.seconds() is None
    left.stage("one", "half", 0.0)
    assert left.seconds() == pytest.approx(30.0)
    left.stage("one", "done", 1.0)
    left.stage("two", "done", 1.0)
    assert left.seconds() == 0.0
    assert ShareLeft([], share, world.clock).seconds() is None


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("measuring", SessionStage("measuring")),
        ("2/5 warming up", SessionStage("warming up", 2, 5, told=True)),
        ("again 6/7 measuring layers", SessionStage("measuring layers", 6, 7, again=True, told=True)),
        ("again", SessionStage("again")),
        ("2/5", SessionStage("2/5")),
    ],
)
def test_a_stage_is_read_as_a_run_writes_it(stage: str, said: SessionStage) -> None:
    assert time_left.read(stage) == said


def test_the_check_of_the_time_left_can_fail() -> None:
    class Constant:
        def stage(self, variant: str, stage: str, fraction: float) -> None:
            pass

        def seconds(self) -> float:
            return 20.0

    world = World()
    for _ in run(world, Constant(), lasting(2.0, 2.1, 1.9, 2.0)):
        pass
    assert max(world.errors()) > HOLDS_WITHIN


# ----------------------------------------------------------------------------------------------------------- under load
def test_networks_under_load_are_counted_once_the_first_is() -> None:
    """Two networks of one session each, then 60 s under load each, of which the last 30 s of the first are left."""
    world = World()
    left = SessionsLeft(NAMES[:2], world.clock)
    for name in NAMES[:2]:
        session(world, left, name, "1/1 ", 4.0)
        left.stage(name, "1/1 measured", 1.0)
    assert left.seconds() == 0.0  # nobody knows of the load yet
    left.stage(NAMES[0], "sustaining, 60 s left", 0.0)
    world.now_s += 30.0
    left.stage(NAMES[0], "sustaining, 30 s left", 0.5)
    assert left.seconds() == pytest.approx(30.0 + 60.0)
    world.now_s += 30.0
    left.stage(NAMES[0], "sustaining, 0 s left", 1.0)
    left.stage(NAMES[0], "done", 1.0)
    assert left.seconds() == pytest.approx(60.0)
    left.stage(NAMES[1], "sustaining, 60 s left", 0.0)
    world.now_s += 45.0
    left.stage(NAMES[1], "sustaining, 15 s left", 0.75)
    assert left.seconds() == pytest.approx(15.0)
    left.stage(NAMES[1], "done", 1.0)
    assert left.seconds() == 0.0


def test_a_load_that_was_asked_for_is_counted_from_the_first_session_on() -> None:
    world = World()
    left = SessionsLeft(NAMES[:2], world.clock, RunPlan(load_s=60.0))
    for name in NAMES[:2]:
        session(world, left, name, "1/1 ", 4.0)
        left.stage(name, "1/1 measured", 1.0)
        if name == NAMES[0]:
            assert left.seconds() == pytest.approx(4.0 + 120.0)
    assert left.seconds() == pytest.approx(120.0)
    left.stage(NAMES[0], "sustaining, 60 s left", 0.0)
    world.now_s += 20.0
    assert left.seconds() == pytest.approx(100.0)


def test_under_load_is_no_session() -> None:
    assert time_left.read("sustaining, 55 s left").under_load
    assert not time_left.read("2/5 measuring").under_load


# ------------------------------------------------------------------------------------------------ a run from the start
SIZES = (20.0, 40.0, 60.0, 80.0)
MACS = (20, 50, 300, 600)
SESSION_S = (1.8, 2.0, 2.7, 3.6)


def planned(*, before: float | None = 1.0, builders: int | None = 2, sessions: int = 5) -> RunPlan:
    """Return a plan by runs of before, whose sessions took `before` times as long as those of this one will."""
    networks = {
        name: NetworkPlan(build_size=size, macs=macs, session_s=before and before * seconds)
        for name, size, macs, seconds in zip(NAMES, SIZES, MACS, SESSION_S, strict=True)
    }
    return RunPlan(networks=networks, builders=builders, sessions=sessions)


def build_two_at_once(world: World, left: Estimator, pace_s: float = 0.4) -> float:
    """Build in order, two at once, with a jitter of a tenth; return when the first was done."""
    generator = random.Random(3)
    for name in NAMES:
        left.stage(name, "compiling", 0.0)
    free, ends = [world.now_s, world.now_s], []
    for name, size in zip(NAMES, SIZES, strict=True):
        end = min(free) + size * pace_s * (1 + generator.uniform(-0.1, 0.1))
        free[free.index(min(free))] = end
        ends.append((end, name))
    done_s = []
    for end, name in sorted(ends):
        world.passes(end - world.now_s, left)
        done_s.append(world.now_s)
        left.stage(name, "compiling", 1.0)
    return done_s[0]


def run_from_the_start(world: World, left: Estimator) -> float:
    first_s = build_two_at_once(world, left)
    lasts = lasting(*SESSION_S, jitter=0.1)
    for number in range(1, 6):
        for name in NAMES:
            session(world, left, name, f"{number}/5 ", lasts(name))
            if number == 5:
                left.stage(name, "done", 1.0)
    return first_s


@pytest.mark.parametrize("before", [0.85, 1.0, 1.2])
def test_a_whole_run_holds_from_the_first_build_on_by_runs_of_before(before: float) -> None:
    world = World()
    left = RunLeft(NAMES, planned(before=before), world.clock)
    first_s = run_from_the_start(world, left)
    assert max(world.errors()) < HOLDS_WITHIN
    assert {said for at, said in world.said if at < first_s} == {None}
    assert all(said is not None for at, said in world.said if at >= first_s)


def test_without_runs_of_before_a_whole_run_holds_from_the_second_network_on() -> None:
    world = World()
    left = RunLeft(NAMES, planned(before=None), world.clock)
    run_from_the_start(world, left)
    known = [at for at, said in world.said if said is not None]
    assert len(known) > 100
    assert max(world.errors(since_s=known[0] + sum(SESSION_S))) < HOLDS_WITHIN


def test_what_sessions_take_follows_from_sizes_in_the_first_turn_already() -> None:
    world = World()
    left = SessionsLeft(NAMES, world.clock, planned(before=None, sessions=2))
    for name in NAMES[:2]:
        session(world, left, name, "1/2 ", 1.0 + MACS[NAMES.index(name)] / 100)
        left.stage(name, "1/2 measured", 1.0)
    largest = 1.0 + MACS[1] / 100  # of what is larger, it is known only that it takes no less
    assert left.seconds() == pytest.approx(1.2 + largest + 2 * 2 * largest)
    session(world, left, NAMES[3], "1/2 ", 1.0 + MACS[3] / 100)
    left.stage(NAMES[3], "1/2 measured", 1.0)
    rest = [1.0 + macs / 100 for macs in MACS]
    assert left.seconds() == pytest.approx(sum(rest) + rest[2])


def test_networks_that_are_built_already_take_no_time_to_build() -> None:
    world = World()
    networks = {name: NetworkPlan(session_s=2.0) for name in NAMES}
    left = RunLeft(NAMES, RunPlan(networks=networks, builders=2, sessions=5), world.clock)
    assert left.seconds() == pytest.approx(4 * 5 * 2.0)


def test_builds_by_others_have_no_time_left_until_the_first_session() -> None:
    world = World()
    left = RunLeft(NAMES, planned(builders=None), world.clock)
    first_s = build_two_at_once(world, left)
    assert first_s < world.now_s
    assert {said for _, said in world.said} == {None}
    left.stage(NAMES[0], "1/5 loading", 0.0)
    assert left.seconds() == pytest.approx(5 * sum(SESSION_S))


def test_a_run_that_only_compiles_has_no_sessions_to_come() -> None:
    world = World()
    left = RunLeft(NAMES, planned(before=None, sessions=0), world.clock)
    build_two_at_once(world, left)
    assert max(world.errors()) < HOLDS_WITHIN
    assert left.seconds() == 0.0


def test_what_the_first_session_alone_does_is_expected_too() -> None:
    world = World()
    networks = {name: NetworkPlan(session_s=2.0, once_s=6.0) for name in NAMES}
    left = SessionsLeft(NAMES, world.clock, RunPlan(networks=networks, sessions=3))
    assert left.seconds() == pytest.approx(4 * (3 * 2.0 + 6.0))


def test_until_a_session_begins_its_process_starts() -> None:
    world = World()
    left = SessionsLeft(NAMES[:1], world.clock, RunPlan(sessions=4))
    for number in (1, 2, 3):
        session(world, left, "small", f"{number}/4 ", 2.0)
        left.stage("small", f"{number}/4 measured", 1.0)
        world.now_s += 0.5
    assert left.seconds() == pytest.approx((2.0 + 2.5 + 2.5) / 3)


@pytest.mark.parametrize("before", [0.0, 0.4])
def test_as_many_sessions_are_expected_to_be_repeated_as_were_until_now(before: float) -> None:
    """One of two is disturbed: of the first network's one it is known, of the others it is expected."""
    world = World()
    networks = {name: NetworkPlan(session_s=2.0) for name in NAMES}
    left = SessionsLeft(NAMES, world.clock, RunPlan(networks=networks, sessions=5, repeated=before))
    assert left.seconds() == pytest.approx(4 * 5 * (1 + before) * 2.0)
    for name, of in (("small", 6), ("middle", 5)):
        session(world, left, name, "1/5 ", 2.0)
        left.stage(name, f"1/{of} measured", 1.0)
    share = (1 + 5 * before) / (2 + 5)
    expected = 5 * (1 + share)
    assert left.seconds() == pytest.approx((max(6, expected) - 1 + expected - 1 + 2 * expected) * 2.0)


def test_once_all_had_their_sessions_it_is_known_how_many_are_repeated() -> None:
    world = World()
    networks = {name: NetworkPlan(session_s=2.0) for name in NAMES[:2]}
    left = SessionsLeft(NAMES[:2], world.clock, RunPlan(networks=networks, sessions=3, repeated=1.0))
    for number in (1, 2, 3):
        for name, of in (("small", 4), ("middle", 3)):
            session(world, left, name, f"{number}/{of} ", 2.0)
            left.stage(name, f"{number}/{of} measured", 1.0)
    left.stage("middle", "done", 1.0)
    assert left.seconds() == pytest.approx(2.0)


# --------------------------------------------------------------------------------------------------------------- farms
PAIRS = (("small", "middle"), ("large", "larger"))


def run_on_two_devices(world: World, left: Estimator, seconds: float = 20.0) -> float:
    """Measure two networks side by side, then the other two, in five sessions each; return when the first was over."""
    began_s = world.now_s
    for pair in PAIRS:
        for number in range(1, 6):
            for stage, part in STAGES.items():
                for name in pair:
                    left.stage(name, f"{number}/5 {stage}", 0.0)
                world.passes(seconds * part, left)
        for name in pair:
            left.stage(name, "done", 1.0)
    return began_s + seconds


def test_of_devices_side_by_side_it_holds_once_a_session_is_over() -> None:
    world = World()
    left = FarmLeft((*NAMES, "broken"), world.clock)
    build(world, left)
    left.stage("broken", "failed", 1.0)
    known_s = run_on_two_devices(world, left)
    assert {said for at, said in world.said if at < known_s} == {None}
    assert max(world.errors(known_s)) < HOLDS_WITHIN
    assert left.seconds() == 0.0


def test_devices_side_by_side_are_no_sessions_in_turn() -> None:
    world = World()
    run_on_two_devices(world, SessionsLeft(NAMES, world.clock))
    assert max(world.errors()) > 2 * HOLDS_WITHIN


def test_of_devices_with_one_session_a_network_it_is_known_once_one_is_done() -> None:
    world = World()
    left = FarmLeft(NAMES[:2], world.clock)
    left.stage("small", "measuring", 0.0)
    world.now_s += 8.0
    assert left.seconds() is None
    left.stage("small", "done", 1.0)
    assert left.seconds() == pytest.approx(8.0)
    world.now_s += 3.0
    assert left.seconds() == pytest.approx(5.0)


def test_bars_show_that_of_devices_side_by_side_on_a_farm_alone() -> None:
    for plan, kind in ((RunPlan(side_by_side=True), FarmLeft), (RunPlan(), RunLeft)):
        assert isinstance(progress.Bars(Console(quiet=True), NAMES, plan=plan).left, kind)
