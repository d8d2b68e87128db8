"""What a job's device sees of its artifacts, and what is counted in emulation beside it. Writes no record."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import msgspec

from mbench import devices
from mbench.core import dtypes, resources
from mbench.core.artifact import Artifact
from mbench.core.errors import MeasureError
from mbench.core.machine_types import Calibration, Device, DeviceKind, Gpu, Target
from mbench.core.progress import Note, Progress, Report
from mbench.core.records import Failure
from mbench.core.settings import Settings
from mbench.devices.process import WorkerDied
from mbench.devices.protocols import Calibrator, DeviceRunner, Emulates, MeasuresAhead, MeasuresTypes
from mbench.hardware import device_kinds, platforms, targets
from mbench.measure import sessions, type_peaks
from mbench.measure.observation import MeasurePlan, Observation, PaceLoops
from mbench.pipeline import calibrations
from mbench.pipeline.job import Job


def open_device(job: Job, kind: DeviceKind, target: Target, progress: Progress) -> DeviceRunner:
    """Return a device for a job, held exclusively until it is closed.

    Raises:
        UsageError: this machine lacks something that the device needs.
    """
    timeout_s = job.settings.timeout_s
    carried = job.place.emulator(target, timeout_s=timeout_s, note=progress.note) if _counts(kind) else None
    return carried or devices.open_device(
        kind,
        target,
        job.address,
        lock_dir=resources.cache_dir(),
        timeout_s=timeout_s,
        waiting=progress.note,
    )


def _counts(kind: DeviceKind) -> bool:
    return device_kinds.of(kind).counts_only


def measure_ahead(job: Job, device: DeviceRunner, artifacts: Sequence[Artifact]) -> None:
    """Let a device that has others do its work begin with all that it will be asked for."""
    if isinstance(device, MeasuresAhead):
        device.measure_ahead([(each, plan(job.settings, each)) for each in artifacts])


def described(job: Job, device: DeviceRunner, progress: Progress) -> tuple[Device, Calibration | None]:
    """Return the device as the record names it, with the peaks that a short measurement shows."""
    found = Device(kind=job.device, name=job.device_name or device.name, gpu=_gpu(job))
    if isinstance(device, Emulates):
        found = msgspec.structs.replace(found, emulator=device.emulator)
    peaks = measured_peaks(job, device, functools.partial(progress.stage, "machine"), progress.note)
    if isinstance(peaks, str):
        return msgspec.structs.replace(found, missing={"calibration": peaks}), None
    return msgspec.structs.replace(found, calibration=peaks), peaks


def measured_peaks(job: Job, device: DeviceRunner, report: Report, note: Note) -> Calibration | str:
    """Return the peaks that a short measurement shows on a device, or why there are none."""
    if not isinstance(device, Calibrator):
        return device_kinds.of(job.device).no_time or f"the device {device.name} cannot measure its own peaks"
    target = job.target_as_run
    try:
        peaks = calibrations.peaks(device, target, job.host, job.settings.threads, report, use_cache=job.use_cache)
    except MeasureError as error:
        note(f"the machine's peaks could not be measured: {error}")
        return str(error)
    for dtype in type_peaks.SOURCES:
        if isinstance(device, MeasuresTypes) and any(network.dtype == dtype for network in job.networks):
            try:
                peaks = calibrations.with_type(peaks, dtype, device, target, job.host, report, use_cache=job.use_cache)
            except MeasureError as error:
                note(f"the machine's peak in {dtype} could not be measured: {error}")
    return peaks


def _gpu(job: Job) -> Gpu | None:
    return platforms.of(job.target).detect() if device_kinds.of(job.device).here else None


def observe(
    job: Job,
    device: DeviceRunner,
    artifact: Artifact,
    report: Report,
    counting: Counting | None,
    *,
    pace: PaceLoops | None,
    meter: bool,
) -> Observation | Failure:
    """Return what one session of a device saw of an artifact, or why it saw nothing.

    Args:
        job: the run.
        device: where to measure.
        artifact: what to measure.
        report: called with each stage.
        counting: counts in emulation, if that is wanted too.
        pace: loops that are timed between the samples.
        meter: whether meters of energy are read.
    """
    name = artifact.manifest.variant.name
    try:
        seen = device.measure(artifact, plan(job.settings, artifact, pace=pace, meter=meter), report)
    except MeasureError as error:
        return _failure(name, error)
    return counting.added(name, seen) if counting and seen.numerics.passed else seen


def _failure(name: str, error: MeasureError) -> Failure:
    stage, detail = (error.stage, error.detail) if isinstance(error, WorkerDied) else ("measuring", "")
    return Failure(variant=name, stage=stage, reason=str(error), detail=detail)


def plan(settings: Settings, artifact: Artifact, *, pace: PaceLoops | None = None, meter: bool = False) -> MeasurePlan:
    """Return how a session of an artifact is measured, with a layout of memory that is drawn."""
    return MeasurePlan(
        threads=settings.threads,
        number=settings.number,
        repeat=settings.repeat,
        layer_repeat=settings.layer_repeat,
        block=settings.block,
        warmup=settings.warmup,
        measure_max_s=settings.measure_max_s,
        tolerance=dtypes.of(artifact.manifest.variant.dtype).network_tolerance,
        memory_offset=sessions.draw_offset(),
        pace=pace,
        meter=meter,
    )


class Counting:
    """Counts in emulation, beside a measurement: the same networks, for the one target that all x86 machines share.

    Rules alone make its kernels, so that the counts are the same on every machine.
    """

    def __init__(self, job: Job, names: tuple[str, ...], progress: Progress) -> None:
        assert job.counted is not None
        self._job, self._progress = job, progress
        taken, networks = platforms.of(job.counted).types(job.counted), job.named(names)
        self._without = {
            network.name: f"target {job.counted.name!r}, whose code is counted, has no {network.dtype}"
            for network in networks
            if network.dtype not in taken
        }
        known = [network for network in networks if network.name not in self._without]
        target = targets.for_threads(job.counted, 1)  # as many as an emulated run has
        self._built = job.place.build_all(
            known, target, _silent, use_cache=job.use_cache, timeout_s=job.build_timeout_s, note=progress.note
        )
        self._device = open_device(job, "emulated", job.counted, progress)
        measure_ahead(job, self._device, [each[0] for each in self._built.values() if not isinstance(each, Failure)])

    def added(self, name: str, seen: Observation) -> Observation:
        """Return an observation with the counts of the network, or with the reason why there are none."""
        if name in self._without:
            return msgspec.structs.replace(seen, counts_missing=self._without[name])
        built = self._built[name]
        if isinstance(built, Failure):
            return msgspec.structs.replace(seen, counts_missing=built.reason)
        try:
            counted = self._device.measure(
                built[0], plan(self._job.settings, built[0]), functools.partial(self._progress.stage, name)
            )
        except MeasureError as error:
            return msgspec.structs.replace(seen, counts_missing=str(error))
        missing = counted.counts_missing or (None if counted.numerics.passed else counted.numerics.detail)
        return msgspec.structs.replace(seen, counted=counted.counted, counts_missing=missing)

    def close(self) -> None:
        """Let the emulated machine go."""
        self._device.close()


def _silent(_variant: str, _stage: str, _fraction: float) -> None:
    """Say nothing: the same network is shown already."""
