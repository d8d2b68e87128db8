"""A counted run, layer by layer: sums of its kernel calls, and what the latency model makes of them.

The counted code may be another target's than the one that was timed (`run --counts`), with other kernels: calls and
layers meet by the layers' names. Sums only; executes and reads nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from mbench.analysis import latency_model
from mbench.core.artifact import Manifest
from mbench.core.machine_types import Target
from mbench.core.records import Counters, Counts
from mbench.measure import counters
from mbench.measure.observation import CallCounts, CountedRun, Observation

NOT_ASKED = "not counted: add --counts"
NO_KERNEL = "the counted code has no kernel for such a layer"
NO_CACHES = "the emulator was given no caches to model"
NOT_REPORTED = "the device did not report it"
_COUNTED = ("counts", "layers.counters")
_TRAFFIC = ("layers.traffic_bytes",)
_MODELLED = (
    "layers.latency_model_s", "end_to_end.latency_model_s", "end_to_end.latency_model_method",
    "end_to_end.latency_model_error",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerCounts:
    """What was counted of one layer; null where nothing was."""

    counters: Counters | None = None
    by_kernel: dict[str, Counters] = dataclasses.field(default_factory=dict)
    """Of a layer with several kernels."""
    traffic_bytes: dict[str, int] | None = None
    latency_model_s: float | None = None


def of_layers(run: CountedRun | None, manifest: Manifest, target: Target) -> tuple[LayerCounts, ...]:
    """Return the counts of each layer of an artifact.

    Args:
        run: what was counted; None: nothing.
        manifest: of the artifact that the record is about.
        target: of the record, as its file describes it.
    """
    if run is None:
        return (LayerCounts(),) * len(manifest.layers)
    own = run.artifact_digest == manifest.digest
    kernels = [kernel for kernel, _ in manifest.calls] if own else [""] * len(run.calls)
    dtype = manifest.variant.dtype
    return tuple(_of_layer(plan.name, run, kernels, target, dtype) for plan in manifest.layers)


def _of_layer(name: str, run: CountedRun, kernels: Sequence[str], target: Target, dtype: str) -> LayerCounts:
    found = [
        (kernel, call) for kernel, call, layer in zip(kernels, run.calls, run.layers, strict=True) if layer == name
    ]
    if not found:
        return LayerCounts()
    calls = [call for _, call in found]
    names = dict.fromkeys(kernel for kernel, _ in found)
    return LayerCounts(
        counters=counters.total([call.counters for call in calls]),
        by_kernel={
            kernel: counters.total([call.counters for of, call in found if of == kernel])
            for kernel in names
            if len(names) > 1
        },
        traffic_bytes=counters.total_traffic([call.traffic_bytes for call in calls]),
        latency_model_s=_seconds(calls, run, target, dtype),
    )


def latency_model_s(run: CountedRun | None, target: Target, dtype: str) -> float | None:
    """Return the modelled seconds of the whole run on one thread; None where there is no model, see `no_model`."""
    return _seconds(run.calls, run, target, dtype) if run else None


def latency_model_threads_s(run: CountedRun | None, manifest: Manifest, target: Target) -> dict[str, float]:
    """Return the modelled seconds of the whole run by number of threads, from two to the target's.

    Empty where there is no model, where the target runs one thread, or where the counted code is another artifact's, so
    that nothing is known of its parallel loops.
    """
    dtype = manifest.variant.dtype
    if run is None or run.artifact_digest != manifest.digest or no_model(run, target, dtype):
        return {}
    return {str(number): _on_threads(run, manifest, target, number) for number in thread_numbers(target)}


def thread_numbers(target: Target) -> tuple[int, ...]:
    """Return the numbers of threads that are modelled: powers of two up to the target's, and the target's."""
    doubled = (2**power for power in range(1, target.threads.bit_length()))
    return tuple(sorted({*doubled, target.threads} - {1}))


def _on_threads(run: CountedRun, manifest: Manifest, target: Target, number: int) -> float:
    """Return the seconds of a run: a layer without a parallel loop has one thread, all the others share evenly."""
    loops = {plan.name: plan.parallel_loops for plan in manifest.layers}
    taken = sum(latency_model.start_s(target, found or 0) for found in loops.values())
    for call, layer in zip(run.calls, run.layers, strict=True):
        each = number if loops.get(layer, 1) != 0 else 1
        found = latency_model.seconds(call.counters, call.traffic_bytes, target, manifest.variant.dtype, each)
        taken += found[0] if found else 0.0
    return taken


def _seconds(calls: Sequence[CallCounts], run: CountedRun, target: Target, dtype: str) -> float | None:
    if no_model(run, target, dtype):
        return None
    parts = (latency_model.seconds(call.counters, call.traffic_bytes, target, dtype) for call in calls)
    return sum(part[0] for part in parts if part)


def no_model(run: CountedRun, target: Target, dtype: str) -> str | None:
    """Return why the latency of counted code is not modelled; None where it is."""
    if not of_target(run, target):
        return f"the counted code is for {run.target}, not for {target.name}: a model would be of another processor"
    return latency_model.lacking(target, dtype)


def of_target(run: CountedRun | None, target: Target) -> bool:
    """Return whether the counted code is the target's own."""
    return run is not None and run.target == target.name


def summary(run: CountedRun | None, target: Target) -> Counts | None:
    """Return the sums over a run, and what they are of."""
    if run is None:
        return None
    traffic = counters.total_traffic([call.traffic_bytes for call in run.calls])
    return Counts(
        method=run.method,
        target=run.target,
        vector_bits=run.vector_bits or (target.processor.vector_bits if of_target(run, target) else None),
        artifact_digest=run.artifact_digest,
        emulator=run.emulator,
        counters=counters.total([call.counters for call in run.calls]),
        traffic_bytes=traffic,
        traffic_method=run.traffic_method if traffic else None,
    )


def missing(
    seen: Observation | None, layers: Sequence[LayerCounts], target: Target, dtype: str, reason: str
) -> dict[str, str]:
    """Return why each null of the counts, and of what is modelled of them, is null.

    Args:
        seen: what a device saw; None: it was only compiled.
        layers: as `of_layers` returned them.
        target: that the model is of.
        dtype: of the network.
        reason: why nothing ran, if nothing did.
    """
    run = seen.counted if seen else None
    if run is None:
        return dict.fromkeys((*_COUNTED, *_TRAFFIC, *_MODELLED), _not_counted(seen, reason))
    found = {}
    if any(layer.counters is None for layer in layers):
        found.update(dict.fromkeys(("layers.counters", "layers.traffic_bytes", "layers.latency_model_s"), NO_KERNEL))
    if any(call.traffic_bytes is None for call in run.calls):
        found.update(dict.fromkeys((*_TRAFFIC, "counts.traffic_bytes", "counts.traffic_method"), NO_CACHES))
    if not run.vector_bits and not of_target(run, target):
        found["counts.vector_bits"] = NOT_REPORTED
    why = no_model(run, target, dtype)
    return {**found, **(dict.fromkeys(_MODELLED, why) if why else {})}


def _not_counted(seen: Observation | None, reason: str) -> str:
    if seen is None:
        return reason
    if seen.counts_missing:
        return seen.counts_missing
    return NOT_ASKED if seen.numerics.passed else f"not counted, since the result is wrong: {seen.numerics.detail}"
