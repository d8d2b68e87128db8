"""The energy model: operations and bytes at each level times the target's coefficients, plus static power times time.

It is a model, not a meter, and says so in `method`. A layer's bytes cross the level that holds them and every level
nearer to the core: what comes from DRAM also passes L3, L2 and L1.
"""

from __future__ import annotations

from mbench.artifact import LayerPlan
from mbench.measure.roofline import LEVELS, level_of
from mbench.records import EnergyCoefficients

METHOD = "modelled: multiply-adds and bytes at each cache level x the target's coefficients"


def method(coefficients: EnergyCoefficients, *, timed: bool) -> str:
    """Return the method's name; static power counts only where there is both a coefficient and a time."""
    if coefficients.static_w is None:
        return f"{METHOD}; static power not known"
    return f"{METHOD}, plus static power x time" if timed else f"{METHOD}; static power left out: no time was measured"


def components(
    layer: LayerPlan, coefficients: EnergyCoefficients, held: dict[str, float], *, dtype: str, latency_s: float | None
) -> dict[str, float]:
    """Return joules by component for one layer: `arithmetic`, each memory level, `static`."""
    moved = layer.activation_bytes + layer.weight_bytes
    feeding = LEVELS.index(level_of(moved, held))
    joules = {
        "arithmetic": layer.macs * (coefficients.multiply_j[dtype].value + coefficients.add_j[dtype].value),
        **{
            level: moved * coefficients.bytes_j[level].value
            for level in LEVELS[: feeding + 1]
            if level in held and level in coefficients.bytes_j
        },
    }
    if coefficients.static_w is not None and latency_s is not None:
        joules["static"] = coefficients.static_w.value * latency_s
    return joules


def total(parts: list[dict[str, float]]) -> dict[str, float]:
    """Return the sum by component."""
    summed: dict[str, float] = {}
    for part in parts:
        for name, joules in part.items():
            summed[name] = summed.get(name, 0.0) + joules
    return summed
