from __future__ import annotations

import pytest
from fit_world import described

from mbench.fitting import budget
from mbench.fitting.budget import Budget

SMALL, LARGE = described("mobilenet_v1_0.25_128"), described("mobilenet_v1_1.0_224")


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_what_is_left_allows_as_many_as_are_expected_to_fit() -> None:
    clock = Clock()
    found = Budget(60.0, counted=False, clock=clock)
    found.spent([SMALL, SMALL], 1, 20.0)
    assert found.expected_s([LARGE], 1) == pytest.approx(10.0)
    assert found.allowed([SMALL] * 9, 1) == 6
    clock.now_s += 45
    assert found.left_s == 15
    assert found.allowed([SMALL] * 9, 1) == 1
    clock.now_s += 10
    assert found.allowed([SMALL] * 9, 1) == 0


def test_several_sessions_take_longer_and_are_known_once_seen() -> None:
    found = Budget(60.0, counted=False, clock=Clock())
    found.spent([SMALL], 1, 5.0)
    assert found.expected_s([SMALL], 5) > found.expected_s([SMALL], 1)
    found.spent([SMALL], 5, 40.0)
    assert found.expected_s([SMALL], 5) == pytest.approx(40.0)


def test_emulating_takes_as_long_as_a_network_has_multiply_adds() -> None:
    found = Budget(60.0, counted=True, clock=Clock())
    found.spent([SMALL], 1, 10.0)
    assert LARGE.costs.macs > 20 * SMALL.costs.macs
    assert found.expected_s([LARGE], 1) > 5 * found.expected_s([SMALL], 1)


def test_something_is_always_begun_but_where_no_time_is_left() -> None:
    assert Budget(0.001, counted=True, clock=Clock()).allowed([LARGE, LARGE], 1) == 1
    assert Budget(-1.0, counted=True, clock=Clock()).allowed([LARGE], 1) == 0


@pytest.mark.parametrize(
    ("seconds", "words"), [(3.0, "10 s"), (44.0, "40 s"), (100.0, "2 min"), (200.0, "3 min"), (4000.0, "1 h 7 min")]
)
def test_an_expectation_is_said_roughly(seconds: float, words: str) -> None:
    assert budget.roughly(seconds) == words
