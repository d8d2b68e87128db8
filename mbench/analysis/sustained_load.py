"""What a network under load came to: the part of a record, and the sentence that every output says of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mbench.analysis import steady_state
from mbench.analysis.steady_state import Level
from mbench.core import durations, stats, units
from mbench.core.sustained import SteadyState, Sustained, SustainedPoint
from mbench.measure.sustain import SustainedRun

FIRST_S = 1.0
_SWINGS = 0.1
"""How far the tenth and the ninetieth percentile of a steady part's points are apart, as a share of its level, from
which on they are named."""
_DISTURBED = 0.1
"""Processors that others kept busy on average, from which on they are named."""
_LARGE = 0.1
"""A change that is shown without decimals."""


def recorded(seen: SustainedRun, *, asked_s: float, headline_s: float | None) -> Sustained:
    """Return what a record keeps of a sustained run, with the steady state.

    Args:
        seen: what the device saw.
        asked_s: for how long the network was to run.
        headline_s: the median over its sessions; None: it is not known.
    """
    points, level = seen.points, steady_state.of_points(seen.points)
    first_s = first_second_s(points)
    missing, steady = dict(seen.missing), None
    if isinstance(level, Level):
        steady = _steady(level, points, first_s, headline_s)
        nulls = (name for name in steady.__struct_fields__ if getattr(steady, name) is None)
        missing |= {f"steady.{name}": "there is no time to compare with" for name in nulls}
    else:
        missing["steady"] = f"no steady state within {durations.words(seen.ran_s)}: {level}"
    return Sustained(
        asked_s=asked_s, ran_s=seen.ran_s, began_utc=seen.began_utc, runs=sum(point.runs for point in points),
        running_share=seen.running_share, points=points, first_second_s=first_s, steady=steady,
        method=steady_state.METHOD, missing=missing,
    )  # fmt: skip


def first_second_s(points: Sequence[SustainedPoint]) -> float:
    """Return the median of the first second's points; where there is no point so short, the first one's."""
    first = [point.median_s for point in points if point.at_s <= FIRST_S]
    return stats.median(first or [points[0].median_s])


def _steady(level: Level, points: Sequence[SustainedPoint], first_s: float, headline_s: float | None) -> SteadyState:
    low_s, high_s = level.interval(steady_state.CONFIDENCE)
    return SteadyState(
        from_s=points[level.begin - 1].at_s if level.begin else 0.0,
        latency_s=level.mean, low_s=low_s, high_s=high_s, confidence=steady_state.CONFIDENCE,
        slower_than_first_second=_slower(level.mean, first_s), slower_than_headline=_slower(level.mean, headline_s),
    )  # fmt: skip


def _slower(latency_s: float, than_s: float | None) -> float | None:
    return latency_s / than_s - 1 if than_s else None


def of_steady(sustained: Sustained) -> tuple[SustainedPoint, ...]:
    """Return the points of the steady state; without one, those of the last fifth."""
    from_s = sustained.steady.from_s if sustained.steady else 0.8 * sustained.points[-1].at_s
    return tuple(point for point in sustained.points if point.at_s > from_s)


def at_the_end_s(sustained: Sustained) -> float:
    """Return the steady state's latency; without one, the median of the points of the last fifth."""
    return sustained.steady.latency_s if sustained.steady else _median(of_steady(sustained), "median_s") or 0.0


def sentence(sustained: Sustained) -> str:
    """Return it in a line: `sustained 60 s: 5.90 ms at first, steady at 7.10 ms from 22 s on (+20 %), …`."""
    first_s, end_s = sustained.first_second_s, at_the_end_s(sustained)
    moved = _change(end_s, first_s)
    if sustained.steady:
        came = f"steady at {units.seconds(end_s)}{_swing(sustained)} {_since(sustained.steady.from_s)}{moved}"
    else:
        reason = sustained.missing.get("steady", "no steady state")
        came = f"{units.seconds(end_s)} at the end{moved}, {reason}"
    parts = [f"{units.seconds(first_s)} at first", came, *_sensed(sustained)]
    return f"sustained {durations.words(sustained.ran_s)}: {', '.join(parts)}"


def _since(seconds: float) -> str:
    rounded = round(seconds) if seconds >= 10 else round(seconds, 1)
    return f"from {durations.words(rounded)} on" if rounded else "from the beginning"


def _change(end_s: float, first_s: float) -> str:
    if not first_s:
        return ""
    change = round(end_s / first_s - 1, 3) + 0.0  # no minus before 0
    return f" ({units.change(change, 0 if abs(change) >= _LARGE else 1)})"


def _swing(sustained: Sustained) -> str:
    """Return between what the points of a steady state lie, where that is far."""
    low, middle, high = stats.quantiles([point.median_s for point in of_steady(sustained)], (0.1, 0.5, 0.9))
    return f" ({units.seconds(low)} to {units.seconds(high)})" if middle and (high - low) / middle > _SWINGS else ""


def _sensed(sustained: Sustained) -> Iterable[str]:
    """Yield what clocks, temperatures and other processes did, as far as they are known."""
    first = [point for point in sustained.points if point.at_s <= FIRST_S] or sustained.points[:1]
    before, after = (_median(points, "frequency_hz") for points in (first, of_steady(sustained)))
    if before is not None and after is not None:
        yield _from_to(before, after, 1e9, "GHz", 2)
    temperatures = [point.temperature_c for point in sustained.points if point.temperature_c is not None]
    if temperatures:
        yield _from_to(temperatures[0], temperatures[-1], 1.0, "°C", 0)
    held = held_back(sustained)
    if held:
        yield f"clocks held back by {', '.join(held)}"
    busy = others_busy(sustained)
    if busy is not None and busy > _DISTURBED:
        yield f"other processes kept {busy:.2f} processors busy"


def held_back(sustained: Sustained) -> tuple[str, ...]:
    """Return what held a GPU's clocks back at any moment."""
    return tuple(dict.fromkeys(reason for point in sustained.points for reason in point.slowed_by or ()))


def others_busy(sustained: Sustained) -> float | None:
    """Return the processors that others kept busy on average; None: not known."""
    known = [point.others_busy for point in sustained.points if point.others_busy is not None]
    return sum(known) / len(known) if known else None


def _from_to(before: float, after: float, unit: float, name: str, decimals: int) -> str:
    shown = [f"{value / unit:.{decimals}f}" for value in (before, after)]
    return f"{shown[0]} → {shown[1]} {name}" if shown[0] != shown[1] else f"{shown[0]} {name}"


def _median(points: Iterable[SustainedPoint], field: str) -> float | None:
    known = [value for point in points if (value := getattr(point, field)) is not None]
    return stats.median(known) if known else None
