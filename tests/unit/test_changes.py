"""Changes of series: their fields, beside what was planted."""

from __future__ import annotations

import math

import pytest
import series_factory as factory
from series_factory import INSTRUCTIONS, LATENCY, MACS, commit, record, series, timed

from mbench.history import changes
from mbench.history.quantities import PACE, QUANTITIES
from mbench.history.series import Series


def test_a_step_of_times_has_its_size_the_first_record_and_the_commits_around_it() -> None:
    [change] = changes.of_series(series(timed(60, (40, 0.05))))
    assert (change.at, change.record, change.commits) == (40, record(40), (commit(39), commit(40)))
    assert change.low < 1.05 < change.high
    assert change.ratio == pytest.approx(change.after / change.before)
    assert (change.certainty, change.more_runs, change.worse, change.last) == ("certain", None, True, None)
    assert change.p_value is not None
    assert change.p_value < 1e-4


def test_the_commits_are_those_of_runs_that_count() -> None:
    values = timed(60, (40, 0.05))
    for index in (38, 39):
        values[index] *= 1.3
    [change] = changes.of_series(series(values, disturbed=(38, 39)))
    assert change.commits == (commit(37), commit(40))


def test_a_change_for_the_better_is_not_worse_and_one_of_neither_is_neither() -> None:
    [better] = changes.of_series(series(timed(60, (40, -0.05))))
    [neither] = changes.of_series(series([5.0] * 3 + [6.0] * 3, MACS))
    assert (better.worse, neither.worse) == (False, False)
    assert better.ratio < 1 < neither.ratio


def test_an_exact_step_is_certain_at_once_and_has_no_interval() -> None:
    [change] = changes.of_series(series([300e6] * 5 + [303e6], INSTRUCTIONS))
    assert (change.at, change.certainty, change.p_value) == (5, "certain", None)
    assert change.ratio == change.low == change.high == pytest.approx(1.01)
    assert (change.before, change.after, change.worse) == (300e6, 303e6, True)


def test_what_was_zero_changes_by_no_number() -> None:
    [rise, fall] = changes.of_series(series([0, 0, 64, 64, 0], INSTRUCTIONS))
    assert (rise.ratio, rise.worse, fall.ratio, fall.worse) == (math.inf, True, 0.0, False)


def test_values_too_short_for_a_clock_do_not_count() -> None:
    values = timed(60, (40, 0.05))
    values[10] = values[41] = 0.0
    [change] = changes.of_series(series(values))
    assert (change.at, change.record) == (40, record(40))
    assert changes.of_series(series([0.0] * 20)) == ()


def test_a_change_near_the_end_says_how_many_runs_will_tell() -> None:
    [change] = changes.of_series(series(timed(42, (40, 0.06))))
    assert (change.certainty, change.more_runs) == ("perhaps", 2)


def test_a_drift_has_its_end_and_is_said_to_be_one() -> None:
    values = [value * (1 + 0.1 * index / 80) for index, value in enumerate(timed(80))]
    [change] = changes.of_series(series(values))
    assert change.last is not None
    assert change.last > 60
    assert any("drift" in cause for cause in change.causes)


def test_sessions_that_lie_far_apart_make_a_step_less_certain() -> None:
    plain = series(timed(60, (50, 0.03)))
    assert len(changes.of_series(plain)) == 1
    points = [
        factory.point(index, point.value, sessions=[point.value * share for share in (0.9, 0.95, 1.0, 1.05, 1.1)])
        for index, point in enumerate(plain.points)
    ]
    apart = Series(id="apart", identity=plain.identity, quantity=LATENCY, points=tuple(points))
    assert changes.of_series(apart) == ()


def test_changes_are_found_by_series() -> None:
    steady, moved = series(timed(60)), series(timed(60, (40, 0.05), seed=2), threads=2)
    found = changes.found([steady, moved])
    assert found[steady.id] == ()
    assert [change.series for change in found[moved.id]] == [moved.id]


def test_a_series_without_points_has_no_changes() -> None:
    assert changes.found([series([]), series([], INSTRUCTIONS)]) == {
        series([]).id: (), series([], INSTRUCTIONS).id: (),
    }  # fmt: skip


def paced(values: list[float], paces: list[float]) -> list[Series]:
    return [series(values), series(paces, QUANTITIES[PACE])]


def rates(count: int, *steps: tuple[int, float], noise: float = 0.003) -> list[float]:
    """Return multiply-adds a second of a machine that is quicker by shares from some runs on."""
    return [value * 1e14 for value in timed(count, *steps, seed=7, noise=noise)]


def test_a_machine_with_another_clock_is_no_change_of_a_network() -> None:
    latency, pace = paced(timed(60, (40, 0.05)), rates(60, (40, 1 / 1.05 - 1)))
    assert len(changes.of_series(latency)) == 1, "without the pace it looks like one"
    found = changes.found([latency, pace])
    assert found[latency.id] == ()
    assert [(change.at, change.worse) for change in found[pace.id]] == [(40, False)]


def test_a_change_is_found_whatever_the_clock_does() -> None:
    quick = 1 / 1.05 - 1
    latency, pace = paced(timed(60, (20, quick), (40, 0.05)), rates(60, (20, 0.05)))
    [change] = changes.found([latency], [pace])[latency.id]
    assert change.at == 40
    assert change.low < 1.05 < change.high


def test_a_pace_that_has_nothing_to_do_with_the_latency_is_not_taken() -> None:
    latency, pace = paced(timed(60, (40, 0.05)), rates(60, noise=0.05))
    assert [change.at for change in changes.found([latency], [pace])[latency.id]] == [40]


def test_a_pace_of_another_place_or_of_few_runs_is_not_taken() -> None:
    latency, pace = paced(timed(60, (40, 0.05)), rates(60, (40, 1 / 1.05 - 1)))
    other = series(rates(60, (40, 1 / 1.05 - 1)), QUANTITIES[PACE], machine="runner-2")
    assert len(changes.found([latency], [other])[latency.id]) == 1
    late = Series(id=pace.id, identity=pace.identity, quantity=pace.quantity, points=pace.points[45:])
    assert len(changes.found([latency], [late])[latency.id]) == 1
