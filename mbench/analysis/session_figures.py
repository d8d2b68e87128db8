"""What follows from a result's sessions beside its headline: percentiles, images a second, and the cold start.

Derived from a record; no formatting. All of it is of the sessions that count.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from mbench.analysis import pairs
from mbench.core import sessions, stats
from mbench.core.records import Result

OF_ALL = "of all samples"
"""What percentiles are of, and a headline is not: that is the median of the sessions' medians, so that p50 differs."""
FEWEST_FOR_P99 = 100
"""Samples: of fewer, the 99th percentile is little else than the longest."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Percentiles:
    """Of all samples together, in seconds."""

    p10_s: float
    p50_s: float
    p90_s: float
    p99_s: float | None
    """None: too few samples."""
    samples: int


def percentiles(result: Result) -> Percentiles | None:
    """Return the percentiles of the end-to-end samples; None where there are none."""
    samples = result.end_to_end.latency_s
    if not samples:
        return None
    p10, p50, p90, p99 = stats.quantiles(samples, (0.1, 0.5, 0.9, 0.99))
    enough = len(samples) >= FEWEST_FOR_P99
    return Percentiles(p10_s=p10, p50_s=p50, p90_s=p90, p99_s=p99 if enough else None, samples=len(samples))


def images_per_s(result: Result) -> float | None:
    """Return the images a second at the headline's latency; None where that is not known."""
    return pairs.ratio(result.variant.batch, pairs.latency_s(result))


def load_s(result: Result) -> float | None:
    """Return the median time to load library and weights, in seconds; None where no session has it."""
    return _median(session.load_s for session in sessions.kept(result.sessions))


def first_s(result: Result) -> float | None:
    """Return the median time of the first inference of a process, in seconds; None where no session has it."""
    return _median(session.first_s for session in sessions.kept(result.sessions))


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return stats.median(known) if known else None
