"""What a record keeps of a sustained run, and the sentence about it."""

from __future__ import annotations

import math

import msgspec
import pytest
from sustained_factory import BEGAN, points, seen, series, sustained, throttling

from mbench.analysis import steady_state, sustained_load


def test_a_record_has_the_curve_and_its_steady_state() -> None:
    found = sustained()
    assert (found.asked_s, found.began_utc, found.runs) == (60.0, BEGAN, 600 * 14)
    assert found.ran_s == pytest.approx(60.0)
    assert found.first_second_s == pytest.approx(5.9e-3, rel=0.01)
    steady = found.steady
    assert steady is not None
    assert steady.from_s == pytest.approx(22.0, abs=1.0)
    assert steady.low_s < steady.latency_s < steady.high_s
    assert steady.latency_s == pytest.approx(7.1e-3, rel=0.005)
    assert steady.slower_than_first_second == pytest.approx(7.1 / 5.9 - 1, abs=0.01)
    assert steady.slower_than_headline == pytest.approx(7.1 / 5.87 - 1, abs=0.01)
    assert "MSER-5 (White 1997)" in found.method == steady_state.METHOD
    assert found.missing == {"points.slowed_by": "only GPUs report it"}


def test_without_a_steady_state_the_reason_is_there() -> None:
    found = sustained(lambda now_s: 5.9e-3 * (1 + now_s / 60))
    assert found.steady is None
    assert found.missing["steady"].startswith("no steady state within 60 s: it still ")


def test_what_there_is_nothing_to_compare_with_has_a_reason() -> None:
    found = sustained(headline_s=None)
    assert found.steady is not None
    assert found.steady.slower_than_headline is None
    assert found.missing["steady.slower_than_headline"] == "there is no time to compare with"


def test_the_first_second_is_that_of_the_clock() -> None:
    made = points([3.0, 1.0, 2.0, 9.0], seconds=1.25)
    assert sustained_load.first_second_s(made) == 2.0
    assert sustained_load.first_second_s(points([7.0, 1.0], seconds=60.0)) == 7.0  # 30 s a point


def test_in_a_sentence() -> None:
    assert sustained_load.sentence(sustained(noise=0.0)) == (
        "sustained 60 s: 5.90 ms at first, steady at 7.10 ms from 22 s on (+20 %), 2.40 → 1.80 GHz, 48 → 81 °C"
    )


def test_what_no_sensor_shows_is_not_in_it() -> None:
    said = sustained_load.sentence(sustained(noise=0.0, sensed=lambda _: {}))
    assert said == "sustained 60 s: 5.90 ms at first, steady at 7.10 ms from 22 s on (+20 %)"


def test_a_small_change_is_said_with_a_decimal() -> None:
    said = sustained_load.sentence(sustained(throttling(10.0, 5.9e-3, 6.0e-3), noise=0.0, sensed=lambda _: {}))
    assert "(+1.7 %)" in said


def test_what_never_changes_is_steady_from_the_beginning() -> None:
    for factor in (0.9999, 1.0, 1.0001):
        curve = sustained(throttling(30.0, 5.9e-3, factor * 5.9e-3), noise=0.0, sensed=lambda _: {})
        assert sustained_load.sentence(curve).endswith("steady at 5.90 ms from the beginning (+0.0 %)")


def test_a_clock_that_stays_is_said_once() -> None:
    said = sustained_load.sentence(sustained(sensed=lambda _: {"frequency_hz": 2.4e9, "temperature_c": 61.0}))
    assert said.endswith(", 2.40 GHz, 61 °C")


def test_without_a_steady_state_the_end_and_the_reason_are_said() -> None:
    said = sustained_load.sentence(sustained(lambda now_s: 5e-3 * (1 + now_s / 60), noise=0.0, sensed=lambda _: {}))
    assert said == (  # the last fifth is at 95 % of the way from 5 to 10 ms, the first second just above 5
        "sustained 60 s: 5.04 ms at first, 9.50 ms at the end (+88 %), no steady state within 60 s: it still changed "
        "in the second half"
    )


def test_swings_are_said_with_their_ends() -> None:
    curve = lambda now_s: 6.5e-3 * (1 + 0.1 * math.copysign(1, math.sin(2 * math.pi * now_s / 4)))  # noqa: E731
    assert "(5.85 ms to 7.15 ms) from " in sustained_load.sentence(sustained(curve, noise=0.0))
    assert " to " not in sustained_load.sentence(sustained(noise=0.0))


def test_what_held_clocks_back_and_who_disturbed_is_said() -> None:
    busy = sustained(sensed=lambda share: {"others_busy": 0.5, "slowed_by": ("power cap",) if share > 0.5 else ()})
    assert sustained_load.sentence(busy).endswith(
        ", clocks held back by power cap, other processes kept 0.50 processors busy"
    )
    assert sustained_load.others_busy(busy) == pytest.approx(0.5)
    assert sustained_load.others_busy(sustained(sensed=lambda _: {})) is None


def test_times_of_0_have_a_sentence_too() -> None:
    nothing = sustained_load.recorded(seen(points([0.0] * 100)), asked_s=60.0, headline_s=0.0)
    assert nothing.steady is None
    assert sustained_load.sentence(nothing).startswith("sustained 60 s: 0 s at first, 0 s at the end, no steady state")


def test_a_slow_network_has_a_curve_of_few_points() -> None:
    few = sustained_load.recorded(seen(points(series(lambda _: 20.0, count=3))), asked_s=60.0, headline_s=20.0)
    assert few.steady is None
    assert "3 points are too few" in few.missing["steady"]
    assert msgspec.json.decode(msgspec.json.encode(few), type=type(few)) == few
