from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
import scipy.stats

from mbench.core import stats
from mbench.gating.two_sides import LEAST_SPREAD, Runs, TwoSides


def side(*runs: Sequence[float]) -> Runs:
    """Return runs whose sessions' medians have these logarithms."""
    return tuple(tuple(map(math.exp, run)) for run in runs)


def drawn(draw: random.Random, runs: int, sessions: int, *, between: float, within: float) -> Runs:
    return side(*(
        [centre + draw.gauss(0, within) for _ in range(sessions)]
        for centre in [draw.gauss(0, between) for _ in range(runs)]
    ))  # fmt: skip


BASE = [0.01, 0.03, 0.02, 0.05, 0.04]
HEAD = [0.31, 0.36, 0.30, 0.33, 0.35, 0.32]


# ------------------------------------------------------------------------------------------------------- one run a side
def test_one_run_a_side_is_students_test() -> None:
    found = TwoSides(side(BASE), side(HEAD), 0.5)
    margin = 0.05
    shifted = [value - math.log1p(margin) for value in HEAD]
    assert found.p(1, margin) == pytest.approx(scipy.stats.ttest_ind(shifted, BASE, alternative="greater").pvalue)
    expected = scipy.stats.ttest_ind(HEAD, BASE).confidence_interval(0.98)
    assert found.interval(0.98) == pytest.approx((math.exp(expected.low), math.exp(expected.high)))
    assert found.upper(0.99) == pytest.approx(math.expm1(expected.high))
    assert not found.spread_assumed


def test_the_ratio_is_that_of_the_medians_that_are_shown() -> None:
    found = TwoSides(side(BASE), side(HEAD), 0.5)
    assert found.base_s == stats.median(list(map(math.exp, BASE)))
    assert found.ratio == found.head_s / found.base_s


def test_the_interval_holds_the_ratio_that_is_shown() -> None:
    """One session far off moves the mean and not the median; sign and figures agree all the same."""
    found = TwoSides(side([0.0, 0.001, 0.002, 0.003, 3.0]), side([0.1, 0.1, 0.1, 0.1, 0.1]), 0.5)
    low, high = found.interval(0.5)
    assert low <= found.ratio <= high
    assert found.ratio > 1


def test_sessions_that_agree_by_luck_are_not_believed_beyond_the_least_spread() -> None:
    found = TwoSides(side([0.0] * 5), side([0.004] * 5), 0.5)
    assert found.deviation == LEAST_SPREAD
    assert found.p(1, 0.0) > 0.05


def test_with_one_session_the_assumed_spread_and_the_normal_distribution_are_taken() -> None:
    found = TwoSides(side([0.0]), side([0.5]), 0.04)
    error = 0.04 * math.sqrt(2)
    assert found.spread_assumed
    assert found.p(1, 0.0) == pytest.approx(scipy.stats.norm.sf(0.5 / error))
    assert found.interval(0.98) == pytest.approx(tuple(map(math.exp, scipy.stats.norm.interval(0.98, 0.5, error))))


def test_a_record_of_before_is_judged_by_the_spread_of_the_other_side() -> None:
    found = TwoSides(side([0.0]), side(BASE), 0.9)
    assert not found.spread_assumed
    assert found.deviation == pytest.approx(scipy.stats.tstd(BASE))


# --------------------------------------------------------------------------------------------------------- several runs
def test_runs_far_apart_count_as_runs() -> None:
    """By hand: balanced, so that it is Student's test of the runs' means."""
    base = [[0.0, 0.01], [0.3, 0.31], [0.6, 0.61]]
    head = [[1.0, 1.01], [1.3, 1.31], [1.6, 1.61]]
    found = TwoSides(side(*base), side(*head), 0.5)
    means = [[sum(run) / len(run) for run in each] for each in (base, head)]
    expected = scipy.stats.ttest_ind(means[1], means[0]).confidence_interval(0.98)
    assert found.interval(0.98) == pytest.approx((math.exp(expected.low), math.exp(expected.high)))


def test_runs_as_close_as_their_sessions_count_by_session() -> None:
    base, head = [[0.0, 0.1, 0.2]] * 2, [[0.5, 0.6, 0.7]] * 2
    found = TwoSides(side(*base), side(*head), 0.5)
    one = TwoSides(side(base[0]), side(head[0]), 0.5)
    assert found.interval(0.98)[1] < one.interval(0.98)[1], "more runs narrow it"
    # the pooled variance, by hand: 8 squares of 0.01 over 8 + 2 degrees of freedom
    assert found.deviation == pytest.approx(math.sqrt(8 * 0.01 / 10))


def test_runs_of_one_session_each_are_students_test_too() -> None:
    found = TwoSides(side(*([value] for value in BASE)), side(*([value] for value in HEAD)), 0.5)
    expected = scipy.stats.ttest_ind(HEAD, BASE).confidence_interval(0.98)
    assert found.interval(0.98) == pytest.approx((math.exp(expected.low), math.exp(expected.high)))


# ------------------------------------------------------------------------------------------------ how often it is wrong
@pytest.mark.parametrize(
    ("runs", "between"),
    [(1, 0.0), (2, 0.0), (3, 0.0), (3, 0.03), (5, 0.03)],
    ids=["one run", "two", "three", "three far apart", "five far apart"],
)
def test_sides_drawn_alike_are_rarely_called_different(runs: int, between: float) -> None:
    draw, trials = random.Random(runs), 400
    alarms = 0
    for _ in range(trials):
        base, head = (drawn(draw, runs, 5, between=between, within=0.02) for _ in range(2))
        found = TwoSides(base, head, 0.5)
        alarms += min(found.p(1, 0.0), found.p(-1, 0.0)) < 0.01
    # twice 1 %, and half as much again for the preliminary test, which chooses the spread by what it sees
    assert alarms <= scipy.stats.binom.isf(1e-3, trials, 0.03)


def test_the_smallest_change_is_found_as_often_as_it_says() -> None:
    draw, trials, seen, margin = random.Random(7), 400, 0, 0.01
    changes = [
        TwoSides(
            drawn(draw, 1, 5, between=0, within=0.02), drawn(draw, 1, 5, between=0, within=0.02), 0.5
        ).smallest_change(margin, 0.01)
        for _ in range(trials)
    ]  # fmt: skip
    slower = math.log1p(stats.median(changes))
    for _ in range(trials):
        base, head = (drawn(draw, 1, 5, between=0, within=0.02) for _ in range(2))
        head = tuple(tuple(value * math.exp(slower) for value in run) for run in head)
        seen += TwoSides(base, head, 0.5).p(1, margin) <= 0.01
    assert seen >= scipy.stats.binom.isf(1 - 1e-3, trials, 0.9)


# -------------------------------------------------------------------------------------------------------- what it takes
def test_it_says_how_many_sessions_would_show_a_change() -> None:
    found = TwoSides(side(BASE), side(BASE), 0.5)
    count = found.sessions_for(0.05, 0.01)
    assert count is not None
    assert count > 5
    room = math.log(1.05) - math.log(1.01)
    assert math.log1p(stats.smallest_change(found.deviation, count)) <= room
    assert math.log1p(stats.smallest_change(found.deviation, count - 1)) > room


def test_nobody_would_run_thousands() -> None:
    wide = side([0.0, 0.5, -0.5, 0.3, -0.3])
    assert TwoSides(wide, wide, 0.5).sessions_for(0.02, 0.01) is None
