"""This machine's NVIDIA GPU as a device, with the jobs that its worker does.

The worker is a process of its own as on a CPU; it holds the machine too, since the host launches every kernel.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

from mbench.core.artifact import Artifact
from mbench.core.machine_types import Calibration, Target
from mbench.core.progress import Note, Report
from mbench.devices import local
from mbench.devices.process import WorkerDevice
from mbench.hardware import cudart
from mbench.measure.observation import MeasurePlan, Observation
from mbench.measure.sustain import SustainedRun, SustainPlan


class GpuDevice(WorkerDevice):
    """CUDA's device 0 of this machine."""

    name = "local"

    def __init__(self, *, lock_dir: Path, timeout_s: float, waiting: Note = lambda _: None) -> None:
        """Wait until no other run measures on this machine. `timeout_s` bounds each silence of the worker."""
        super().__init__(local.LOCK, where=local.WHERE, lock_dir=lock_dir, timeout_s=timeout_s, waiting=waiting)

    def calibrate(self, target: Target, threads: int, report: Report) -> Calibration:
        """Measure peak FLOP/s and the bandwidth of L2 and DRAM."""
        return cast(Calibration, self.run(calibrate, (target,), threads, report))

    def measure(self, artifact: Artifact, plan: MeasurePlan, report: Report) -> Observation:
        """Check and time an artifact."""
        return cast(Observation, self.run(measure, (artifact.folder, plan), plan.threads, report))

    def sustain(self, artifact: Artifact, plan: SustainPlan, report: Report) -> SustainedRun:
        """Check an artifact, then run it without a pause for a time."""
        return cast(SustainedRun, self.run(sustain, (artifact.folder, plan), plan.threads, report))


def calibrate(send: Report, target: Target) -> Calibration:
    """Job: measure the peaks of the GPU."""
    send("calibrating", 0.0)
    _load_cuda()
    from mbench.measure import gpu_peaks

    with cudart.explaining("the peaks' arrays"):
        return gpu_peaks.calibrate(target, progress=lambda fraction: send("calibrating", fraction))


def measure(send: Report, folder: Path, plan: MeasurePlan) -> Observation:
    """Job: check an artifact's numerics on the GPU, then time it.

    Raises:
        MeasureError: the GPU has too little memory, went away, or CUDA refuses.
    """
    send("loading", 0.0)
    stream = _load_cuda()
    from mbench.core import artifact

    loaded = artifact.load(folder)
    with cudart.explaining(f"batch {loaded.manifest.variant.batch}"):
        return _measured(send, loaded, stream, plan)


def sustain(send: Report, folder: Path, plan: SustainPlan) -> SustainedRun:
    """Job: check an artifact's numerics on the GPU, then run it without a pause for a time.

    Raises:
        MeasureError: it computes something wrong, the GPU has too little memory, went away, or CUDA refuses.
    """
    send("loading", 0.0)
    stream = _load_cuda()
    from mbench.core import artifact
    from mbench.measure import gpu, numerics, program, sensing
    from mbench.measure import sustain as load

    loaded = artifact.load(folder)
    with cudart.explaining(f"batch {loaded.manifest.variant.batch}"):
        board = gpu.Board()
        program.use_threads(plan.threads)
        net = gpu.program(loaded, stream)
        send("checking", 0.0)
        numerics.require(net.run(), net.expected, plan.tolerance)
        sensors = sensing.OfGpu(board)
        send(load.STAGE, 0.0)
        return load.run(
            net, plan.seconds, sensors.read, began_utc=board.conditions().at_utc, why=sensors.why,
            shortest_s=load.FAR_SLICE_S, progress=lambda fraction: send(load.STAGE, fraction),
        )  # fmt: skip


def _load_cuda() -> cudart.Runtime:
    """Load CUDA's runtime, so that tvm finds it, which is imported after this with its compiler: it compiles CUDA C."""
    cudart.prepare_tvm()
    return cudart.Runtime()


def _measured(send: Report, loaded: Artifact, stream: cudart.Runtime, plan: MeasurePlan) -> Observation:
    import statistics

    from mbench.core import artifact
    from mbench.measure import activity, events, gpu, latency, memory, numerics, program

    board, free_bytes = gpu.Board(), stream.free_bytes()
    seen: dict[str, Any] = {"threads": program.use_threads(plan.threads), "affinity": program.affinity()}
    seen["memory_method"] = gpu.MEMORY_METHOD
    start = time.perf_counter()
    first = gpu.program(loaded, stream)
    seen["load_s"], start = time.perf_counter() - start, time.perf_counter()
    first.run()
    seen["first_s"] = time.perf_counter() - start
    send("checking", 0.0)
    for entry in dict.fromkeys((first.whole, artifact.ENTRY)):
        seen["numerics"] = numerics.worst(first.run(entry), first.expected, plan.tolerance)
        if not seen["numerics"].passed:
            return Observation(**seen)
    seen["device_bytes"] = max(0, free_bytes - stream.free_bytes())
    seen["conditions_before"] = before = board.conditions()
    seen["began_utc"] = before.at_utc
    watch = activity.Watch()
    send("warming up", 0.0)
    seen["warmup_runs"], seen["warmup_s"] = latency.warm_up(first, plan.warmup)
    seen["process_peak_bytes"] = memory.process_peak_bytes()
    send("measuring", 0.0)
    seen["latency_method"] = events.METHOD
    seen["latency_s"] = latency.whole(first, plan, lambda fraction: send("measuring", fraction))
    seen["conditions_after"] = board.conditions()
    send("measuring layers", 0.0)
    seen |= gpu.layers(
        first,
        stream,
        repeat=plan.layer_repeat,
        max_s=plan.measure_max_s,
        whole_s=seen["latency_s"],
        progress=lambda fraction: send("measuring layers", fraction),
    )
    seen["wall_s"], seen["others_busy_s"] = watch.read_s()
    if not plan.meter:
        return Observation(**seen)
    send("metering energy", 0.0)
    energy = board.energy(first.launch, stream.wait, run_s=statistics.median(seen["latency_s"]))
    seen["energy_missing" if isinstance(energy, str) else "energy"] = energy
    if "energy" in seen and "calls_s" in seen:
        layers, runs_s = gpu.layers_alone(first, seen["calls_s"])
        found = board.layer_energy(
            layers, stream.wait, runs_s=runs_s, progress=lambda fraction: send("metering layers", fraction)
        )
        seen["energy_missing" if isinstance(found, str) else "layer_energy"] = found
    return Observation(**seen)
