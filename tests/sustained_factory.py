"""Sustained runs for tests: curves that are known in closed form, with seeded noise, and records that have them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from mbench.analysis import sustained_load
from mbench.core.records import Record
from mbench.core.sustained import Sustained, SustainedPoint
from mbench.measure.sustain import SustainedRun

BEGAN = "2025-03-01T12:00:20Z"
NO_CLOCK = "no clock that can be read"
Curve = Callable[[float], float]
"""Seconds of a run, by the seconds since the beginning."""


def throttling(at_s: float = 22.0, before_s: float = 5.9e-3, after_s: float = 7.1e-3) -> Curve:
    """Return the curve of a device that grows hot and slows down at once."""
    return lambda now_s: before_s if now_s < at_s else after_s


HOT = throttling()


def series(
    curve: Curve, *, seconds: float = 60.0, count: int = 600, noise: float = 0.003, seed: int = 1
) -> list[float]:
    """Return the values of a curve at the middles of slices, each with noise of its own, as a fraction."""
    generator, slice_s = random.Random(seed), seconds / count
    return [curve(slice_s * (at + 0.5)) * (1 + generator.gauss(0, noise)) for at in range(count)]


def points(
    values: Sequence[float], *, seconds: float = 60.0, sensed: Callable[[float], dict[str, Any]] = lambda _: {}
) -> tuple[SustainedPoint, ...]:
    """Return a point for each value; `sensed` gives what the sensors show at a share of the time from 0 to 1."""
    slice_s = seconds / len(values)
    return tuple(
        SustainedPoint(
            at_s=slice_s * (at + 1), runs=14, p25_s=0.99 * value, median_s=value, p75_s=1.01 * value,
            p90_s=1.03 * value, **sensed(at / max(1, len(values) - 1)),
        )
        for at, value in enumerate(values)
    )  # fmt: skip


def hot(share: float) -> dict[str, Any]:
    """Return what the sensors of a device show that grows hot: its clock sinks, its temperature rises."""
    return {
        "frequency_hz": 2.4e9 if share < 22 / 60 else 1.8e9, "temperature_c": 48.0 + 33.0 * share, "others_busy": 0.01
    }  # fmt: skip


def seen(made: tuple[SustainedPoint, ...], **missing: str) -> SustainedRun:
    """Return what a device saw."""
    return SustainedRun(
        began_utc=BEGAN, ran_s=made[-1].at_s, running_share=0.99, points=made,
        missing={"points.slowed_by": "only GPUs report it"} | missing,
    )  # fmt: skip


def sustained(
    curve: Curve = HOT, *, seconds: float = 60.0, count: int = 600, noise: float = 0.003, seed: int = 1,
    sensed: Callable[[float], dict[str, Any]] = hot, headline_s: float | None = 5.87e-3,
) -> Sustained:  # fmt: skip
    """Return what a record keeps of a curve."""
    values = series(curve, seconds=seconds, count=count, noise=noise, seed=seed)
    run = seen(points(values, seconds=seconds, sensed=sensed))
    return sustained_load.recorded(run, asked_s=seconds, headline_s=headline_s)


def with_sustained(record: Record, *curves: Sustained | None) -> Record:
    """Return a record whose networks were put under load; a curve for each, None: it could not be."""
    replace = msgspec.structs.replace
    results = tuple(
        replace(result, sustained=curve, missing={**result.missing, **({} if curve else {"sustained": "it died"})})
        for result, curve in zip(record.results, curves, strict=True)
    )
    asked_s = next((curve.asked_s for curve in curves if curve), 60.0)
    return replace(record, results=results, settings=replace(record.settings, sustain_s=asked_s))
