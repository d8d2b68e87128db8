"""How long counted code would take on a target: a model of its core, its caches and its threads, never a measurement.

The core: the busiest unit decides where instructions start out of order; in order, vector arithmetic, loads and stores
take turns. The data: bytes over the bandwidth of one core, level by level, one after the other. Out of order, loads and
data together hide behind the rest of the core's work, or it behind them; in order they come on top. Pure functions of
counts and target.

Source of the form: Stengel, Treibig, Hager and Wellein, Quantifying Performance Bottlenecks of Stencil Computations
Using the Execution-Cache-Memory Model (ICS 2015).
"""

from __future__ import annotations

from collections.abc import Iterator

from mbench.analysis import instruction_counts
from mbench.core.field_types import LEVELS
from mbench.core.machine_types import Cache, Figure, Target
from mbench.core.records import Counters

CALL_CYCLES = 3400.0
"""What the runtime takes to call a kernel. Fitted: the median over the networks of `benchmarks/latency_model.jsonl`."""
LOOP_CYCLES = 2650.0
"""What one parallel loop takes to start the threads and join them: what mbench's calibration measured on that machine,
0.64 microseconds with two threads."""
METHOD = (
    "modelled, not measured: one thread, kernel by kernel, after the execution-cache-memory model. Core: the longest "
    "of instructions over issue width, multiply-adds and other operations over the vector units, loads and stores over "
    "their units; in order, vector arithmetic, loads and stores one after the other. Data: bytes that each level "
    "behind L1 delivered and took over its bandwidth for one core, one level after the other. The longer of the core "
    "and of loads with data, or their sum on cores that do not hide data. "
    f"And {CALL_CYCLES:.0f} cycles of the runtime for each kernel. Not in it: latency of dependent instructions, "
    "branch misses, TLB"
)


def lacking(target: Target, dtype: str) -> str | None:
    """Return why there is no model of a target: what its description does not have; None if it has enough."""
    processor = target.processor
    names = [name for name in ("frequency_hz", "issue_width") if not _value(getattr(processor, name))]
    if processor.fma_units is None:
        names.append("fma_units")
    elif not processor.fma_units.value and not _value(processor.flops_per_cycle.get(dtype)):
        names.append(f"flops_per_cycle.{dtype}")
    return f"the target's description has no processor.{', processor.'.join(names)}" if names else None


def method(target: Target) -> str:
    """Return what the model is, and which of its parts the target's description does not allow."""
    without = [name for name in ("load_units", "store_units") if not _value(getattr(target.processor, name))]
    without += [f"peaks.bytes_per_s.{level}" for level in _levels(target) if not bytes_per_s(target, level, 1)]
    return f"{METHOD}; left out, since the target's description has none: {', '.join(without)}" if without else METHOD


def seconds(
    counters: Counters, traffic_bytes: dict[str, int] | None, target: Target, dtype: str, threads: int = 1
) -> tuple[float, str] | None:
    """Return the seconds of one kernel, and what most of it is; None where the description lacks something.

    What it is mostly: `instructions`, `arithmetic`, `loads`, `stores`, a memory level, or `runtime`.

    Args:
        counters: of the kernel.
        traffic_bytes: by level, nearest first; None without a model of the caches.
        target: as its file describes it.
        dtype: of the network.
        threads: that share the work evenly, each on a core of its own.
    """
    frequency = _value(target.processor.frequency_hz)
    if lacking(target, dtype) or frequency is None:
        return None
    units = {name: cycles / threads / frequency for name, cycles in _cycles(counters, target, dtype)}
    data = dict(_waits(traffic_bytes or {}, target, threads))
    parts = {**units, **data, "runtime": CALL_CYCLES / frequency}
    taken = _together(units, sum(data.values()), target) + parts["runtime"]
    return taken, max(parts, key=lambda name: parts[name])


def _together(units: dict[str, float], data: float, target: Target) -> float:
    """Return the seconds of a core and of its data, as far as the one hides the other."""
    if target.processor.in_order:
        return max(units["instructions"], sum(units.values()) - units["instructions"]) + data
    core, hidden = max(units.values()), target.processor.data_overlap
    share = 1.0 if hidden is None else hidden.value
    return share * max(core, units.get("loads", 0.0) + data) + (1.0 - share) * (core + data)


def start_s(target: Target, loops: int) -> float:
    """Return what starting and joining the threads takes over so many parallel loops."""
    frequency = _value(target.processor.frequency_hz)
    return loops * LOOP_CYCLES / frequency if frequency else 0.0


def _cycles(counters: Counters, target: Target, dtype: str) -> Iterator[tuple[str, float]]:
    processor = target.processor
    if width := _value(processor.issue_width):
        yield "instructions", counters.instructions / width
    operations = instruction_counts.operations(counters, dtype)
    units, flops_per_cycle = _value(processor.fma_units), _value(processor.flops_per_cycle.get(dtype))
    fused = counters.fma_instructions / units if units else 0.0
    vectors = counters.vector_instructions - counters.loads - counters.stores
    every = vectors / starting if (starting := _value(processor.vector_units)) else 0.0
    yield "arithmetic", max(fused, every, operations / flops_per_cycle if flops_per_cycle else 0.0)
    vector_bytes = processor.vector_bits / 8
    for name, found, instructions, moved in (
        ("loads", processor.load_units, counters.loads, counters.load_bytes),
        ("stores", processor.store_units, counters.stores, counters.store_bytes),
    ):
        if ports := _value(found):
            yield name, max(instructions / max(ports, 1.0), moved / (ports * vector_bytes))


def _waits(traffic_bytes: dict[str, int], target: Target, threads: int) -> Iterator[tuple[str, float]]:
    """Yield the seconds that the data take from each level behind L1."""
    for level, moved in traffic_bytes.items():
        rate = bytes_per_s(target, level, threads)
        if level != LEVELS[0] and rate:
            yield level, moved / rate


def _value(figure: Figure | None) -> float | None:
    """Return a figure's value; None where it is not known, or is 0 and nothing can be divided by it."""
    return figure.value or None if figure else None


def _levels(target: Target) -> list[str]:
    """Return the levels behind L1 that the target has."""
    return [level for level in LEVELS[1:] if level == "DRAM" or _cache(target, level)]


def _cache(target: Target, level: str) -> Cache | None:
    return {"L2": target.processor.l2, "L3": target.processor.l3}.get(level)


def bytes_per_s(target: Target, level: str, threads: int) -> float | None:
    """Return what so many cores have of a level's bandwidth: no more than each can take, and than the level gives.

    Cores that share a copy of a cache share its bandwidth; one core alone has all of a copy's.
    """
    peak, each = _value(target.peaks.bytes_per_s.get(level)), _value(target.processor.core_bytes_per_s.get(level))
    cores = target.processor.cores
    cache = _cache(target, level)
    if peak is not None:
        shared_by = min(cache.shared_by, cores) if cache else cores
        copies = -(-cores // shared_by)
        peak *= min(threads, copies) / copies
    found = [rate for rate in (peak, each and each * threads) if rate]
    return min(found, default=None)
