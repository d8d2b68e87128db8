"""Where a layer stands under the machine's measured ceilings.

Model: Williams, Waterman, Patterson, "Roofline: an insightful visual performance model", CACM 52(4), 2009. A layer's
bytes are its input, weights and output, once each; the level that feeds it is the smallest cache that holds them all.
"""

from __future__ import annotations

from mbench.artifact import LayerPlan
from mbench.records import LEVELS, Calibration, Roofline, Target


def capacities(target: Target, threads: int) -> dict[str, float]:
    """Return the bytes that each level holds for `threads` threads; DRAM holds everything."""
    processor = target.processor
    held: dict[str, float] = {}
    for level, cache in zip(LEVELS, (processor.l1d, processor.l2, processor.l3), strict=False):
        if cache is not None:
            held[level] = -(-threads // cache.shared_by) * cache.bytes.value
    return {**held, "DRAM": float("inf")}


def level_of(working_set_bytes: float, held: dict[str, float]) -> str:
    """Return the smallest level that holds a working set."""
    return next(level for level, size in held.items() if working_set_bytes <= size)


def place(
    layer: LayerPlan, latency_s: float, calibration: Calibration, held: dict[str, float], dtype: str
) -> Roofline | None:
    """Return a layer's place, or None if it does no multiply-adds or took no time that could be told from none."""
    moved = layer.activation_bytes + layer.weight_bytes
    peak = calibration.flops_per_s.get(dtype)
    if not layer.macs or not latency_s or not peak:
        return None
    level = level_of(moved, {name: size for name, size in held.items() if name in calibration.bytes_per_s})
    flops = 2 * layer.macs
    intensity = flops / moved
    fed = intensity * calibration.bytes_per_s[level]
    rate = flops / latency_s
    return Roofline(
        flops_per_s=rate,
        arithmetic_intensity=intensity,
        bound="compute" if peak <= fed else level,
        fraction_of_peak=rate / peak,
        fraction_of_bound=rate / min(peak, fed),
    )
