"""The headline of a result: the median over its sessions, how sure it is, and what it could show of a change.

A record of before, or of `--quick`, has one session: then nothing is known of how far processes lie apart.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence

from mbench.core import sessions, stats
from mbench.core.records import Layer, Result

CONFIDENCE = 0.9
"""Of the interval of a headline, at least, where there are sessions enough for it: five have 94 %."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Headline:
    """A latency as several sessions saw it. Seconds, and shares of the median."""

    median_s: float
    """The median of the sessions' medians."""
    sessions: int
    interval: stats.MedianInterval | None
    """Of the median; None: one session."""
    within: float
    """How far the quartiles lie apart within a session: the median over the sessions."""
    between: float | None
    """Standard deviation between the sessions' medians, of their logarithms; None: one session."""
    smallest_change: float | None
    """The slow-down that two such records would show in 95 % of the cases at 1 % false alarms; None: one session."""


def of_result(result: Result) -> Headline | None:
    """Return the headline of a network's end-to-end latency; None where it was not timed."""
    samples = result.end_to_end.latency_s
    return _of(sessions.of_whole(samples, result.sessions)) if samples else None


def of_layer(result: Result, layer: Layer) -> Headline | None:
    """Return that of one of its layers; None where it was not timed."""
    return _of(sessions.of_layer(layer.latency_s, result.sessions)) if layer.latency_s else None


def medians(result: Result, layer: Layer | None = None) -> tuple[float, ...]:
    """Return the median of each session that counts, in seconds, of the whole network or a layer; empty: not timed."""
    if layer is None:
        parts = sessions.of_whole(result.end_to_end.latency_s or (), result.sessions)
    else:
        parts = sessions.of_layer(layer.latency_s or (), result.sessions)
    return tuple(stats.median(part) for part in parts if part)


def disturbed(result: Result) -> tuple[str, ...]:
    """Return what disturbed the sessions that count, in words; empty: nothing that could be seen.

    A result with a quiet session has only quiet ones that count.
    """
    return tuple(dict.fromkeys(why for session in sessions.kept(result.sessions) for why in session.disturbed))


def far_apart(result: Result) -> bool:
    """Return whether nothing disturbed the sessions that count but that their processors were far apart."""
    counting = sessions.kept(result.sessions)
    return bool(counting) and all(session.far_apart for session in counting)


def far_apart_medians(result: Result) -> tuple[float, ...]:
    """Return the median of each session with processors far apart, in seconds, whether it counts or was left out."""
    if far_apart(result):
        return medians(result)
    found = [session.latency_s for session in result.sessions if session.far_apart and session.left_out]
    return tuple(stats.median(samples) for samples in found if samples)


def exchange_s(result: Result) -> float | None:
    """Return the median seconds in which threads read what others wrote, of the sessions that count; None: not read."""
    known = [session.exchange_s for session in sessions.kept(result.sessions) if session.exchange_s]
    return stats.median(known) if known else None


def _of(parts: Sequence[Sequence[float]]) -> Headline:
    values = [stats.median(part) for part in parts]
    several = len(values) > 1 and min(values) > 0
    between = statistics.stdev(map(math.log, values)) if several else None
    spreads = [(high - low) / middle for low, middle, high in map(_quartiles, parts) if middle]
    return Headline(
        median_s=stats.median(values),
        sessions=len(values),
        interval=stats.median_interval(values, CONFIDENCE),
        within=stats.median(spreads) if spreads else 0.0,
        between=between,
        smallest_change=None if between is None else stats.smallest_change(between, len(values)),
    )


def _quartiles(samples: Sequence[float]) -> tuple[float, ...]:
    return stats.quantiles(samples, (0.25, 0.5, 0.75))
