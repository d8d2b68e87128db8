"""What a device saw of one artifact: raw, with nothing derived. Passed between processes."""

from __future__ import annotations

from pathlib import Path

import msgspec

from mbench.core.machine_types import Conditions, Host, Target
from mbench.core.records import Counters, MeteredEnergy, Numerics
from mbench.core.sessions import Session
from mbench.core.settings import Warmup


class PaceLoops(msgspec.Struct, frozen=True, kw_only=True):
    """Where the loops of `mbench.measure.pace` are, and what they are for."""

    library: Path
    target: Target
    threads: int


class MeasurePlan(msgspec.Struct, frozen=True, kw_only=True):
    """How to measure."""

    threads: int
    number: int
    repeat: int
    layer_repeat: int
    block: int
    warmup: Warmup
    measure_max_s: float | None
    tolerance: float
    memory_offset: int = 0
    """Bytes by which the process moves its heap, where it can."""
    pace: PaceLoops | None = None
    """The loops that are timed between the samples; None: none are."""
    meter: bool = True
    """Whether meters of energy are read, if there are any: it takes a second or more."""


class CallCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Exact counts of one kernel call."""

    counters: Counters
    traffic_bytes: dict[str, int] | None
    """By level, nearest first; None without a model of the caches."""


class CountedRun(msgspec.Struct, frozen=True, kw_only=True):
    """Exact counts of one run, call by call, and what they are counts of."""

    calls: tuple[CallCounts, ...]
    """In the order of the counted artifact's calls."""
    layers: tuple[str, ...]
    """The layer of each call, by name."""
    target: str
    vector_bits: int | None = None
    """Width of that target's vectors."""
    artifact_digest: str
    emulator: str
    method: str
    traffic_method: str | None


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything after `numerics` is null where the numerics failed: a wrong result is not timed."""

    threads: int
    affinity: tuple[int, ...] | None
    numerics: Numerics
    began_utc: str | None = None
    memory_offset: int | None = None
    """Bytes by which the process moved its heap; None: it could not."""
    load_s: float | None = None
    first_s: float | None = None
    processor_share: float | None = None
    """Processor time that its threads got while whole runs were timed, over what they wanted."""
    flops_per_s: float | None = None
    """Of a loop of multiply-adds on all threads, between the samples."""
    exchange_s: float | None = None
    """Of a parallel loop in which each thread reads what another wrote, between the samples."""
    process_peak_bytes: int | None = None
    device_bytes: int | None = None
    """Where a GPU ran it: what its driver gave out for the network."""
    warmup_runs: int | None = None
    warmup_s: float | None = None
    wall_s: float | None = None
    others_busy_s: float | None = None
    memory_method: str | None = None
    """None: as of a process on this machine's CPU (`memory.METHOD`)."""
    latency_method: str | None = None
    """None: as on a CPU (`latency.METHOD`)."""
    time_balance_method: str | None = None
    """None: as on a CPU (see `records.TimeBalance`)."""
    latency_s: tuple[float, ...] | None = None
    calls_s: tuple[tuple[float, ...], ...] | None = None
    """Seconds of each kernel call of the artifact, in order; one sample a run; the instrument's cost taken off."""
    overhead_s: tuple[float, ...] | None = None
    """Seconds that the runtime spent between kernels; one sample a run."""
    instrument_cost_s: float | None = None
    counted: CountedRun | None = None
    counts_missing: str | None = None
    """Why `counted` is null, where counts were wanted."""
    machine: Host | None = None
    """The machine that ran it, where that is not this one."""
    energy: MeteredEnergy | None = None
    layer_energy: tuple[MeteredEnergy, ...] | None = None
    """Of each layer looped alone."""
    energy_missing: str | None = None
    missing: str | None = None
    """Why layers, memory, conditions and machine are null, where the device cannot report them."""
    conditions_before: Conditions | None = None
    conditions_after: Conditions | None = None
    sessions: tuple[Session, ...] = ()
    """Where it stands for several sessions, which it has the samples of (`mbench.measure.sessions`)."""
