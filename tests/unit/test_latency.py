from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mbench.build import build
from mbench.core import artifact
from mbench.core.artifact import Artifact
from mbench.core.errors import MeasureError
from mbench.core.settings import Warmup
from mbench.hardware import targets
from mbench.measure import latency
from mbench.measure import program as program_module
from mbench.measure.observation import MeasurePlan
from mbench.measure.program import LocalProgram
from mbench.networks import variants


class Clock:
    """Says what time it is; programs turn it on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class FakeProgram:
    """Runs take what they are told to take, in order; each block is written into a diary."""

    def __init__(self, seconds: Iterator[float], clock: Clock, name: str = "A", diary: list[str] | None = None) -> None:
        self.seconds, self.clock, self.name = seconds, clock, name
        self.diary = diary if diary is not None else []
        self.asked: list[tuple[int, int]] = []

    def timer(self, *, number: int, repeat: int) -> Callable[[], tuple[float, ...]]:
        self.asked.append((number, repeat))

        def run() -> tuple[float, ...]:
            self.diary.append(self.name)
            samples = tuple(next(self.seconds) for _ in range(repeat))
            self.clock.now += number * sum(samples)
            return samples

        return run


def blocks(*medians: float) -> Iterator[float]:
    """Five runs of each duration, the last one for ever."""
    return itertools.chain.from_iterable(
        itertools.repeat(seconds, 5) for seconds in itertools.chain(medians, itertools.repeat(medians[-1]))
    )


def warm_up(program: FakeProgram, max_s: float) -> tuple[int, float]:
    return latency.warm_up(program, Warmup(max_s=max_s), program.clock)  # type: ignore[arg-type]


# -------------------------------------------------------------------------------------------------------------- warm-up
@pytest.mark.parametrize(
    ("medians", "needed"),
    [
        ((1.0,), 3),
        ((9.0, 4.0, 2.0, 1.0), 6),  # 9 4 2 1 1 1
        ((1.03, 1.0, 1.0, 1.0), 4),  # 3 % apart is not steady
        ((1.019, 1.0, 1.01), 3),  # within 2 %
        ((2.0, 1.0, 1.0, 2.0, 1.0), 7),  # 1 1 is too few; then 1 1 1
    ],
)
def test_warming_up_ends_when_three_blocks_agree(medians: tuple[float, ...], needed: int) -> None:
    clock = Clock()
    program = FakeProgram(blocks(*medians), clock)
    runs, seconds = warm_up(program, max_s=1e9)
    assert len(program.diary) == 1 + needed
    assert runs == 2 + 6 * needed  # a first one; five timed runs a block; and what the timer throws away before each
    assert seconds == clock.now


def test_one_slow_run_in_a_block_does_not_count() -> None:
    durations = itertools.cycle([1.0, 1.0, 1.0, 1.0, 50.0])
    program = FakeProgram(durations, Clock())
    assert warm_up(program, max_s=1e9)[0] == 2 + 18


def test_warming_up_gives_up_after_its_time() -> None:
    clock = Clock()
    never_steady = itertools.chain.from_iterable(itertools.repeat(1.0 + 0.5 * (n % 2), 5) for n in itertools.count())
    program = FakeProgram(never_steady, clock)
    runs, seconds = warm_up(program, max_s=100.0)
    assert 100 <= seconds < 108  # the block that was running is let finish
    assert runs == 2 + 6 * (len(program.diary) - 1)


def test_where_blocks_would_not_end_in_time_they_are_of_one_run() -> None:
    clock = Clock()
    program = FakeProgram(itertools.repeat(1.0), clock)
    runs, seconds = warm_up(program, max_s=5.0)
    assert program.asked == [(1, 1), (1, 1)]
    assert (runs, seconds) == (2 + 3 * 2, 4.0)


def test_without_time_nothing_runs() -> None:
    program = FakeProgram(blocks(1.0), Clock())
    assert warm_up(program, max_s=0.0) == (0, 0.0)
    assert program.diary == []


# ---------------------------------------------------------------------------------------------------------- whole runs
PLAN = MeasurePlan(
    threads=1, number=3, repeat=20, layer_repeat=5, block=5, warmup=Warmup(max_s=1.0), measure_max_s=None,
    tolerance=1e-4,
)  # fmt: skip


def whole(clock: Clock, seconds: Iterator[float], **changes: Any) -> tuple[tuple[float, ...], FakeProgram]:
    program = FakeProgram(seconds, clock)
    options = {name: changes.pop(name) for name in ("progress", "between") if name in changes}
    plan = msgspec.structs.replace(PLAN, **changes)
    return latency.whole(program, plan, clock=clock, **options), program  # type: ignore[arg-type]


@pytest.mark.parametrize(("repeat", "block", "blocks"), [(7, 5, 2), (3, 5, 1), (10, 5, 2), (4, 1, 4)])
def test_as_many_samples_as_were_asked_for_in_order(repeat: int, block: int, blocks: int) -> None:
    samples, program = whole(Clock(), itertools.count(0.0), repeat=repeat, block=block)
    assert samples == tuple(map(float, range(repeat)))
    assert len(program.diary) == blocks
    assert program.asked == [(3, block)]


def test_progress_goes_up_to_one() -> None:
    told: list[float] = []
    whole(Clock(), itertools.repeat(1.0), progress=told.append)
    assert told == [0.25, 0.5, 0.75, 1.0]


def test_something_may_be_done_between_blocks() -> None:
    calls: list[int] = []
    whole(Clock(), itertools.repeat(1.0), between=lambda: calls.append(1))
    assert len(calls) == 4


def test_samples_are_spread_over_the_time_and_the_network_keeps_running() -> None:
    """Four blocks of 15 ms in a second: each begins a quarter later, and the runs between are no samples."""
    clock = Clock()
    samples, program = whole(clock, itertools.repeat(1e-3), measure_max_s=1.0)
    assert len(samples) == 20
    assert 0.75 <= clock.now < 0.8
    between = [number for number, repeat in program.asked if repeat == 1]
    assert len(between) == 3
    assert sum(between) == pytest.approx((0.75 - 3 * 0.015) / 1e-3, abs=5)


def test_of_a_slow_network_one_block_is_enough() -> None:
    samples, program = whole(Clock(), itertools.repeat(1.0), measure_max_s=1.0)
    assert len(samples) == 5
    assert len(program.diary) == 1


# ------------------------------------------------------------------------------------------------------- layer by layer
@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> LocalProgram:
    variant, cache = variants.parse("mobilenet_v1_0.25_32"), tmp_path_factory.mktemp("artifacts")
    return LocalProgram(build.build(variant, targets.load("host"), cache)[0])


def test_every_kernel_is_timed_in_every_run(program: LocalProgram) -> None:
    told: list[float] = []
    calls, overheads, cost = latency.layers(program, repeat=4, progress=told.append)
    assert [len(samples) for samples in calls] == [4] * len(program.artifact.manifest.calls)
    assert len(overheads) == 4
    assert told == [0.25, 0.5, 0.75, 1.0]
    assert cost >= 0
    assert all(seconds >= 0 for samples in calls for seconds in samples)


def with_calls(program: LocalProgram, calls: tuple[tuple[str, int], ...]) -> Any:
    """Return the same program with a manifest that names other kernels."""
    other = object.__new__(LocalProgram)
    vars(other).update(vars(program))
    manifest = msgspec.structs.replace(program.artifact.manifest, calls=calls)
    other.artifact = Artifact(Path(program.artifact.folder), manifest)
    return other


@pytest.mark.parametrize("change", ["one fewer", "one more", "two swapped", "renamed"])
def test_other_kernels_than_the_artifacts_are_an_error(program: LocalProgram, change: str) -> None:
    calls = program.artifact.manifest.calls
    (first, _), (second, _), (last, _) = calls[0], calls[1], calls[-1]
    wrong, said = {
        "one fewer": (calls[:-1], f"kernel '{last}' ran where the artifact names 'none'"),
        "one more": ((*calls, calls[0]), f"kernel 'none' ran where the artifact names '{first}'"),
        "two swapped": ((calls[1], calls[0], *calls[2:]), f"kernel '{first}' ran where the artifact names '{second}'"),
        "renamed": ((("stranger", 0), *calls[1:]), f"kernel '{first}' ran where the artifact names 'stranger'"),
    }[change]
    with pytest.raises(MeasureError, match=said):
        latency.layers(with_calls(program, wrong), repeat=2)


def test_after_the_instrument_is_gone_runs_are_as_they_were(program: LocalProgram) -> None:
    [before] = program.run()
    latency.layers(program, repeat=1)
    assert (program.run()[0] == before).all()


def test_a_reading_costs_what_it_takes_longer_than_the_chain_without_the_instrument(program: LocalProgram) -> None:
    whole = latency.instrument_cost(program, lambda _: 0.0)  # a chain that took no time: readings are all cost
    assert whole > 0
    assert latency.instrument_cost(program, lambda _: 1.0) == 0.0  # one that took longer than its readings


class Ticks:
    """Stands for `time` where the instrument reads it: a clock that goes on by other steps with each reading."""

    def __init__(self, steps: Iterator[int]) -> None:
        self.readings: list[int] = []
        self._clock = itertools.accumulate(steps)

    def perf_counter_ns(self) -> int:
        self.readings.append(next(self._clock))
        return self.readings[-1]


def test_each_call_is_what_the_clock_went_on_between_its_own_two_readings(
    program: LocalProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No call is read twice, or within another one: the calls and what lies between them are the whole."""
    ticks = Ticks(itertools.count(1))
    monkeypatch.setattr(program_module, "time", ticks)
    instrument = program.instrument()
    events = instrument.run(artifact.ENTRY)
    instrument.remove()
    read = ticks.readings
    assert len(read) == 3 * len(events), "one before the call for each that was before it, one at its begin, one after"
    begins, ends = read[1::3], read[2::3]
    assert [seconds for _, seconds in events] == [
        pytest.approx((end - begin) * 1e-9) for begin, end in zip(begins, ends, strict=True)
    ]
    between = sum(begin - end for begin, end in zip(begins[1:], ends, strict=False))
    assert sum(seconds for _, seconds in events) == pytest.approx((ends[-1] - begins[0] - between) * 1e-9)


def test_layers_and_the_time_between_them_add_up_to_what_the_clock_said(
    program: LocalProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reading takes a microsecond, a quarter of it the call's own: so is each kernel, and each step between."""
    monkeypatch.setattr(program_module, "time", Ticks(itertools.repeat(1000)))
    instrument = program.instrument()
    chain, run = (instrument.run(entry) for entry in (artifact.CALIBRATION_ENTRY, artifact.ENTRY))
    instrument.remove()
    calls, overheads, cost = latency.layers(program, repeat=3, chain_s=lambda _: len(chain) * 0.25e-6)
    assert cost == pytest.approx(0.75e-6)
    assert [list(call) for call in calls] == [pytest.approx([0.25e-6] * 3) for _ in program.artifact.manifest.calls]
    steps = len(run) - len(calls)
    assert steps > 0
    assert list(overheads) == pytest.approx([steps * 0.25e-6] * 3)


def test_the_cost_of_a_reading_is_taken_off(program: LocalProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, overheads, _ = latency.layers(program, repeat=3)
    monkeypatch.setattr(latency, "instrument_cost", lambda *_: 1.0)  # a second: more than any kernel takes
    free, no_overheads, cost = latency.layers(program, repeat=3)
    assert cost == 1.0
    assert {seconds for samples in free for seconds in samples} == {0.0}
    assert set(no_overheads) == {0.0}
    assert sum(map(sum, calls)) + sum(overheads) > 0
