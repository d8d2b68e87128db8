"""Stand-ins for what takes long: artifacts nothing compiled, a device that runs nothing, builds in this process."""

from __future__ import annotations

import concurrent.futures
import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import record_factory as factory

from mbench.core import artifact
from mbench.core.artifact import Artifact, LayerPlan, Manifest
from mbench.core.machine_types import Calibration, Conditions, Target
from mbench.core.records import Counters, Numerics, Result, Variant
from mbench.measure import activity
from mbench.measure.observation import CallCounts, CountedRun, MeasurePlan, Observation
from mbench.networks import architectures, costs, variants

PASSED = Numerics(max_abs_error=1e-6, max_rel_error=1e-6, tolerance=1e-4, reference="PyTorch", passed=True, detail=None)
WRONG = Numerics(
    max_abs_error=0.5, max_rel_error=0.1, tolerance=1e-4, reference="PyTorch", passed=False, detail="0.1 > 0.0001"
)
NOT_FINITE = Numerics(
    max_abs_error=None, max_rel_error=None, tolerance=1e-4, reference="PyTorch", passed=False, detail="7 not finite"
)
BYTE_PEAK = Calibration(
    method="bytes by hand", measured_at_utc=datetime.datetime.now(datetime.UTC).isoformat(), threads=2,
    flops_per_s={"int8": 8e11}, bytes_per_s={}, working_set_bytes={}, others_busy=0.01,
)  # fmt: skip
MOMENT = Conditions(at_utc="2025-03-01T12:00:00Z", steal_s=1.0)
OPTIONAL = {
    *("layers.kernel_size", "layers.stride", "layers.groups", "numerics.detail"),
    "sessions.latency_s",
    *("memory.device_bytes", "time_balance.method", "energy.measured.idle_w", "layers.metered"),
    *("variant.quantization", "quantized", "device"),
}
"""Null by nature: a layer that is no convolution has no groups, a result that passed has no complaint, a CPU has no
memory of its own, a network of float32 is not quantised, and a record without a farm has one device."""


def compiled(folder: Path, variant: Variant, **changes: Any) -> Artifact:
    """Return an artifact of a network: every layer has one kernel, the first has two."""
    layers = []
    for index, spec in enumerate(architectures.layers(variant)):
        cost = costs.of_layer(spec, variant.dtype)
        kernels = (f"k{index}a", f"k{index}b") if index == 0 else (f"k{index}",)
        layers.append(
            LayerPlan(
                name=spec.name, block=spec.block, role=spec.role, inputs=spec.inputs, op=spec.op,
                operations=spec.operations, kernels=kernels, input_shape=spec.input_shape,
                output_shape=spec.output_shape, kernel_size=spec.kernel_size, stride=spec.stride, groups=spec.groups,
                macs=cost.macs, params=cost.params,
                weight_bytes=cost.weight_bytes, activation_bytes=cost.activation_bytes, workspace_bytes=0,
                parallel_loops=1,
            )
        )  # fmt: skip
    calls = tuple((kernel, index) for index, layer in enumerate(layers) for kernel in layer.kernels)
    manifest = Manifest(
        digest="0" * 32, inputs={}, variant=variant, target="host", compile_s=1.0,
        schedules={kernel: "a rule" for kernel, _ in calls}, fallbacks={}, narrow={}, calls=calls,
        layers=tuple(layers), replaced=architectures.replaced(variant), weight_bytes=4_000_000,
        activation_peak_bytes=1_000_000, workspace_bytes=0, files={},
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    manifest = msgspec.structs.replace(manifest, **changes)
    (folder / artifact.LIBRARY).write_bytes(b"code")
    (folder / artifact.REFERENCE).write_bytes(b"numbers")
    (folder / artifact.MANIFEST).write_bytes(msgspec.json.encode(manifest))
    return Artifact(folder, manifest)


def observed(built: Artifact, *, runs: int = 5, kernel_s: float = 1e-4, **changes: Any) -> Observation:
    """Return what a device would see of an artifact if each kernel took `kernel_s`, a little more with each run."""
    calls_s = tuple(
        tuple(kernel_s * (1 + 0.01 * run + 0.001 * number) for run in range(runs))
        for number in range(len(built.manifest.calls))
    )
    whole = kernel_s * len(calls_s) * 1.1
    seen = Observation(
        threads=2, affinity=(0, 1), numerics=PASSED, process_peak_bytes=10**8, warmup_runs=18, warmup_s=0.1, wall_s=1.0,
        others_busy_s=0.0, latency_s=tuple(whole * (1 + 0.001 * run) for run in range(runs)),
        calls_s=calls_s, began_utc=MOMENT.at_utc,
        overhead_s=(1e-5,) * runs, instrument_cost_s=1e-7, energy_missing="no energy meter here",
        conditions_before=MOMENT, conditions_after=MOMENT,
    )  # fmt: skip
    return msgspec.structs.replace(seen, **changes)


def unseen(numerics: Numerics) -> Observation:
    """Return what a device sees of an artifact whose result is wrong."""
    return Observation(threads=2, affinity=(0, 1), numerics=numerics)


def counted(built: Artifact, *, target: str = "host", caches: bool = True, **changes: Any) -> CountedRun:
    """Return what an emulator would count of an artifact: call number n (from 1) executes 1000 n instructions."""
    calls = tuple(
        CallCounts(
            counters=Counters(
                instructions=1000 * n, loads=300 * n, stores=100 * n, load_bytes=4800 * n, store_bytes=1600 * n,
                vector_instructions=800 * n, fma_instructions=500 * n, flops=4100 * n,
            ),
            traffic_bytes={"L1": 6400 * n, "L2": 640 * n, "DRAM": 64 * n} if caches else None,
        )
        for n, _ in enumerate(built.manifest.calls, start=1)
    )  # fmt: skip
    names = [layer.name for layer in built.manifest.layers]
    run = CountedRun(
        calls=calls, layers=tuple(names[index] for _, index in built.manifest.calls), target=target,
        artifact_digest=built.manifest.digest, emulator="qemu-aarch64 7.2, cortex-a72", method="counted in emulation",
        traffic_method="a model of caches" if caches else None,
    )  # fmt: skip
    return msgspec.structs.replace(run, **changes)


def emulated(built: Artifact, **changes: Any) -> Observation:
    """Return what an emulator sees of an artifact: whether the result is right, and counts; no time."""
    seen = Observation(threads=1, affinity=None, numerics=PASSED, counted=counted(built))
    return msgspec.structs.replace(seen, **changes)


class Device:
    """Answers at once. `behaviour` by variant: an observation, or an exception to raise."""

    kind = "local"
    name = "local"

    def __init__(self, behaviour: dict[str, Any] | None = None, peaks: Any = None) -> None:
        self.behaviour = behaviour or {}
        self.peaks = peaks or factory.record().device.calibration
        self.calibrated = 0
        self.types_calibrated: list[str] = []
        self.byte_peak: Any = BYTE_PEAK
        self.plans: list[MeasurePlan] = []
        self.closed = False

    def calibrate(self, target: Target, threads: int, report: Callable[[str, float], None]) -> Calibration:
        self.calibrated += 1
        report("calibrating", 0.0)
        return cast(Calibration, _answer(self.peaks))

    def calibrate_type(
        self, target: Target, threads: int, dtype: str, report: Callable[[str, float], None]
    ) -> Calibration:
        self.types_calibrated.append(dtype)
        return cast(Calibration, _answer(self.byte_peak))

    def measure(self, built: Artifact, plan: MeasurePlan, report: Callable[[str, float], None]) -> Observation:
        self.plans.append(plan)
        report("measuring", 0.5)
        return cast(Observation, _answer(self.behaviour.get(built.manifest.variant.name, observed(built))))

    def close(self) -> None:
        self.closed = True


def _answer(planned: Any) -> Any:
    if isinstance(planned, BaseException):
        raise planned
    return planned


class InThisProcess(concurrent.futures.Executor):
    """Runs a task as soon as it is submitted."""

    def submit(self, task: Callable[..., Any], /, *arguments: Any, **named: Any) -> concurrent.futures.Future[Any]:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        try:
            future.set_result(task(*arguments, **named))
        except Exception as error:  # noqa: BLE001 - it belongs to the future
            future.set_exception(error)
        return future

    def submit_within(self, _limits: Any, task: Callable[..., Any], /, *arguments: Any) -> Any:
        return self.submit(task, *arguments)


def no_children(*_workers: Any) -> concurrent.futures.Executor:
    """Take the place of `builds.children`."""
    return InThisProcess()


class Progress:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, str, float]] = []
        self.notes: list[str] = []

    def stage(self, variant: str, stage: str, fraction: float) -> None:
        self.stages.append((variant, stage, fraction))

    def note(self, text: str) -> None:
        self.notes.append(text)


def variant(name: str = "mobilenet_v1_0.25_32") -> Variant:
    return variants.parse(name)


def nulls(result: Result) -> set[str]:
    """Return the dotted paths of the fields of a result that are null, without those that are so by nature."""
    return set(_nulls(result, "")) - OPTIONAL


def null_paths(value: msgspec.Struct) -> set[str]:
    """Return the dotted paths of all fields of a struct, and of those inside of it, that are null."""
    return set(_nulls(value, ""))


def _nulls(value: Any, path: str) -> Iterator[str]:
    if value is None:
        yield path
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _nulls(item, path)
    elif isinstance(value, msgspec.Struct) and path != "energy.coefficients" and not isinstance(value, Conditions):
        for name in value.__struct_fields__:
            yield from _nulls(getattr(value, name), f"{path}.{name}".lstrip("."))


DISTURBED_SHARE = 2 * activity.DISTURBED
