"""How long counted code would take on a target at best: a model of its ports and bandwidths, never a measurement.

Each unit of the processor works by itself, and the busiest one decides: instructions over the issue width, operations
over the vector units, loads and stores over theirs, bytes between the memory levels over what one core can have of
their bandwidth. Nothing waits for anything else, as it does on a real processor. Pure functions of counts and target.
"""

from __future__ import annotations

from collections.abc import Iterator

from mbench.analysis import instruction_counts
from mbench.core.field_types import LEVELS
from mbench.core.machine_types import Cache, Figure, Target
from mbench.core.records import Counters

METHOD = (
    "modelled, not measured: one thread, kernel by kernel the longest of instructions over issue width, multiply-adds "
    "and other operations over the vector units, loads and stores over their units, and bytes that each level behind "
    "L1 delivered and took over its bandwidth for one core (a shared level and DRAM lend the thread all of theirs, "
    "which is optimistic); not in it: latency of dependent instructions, branch misses, TLB, prefetch, the runtime "
    "between the kernels"
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
    without += [f"peaks.bytes_per_s.{level}" for level in _levels(target) if not _core_bytes_per_s(target, level)]
    return f"{METHOD}; left out, since the target's description has none: {', '.join(without)}" if without else METHOD


def seconds(
    counters: Counters, traffic_bytes: dict[str, int] | None, target: Target, dtype: str
) -> tuple[float, str] | None:
    """Return the seconds of one kernel on one thread, and what binds it; None where the description lacks something.

    What binds is `instructions`, `arithmetic`, `loads`, `stores`, or a memory level.

    Args:
        counters: of the kernel.
        traffic_bytes: by level, nearest first; None without a model of the caches.
        target: as its file describes it.
        dtype: of the network.
    """
    frequency = _value(target.processor.frequency_hz)
    if lacking(target, dtype) or frequency is None:
        return None
    taken = {name: cycles / frequency for name, cycles in _cycles(counters, target, dtype)}
    for level, moved in (traffic_bytes or {}).items():
        rate = _core_bytes_per_s(target, level)
        if level != LEVELS[0] and rate:
            taken[level] = moved / rate
    bound = max(taken, key=lambda name: taken[name])
    return taken[bound], bound


def _cycles(counters: Counters, target: Target, dtype: str) -> Iterator[tuple[str, float]]:
    processor = target.processor
    if width := _value(processor.issue_width):
        yield "instructions", counters.instructions / width
    operations = instruction_counts.operations(counters, dtype)
    units, flops_per_cycle = _value(processor.fma_units), _value(processor.flops_per_cycle.get(dtype))
    fused = counters.fma_instructions / units if units else 0.0
    yield "arithmetic", max(fused, operations / flops_per_cycle if flops_per_cycle else 0.0)
    vector_bytes = processor.vector_bits / 8
    for name, found, instructions, moved in (
        ("loads", processor.load_units, counters.loads, counters.load_bytes),
        ("stores", processor.store_units, counters.stores, counters.store_bytes),
    ):
        if ports := _value(found):
            yield name, max(instructions / max(ports, 1.0), moved / (ports * vector_bytes))


def _value(figure: Figure | None) -> float | None:
    """Return a figure's value; None where it is not known, or is 0 and nothing can be divided by it."""
    return figure.value or None if figure else None


def _levels(target: Target) -> list[str]:
    """Return the levels behind L1 that the target has."""
    return [level for level in LEVELS[1:] if level == "DRAM" or _cache(target, level)]


def _cache(target: Target, level: str) -> Cache | None:
    return {"L2": target.processor.l2, "L3": target.processor.l3}.get(level)


def _core_bytes_per_s(target: Target, level: str) -> float | None:
    """Return what one core can have of a level's bandwidth: all that its copy of the cache has, which may be shared."""
    peak, cache = _value(target.peaks.bytes_per_s.get(level)), _cache(target, level)
    if peak is None or cache is None:
        return peak
    copies = -(-target.processor.cores // cache.shared_by)
    return peak / copies
