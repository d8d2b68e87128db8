"""The quantities that have series, and how a result gives the value of each.

A result whose outputs were wrong has no values: what it did is not what was to be measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from mbench.analysis import headline, pairs
from mbench.core import sessions, stats
from mbench.core.records import Result
from mbench.history.series import Quantity

PACE = "flops_per_s"
"""The machine's own speed beside a latency, which its own steps are known by."""
MODELLED = "latency_model_s"
"""What a model makes of counts: where these are the same, a step is the model's."""


class Seen(NamedTuple):
    """A value as a result has it."""

    value: float
    sessions: tuple[float, ...] = ()
    """Of each session that counts."""
    low: float | None = None
    high: float | None = None


def _latency(result: Result) -> Seen | None:
    found = headline.of_result(result)
    if found is None:
        return None
    interval, several = found.interval, headline.medians(result) if result.sessions else ()
    return Seen(found.median_s, several, *((interval.low, interval.high) if interval else ()))


def _sustained(result: Result) -> Seen | None:
    steady = result.sustained.steady if result.sustained else None
    return Seen(steady.latency_s, (), steady.low_s, steady.high_s) if steady else None


def _load(result: Result) -> Seen | None:
    return _of_sessions([each.load_s for each in sessions.kept(result.sessions)])


def _pace(result: Result) -> Seen | None:
    """Return what the machine did in a loop of multiply-adds between the samples: how fast it was meanwhile."""
    return _of_sessions([each.flops_per_s for each in sessions.kept(result.sessions)])


def _first(result: Result) -> Seen | None:
    return _of_sessions([each.first_s for each in sessions.kept(result.sessions)])


def _of_sessions(values: list[float | None]) -> Seen | None:
    known = tuple(value for value in values if value is not None)
    if not known:
        return None
    interval = stats.median_interval(known, headline.CONFIDENCE)
    return Seen(stats.median(known), known, *((interval.low, interval.high) if interval else ()))


def _energy(result: Result) -> Seen | None:
    return Seen(result.energy.measured.energy_j) if result.energy.measured else None


def _modelled(result: Result) -> Seen | None:
    """Return the modelled latency where nothing was timed: beside a measured one it says nothing new."""
    whole = result.end_to_end
    return Seen(whole.latency_model_s) if whole.latency_s is None and whole.latency_model_s is not None else None


def _counted(name: str) -> Callable[[Result], Seen | None]:
    return lambda result: Seen(getattr(result.counts.counters, name)) if result.counts else None


def _exactly(value: Callable[[Result], int]) -> Callable[[Result], Seen | None]:
    return lambda result: Seen(value(result))


def _process_peak(result: Result) -> Seen | None:
    return None if result.memory.process_peak_bytes is None else Seen(result.memory.process_peak_bytes)


_TABLE: tuple[tuple[Quantity, Callable[[Result], Seen | None]], ...] = (
    (Quantity(name="latency_s", label="latency", unit="s", kind="measured"), _latency),
    (Quantity(name="sustained_latency_s", label="latency under load", unit="s", kind="measured"), _sustained),
    (Quantity(name="load_s", label="loading", unit="s", kind="measured"), _load),
    (Quantity(name="first_s", label="first run", unit="s", kind="measured"), _first),
    (
        Quantity(name=PACE, label="pace of the machine", unit="FLOP/s", kind="measured", better="neither"),
        _pace,
    ),
    (Quantity(name="energy_j", label="measured energy", unit="J", kind="measured"), _energy),
    (Quantity(name="process_peak_bytes", label="memory of the process", unit="B", kind="measured"), _process_peak),
    (Quantity(name=MODELLED, label="modelled latency", unit="s", kind="exact"), _modelled),
    (Quantity(name="instructions", label="instructions", unit="", kind="exact"), _counted("instructions")),
    (Quantity(name="loads", label="loads", unit="", kind="exact"), _counted("loads")),
    (Quantity(name="stores", label="stores", unit="", kind="exact"), _counted("stores")),
    (Quantity(name="peak_bytes", label="planned memory", unit="B", kind="exact"), _exactly(pairs.peak_bytes)),
    (
        Quantity(name="weight_bytes", label="weights", unit="B", kind="exact"),
        _exactly(lambda result: result.memory.weight_bytes),
    ),
    (
        Quantity(name="library_bytes", label="library", unit="B", kind="exact"),
        _exactly(lambda result: result.artifact.library_bytes),
    ),
    (Quantity(name="macs", label="multiply-adds", unit="", kind="exact", better="neither"), _exactly(pairs.macs)),
    (Quantity(name="params", label="parameters", unit="", kind="exact", better="neither"), _exactly(pairs.params)),
)
QUANTITIES = {quantity.name: quantity for quantity, _ in _TABLE}
"""By name, in the order in which they are shown."""


def of_result(result: Result) -> Iterator[tuple[str, Seen]]:
    """Yield the name and the value of each quantity that a result has."""
    if result.numerics is not None and not result.numerics.passed:
        return
    for quantity, value in _TABLE:
        if (seen := value(result)) is not None:
            yield quantity.name, seen
