"""Several sessions of one artifact as one observation: whose samples count, and what each was like."""

from __future__ import annotations

import secrets
import statistics
from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec

from mbench.core.sessions import Session
from mbench.measure import disturbance
from mbench.measure.disturbance import Quiet
from mbench.measure.observation import Observation

_OFFSET_STEP, _OFFSETS = 64, 4096
_T = TypeVar("_T")
_UNKNOWN = "1970-01-01T00:00:00Z"
"""Stands for when a session began on a device that does not say it."""
_FROM_ANY = ("energy", "layer_energy", "energy_missing", "counted", "counts_missing", "machine", "missing")


def draw_offset() -> int:
    """Return by how many bytes the heap of the next session is moved: up to 256 KiB, in lines of cache."""
    return _OFFSET_STEP * secrets.randbelow(_OFFSETS)


def disturbed(seen: Sequence[Observation], quiet: Quiet) -> int:
    """Return how many of the sessions of one network were disturbed."""
    return sum(bool(found) for found in disturbance.reasons(seen, quiet))


def merged(seen: Sequence[Observation], machine: Quiet) -> Observation:
    """Return the sessions of one artifact as one observation, with the samples of those that count in order.

    Disturbed sessions are left out where there are quiet ones; where there are none, but some whose processors were far
    apart and nothing else, all others are. Numerics are those of the worst session.

    Args:
        seen: the sessions in the order in which they ran; at least one.
        machine: what it is like when it is quiet.
    """
    worst = max(seen, key=lambda each: (not each.numerics.passed, each.numerics.max_rel_error or 0.0))
    if not worst.numerics.passed or any(each.latency_s is None for each in seen):
        return worst
    why = disturbance.reasons(seen, machine)
    ranks = [_rank(found) for found in why]
    counting = [each for each, rank in zip(seen, ranks, strict=True) if rank == min(ranks)]
    return msgspec.structs.replace(
        counting[0],
        numerics=worst.numerics,
        process_peak_bytes=_most(each.process_peak_bytes for each in counting),
        device_bytes=_most(each.device_bytes for each in counting),
        warmup_runs=_sum(each.warmup_runs for each in seen),
        warmup_s=_sum(each.warmup_s for each in seen),
        wall_s=_sum(each.wall_s for each in seen),
        others_busy_s=_sum(each.others_busy_s for each in seen),
        latency_s=tuple(seconds for each in counting for seconds in each.latency_s or ()),
        calls_s=_calls_s(counting),
        overhead_s=_joined([each.overhead_s for each in counting]),
        instrument_cost_s=_median(each.instrument_cost_s for each in counting),
        conditions_before=seen[0].conditions_before,
        conditions_after=seen[-1].conditions_after,
        sessions=tuple(
            _session(each, found, left_out=rank > min(ranks))
            for each, found, rank in zip(seen, why, ranks, strict=True)
        ),
        **{name: next(iter(_known(getattr(each, name) for each in seen)), None) for name in _FROM_ANY},
    )


def _rank(why: Sequence[str]) -> int:
    """Return how much a session says, by what disturbed it; 0: most."""
    return (1 if disturbance.far_apart(why) else 2) if why else 0


def _calls_s(counting: Sequence[Observation]) -> tuple[tuple[float, ...], ...] | None:
    if any(each.calls_s is None for each in counting):
        return None
    by_call = zip(*(each.calls_s or () for each in counting), strict=True)
    return tuple(tuple(seconds for session in sessions for seconds in session) for sessions in by_call)


def _joined(parts: Sequence[tuple[float, ...] | None]) -> tuple[float, ...] | None:
    return None if any(part is None for part in parts) else tuple(value for part in parts for value in part or ())


def _known(values: Iterable[_T | None]) -> list[_T]:
    return [value for value in values if value is not None]


def _most(values: Iterable[int | None]) -> int | None:
    return max(_known(values), default=None)


def _sum(values: Iterable[_T | None]) -> _T | None:
    known = _known(values)
    return sum(known) if known else None  # type: ignore[arg-type,return-value]


def _median(values: Iterable[float | None]) -> float | None:
    known = _known(values)
    return statistics.median(known) if known else None


def _why_missing(field: str, seen: Observation) -> str:
    if field == "exchange_s" and seen.threads == 1:
        return "one thread starts no others"
    return seen.missing or "this device does not report it"


def _session(seen: Observation, why: tuple[str, ...], *, left_out: bool) -> Session:
    layer_samples = len(seen.calls_s[0]) if seen.calls_s else 0
    fields = ("memory_offset", "load_s", "first_s", "warmup_runs", "warmup_s", "wall_s", "others_busy_s")
    paced = ("processor_share", "flops_per_s", "exchange_s")
    copied = (*fields, *paced, "conditions_before", "conditions_after")
    return Session(
        samples=len(seen.latency_s or ()),
        layer_samples=layer_samples,
        began_utc=seen.began_utc or _UNKNOWN,
        disturbed=why,
        far_apart=disturbance.far_apart(why),
        left_out=left_out,
        latency_s=seen.latency_s if left_out else None,
        **{name: getattr(seen, name) for name in copied},
        missing={name: _why_missing(name, seen) for name in copied if getattr(seen, name) is None},
    )
