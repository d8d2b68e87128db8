"""The time balance of a network: how its layers, the runtime between them and the whole run fit together."""

from __future__ import annotations

import statistics

from mbench.core import sessions
from mbench.core.records import TimeBalance
from mbench.measure.observation import Observation


def of_run(seen: Observation | None) -> TimeBalance | None:
    """Return the time balance of what a device saw; None where it saw no time of whole runs and of kernels."""
    if seen is None or seen.latency_s is None or seen.calls_s is None or seen.overhead_s is None:
        return None
    whole = whole_s(seen)
    assert whole is not None
    layer_sum = statistics.median(sum(run) for run in zip(*seen.calls_s, strict=True))
    overhead = statistics.median(seen.overhead_s)
    return TimeBalance(
        end_to_end_s=whole,
        layer_sum_s=layer_sum,
        overhead_s=overhead,
        unattributed_s=whole - layer_sum - overhead,
        instrument_cost_s=seen.instrument_cost_s or 0.0,
        method=seen.time_balance_method,
    )


def whole_s(seen: Observation | None) -> float | None:
    """Return the headline of whole runs in seconds, the median over the sessions; None where they were not timed."""
    if seen is None or not seen.latency_s:
        return None
    return statistics.median(map(statistics.median, sessions.of_whole(seen.latency_s, seen.sessions)))
