"""How the tests of devices measure, and what every device's measurement must keep to."""

from __future__ import annotations

import statistics

from mbench.measure.observation import Observation, Plan
from mbench.records import Warmup

PLAN = Plan(
    threads=1,
    number=1,
    repeat=30,
    layer_repeat=15,
    block=10,
    warmup=Warmup(max_s=1.0),
    measure_max_s=None,
    tolerance=1e-4,
)


def ignore(_stage: str, _fraction: float) -> None:
    pass


def fits(seen: Observation) -> bool:
    """Return whether layers, with and without what lies between them, take as long as the whole, to a factor of 2."""
    assert seen.latency_s
    assert seen.calls_s
    assert seen.overhead_s
    whole = statistics.median(seen.latency_s)
    layers = sum(statistics.median(samples) for samples in seen.calls_s)
    return whole / 2 < layers < layers + statistics.median(seen.overhead_s) < whole * 2
