"""From an artifact and what a device saw of it to the result in a record. Arithmetic only."""

from __future__ import annotations

import msgspec

from mbench.analysis import energy, latency_model, latency_model_error, layer_counts
from mbench.core import network_digest
from mbench.core.artifact import Artifact, Manifest
from mbench.core.machine_types import Calibration, Target
from mbench.core.records import ArtifactInfo, EndToEnd, Energy, Layer, Memory, Result, Variant
from mbench.measure import latency, memory
from mbench.measure.observation import Observation
from mbench.pipeline import layer_results, missing_fields, result_warnings, time_balance
from mbench.pipeline.result_warnings import Evidence


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
) -> Result:
    """Return the result of one variant.

    Args:
        artifact: what was built.
        cached: whether it came from the cache.
        target: with the caches of the machine that it ran on.
        threads: that it ran with, or would.
        observation: what was seen; None if it was only compiled.
        calibration: the device's peaks, if measured.
        reason: why what is missing is missing, such as `device_kinds.NO_TIME`.
        described: the target as its file describes it, for models of counted code; by default `target`.
    """
    seen, manifest = observation, artifact.manifest
    run, model_of = seen.counted if seen else None, described or target
    dtype = manifest.variant.dtype
    target = energy.known_for(target, dtype)
    counted = layer_counts.of_layers(run, manifest, model_of)
    layers, components = layer_results.of_network(manifest, target, threads, seen, calibration, counted)
    whole = _end_to_end(seen, manifest, model_of)
    return Result(
        variant=_network(manifest),
        artifact=_artifact_info(artifact, cached=cached),
        numerics=seen.numerics if seen else None,
        end_to_end=whole,
        memory=_memory(manifest, seen),
        energy=_energy(layers, components, target, seen),
        time_balance=time_balance.of_run(seen),
        counts=layer_counts.summary(run, model_of),
        layers=layers,
        replaced=manifest.replaced,
        quantized=manifest.quantized,
        sessions=seen.sessions if seen else (),
        missing={
            **missing_fields.reasons(seen, whole, target, calibration, reason),
            **layer_counts.missing(seen, counted, model_of, dtype, reason),
        },
        warnings=result_warnings.of_result(
            Evidence(manifest=manifest, layers=layers, seen=seen, calibration=calibration, target=target)
        ),
    )


def _network(manifest: Manifest) -> Variant:
    digest = manifest.network_digest or network_digest.of_layers(manifest.layers)
    return msgspec.structs.replace(manifest.variant, digest=digest)


def _memory(manifest: Manifest, seen: Observation | None) -> Memory:
    return Memory(
        weight_bytes=manifest.weight_bytes,
        activation_peak_bytes=manifest.activation_peak_bytes,
        workspace_bytes=manifest.workspace_bytes,
        process_peak_bytes=seen.process_peak_bytes if seen else None,
        method=(seen.memory_method if seen else None) or memory.METHOD,
        device_bytes=seen.device_bytes if seen else None,
    )


def _energy(
    layers: tuple[Layer, ...], components: list[dict[str, float]], target: Target, seen: Observation | None
) -> Energy:
    methods = (layer.energy_method for layer in layers)
    joules, method = energy.of_network(components, methods, target.energy, time_balance.whole_s(seen))
    return Energy(
        energy_j=sum(joules.values()) if target.energy else None,
        method=method or missing_fields.NO_COEFFICIENTS,
        components_j=joules,
        coefficients=target.energy,
        measured=seen.energy if seen else None,
    )


def _artifact_info(artifact: Artifact, *, cached: bool) -> ArtifactInfo:
    manifest = artifact.manifest
    return ArtifactInfo(
        digest=manifest.digest,
        library_bytes=artifact.library_bytes,
        compile_s=manifest.compile_s,
        cached=cached,
        schedules=manifest.schedules,
        rules=manifest.rules,
        fallbacks=manifest.fallbacks,
        ignored=manifest.ignored,
    )


def _end_to_end(seen: Observation | None, manifest: Manifest, model_of: Target) -> EndToEnd:
    if seen is None:
        return EndToEnd(latency_s=None, method="not measured")
    modelled_s = layer_counts.latency_model_s(seen.counted, model_of, manifest.variant.dtype)
    return EndToEnd(
        latency_s=seen.latency_s,
        method=(seen.latency_method or latency.METHOD) if seen.latency_s else "not measured",
        threads=seen.threads,
        latency_model_s=modelled_s,
        latency_model_method=None if modelled_s is None else latency_model.method(model_of),
        latency_model_error=None if modelled_s is None else latency_model_error.sentence(model_of),
        latency_model_threads_s=layer_counts.latency_model_threads_s(seen.counted, manifest, model_of),
        affinity=seen.affinity,
        warmup_runs=seen.warmup_runs,
        warmup_s=seen.warmup_s,
        wall_s=seen.wall_s,
        others_busy_s=seen.others_busy_s,
        conditions_before=seen.conditions_before,
        conditions_after=seen.conditions_after,
    )
