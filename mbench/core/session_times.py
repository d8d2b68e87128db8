"""How long sessions took in earlier runs of one kind, to know how long those to come will take.

Nothing here is a measurement of a network: these times are shown while a run goes on, and are in no record.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from mbench.core import machine_cache
from mbench.core.errors import UsageError

_MOST = 200
"""Networks that are remembered, the newest."""


class SessionTime(msgspec.Struct, frozen=True):
    """What the sessions of one network took in one run."""

    macs: Annotated[int, Meta(ge=0)]
    """Multiply-adds of the network."""
    session_s: Annotated[float, Meta(ge=0)]
    """Of a session: the mean, without the first."""
    once_s: Annotated[float, Meta(ge=0)] = 0.0
    """What the first session took beyond that."""
    repeated: Annotated[float, Meta(ge=0)] = 0.0
    """How many sessions were repeated, as a share of those that were wanted."""


def of(macs: int, took_s: Sequence[float], wanted: int) -> SessionTime:
    """Return what sessions took, one after the other; at least one. `wanted`: how many there were to be."""
    first_s, *others_s = took_s
    usual_s = statistics.fmean(others_s or [first_s])
    return SessionTime(macs, usual_s, max(0.0, first_s - usual_s), max(0.0, len(took_s) / wanted - 1))


def known(kind: object) -> tuple[SessionTime, ...]:
    """Return what is remembered of runs of one kind: of a machine, a device, so many threads and samples."""
    try:
        return machine_cache.read(_file(kind), tuple[SessionTime, ...]) or ()
    except UsageError:  # a user without a home has no cache
        return ()


def add(kind: object, found: Sequence[SessionTime]) -> None:
    """Remember what a run took, if there is room for it on the disk."""
    if found:
        machine_cache.write(_file(kind), (*known(kind), *found)[-_MOST:])


def line(points: Sequence[tuple[float, float]]) -> Callable[[float], float]:
    """Return the line through points (multiply-adds, seconds) that errs least; neither falling nor below 0.

    It ends at the least and the most multiply-adds: of what lies beyond, nothing was seen.

    Args:
        points: at least one.
    """
    xs, ys = [x for x, _ in points], [y for _, y in points]
    x_mean, y_mean = statistics.fmean(xs), statistics.fmean(ys)
    spread = sum((x - x_mean) ** 2 for x in xs)
    slope = sum((x - x_mean) * (y - y_mean) for x, y in points) / spread if spread else 0.0
    slope = min(max(0.0, slope), y_mean / x_mean if x_mean else 0.0)
    return lambda x: y_mean + slope * (min(max(xs), max(min(xs), x)) - x_mean)


def _file(kind: object) -> Path:
    return machine_cache.file("session-times", kind, [])
