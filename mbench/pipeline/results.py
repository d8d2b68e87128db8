"""From an artifact and what a device saw of it to the result in a record. Arithmetic only."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

from mbench.analysis import energy, latency_model, layer_counts, roofline
from mbench.analysis.layer_counts import LayerCounts
from mbench.core.artifact import Artifact, Manifest
from mbench.core.machine_types import Calibration, Target
from mbench.core.records import ArtifactInfo, Books, EndToEnd, Energy, Layer, Memory, Result
from mbench.measure import activity, latency, memory
from mbench.measure.observation import Observation

NO_ROOFLINE = "a layer without multiply-adds, or too short to be timed, has no place under a roofline of FLOP/s"
NO_COEFFICIENTS = "the target has no coefficients"
_WINOGRAD = "cpu.winograd"
_ABOVE_CEILING = 1.1
_STEAL_SHARE = 0.01


def result(
    artifact: Artifact,
    *,
    cached: bool,
    target: Target,
    threads: int,
    observation: Observation | None,
    calibration: Calibration | None,
    reason: str,
    described: Target | None = None,
    memory_method: str = memory.METHOD,
) -> Result:
    """Return the result of one variant.

    Args:
        artifact: what was built.
        cached: whether it came from the cache.
        target: with the caches of the machine that it ran on.
        threads: that it ran with, or would.
        observation: what was seen; None if it was only compiled.
        calibration: the device's ceilings, if measured.
        reason: why what is missing is missing, such as `counters.NO_TIME`.
        memory_method: how the process's memory was seen.
        described: the target as its file describes it, for models of counted code; by default `target`.
    """
    seen = observation
    run, model_of = seen.counted if seen else None, described or target
    dtype = artifact.manifest.variant.dtype
    counted = layer_counts.of_layers(run, artifact.manifest, model_of)
    layers, components = _layers(artifact, target, threads, seen, calibration, counted)
    joules = energy.total(components)
    whole = _end_to_end(seen, model_of, dtype)
    coefficients = target.energy
    return Result(
        variant=artifact.manifest.variant,
        artifact=_artifact_info(artifact, cached=cached),
        numerics=seen.numerics if seen else None,
        end_to_end=whole,
        memory=_memory(artifact, seen, memory_method),
        energy=Energy(
            energy_j=sum(joules.values()) if coefficients else None,
            method=_energy_method(layers) or NO_COEFFICIENTS,
            components_j=joules,
            coefficients=coefficients,
            measured=seen.energy if seen else None,
        ),
        books=_books(seen),
        counts=layer_counts.summary(run, model_of),
        layers=layers,
        missing={
            **_missing(seen, whole, target, calibration, reason),
            **layer_counts.missing(seen, counted, model_of, dtype, reason),
        },
        warnings=(*_warnings(artifact, seen, layers), *_low_ceilings(calibration), *_source_only(target)),
    )


def _memory(artifact: Artifact, seen: Observation | None, method: str) -> Memory:
    return Memory(
        weight_bytes=artifact.manifest.weight_bytes,
        activation_peak_bytes=artifact.manifest.activation_peak_bytes,
        workspace_bytes=artifact.manifest.workspace_bytes,
        process_peak_bytes=seen.process_peak_bytes if seen else None,
        method=method,
        device_bytes=seen.device_bytes if seen else None,
    )


def _timed(seen: Observation | None) -> bool:
    return seen is not None and seen.latency_s is not None


def _artifact_info(artifact: Artifact, *, cached: bool) -> ArtifactInfo:
    manifest = artifact.manifest
    return ArtifactInfo(
        digest=manifest.digest,
        library_bytes=artifact.library_bytes,
        compile_s=manifest.compile_s,
        cached=cached,
        schedules=manifest.schedules,
        fallbacks=manifest.fallbacks,
        ignored=manifest.ignored,
    )


def _energy_method(layers: tuple[Layer, ...]) -> str:
    """Return the methods of the layers, which are one unless some have no counts."""
    return "; for some layers ".join(dict.fromkeys(layer.energy_method for layer in layers if layer.energy_method))


def _end_to_end(seen: Observation | None, model_of: Target, dtype: str) -> EndToEnd:
    if seen is None:
        return EndToEnd(latency_s=None, twin_latency_s=None, method="not measured")
    modelled_s = layer_counts.latency_model_s(seen.counted, model_of, dtype)
    return EndToEnd(
        latency_s=seen.latency_s,
        twin_latency_s=seen.twin_latency_s,
        method=(seen.latency_method or latency.METHOD) if seen.latency_s else "not measured",
        threads=seen.threads,
        latency_model_s=modelled_s,
        latency_model_method=None if modelled_s is None else latency_model.method(model_of),
        affinity=seen.affinity,
        warmup_runs=seen.warmup_runs,
        warmup_s=seen.warmup_s,
        wall_s=seen.wall_s,
        others_busy_s=seen.others_busy_s,
        conditions_before=seen.conditions_before,
        conditions_after=seen.conditions_after,
    )


def _layers(
    artifact: Artifact,
    target: Target,
    threads: int,
    seen: Observation | None,
    calibration: Calibration | None,
    counted: tuple[LayerCounts, ...],
) -> tuple[tuple[Layer, ...], list[dict[str, float]]]:
    """Return the layers, and the modelled joules of each by component."""
    manifest = artifact.manifest
    dtype = manifest.variant.dtype
    held = roofline.capacities(target, threads)
    own_code = layer_counts.of_target(seen.counted if seen else None, target)
    layers, components = [], []
    for index, (plan, counts) in enumerate(zip(manifest.layers, counted, strict=True)):
        samples = _layer_samples(artifact, index, seen)
        median = statistics.median(samples) if samples else None
        known = counts if own_code else LayerCounts()
        joules, method = energy.of_layer(
            plan,
            target,
            held,
            dtype=dtype,
            counters=known.counters,
            traffic_bytes=known.traffic_bytes,
            latency_s=median,
        )
        components.append(joules)
        place = roofline.place(plan, median, calibration, held, dtype) if median and calibration else None
        layers.append(
            Layer(
                index=index,
                name=plan.name,
                op=plan.op,
                kernel=" + ".join(plan.kernels),
                input_shape=plan.input_shape,
                output_shape=plan.output_shape,
                kernel_size=plan.kernel_size,
                stride=plan.stride,
                groups=plan.groups,
                macs=plan.macs,
                params=plan.params,
                weight_bytes=plan.weight_bytes,
                activation_bytes=plan.activation_bytes,
                workspace_bytes=plan.workspace_bytes,
                parallel_loops=plan.parallel_loops,
                latency_s=samples,
                energy_j=sum(joules.values()) if target.energy else None,
                energy_method=method,
                counters=counts.counters,
                counters_by_kernel=counts.by_kernel,
                traffic_bytes=counts.traffic_bytes,
                latency_model_s=counts.latency_model_s,
                roofline=place,
                metered=seen.layer_energy[index] if seen and seen.layer_energy else None,
            )
        )
    return tuple(layers), components


def _layer_samples(artifact: Artifact, index: int, seen: Observation | None) -> tuple[float, ...] | None:
    """Return a layer's seconds run by run: the sum over its kernels."""
    if seen is None or seen.calls_s is None:
        return None
    calls = [
        samples for (_, layer), samples in zip(artifact.manifest.calls, seen.calls_s, strict=True) if layer == index
    ]
    return tuple(sum(parts) for parts in zip(*calls, strict=True))


def _books(seen: Observation | None) -> Books | None:
    if seen is None or seen.latency_s is None or seen.calls_s is None or seen.overhead_s is None:
        return None
    whole = statistics.median(seen.latency_s)
    layer_sum = statistics.median(sum(run) for run in zip(*seen.calls_s, strict=True))
    overhead = statistics.median(seen.overhead_s)
    return Books(
        end_to_end_s=whole,
        layer_sum_s=layer_sum,
        overhead_s=overhead,
        unattributed_s=whole - layer_sum - overhead,
        instrument_cost_s=seen.instrument_cost_s or 0.0,
        method=seen.books_method,
    )


def _missing(
    seen: Observation | None, end_to_end: EndToEnd, target: Target, calibration: Calibration | None, reason: str
) -> dict[str, str]:
    """Say why each field that is null is null."""
    missing = {}
    why = reason
    if seen is None:
        missing["numerics"] = reason
    elif not seen.numerics.passed:
        why = f"not timed, since the result is wrong: {seen.numerics.detail}"
        if seen.numerics.max_abs_error is None:
            missing["numerics.max_abs_error"] = missing["numerics.max_rel_error"] = seen.numerics.detail or why
    if seen is not None and _timed(seen):
        why = seen.missing or "this system does not tell"
        missing["layers.roofline"] = reason if calibration is None else NO_ROOFLINE
        if seen.calls_s is None:
            missing.update(dict.fromkeys(("books", "layers.latency_s", "layers.roofline"), why))
    else:
        missing.update(dict.fromkeys(("books", "layers.latency_s", "layers.roofline"), why))
    if target.energy is None:
        fields = ("energy.energy_j", "energy.coefficients", "layers.energy_j", "layers.energy_method")
        missing.update(dict.fromkeys(fields, NO_COEFFICIENTS))
    if seen is None or seen.energy is None:
        missing["energy.measured"] = (seen.energy_missing if seen else None) or why
    if seen is None or seen.process_peak_bytes is None:
        missing["memory.process_peak_bytes"] = why
    if target.family == "gpu" and (seen is None or seen.device_bytes is None):
        missing["memory.device_bytes"] = why
    if target.family == "gpu" and (seen is None or seen.layer_energy is None):
        missing["layers.metered"] = (seen.energy_missing if seen else None) or why
    nulls = (name for name in EndToEnd.__struct_fields__ if getattr(end_to_end, name) is None)
    return {**missing, **{f"end_to_end.{name}": why for name in nulls}}


def _warnings(artifact: Artifact, seen: Observation | None, layers: tuple[Layer, ...]) -> Iterator[str]:
    manifest = artifact.manifest
    if manifest.fallbacks:
        names = ", ".join(manifest.fallbacks)
        yield f"no schedule rule took {names}: as TVM made them, slow; their times say little about the hardware"
    if manifest.ignored:
        reasons = "; ".join(sorted(set(manifest.ignored.values())))
        yield f"tuned choices not followed for {', '.join(manifest.ignored)}: {reasons}; tune again with 'mbench tune'"
    if manifest.narrow:
        names = ", ".join(layer.name for layer in manifest.layers if set(layer.kernels) & set(manifest.narrow))
        yield f"channel counts that fill less than half of a vector register: {names}; their kernels are slow"
    if seen is None or not seen.latency_s:
        return
    fewer = _by_winograd(manifest)
    if fewer:
        yield (
            f"{', '.join(fewer)}: by Winograd's filtering, with fewer multiply-adds than the direct convolution that "
            "their FLOP/s are counted by, and up to nine times the weights"
        )
    above = [
        layer
        for layer in layers
        if layer.name not in fewer and layer.roofline and layer.roofline.fraction_of_bound > _ABOVE_CEILING
    ]
    padded = [
        layer.name
        for layer in above
        if layer.roofline and layer.roofline.fraction_of_bound * _taps_inside(layer) <= _ABOVE_CEILING
    ]
    if padded:
        yield (
            f"{', '.join(padded)}: faster than the ceiling as far as multiply-adds with padding are counted, "
            "which a kernel can leave out"
        )
    if len(above) > len(padded):
        names = ", ".join(layer.name for layer in above if layer.name not in padded)
        yield (
            f"{names}: faster than the ceiling that was measured; "
            "the ceiling was disturbed or is reused from a slower moment; measure it again with --no-cache"
        )
    yield from _disturbances(seen)


def _taps_inside(layer: Layer) -> float:
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


def _by_winograd(manifest: Manifest) -> list[str]:
    """Return the layers with a kernel that does fewer multiply-adds than are counted."""
    kernels = {name for name, description in manifest.schedules.items() if description.startswith(_WINOGRAD)}
    return [layer.name for layer in manifest.layers if kernels & set(layer.kernels)]


def _source_only(target: Target) -> Iterator[str]:
    if target.family == "gpu":
        yield ("the library holds CUDA C, which is compiled where it is loaded: its size is not that of machine code")


def _low_ceilings(calibration: Calibration | None) -> Iterator[str]:
    if calibration is not None and (calibration.others_busy or 0.0) > activity.DISTURBED:
        yield (
            f"other processes kept {calibration.others_busy:.2f} processors busy while the machine's ceilings were "
            "measured: they are too low, and the fractions of them too high"
        )


def _slowed(seen: Observation) -> Iterator[str]:
    moments = (seen.conditions_before, seen.conditions_after)
    reasons = [reason for moment in moments if moment and moment.gpu for reason in moment.gpu.slowed_by or ()]
    if reasons:
        yield f"the GPU's clocks were held back while this was measured: {', '.join(dict.fromkeys(reasons))}"


def _disturbances(seen: Observation) -> Iterator[str]:
    yield from _slowed(seen)
    if seen.wall_s and seen.others_busy_s and seen.others_busy_s > activity.DISTURBED * seen.wall_s:
        share = seen.others_busy_s / seen.wall_s
        yield f"other processes kept {share:.2f} processors busy while this was measured: stop them and run it again"
    before, after = seen.conditions_before, seen.conditions_after
    if before is None or after is None or before.steal_s is None or after.steal_s is None or not seen.latency_s:
        return
    stolen = after.steal_s - before.steal_s
    runtime = sum(seen.latency_s) + sum(seen.twin_latency_s or ())
    if runtime and stolen > _STEAL_SHARE * runtime:
        yield f"the hypervisor gave {stolen:.2f} s of processor time to others while this was measured"
