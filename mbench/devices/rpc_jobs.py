"""Jobs of worker processes that work at the other end of a line (see `mbench.devices.worker`)."""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mbench.core.errors import MeasureError
from mbench.core.progress import Report
from mbench.devices.address import Address
from mbench.hardware import linker
from mbench.measure.observation import MeasurePlan, Observation
from mbench.measure.sustain import SensorReading, SustainedRun, SustainPlan

if TYPE_CHECKING:
    from mbench.core.artifact import Artifact
    from mbench.core.machine_types import Calibration, Target
    from mbench.core.records import MeteredEnergy
    from mbench.devices.line import Line
    from mbench.devices.remote_host import Snapshot
    from mbench.devices.remote_program import RemoteProgram

_LEAST_MEMORY_BYTES = 1 << 28
"""Taken where a device does not report how much it has to spare."""


def measure(
    send: Report, address: Address, work: Path, patience_s: float, folder: Path, plan: MeasurePlan
) -> Observation:
    """Job: check an artifact's numerics on a device, then time it there.

    Args:
        send: called with each stage.
        address: of the device.
        work: an empty folder, for what the device reports of itself.
        patience_s: how long to wait for a tracker's device.
        folder: the artifact.
        plan: how to measure.
    """
    loaded = _artifact(send, folder)
    with _connected(send, address, patience_s, loaded.manifest.target) as line:
        return _Measuring(send, line, loaded, plan, work).observe()


def sustain(
    send: Report, address: Address, work: Path, patience_s: float, folder: Path, plan: SustainPlan
) -> SustainedRun:
    """Job: check an artifact's numerics on a device, then run it there without a pause for a time.

    Args:
        send: called with each stage.
        address: of the device.
        work: an empty folder.
        patience_s: how long to wait for a tracker's device.
        folder: the artifact.
        plan: how to put it under load.
    """
    loaded = _artifact(send, folder)
    with _connected(send, address, patience_s, loaded.manifest.target) as line:
        return _sustained(send, line, loaded, plan)


def _artifact(send: Report, folder: Path) -> Artifact:
    """Return the artifact of a folder, in a stage of its own: no device is to blame for one that is damaged.

    Raises:
        BuildError: it cannot be read, or was changed.
    """
    send("reading", 0.0)
    from mbench.core import artifact

    return artifact.load(folder)


@contextlib.contextmanager
def _connected(send: Report, address: Address, patience_s: float, target: str) -> Iterator[Line]:
    """Yield a line to a device, and close it.

    Raises:
        MeasureError: nobody answers, or what is done over the line failed at the other end.
    """
    send("connecting", 0.0)
    from mbench.devices import answers
    from mbench.devices import line as lines

    answers.bound_memory()
    line = lines.connect(address, waiting=lambda text: send(text, 0.0), patience_s=patience_s)
    with contextlib.closing(line):
        try:
            yield line
        except RuntimeError as error:  # TVM's, from the other end or about the line
            raise MeasureError(lines.explain(error, line, target)) from error
        except answers.UNUSABLE as error:
            raise answers.unusable(address, f"{type(error).__name__}: {error}") from error


def _sustained(send: Report, line: Line, loaded: Artifact, plan: SustainPlan) -> SustainedRun:
    from mbench.devices import remote_host
    from mbench.devices.remote_program import RemoteProgram
    from mbench.measure import numerics, sensing
    from mbench.measure import sustain as load

    _upload(send, line, loaded)
    sense: Callable[[], SensorReading] = SensorReading
    why = dict.fromkeys(sensing.WHY, only_mbenchs(line))
    if line.info is not None:
        sense, why = remote_host.Sensors(line).read, sensing.WHY
    line.set_threads(plan.threads)
    net = RemoteProgram(line, loaded)
    send("checking", 0.0)
    numerics.require(net.run(), net.expected, plan.tolerance)
    send(load.STAGE, 0.0)
    now = datetime.datetime.now(datetime.UTC)
    return load.run(
        net, plan.seconds, sense, began_utc=now.isoformat(timespec="milliseconds"), why=why,
        shortest_s=load.FAR_SLICE_S, progress=functools.partial(send, load.STAGE),
    )  # fmt: skip


def _upload(send: Report, line: Line, loaded: Artifact) -> None:
    """Bring an artifact's library to a device.

    Raises:
        MeasureError: it is for another architecture, or cannot be written there.
    """
    manifest = loaded.manifest
    triple = str(json.loads(manifest.inputs["tvm_target"]).get("mtriple", ""))
    check_architecture(line, triple, manifest.target)
    send("uploading", 0.0)
    line.upload(loaded.library, lambda fraction: send("uploading", fraction))
    send("loading", 0.0)


def calibrate(
    send: Report, address: Address, work: Path, patience_s: float, target: Target, threads: int
) -> Calibration:
    """Job: measure the peaks of a device.

    Args:
        send: called with each stage.
        address: of the device.
        work: an empty folder, for the kernels.
        patience_s: how long to wait for a tracker's device.
        target: what the kernels are built for.
        threads: that they run on.
    """
    from mbench.measure import cpu_peaks

    return _calibrated(cpu_peaks.calibrate, send, address, work, patience_s, target, threads)


def calibrate_type(
    send: Report, address: Address, work: Path, patience_s: float, target: Target, threads: int, dtype: str
) -> Calibration:
    """Job: measure the peak of a device in multiply-adds of a type; see `calibrate`."""
    from mbench.measure import type_peaks

    measured = functools.partial(type_peaks.calibrate, dtype=dtype)
    return _calibrated(measured, send, address, work, patience_s, target, threads)


def _calibrated(
    measured: Callable[..., Calibration],
    send: Report,
    address: Address,
    work: Path,
    patience_s: float,
    target: Target,
    threads: int,
) -> Calibration:
    with _connected(send, address, patience_s, target.name) as line:
        place = _RemoteBoard(line, str(target.tvm.get("mtriple", "")), target.name, work)
        line.set_threads(threads)
        send("calibrating", 0.0)
        return measured(target, threads, progress=functools.partial(send, "calibrating"), place=place)


class _RemoteBoard:
    """Where the kernels of a calibration run: they are linked here and uploaded."""

    def __init__(self, line: Line, triple: str, target: str, work: Path) -> None:
        from mbench.devices import remote_host

        check_architecture(line, triple, target)
        self.device = line.remote.cpu()
        self._line, self._triple, self._work = line, triple, work
        self._loaded, self._start = 0, time.perf_counter()
        if line.info is None:
            raise MeasureError(only_mbenchs(line))
        self._before = remote_host.look(line, work / "before")
        self.memory_bytes = self._before.available_memory_bytes() or _LEAST_MEMORY_BYTES

    def load(self, kernels: Any, target: Any) -> Any:
        """Compile, link and upload kernels; return the module that runs them on the device."""
        import tvm

        from mbench.compile import codegen

        self._loaded += 1
        library = self._work / f"kernels{self._loaded}.so"
        codegen.export(tvm.compile(kernels, target=target), library, linker.find(self._triple))
        self._line.upload(library)
        return self._line.remote.load_module(library.name)

    def others_busy(self) -> float | None:
        """Return the processors that other processes of the device kept busy."""
        from mbench.devices import remote_host

        then, now = self._before.others_busy_s(), remote_host.look(self._line, self._work / "after").others_busy_s()
        if then is None or now is None:
            return None
        return max(0.0, now - then) / (time.perf_counter() - self._start)


def only_mbenchs(line: Line) -> str:
    """Return why something cannot be had from a server that is not mbench's."""
    return (
        f"the server at {line.address} is TVM's own, which has no functions for this; "
        "start mbench's there: 'mbench device serve'"
    )


def check_architecture(line: Line, triple: str, target: str) -> None:
    """Refuse a library for another architecture than the device's, before it is uploaded.

    Raises:
        MeasureError: it is for another one.
    """
    if line.info is None or not triple:
        return
    built, there = linker.architecture(triple), linker.architecture(line.info.architecture)
    if built != there:
        raise MeasureError(
            f"the device at {line.address} is {there}, the target {target} is {built}; "
            "choose a target of the device's architecture, see 'mbench targets'"
        )


class _Measuring:
    """One measurement over a line, step by step; what was seen so far is in `seen`."""

    def __init__(self, send: Report, line: Line, loaded: Artifact, plan: MeasurePlan, work: Path) -> None:
        self._send, self._line, self._loaded, self._plan, self._work = send, line, loaded, plan, work
        self.seen: dict[str, Any] = {}

    def observe(self) -> Observation:
        """Return what the device saw."""
        from mbench.measure import latency, memory, numerics

        first = self._load()
        outputs = first.run()
        self.seen["memory_method"] = memory.REMOTE_METHOD
        self._send("checking", 0.0)
        self.seen["numerics"] = numerics.worst(outputs, first.expected, self._plan.tolerance)
        if not self.seen["numerics"].passed:
            return Observation(**self.seen)
        before = self._before()
        start, now = time.perf_counter(), datetime.datetime.now(datetime.UTC)
        self.seen["began_utc"] = now.isoformat(timespec="milliseconds")
        self._send("warming up", 0.0)
        self.seen["warmup_runs"], self.seen["warmup_s"] = latency.warm_up(first, self._plan.warmup)
        if before is not None:
            self.seen["process_peak_bytes"] = self._look("warm").process_peak_bytes()
        self._send("measuring", 0.0)
        self.seen["latency_s"] = latency.whole(first, self._plan, functools.partial(self._send, "measuring"))
        if before is not None:
            self._time_layers(first)
        self.seen["wall_s"] = time.perf_counter() - start
        if before is not None:
            self._after(first, before)
        return Observation(**self.seen)

    def _load(self) -> RemoteProgram:
        from mbench.devices.remote_program import RemoteProgram

        _upload(self._send, self._line, self._loaded)
        self._describe()
        self.seen["threads"] = self._line.set_threads(
            self._plan.threads
        )  # binds this process, so the machine was first
        self.seen["affinity"] = None
        return RemoteProgram(self._line, self._loaded)

    def _describe(self) -> None:
        """Let the device describe itself, if it can."""
        if self._line.info is not None:
            self.seen["machine"] = self._look("found").machine(self._line.info)
        else:
            self.seen["missing"] = self.seen["energy_missing"] = only_mbenchs(self._line)

    def _before(self) -> Snapshot | None:
        """Return what the device is doing before it is timed; None if it does not report it."""
        if self._line.info is None:
            return None
        snapshot = self._look("before")
        self.seen["affinity"] = snapshot.affinity()
        self.seen["conditions_before"] = snapshot.conditions()
        return snapshot

    def _time_layers(self, net: RemoteProgram) -> None:
        from mbench.measure import latency

        self._send("measuring layers", 0.0)
        self.seen["calls_s"], self.seen["overhead_s"], self.seen["instrument_cost_s"] = latency.layers(
            net,
            repeat=self._plan.layer_repeat,
            max_s=self._plan.measure_max_s,
            progress=functools.partial(self._send, "measuring layers"),
        )

    def _after(self, first: RemoteProgram, before: Snapshot) -> None:
        from mbench.measure import meters

        snapshot = self._look("after")
        then, now = before.others_busy_s(), snapshot.others_busy_s()
        self.seen["others_busy_s"] = None if then is None or now is None else max(0.0, now - then)
        self.seen["conditions_after"] = snapshot.conditions()
        if not self._plan.meter:
            return
        found = meters.find(snapshot.root)
        if found:
            self._send("metering energy", 0.0)
        self.seen["energy"] = self._meter(first, snapshot, found) if found else None
        if self.seen["energy"] is None:
            self.seen["energy_missing"] = meters.RESET if found else meters.MISSING

    def _meter(self, program: RemoteProgram, snapshot: Snapshot, found: list[Any]) -> MeteredEnergy | None:
        from mbench.measure import meters

        paths = tuple(f"/{meter.file.relative_to(snapshot.root)}" for meter in found)
        looped = program.loop(meters.WINDOW_S, paths)
        return meters.replayed(looped.samples, root=snapshot.root, runs=looped.runs)

    def _look(self, name: str) -> Snapshot:
        from mbench.devices import remote_host

        return remote_host.look(self._line, self._work / name)
