"""Where a layer stands under the machine's measured peaks.

Model: Williams, Waterman, Patterson, "Roofline: an insightful visual performance model", CACM 52(4), 2009. A layer's
bytes are its input, weights and output, once each; the level that they pass is the smallest cache that holds them all.
Writing is slower than reading, so a level's bandwidth is that of the layer's own mix of the two.
"""

from __future__ import annotations

import math

from mbench.core import dtypes
from mbench.core.artifact import LayerPlan
from mbench.core.field_types import LEVELS
from mbench.core.machine_types import Calibration, Target
from mbench.core.records import Roofline


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


def bandwidth(calibration: Calibration, level: str, written: float) -> float:
    """Return the bytes a second of code that streams through a level and writes a share `written` of its bytes.

    Reading alone is measured, and some mixes. In between of two of them, the time that a byte takes changes in
    proportion; code that writes more than all of them is held to the one that writes most.
    """
    import numpy as np  # not above: reading results needs none

    measured = {mix.written: mix.bytes_per_s for mix in calibration.mixes if mix.level == level}
    rates = sorted({0.0: calibration.bytes_per_s[level], **measured}.items())
    shares, byte_s = [share for share, _ in rates], [1 / rate for _, rate in rates]
    return float(1 / np.interp(written, shares, byte_s))


def place(
    layer: LayerPlan, latency_s: float, calibration: Calibration, held: dict[str, float], dtype: str
) -> Roofline | None:
    """Return a layer's place, or None if it does no multiply-adds or if its time cannot be distinguished from zero."""
    moved = layer.activation_bytes + layer.weight_bytes
    peak = calibration.flops_per_s.get(dtype)
    if not layer.macs or not latency_s or not peak:
        return None
    level = level_of(moved, {name: size for name, size in held.items() if name in calibration.bytes_per_s})
    flops = 2 * layer.macs
    intensity = flops / moved
    written = math.prod(layer.output_shape) * dtypes.of(dtype).bytes / moved
    fed = intensity * bandwidth(calibration, level, written)
    rate = flops / latency_s
    return Roofline(
        flops_per_s=rate,
        arithmetic_intensity=intensity,
        bound="compute" if peak <= fed else level,
        fraction_of_peak=rate / peak,
        fraction_of_bound=rate / min(peak, fed),
    )
