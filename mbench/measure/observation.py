"""What a device saw of one artifact: raw, before anything is worked out from it. Passed between processes."""

from __future__ import annotations

import msgspec

from mbench.records import Conditions, MeteredEnergy, Numerics, Warmup


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How to measure."""

    threads: int
    number: int
    repeat: int
    layer_repeat: int
    block: int
    warmup: Warmup
    measure_max_s: float | None
    tolerance: float


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything after `numerics` is null where the numerics failed: a wrong result is not timed."""

    threads: int
    affinity: tuple[int, ...] | None
    numerics: Numerics
    process_peak_bytes: int | None = None
    warmup_runs: int | None = None
    warmup_s: float | None = None
    wall_s: float | None = None
    others_busy_s: float | None = None
    latency_s: tuple[float, ...] | None = None
    twin_latency_s: tuple[float, ...] | None = None
    calls_s: tuple[tuple[float, ...], ...] | None = None
    """Seconds of each kernel call of the artifact, in order; one sample a run; the instrument's cost taken off."""
    overhead_s: tuple[float, ...] | None = None
    """Seconds that the runtime spent between kernels; one sample a run."""
    instrument_cost_s: float | None = None
    energy: MeteredEnergy | None = None
    energy_missing: str | None = None
    conditions_before: Conditions | None = None
    conditions_after: Conditions | None = None
