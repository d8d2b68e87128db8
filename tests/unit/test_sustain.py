"""A network under load, on a clock that only its runs and its sensors turn on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from mbench.core.sustained import MOST_POINTS
from mbench.measure import sustain
from mbench.measure.sustain import SensorReading, SustainedRun

BEGAN = "2026-01-01T00:00:00Z"


class Machine:
    """A clock, and a program whose runs take what `run_s` says of the moment; sensors take `sensing_s`."""

    def __init__(self, run_s: Callable[[float], float], *, sensing_s: float = 0.0, call_s: float = 0.0) -> None:
        self.run_s, self.sensing_s, self.call_s = run_s, sensing_s, call_s
        self.now = 100.0
        self.ran_s = 0.0
        self.timed: list[float] = []
        self.longest_call_s = 0.0
        self.readings: Iterator[SensorReading] | None = None

    def clock(self) -> float:
        return self.now

    def timer(self, *, number: int, repeat: int) -> Callable[[], tuple[float, ...]]:
        def call() -> tuple[float, ...]:
            before = self.now
            self.now += self.call_s
            taken = []
            for _ in range(1 + number * repeat):
                taken.append(self.run_s(self.now - 100.0))
                self.now += taken[-1]
            self.ran_s += sum(taken)
            self.longest_call_s = max(self.longest_call_s, self.now - before)
            if len(self.timed) < 1000:
                self.timed += taken[1:]
            return tuple(taken[1:])

        return call

    def sense(self) -> SensorReading:
        self.now += self.sensing_s
        return next(self.readings) if self.readings else SensorReading()


def under_load(machine: Machine, seconds: float, **changes: Any) -> SustainedRun:
    options: dict[str, Any] = {"began_utc": BEGAN, "why": {}, "clock": machine.clock, **changes}
    return sustain.run(machine, seconds, machine.sense, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "run_s", "points"),
    [
        (60.0, 5e-3, 600),
        (3.0, 5e-5, 30),
        (3600.0, 5e-3, 600),
        (1.0, 1e-3, 10),
        (0.01, 1e-3, 1),
    ],
)
def test_the_time_is_parted_into_slices_of_one_length(seconds: float, run_s: float, points: int) -> None:
    found = under_load(Machine(lambda _: run_s), seconds)
    assert len(found.points) == points
    assert found.ran_s == pytest.approx(seconds, abs=2 * run_s)
    lengths = np.diff([0.0, *(point.at_s for point in found.points)])
    assert np.abs(lengths - seconds / points).max() <= 2 * run_s + 1e-9
    assert all(point.median_s == run_s for point in found.points)


@pytest.mark.parametrize("run_s", [0.07, 0.3, 1.0, 2.5, 40.0, 200.0])
def test_a_slow_network_has_a_run_a_slice_at_least(run_s: float) -> None:
    """The timer throws away one run of each call, so a slice is two runs at least."""
    found = under_load(Machine(lambda _: run_s), 60.0)
    assert all(point.runs >= 1 for point in found.points)
    assert 60.0 - run_s <= found.ran_s <= 60.0 + 2 * run_s
    assert 1 <= len(found.points) <= MOST_POINTS
    assert [point.at_s for point in found.points] == sorted({point.at_s for point in found.points})


@pytest.mark.parametrize("seconds", [0.001, 0.05, 7.3, 59.99, 600.0, 86_400.0])
@pytest.mark.parametrize("run_s", [0.11, 0.9])
def test_there_are_never_more_points_than_a_record_holds(seconds: float, run_s: float) -> None:
    assert 1 <= len(under_load(Machine(lambda _: run_s), seconds).points) <= MOST_POINTS


def test_each_slice_has_the_latency_of_its_own_time() -> None:
    """A device that throttles after 22 s."""
    found = under_load(Machine(lambda now: 5.9e-3 if now < 22 else 7.1e-3), 60.0)
    for point in found.points:
        assert point.median_s == (5.9e-3 if point.at_s < 22.05 else 7.1e-3)


def test_quantiles_are_those_of_the_runs() -> None:
    generator = np.random.default_rng(1)
    machine = Machine(lambda _: float(generator.lognormal(-7.0, 0.3)))
    [point] = under_load(machine, 0.05).points
    assert point.runs == len(machine.timed) > 20
    expected = np.quantile(machine.timed, (0.25, 0.5, 0.75, 0.9))
    assert (point.p25_s, point.median_s, point.p75_s, point.p90_s) == pytest.approx(tuple(expected))


def test_of_very_many_runs_a_part_is_kept_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sustain, "_MOST_SAMPLES", 100)
    machine = Machine(lambda now: 1e-3 if now < 5 else 3e-3)
    [point] = under_load(machine, 10.0, shortest_s=10.0).points
    assert point.runs == pytest.approx(5 / 1e-3 + 5 / 3e-3, rel=0.01)
    assert (point.median_s, point.p90_s) == (1e-3, 3e-3)  # three of four runs are the quick ones


def test_the_network_runs_without_a_pause() -> None:
    found = under_load(machine := Machine(lambda _: 2e-3), 20.0)
    assert found.running_share == pytest.approx(1.0)
    assert machine.ran_s == pytest.approx(20.0, abs=4e-3)


def test_what_sensors_and_the_timer_take_is_known() -> None:
    machine = Machine(lambda _: 2e-3, sensing_s=0.01, call_s=0.01)
    found = under_load(machine, 20.0)
    assert found.running_share == pytest.approx(machine.ran_s / 20.0, abs=0.02)
    assert found.running_share < 0.9
    assert found.ran_s == pytest.approx(20.0, abs=0.05)


def test_no_call_is_long_so_that_progress_is_reported() -> None:
    machine, told = Machine(lambda _: 1e-2), list[float]()
    under_load(machine, 3600.0, progress=told.append)
    assert machine.longest_call_s < 1.01
    assert told == sorted(told)
    assert max(np.diff([0.0, *told])) < 1.01 / 3600
    assert told[-1] == pytest.approx(1.0, abs=1e-5)


# -------------------------------------------------------------------------------------------------------------- sensors
def readings(count: int, **fields: Callable[[int], Any]) -> Iterator[SensorReading]:
    return iter([SensorReading(**{name: value(at) for name, value in fields.items()}) for at in range(count)])


def test_a_point_has_what_the_sensors_show_at_its_end() -> None:
    machine = Machine(lambda _: 1e-3)
    machine.readings = readings(
        11, frequency_hz=lambda at: 2.4e9 - 1e8 * at, temperature_c=lambda at: 48.0 + at,
        others_busy_s=lambda at: 7.0 + 0.05 * at, slowed_by=lambda at: ("power cap",) if at > 5 else (),
    )  # fmt: skip
    found = under_load(machine, 1.0)
    assert [point.frequency_hz for point in found.points] == [2.4e9 - 1e8 * at for at in range(1, 11)]
    assert [point.temperature_c for point in found.points] == [48.0 + at for at in range(1, 11)]
    assert [point.slowed_by for point in found.points] == [()] * 5 + [("power cap",)] * 5
    for point in found.points:  # 0.05 s of processor time in each slice of about 0.1 s
        assert point.others_busy == pytest.approx(0.5, rel=0.05)
    assert found.missing == {}


def test_a_counter_of_others_that_goes_back_is_none_of_their_work() -> None:
    machine = Machine(lambda _: 1e-3)
    machine.readings = readings(3, others_busy_s=lambda at: (5.0, 4.9, 5.1)[at])
    assert [point.others_busy for point in under_load(machine, 0.2).points] == [0.0, pytest.approx(2.0, rel=0.05)]


def test_what_a_machine_does_not_show_has_a_reason() -> None:
    found = under_load(Machine(lambda _: 1e-3), 1.0, why={"frequency_hz": "no cpufreq here"})
    assert found.missing == {
        "points.frequency_hz": "no cpufreq here",
        **dict.fromkeys(
            ("points.temperature_c", "points.others_busy", "points.slowed_by"), "this machine does not show it"
        ),
    }
    assert {point.frequency_hz for point in found.points} == {None}
