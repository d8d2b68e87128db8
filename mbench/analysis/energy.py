"""The energy model: operations and bytes at each level times the target's coefficients, plus static power times time.

It is a model, not a meter; `method` names it. Where the code was counted, operations and bytes are the counted ones.
Else they follow from a layer's shapes: its bytes cross the level that holds them and every level nearer to the core, so
that what comes from DRAM also passes L3, L2 and L1. A modelled or emulated time is no time for static power.

Static power counts for a layer's own time, and in the network for the time of the whole run, wherever that was
measured: so the network has more of it than its layers together.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import msgspec

from mbench.analysis import instruction_counts
from mbench.analysis.roofline import level_of
from mbench.core import dtypes
from mbench.core.artifact import LayerPlan
from mbench.core.field_types import LEVELS
from mbench.core.machine_types import EnergyCoefficients, Target
from mbench.core.records import Counters

METHOD = "modelled: multiply-adds and bytes at each cache level x the target's coefficients"
COUNTED_METHOD = (
    "modelled: operations as counted and bytes of the modelled caches at each level x the target's coefficients; a "
    "multiply-add is one multiply and one add in each lane of its vector, any other operation one add"
)

NO_CACHES = "; the machine does not report its caches: all bytes are charged as DRAM's"
STATIC = "static"
"""The component of static power."""


def method(coefficients: EnergyCoefficients, *, timed: bool, counted: bool = False) -> str:
    """Return the method's name; static power counts only where there is both a coefficient and a time."""
    return (COUNTED_METHOD if counted else METHOD) + static_part(coefficients, timed=timed)


def static_part(coefficients: EnergyCoefficients, *, timed: bool) -> str:
    """Return what a method says of static power."""
    if coefficients.static_w is None:
        return "; static power not known"
    return ", plus static power x time" if timed else "; static power left out: no time was measured"


def of_network(
    parts: list[dict[str, float]],
    methods: Iterable[str | None],
    coefficients: EnergyCoefficients | None,
    latency_s: float | None,
) -> tuple[dict[str, float], str | None]:
    """Return a network's modelled joules by component, and the method; nothing where the target has no coefficients.

    Args:
        parts: the joules of each layer, with the static power of its own time.
        methods: of each layer.
        coefficients: of the target.
        latency_s: of the whole run, which static power counts for; None where it was not measured.
    """
    if coefficients is None:
        return {}, None
    joules = {name: value for name, value in total(parts).items() if name != STATIC} | _static(coefficients, latency_s)
    endings = [static_part(coefficients, timed=timed) for timed in (True, False)]
    models = (functools.reduce(str.removesuffix, endings, said) for said in methods if said)
    joined = "; for some layers ".join(dict.fromkeys(models))
    return joules, joined + static_part(coefficients, timed=latency_s is not None)


def compared(first: str, second: str) -> str:
    """Return the method of two energies that stand beside each other, and what keeps them apart."""
    if first == second:
        return first
    odd = [said for said in (first, second) if "static power left out" in said]
    why = "; only one of the two has static power, so that they are not alike" if len(odd) == 1 else ""
    return f"{first}; the other: {second}{why}"


def known_for(target: Target, dtype: str) -> Target:
    """Return a target without its coefficients where these leave out what networks of a type compute in."""
    needed = {dtypes.of(name).energy for name in (dtype, dtypes.of(dtype).floats)}
    known = target.energy
    if known is None or needed <= known.multiply_j.keys() & known.add_j.keys():
        return target
    return msgspec.structs.replace(target, energy=None)


def of_layer(
    layer: LayerPlan,
    target: Target,
    held: dict[str, float],
    *,
    dtype: str,
    counters: Counters | None,
    traffic_bytes: dict[str, int] | None,
    latency_s: float | None,
) -> tuple[dict[str, float], str | None]:
    """Return a layer's modelled joules by component, and the method: by counts if there are any, else by its shapes.

    Args:
        layer: as compiled.
        target: with the coefficients; without any, the answer is empty.
        held: bytes that each level holds.
        dtype: of the network.
        counters: of the target's own code; None: not counted.
        traffic_bytes: of the same code.
        latency_s: as measured; None where it was not.
    """
    coefficients = target.energy
    if coefficients is None:
        return {}, None
    timed = latency_s is not None
    if counters is None or traffic_bytes is None:
        joules = components(layer, coefficients, held, dtype=dtype, latency_s=latency_s)
        caches = "" if len(held) > 1 else NO_CACHES
        return joules, METHOD + caches + static_part(coefficients, timed=timed)
    lanes = dtypes.of(dtype).lanes(target.processor.vector_bits)
    pairs = multiply_adds(counters, dtype=dtype, lanes=lanes, macs=layer.macs)
    joules = counted(counters, traffic_bytes, coefficients, dtype=dtype, multiply_adds=pairs, latency_s=latency_s)
    return joules, method(coefficients, timed=timed, counted=True)


def components(
    layer: LayerPlan, coefficients: EnergyCoefficients, held: dict[str, float], *, dtype: str, latency_s: float | None
) -> dict[str, float]:
    """Return joules by component for one layer: `arithmetic`, each memory level, `static`."""
    moved = layer.activation_bytes + layer.weight_bytes
    feeding = LEVELS.index(level_of(moved, held))
    joules = {
        "arithmetic": layer.macs * sum(_operation_j(coefficients, dtype)),
        **{
            level: moved * coefficients.bytes_j[level].value
            for level in LEVELS[: feeding + 1]
            if level in held and level in coefficients.bytes_j
        },
    }
    return {**joules, **_static(coefficients, latency_s)}


def counted(
    counters: Counters,
    traffic_bytes: dict[str, int],
    coefficients: EnergyCoefficients,
    *,
    dtype: str,
    multiply_adds: int,
    latency_s: float | None,
) -> dict[str, float]:
    """Return joules by component for one layer whose code was counted.

    Args:
        counters: of the layer.
        traffic_bytes: by level.
        coefficients: of the target.
        dtype: of the network.
        multiply_adds: how many of the operations are pairs of a multiply and an add; see `multiply_adds`.
        latency_s: as measured; None where it was not.
    """
    multiply_j, add_j = _operation_j(coefficients, dtype)
    operations = instruction_counts.operations(counters, dtype)
    joules = {
        "arithmetic": multiply_adds * multiply_j + (operations - multiply_adds) * add_j,
        **{
            level: moved * coefficients.bytes_j[level].value
            for level, moved in traffic_bytes.items()
            if level in coefficients.bytes_j
        },
    }
    return {**joules, **_static(coefficients, latency_s)}


def multiply_adds(counters: Counters, *, dtype: str, lanes: int, macs: int) -> int:
    """Return how many multiply-adds were counted, lane by lane: fused ones are taken to fill their vectors.

    Args:
        counters: of a layer.
        dtype: that it computes in; all operations on whole numbers that are counted are pairs of multiply and add.
        lanes: numbers that a vector of the counted code holds.
        macs: multiply-adds of the layer, for code that has no fused ones.
    """
    most = instruction_counts.operations(counters, dtype) // 2
    if dtypes.of(dtype).depth > 1:
        return most
    return min(counters.fma_instructions * lanes if counters.fma_instructions else macs, most)


def _operation_j(coefficients: EnergyCoefficients, dtype: str) -> tuple[float, float]:
    """Return the joules of one multiply and of one add."""
    key = dtypes.of(dtype).energy
    return coefficients.multiply_j[key].value, coefficients.add_j[key].value


def _static(coefficients: EnergyCoefficients, latency_s: float | None) -> dict[str, float]:
    if coefficients.static_w is None or latency_s is None:
        return {}
    return {STATIC: coefficients.static_w.value * latency_s}


def total(parts: list[dict[str, float]]) -> dict[str, float]:
    """Return the sum by component."""
    summed: dict[str, float] = {}
    for part in parts:
        for name, joules in part.items():
            summed[name] = summed.get(name, 0.0) + joules
    return summed
