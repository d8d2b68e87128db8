"""A network under load without a pause: its latency over time, and where it becomes steady. Part of a record."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from mbench.core.field_types import Amount, Count, Moment, Number, PositiveInt, Seconds, Strict, Text, Texts, TextTable

MOST_POINTS = 600
"""Of a curve, however long it took."""
_PART = Meta(ge=0, le=1)


class SustainedPoint(Strict, frozen=True, kw_only=True):
    """A slice of the time: its runs, and what the machine showed when it ended. Null: the machine does not show it."""

    at_s: Seconds
    """When it ended, since the beginning; it began where the point before ended."""
    runs: PositiveInt
    """That were timed."""
    p25_s: Seconds
    median_s: Seconds
    p75_s: Seconds
    p90_s: Seconds
    frequency_hz: Amount | None = None
    """The highest clock of the processors that ran it; of a GPU, of its multiprocessors."""
    temperature_c: Number | None = None
    """The hottest sensor of the processor, or the GPU's."""
    others_busy: Amount | None = None
    """Processors that other processes of this machine kept busy in it."""
    slowed_by: Texts | None = None
    """What held a GPU's clocks back at that moment; empty: nothing did."""


class SteadyState(Strict, frozen=True, kw_only=True):
    """The level that the latency stays at from some moment on: see `Sustained.method`."""

    from_s: Seconds
    """Since the beginning."""
    latency_s: Seconds
    low_s: Seconds
    high_s: Seconds
    """Of the interval of `latency_s`, within this process."""
    confidence: Annotated[float, _PART]
    """Of the interval."""
    slower_than_first_second: Number | None
    """As a fraction; null: the first second took no time that could be measured."""
    slower_than_headline: Number | None
    """As a fraction of the median over the sessions; null likewise."""


class Sustained(Strict, frozen=True, kw_only=True):
    """One further fresh process, in which the network ran without a pause. A null field's reason is in `missing`."""

    asked_s: Seconds
    ran_s: Seconds
    began_utc: Moment
    runs: Count
    """All that were timed."""
    running_share: Annotated[float, _PART]
    """Of the time: how much the network itself took. The rest went to reading sensors and to the timer."""
    points: Annotated[tuple[SustainedPoint, ...], Meta(min_length=1, max_length=MOST_POINTS)]
    first_second_s: Seconds
    """The median of the first second's points; where a point is longer than that, the first one's."""
    steady: SteadyState | None = None
    method: Text
    """How the steady state was looked for."""
    missing: TextTable = {}
