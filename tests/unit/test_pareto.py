from __future__ import annotations

import random

from mbench.analysis import pareto


def test_a_point_that_costs_more_and_gains_no_more_is_beaten() -> None:
    points = [(2.0, 60.0), (1.0, 50.0), (2.0, 55.0), (3.0, 60.0), (4.0, 70.0)]
    assert pareto.front(points) == [1, 0, 4]
    assert pareto.front([]) == []


def test_equal_points_are_both_on_the_front() -> None:
    assert pareto.front([(1.0, 5.0), (1.0, 5.0), (2.0, 5.0)]) == [0, 1]


def test_it_is_what_comparing_every_pair_finds() -> None:
    drawn = random.Random(3)
    points = [(drawn.randint(1, 9), drawn.randint(1, 9)) for _ in range(60)]

    def beaten(cost: float, gain: float) -> bool:
        return any(c <= cost and g >= gain and (c, g) != (cost, gain) for c, g in points)

    assert sorted(pareto.front(points)) == [number for number, point in enumerate(points) if not beaten(*point)]
