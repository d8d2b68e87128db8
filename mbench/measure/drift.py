"""Whether a device has become slower than it was: one network timed again and again, against its own first figures."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

LEAST_SPREAD = 0.005
"""Standard deviation between sessions, of the logarithm, that is taken at least: a few sessions may agree by luck."""
_CONFIDENCE = 0.99


def slowest_s(first_s: Sequence[float], max_slowdown: float | None = None) -> float:
    """Return the longest time that is no drift.

    Without `max_slowdown`, it is the upper end of what one more session may show, at 99 % (the prediction interval of
    Student's t over logarithms), by the spread of the first ones. Source: any text on linear regression, such as
    Montgomery, Peck and Vining, Introduction to Linear Regression Analysis, on prediction of new observations.

    Args:
        first_s: what the first sessions took; at least two.
        max_slowdown: how much slower, as a fraction, is tolerated whatever the spread.
    """
    logs = [math.log(value) for value in first_s]
    centre, count = statistics.fmean(logs), len(logs)
    if max_slowdown is not None:
        return math.exp(centre) * (1 + max_slowdown)
    from scipy.special import stdtrit

    deviation = max(statistics.stdev(logs), LEAST_SPREAD)
    return math.exp(centre + float(stdtrit(count - 1, _CONFIDENCE)) * deviation * math.sqrt(1 + 1 / count))
