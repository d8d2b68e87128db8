"""The layers of a result: what was compiled of each, what a device saw of it, and what follows from the two."""

from __future__ import annotations

import dataclasses
import statistics
from typing import Any

from mbench.analysis import energy, layer_counts, layer_types, roofline
from mbench.analysis.layer_counts import LayerCounts
from mbench.core.artifact import LayerPlan, Manifest
from mbench.core.machine_types import Calibration, Target
from mbench.core.records import Layer
from mbench.measure.observation import Observation


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Ground:
    """What all layers of a result stand on."""

    manifest: Manifest
    target: Target
    seen: Observation | None
    calibration: Calibration | None
    held: dict[str, float]
    """Bytes that each level of the memory holds."""
    own_code: bool
    """Whether the counts are of the code that was measured."""


def of_network(
    manifest: Manifest,
    target: Target,
    threads: int,
    seen: Observation | None,
    calibration: Calibration | None,
    counted: tuple[LayerCounts, ...],
) -> tuple[tuple[Layer, ...], list[dict[str, float]]]:
    """Return the layers, and the modelled joules of each by component."""
    ground = _Ground(
        manifest=manifest,
        target=target,
        seen=seen,
        calibration=calibration,
        held=roofline.capacities(target, threads),
        own_code=layer_counts.of_target(seen.counted if seen else None, target),
    )
    found = [_of_layer(index, counts, ground) for index, counts in enumerate(counted)]
    return tuple(layer for layer, _ in found), [joules for _, joules in found]


def _of_layer(index: int, counts: LayerCounts, ground: _Ground) -> tuple[Layer, dict[str, float]]:
    plan, seen = ground.manifest.layers[index], ground.seen
    dtype = _type_of(plan, ground.manifest)
    samples = _samples(ground.manifest, index, seen)
    median = statistics.median(samples) if samples else None
    known = counts if ground.own_code else LayerCounts()
    joules, method = energy.of_layer(
        plan,
        ground.target,
        ground.held,
        dtype=dtype,
        counters=known.counters,
        traffic_bytes=known.traffic_bytes,
        latency_s=median,
    )
    layer = Layer(
        **_compiled(plan, index),
        latency_s=samples,
        energy_j=sum(joules.values()) if ground.target.energy else None,
        energy_method=method,
        counters=counts.counters,
        counters_by_kernel=counts.by_kernel,
        traffic_bytes=counts.traffic_bytes,
        latency_model_s=counts.latency_model_s,
        roofline=(
            roofline.place(plan, median, ground.calibration, ground.held, dtype)
            if median and ground.calibration
            else None
        ),
        metered=seen.layer_energy[index] if seen and seen.layer_energy else None,
    )
    return layer, joules


def _type_of(plan: LayerPlan, manifest: Manifest) -> str:
    """Return the type that a layer computes in: of a quantised network, some may have stayed float."""
    left = manifest.quantized.left_float if manifest.quantized else ()
    return layer_types.of_layer(manifest.variant.dtype, plan.contains or (plan.name,), left)


def _compiled(plan: LayerPlan, index: int) -> dict[str, Any]:
    """Return what a layer's plan and its record have in common, and its place in the list."""
    same = {name: getattr(plan, name) for name in plan.__struct_fields__ if name != "kernels"}
    return {"index": index, "kernel": " + ".join(plan.kernels), **same}


def _samples(manifest: Manifest, index: int, seen: Observation | None) -> tuple[float, ...] | None:
    """Return a layer's seconds run by run: the sum over its kernels."""
    if seen is None or seen.calls_s is None:
        return None
    calls = [samples for (_, layer), samples in zip(manifest.calls, seen.calls_s, strict=True) if layer == index]
    return tuple(sum(parts) for parts in zip(*calls, strict=True))
