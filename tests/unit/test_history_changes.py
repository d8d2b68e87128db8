"""The calibration of changes: its noise is whole, what it draws are real runs, and its peer is as it is published."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from series_factory import timed

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def script() -> Iterator[Any]:
    """Return benchmarks/history_changes.py, which is in no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("history_changes")


@pytest.fixture(scope="module")
def kept(script: Any) -> Any:
    return script.read()


def made(script: Any, values: list[float]) -> Any:
    runs = tuple(script.NoiseRun(at=None, sessions_s=(value,) * 5, disturbed=False) for value in values)
    return script.NoiseSequence(network="net", threads=1, machine="one", how="made up", runs=runs)


def test_the_kept_noise_is_of_real_runs_on_one_thread_with_their_machine(script: Any, kept: Any) -> None:
    assert sum(len(each.runs) for each in kept) >= 150
    for each in kept:
        assert each.threads == 1
        assert each.machine
        assert each.how
        assert all(len(run.sessions_s) >= 2 and min(run.sessions_s) > 0 for run in each.runs)
    assert script.NOISE.stat().st_size < 300_000


def test_a_drawn_series_is_made_of_stretches_of_the_sequence(script: Any) -> None:
    values = [1.0 + index / 1000 for index in range(50)]
    drawn = script.drawn(made(script, values), 400, np.random.default_rng(1))
    seen = [run.sessions_s[0] for run in drawn]
    assert set(seen) <= set(values)
    following = [after == values[(values.index(before) + 1) % 50] for before, after in itertools.pairwise(seen)]
    assert 0.8 < np.mean(following) < 0.97, "ten runs in a row on average"


def test_a_planted_step_is_in_every_session_from_there_on(script: Any) -> None:
    runs = made(script, [1.0] * 10).runs
    series = script.series(runs, 4, 0.05)
    assert [point.value for point in series.points] == [1.0] * 4 + [1.05] * 6
    assert series.points[4].sessions == (1.05,) * 5


def test_no_step_is_found_in_any_kept_sequence(script: Any, kept: Any) -> None:
    for each in kept:
        random = np.random.default_rng(script.SEED)
        assert sum(script.alarm(each, random) for _ in range(60)) <= 1


def test_planted_steps_are_found_in_what_an_ordinary_machine_does(script: Any, kept: Any) -> None:
    for each in kept[:2]:
        random = np.random.default_rng(script.SEED)
        assert sum(script.caught(each, random, 0.05, 6) for _ in range(40)) >= 37
        assert sum(script.caught(each, random, 0.03, 10) for _ in range(40)) >= 34


def test_the_pace_makes_a_restless_machine_readable(script: Any, kept: Any) -> None:
    restless = kept[2]
    without = msgspec.structs.replace(
        restless, runs=tuple(msgspec.structs.replace(run, flops_per_s=None) for run in restless.runs)
    )
    found = []
    for sequence in (restless, without):
        random = np.random.default_rng(script.SEED)
        found.append(sum(script.caught(sequence, random, 0.05, 6) for _ in range(40)))
    assert found[0] > 2 * found[1]


def test_too_small_a_step_and_a_series_of_steps_make_the_lines_fail(script: Any, kept: Any) -> None:
    random = np.random.default_rng(script.SEED)
    assert sum(script.caught(kept[0], random, 0.001, 6) for _ in range(40)) <= 1
    restless = made(script, [*timed(60, (30, 0.2)), *timed(60, seed=2)])
    assert sum(script.alarm(restless, random) for _ in range(20)) >= 10


def test_the_peer_finds_a_planted_step(script: Any) -> None:
    logs = np.log(timed(60, (30, 0.05)))
    [at] = script.e_divisive(logs, np.random.default_rng(1))
    assert at == 30
