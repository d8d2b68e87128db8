"""Steps in sequences, beside a search by brute force, E-divisive as it is published, and sequences made with steps."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from series_factory import NOISE, timed

from mbench.analysis import change_points
from mbench.analysis.change_points import FEWEST, SMALLEST, ChangePoint

Values = NDArray[np.float64]


def certain(values: object, **more: object) -> list[ChangePoint]:
    found = change_points.find(np.asarray(values), **more)  # type: ignore[arg-type]
    return [step for step in found if step.more_runs is None]


def correlated(count: int, share: float, seed: int, noise: float = NOISE) -> Values:
    """Return latencies whose logarithms are an autoregressive sequence of the first order."""
    drawn = np.random.default_rng(seed).normal(0, noise * math.sqrt(1 - share**2), count)
    logs = np.array(list(itertools.accumulate(drawn, lambda last, new: share * last + new)))
    return np.asarray(np.exp(logs), dtype=np.float64)


# -------------------------------------------------------------------------------------------------------------- oracles
def best_split(values: object) -> int:
    """Return the place that leaves the least squares around two means of logarithms, of all places."""
    logs = np.log(np.asarray(values, dtype=float))
    left = {at: logs[:at].var() * at + logs[at:].var() * (len(logs) - at) for at in range(FEWEST, len(logs) - FEWEST)}
    return min(left, key=left.__getitem__)


def energy(first: Values, second: Values) -> float:
    """Return the statistic of Matteson and James (2014), equation 6, for an exponent of 1."""
    across = np.abs(first[:, None] - second[None, :]).mean()
    within = [np.abs(each[:, None] - each[None, :]).sum() / (len(each) * (len(each) - 1)) for each in (first, second)]
    return float(len(first) * len(second) / (len(first) + len(second)) * (2 * across - sum(within)))


def e_divisive(values: Values, draws: int = 99, level: float = 0.02) -> list[int]:
    """Return the changes that E-divisive finds: bisection, with a permutation test of each place."""
    random = np.random.default_rng(0)

    def best(part: Values) -> tuple[float, int]:
        return max((energy(part[:at], part[at:]), at) for at in range(FEWEST, len(part) - FEWEST + 1))

    def within(start: int, end: int) -> list[int]:
        part = values[start:end]
        if len(part) < 2 * FEWEST:
            return []
        found, at = best(part)
        beaten = sum(best(random.permutation(part))[0] >= found for _ in range(draws))
        if (beaten + 1) / (draws + 1) > level:
            return []
        return [*within(start, start + at), start + at, *within(start + at, end)]

    return within(0, len(values))


# ---------------------------------------------------------------------------------------------------------------- steps
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("at", "share"), [(30, 0.05), (50, -0.05), (52, 0.03), (12, 0.1)])
def test_a_step_is_found_where_a_search_by_brute_force_finds_it(seed: int, at: int, share: float) -> None:
    values = timed(60, (at, share), seed=seed)
    [step] = certain(values)
    assert step.at == best_split(values)
    assert step.at == pytest.approx(at, abs=1)
    assert (step.last, step.previous) == (None, step.at - 1)
    assert step.low < 1 + share < step.high or abs(step.after / step.before / (1 + share) - 1) < 0.01


def test_the_interval_holds_the_true_size_as_often_as_it_says() -> None:
    steps = [certain(timed(80, (40, 0.05), seed=seed))[0] for seed in range(200)]
    assert np.mean([step.low <= 1.05 <= step.high for step in steps]) >= 0.93
    assert np.median([step.high / step.low for step in steps]) < 1.02, "an interval of everything would hold it too"


def test_several_steps_are_found_where_e_divisive_finds_them() -> None:
    values = timed(90, (25, 0.05), (50, -0.08), (70, 0.06), seed=3)
    found = [step.at for step in certain(values)]
    assert found == pytest.approx(e_divisive(np.log(values)), abs=1)
    assert found == pytest.approx([25, 50, 70], abs=1)


@pytest.mark.parametrize("scale", [1e-9, 1e3])
def test_the_unit_does_not_matter(scale: float) -> None:
    values = timed(60, (30, 0.05))
    [step], [scaled] = certain(values), certain(np.asarray(values) * scale)
    assert (scaled.at, scaled.low, scaled.p_value) == pytest.approx((step.at, step.low, step.p_value))
    assert scaled.after == pytest.approx(step.after * scale)


def test_values_that_never_vary_have_steps_too() -> None:
    [step] = certain([1.0] * 20 + [1.1] * 20)
    assert step.at == 20
    assert (step.before, step.after) == pytest.approx((1.0, 1.1))


def test_what_is_smaller_than_matters_is_not_reported() -> None:
    quiet = timed(200, (100, 0.8 * SMALLEST), noise=0.001)
    assert change_points.find(quiet) == ()
    assert len(certain(timed(200, (100, 1.5 * SMALLEST), noise=0.001))) == 1


def test_an_exact_quantity_changes_where_its_value_does() -> None:
    assert change_points.exact([3, 3, 4, 4, 3]) == (2, 4)
    assert change_points.exact([3.0]) == change_points.exact([]) == ()


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0, 1.0, 2.0], [1e-3] * 5])
def test_too_few_values_have_no_change(values: list[float]) -> None:
    assert change_points.find(values) == ()


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_value_that_has_no_logarithm_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="expected positive"):
        change_points.find([1.0, value, 1.0])


# ------------------------------------------------------------------------------------------------------------- no steps
def test_noise_alone_has_no_changes() -> None:
    found = [certain(timed(100, seed=seed)) for seed in range(400)]
    assert sum(map(bool, found)) <= 2


def test_noise_of_a_machine_with_quick_and_slow_hours_has_hardly_any(monkeypatch: pytest.MonkeyPatch) -> None:
    sequences = [correlated(100, 0.7, seed, noise=0.015) for seed in range(200)]
    assert np.mean([bool(certain(values)) for values in sequences]) <= 0.05
    monkeypatch.setattr(change_points, "_BLOCKS", (1,))
    assert np.mean([bool(certain(values)) for values in sequences]) > 0.2, "single runs do not show it"


def test_the_noise_of_means_is_seen_where_runs_depend_on_each_other() -> None:
    alone = [change_points.noise(np.log(timed(200, seed=seed))) for seed in range(50)]
    assert np.median(alone) == pytest.approx(NOISE, rel=0.3)
    together = [change_points.noise(np.log(correlated(200, 0.6, seed))) for seed in range(50)]
    assert np.median(together) > 1.3 * NOISE


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("size", [1.3, 0.6, 3.0])
@pytest.mark.parametrize("at", [5, 40])
def test_some_values_far_off_are_no_level(count: int, size: float, at: int) -> None:
    values = np.asarray(timed(60))
    values[at : at + count] *= size
    assert certain(values) == []


def test_values_far_off_do_not_hide_a_step() -> None:
    values = np.asarray(timed(60, (40, 0.05)))
    values[[7, 20, 21, 45]] *= 1.5
    [step] = certain(values)
    assert step.at == pytest.approx(40, abs=1)
    assert step.after / step.before == pytest.approx(1.05, abs=0.008)


# -------------------------------------------------------------------------------------------------- drifts, small steps
@pytest.mark.parametrize("flat", [0, 40])
def test_a_slow_drift_is_one_change_with_its_extent(flat: int) -> None:
    rise = np.concatenate([np.zeros(flat), np.linspace(0, math.log(1.1), 60), np.full(20, math.log(1.1))])
    [drift] = certain(np.exp(rise) * np.asarray(timed(len(rise))))
    assert drift.last is not None
    assert (drift.at, drift.last) == pytest.approx((flat, flat + 60), abs=10)
    assert drift.after / drift.before == pytest.approx(1.1, abs=0.012)


def test_two_steps_in_one_direction_are_no_drift() -> None:
    found = certain(timed(90, (30, 0.04), (60, 0.04)))
    assert [(step.at, step.last) for step in found] == [(30, None), (60, None)]


def test_small_steps_are_seen_when_they_add_up() -> None:
    small = [(at, 0.006) for at in range(20, 120, 20)]
    assert certain(timed(40, *small)) == []
    found = certain(timed(130, *small))
    assert math.prod(step.after / step.before for step in found) == pytest.approx(1.006**5, abs=0.008)


# -------------------------------------------------------------------------------------------------------------- the end
@pytest.mark.parametrize("after", [2, 3])
def test_few_values_of_a_new_level_are_perhaps_a_change(after: int) -> None:
    [step] = change_points.find(timed(40 + after, (40, 0.06)))
    assert (step.at, step.more_runs) == (40, FEWEST - after)
    assert step.after / step.before > 1.03


def test_one_value_of_a_new_level_is_nothing_yet_and_enough_are_certain() -> None:
    assert change_points.find(timed(41, (40, 0.06))) == ()
    [step] = change_points.find(timed(40 + FEWEST, (40, 0.06)))
    assert (step.at, step.more_runs) == (40, None)


def test_a_step_that_noise_could_be_needs_more_runs_and_becomes_certain_with_them() -> None:
    noisy = {after: change_points.find(timed(60 + after, (60, 0.05), noise=0.02, seed=5)) for after in range(6, 30)}
    unsure = [step for found in noisy.values() for step in found if step.more_runs is not None]
    assert unsure
    assert all(step.more_runs and step.more_runs <= 20 for step in unsure)
    assert [step.more_runs for step in noisy[29]] == [None]


# ------------------------------------------------------------------------------------------------------------ disturbed
def test_what_was_disturbed_does_not_count_while_most_is_quiet() -> None:
    values = np.asarray(timed(60))
    values[20:30] *= 1.2
    quiet = [not 20 <= index < 30 for index in range(60)]
    assert certain(values, quiet=quiet) == []
    assert [step.at for step in certain(values)] == pytest.approx([20, 30], abs=1)


def test_indices_are_of_all_values() -> None:
    quiet = [index % 4 != 3 for index in range(80)]
    [step] = certain(timed(80, (44, 0.06)), quiet=quiet)
    assert (step.at, step.previous) == (44, 42)


def test_where_most_is_disturbed_all_count() -> None:
    [step] = certain(timed(60, (30, 0.06)), quiet=[False] * 40 + [True] * 20)
    assert step.at == pytest.approx(30, abs=1)


def test_noise_that_is_known_from_sessions_is_assumed_at_least() -> None:
    values = timed(40, (30, 0.03), noise=0.002)
    assert len(certain(values)) == 1
    assert certain(values, spread=0.03) == []


# -------------------------------------------------------------------------------------------------------- as runs come
def test_what_was_found_stays_as_runs_are_added() -> None:
    values = timed(100, (40, 0.04), (70, -0.05), seed=9)
    seen: dict[int, list[int]] = {}
    for end in range(46, 101):
        seen[end] = [step.at for step in certain(values[:end])]
    assert all(found[:1] == [40] for found in seen.values())
    assert all(found == [40, 70] for end, found in seen.items() if end >= 75)
