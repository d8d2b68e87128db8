"""Records whose networks were measured in several sessions, of which some were disturbed."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Sequence

import msgspec

from mbench.core.records import Layer, Record, Result
from mbench.core.sessions import Session

MOMENT = "2026-01-01T00:00:00Z"
QUIET = (0.98, 0.99, 1.0, 1.01, 1.03)
"""Medians of sessions over that of all."""
BUSY = ("other processes kept {:.2f} processors busy", "its threads got {:.1f} % of the time that they wanted")
_WITHIN = (0.99, 1.0, 1.01)


def in_sessions(
    record: Record, factors: Sequence[float] = QUIET, *, disturbed: Collection[str] = (), left_out: int = 0
) -> Record:
    """Return the record as measured in sessions whose medians are these factors of its own.

    Args:
        record: with times.
        factors: one a session.
        disturbed: networks of which each session was disturbed, each a little more than the one before.
        left_out: how many disturbed sessions there were beside quiet ones.
    """
    results = (_of(result, factors, result.variant.name in disturbed, left_out) for result in record.results)
    settings = msgspec.structs.replace(record.settings, sessions=len(factors))
    return msgspec.structs.replace(record, results=tuple(results), settings=settings)


def _of(result: Result, factors: Sequence[float], disturbed: bool, left_out: int) -> Result:
    replace, whole, books = msgspec.structs.replace, result.end_to_end, result.time_balance
    median_s = statistics.median(whole.latency_s or ())
    samples = tuple(median_s * factor * part for factor in factors for part in _WITHIN)
    return replace(
        result,
        end_to_end=replace(whole, latency_s=samples, twin_latency_s=None),
        layers=tuple(_layer(layer, factors) for layer in result.layers),
        time_balance=books and replace(
            books, end_to_end_s=median_s, unattributed_s=median_s - books.layer_sum_s - books.overhead_s
        ),
        sessions=(
            *(_session(number, BUSY if disturbed else ()) for number in range(len(factors))),
            *(_session(number, BUSY, counts=False) for number in range(left_out)),
        ),
    )  # fmt: skip


def _layer(layer: Layer, factors: Sequence[float]) -> Layer:
    median_s = statistics.median(layer.latency_s or ())
    samples = tuple(median_s * factor * part for factor in factors for part in _WITHIN)
    return msgspec.structs.replace(layer, latency_s=samples)


def _session(number: int, why: Sequence[str], *, counts: bool = True) -> Session:
    busy, got = 0.4 + 0.3 * number, 90.0 - 10 * number
    return Session(
        samples=len(_WITHIN), layer_samples=len(_WITHIN), began_utc=MOMENT, load_s=0.01 * (1 + number),
        first_s=0.002 * (1 + number), wall_s=1.0,
        disturbed=tuple(text.format(value) for text, value in zip(why, (busy, got), strict=False)),
        left_out=not counts, latency_s=None if counts else (9.0,) * len(_WITHIN),
    )  # fmt: skip
