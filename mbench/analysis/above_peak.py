"""Layers that exceed the measured peak: which of them padding, Winograd or Strassen explains, and which nothing does.

FLOP/s are counted by a layer's shape. A kernel that does fewer multiply-adds than the shape implies, or skips those on
padding, can exceed the peak rightly; any other layer shows that the peak, or the layer's own time, is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from mbench.core.records import ArtifactInfo, Layer, Result

LIMIT = 1.1
"""Of what the roofline allows: up to here a layer and a peak of different moments may differ."""
FEWER_MACS = ("cpu.strassen", "cpu.winograd")
"""Rules whose kernels do fewer multiply-adds than the layer's shape implies."""


def unexplained(result: Result) -> frozenset[str]:
    """Return the names of the layers that exceed the measured peak for no reason that is known."""
    rules = rules_of(result.artifact)
    return frozenset(
        layer.name
        for layer in result.layers
        if above(layer) and not has_fewer_macs(layer.kernel.split(" + "), rules) and not by_padding(layer)
    )


def above(layer: Layer) -> bool:
    """Return whether a layer exceeds the measured peak."""
    return layer.roofline is not None and layer.roofline.fraction_of_bound > LIMIT


def by_padding(layer: Layer) -> bool:
    """Return whether a layer stays below the measured peak if the multiply-adds on its padding are not counted."""
    return layer.roofline is not None and layer.roofline.fraction_of_bound * taps_inside(layer) <= LIMIT


def has_fewer_macs(kernels: Collection[str], rules: Mapping[str, str]) -> bool:
    """Return whether one of a layer's kernels does fewer multiply-adds than the layer's shape implies.

    Args:
        kernels: of the layer.
        rules: the name of the rule that made a kernel.
    """
    return any(rules.get(kernel) in FEWER_MACS for kernel in kernels)


def rules_of(artifact: ArtifactInfo) -> Mapping[str, str]:
    """Return the rule of each kernel; in older records its name is the first word of the schedule."""
    return artifact.rules or {kernel: schedule.partition(" ")[0] for kernel, schedule in artifact.schedules.items()}


def taps_inside(layer: Layer) -> float:
    """Return the share of a layer's multiply-adds that are of its input; the rest are of the padding around it."""
    if not layer.kernel_size or not layer.stride:
        return 1.0
    shares = []
    for inputs, outputs, taps, stride in zip(
        layer.input_shape[2:], layer.output_shape[2:], layer.kernel_size, layer.stride, strict=True
    ):
        before = max(0, (outputs - 1) * stride + taps - inputs + 1) // 2
        starts = (at * stride - before for at in range(outputs))
        inside = sum(max(0, min(start + taps, inputs) - max(start, 0)) for start in starts)
        shares.append(inside / (outputs * taps))
    return math.prod(shares)
