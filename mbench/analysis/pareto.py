"""The Pareto front of what costs something and gains something."""

from __future__ import annotations

import math
from collections.abc import Sequence


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the numbers of the points that no other beats, the cheapest first.

    Another beats a point if it costs no more and gains no less, and is better in one of the two.

    Args:
        points: each a cost and a gain.
    """
    best = -math.inf
    found: list[int] = []
    for number in sorted(range(len(points)), key=lambda each: (points[each][0], -points[each][1])):
        cost, gain = points[number]
        same = found and points[found[-1]] == (cost, gain)
        if gain > best or same:
            found.append(number)
            best = gain
    return found
