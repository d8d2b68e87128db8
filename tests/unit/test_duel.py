from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import fake_devices as fakes
import numpy as np
import pytest

from mbench.core import artifact
from mbench.measure import duel
from mbench.measure.duel import DuelPlan


class Clock:
    """Goes on only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def plan(**changes: Any) -> DuelPlan:
    given = {
        "threads": 1, "order": (0, 1, 2), "seed": 1, "warmup_s": 0.0, "rounds": 7, "max_s": 60.0, "tolerance": 1e-4
    }  # fmt: skip
    return DuelPlan(**{**given, **changes})


def turns(rounds: int, max_s: float, turn_s: float = 1.0, copies: int = 3) -> list[int]:
    """Return which copy had which turn."""
    taken: list[int] = []
    clock = Clock()

    def copy(index: int) -> Callable[[], Sequence[float]]:
        def run() -> Sequence[float]:
            taken.append(index)
            clock.now += turn_s
            return (float(len(taken)),)

        return run

    duel.alternate(
        [copy(index) for index in range(copies)], np.random.default_rng(3), rounds=rounds, max_s=max_s, clock=clock
    )  # fmt: skip
    return taken


def test_a_round_is_a_random_order_and_its_mirror_image() -> None:
    taken = turns(50, 1e9)
    rounds = [taken[start : start + 6] for start in range(0, len(taken), 6)]
    assert len(rounds) == 50
    assert all(turn[3:] == turn[2::-1] for turn in rounds)
    assert all(sorted(turn[:3]) == [0, 1, 2] for turn in rounds)
    assert len({tuple(turn[:3]) for turn in rounds}) == 6, "each order comes"


def test_a_linear_drift_within_a_round_hits_all_alike() -> None:
    taken = turns(40, 1e9)
    places = [[place for place, index in enumerate(taken) if index == copy] for copy in range(3)]
    assert {sum(each) for each in places} == {sum(places[0])}


def test_time_ends_a_duel_though_never_before_five_rounds() -> None:
    assert len(turns(50, 0.0)) == 5 * 6
    assert len(turns(50, 6.0 * 10)) == 10 * 6
    assert len(turns(3, 0.0)) == 3 * 6


def test_what_a_copy_returned_stays_with_it_in_order() -> None:
    counters = [iter(range(start, start + 1000)) for start in (0, 1000, 2000)]
    copies = [lambda counter=counter: (float(next(counter)),) for counter in counters]
    taken = duel.alternate(copies, np.random.default_rng(1), rounds=4, max_s=1e9)
    assert [[value for (value,) in each] for each in taken] == [
        [float(start + place) for place in range(8)] for start in (0, 1000, 2000)
    ]


def test_progress_ends_at_one() -> None:
    told: list[float] = []
    duel.alternate([lambda: ()] * 3, np.random.default_rng(1), rounds=4, max_s=1e9, progress=told.append)
    assert told == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(("seconds", "runs"), {0.0: 10, 1e-6: 10, 3e-4: 10, 6e-4: 5, 1e-3: 3, 2e-3: 2, 1.0: 2}.items())
def test_a_block_lasts_a_few_milliseconds(seconds: float, runs: int) -> None:
    assert duel.block_runs(seconds) == runs


class Program:
    """Takes `seconds` a run, and once in a while much longer."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.asked = seconds, list[tuple[int, int]]()
        self._number = 0

    def timer(self, *, number: int, repeat: int) -> Callable[[], tuple[float, ...]]:
        self.asked.append((number, repeat))

        def run() -> tuple[float, ...]:
            self._number += 1
            return (*(self.seconds for _ in range(repeat - 1)), self.seconds * (9 if self._number % 3 else 1))

        return run


def test_a_block_counts_by_its_shortest_run() -> None:
    programs: list[Any] = [Program(1e-3), Program(1e-3), Program(2e-3)]
    block, whole = duel.whole(programs, np.random.default_rng(1), plan(), lambda _: None)
    assert block == 3
    assert whole == ((1e-3,) * 14, (1e-3,) * 14, (2e-3,) * 14)
    assert {program.asked[-1] for program in programs} == {(1, 3)}, "all copies have blocks of one length"


def test_a_disturbance_of_one_round_changes_nothing() -> None:
    quiet = [[1.0] * 5, [1.0] * 5, [1.1] * 5]
    disturbed = [[1.0] * 5, [1.0] * 5, [1.1, 1.1, 9.0, 1.1, 1.1]]
    assert duel.sample(quiet) == duel.sample(disturbed)


def test_a_drift_that_hits_all_copies_changes_no_ratio() -> None:
    drift = [1.0, 1.1, 1.3, 1.2, 1.0]
    copies = [[value * centre for value in drift] for centre in (1.0, 1.0, 1.1)]
    ratio, noise, _, _ = duel.sample(copies)
    assert ratio == pytest.approx(0.0953102)  # log(1.1)
    assert noise == pytest.approx(0.0)


def test_a_twin_is_a_copy_in_files_of_its_own_and_goes_away(tmp_path: Path) -> None:
    built = fakes.compiled(tmp_path / "a", fakes.variant())
    (built.folder / artifact.REFERENCE).write_bytes(b"numbers")
    built = artifact.store(built.manifest, built.folder, tmp_path / "b")
    with duel.twin_of(built) as twin:
        assert twin.library.read_bytes() == built.library.read_bytes()
        assert not twin.library.samefile(built.library)
    assert not twin.folder.exists()
    assert built.library.exists()


def test_orders_are_drawn_anew() -> None:
    plans = [duel.drawn(2, 1e-4) for _ in range(60)]
    assert len({plan.order for plan in plans}) == 6, "each order of loading comes"
    assert len({plan.seed for plan in plans}) == 60
    assert {(plan.threads, plan.tolerance) for plan in plans} == {(2, 1e-4)}
