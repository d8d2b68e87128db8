"""This machine as a device."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from mbench.core.artifact import Artifact
from mbench.core.machine_types import Calibration, Target
from mbench.core.progress import Note, Report
from mbench.devices import worker
from mbench.devices.process import WorkerDevice
from mbench.measure.duel import Bout, DuelPlan
from mbench.measure.observation import MeasurePlan, Observation, PaceLoops
from mbench.measure.sustain import SustainedRun, SustainPlan

LOCK, WHERE = "device-local", "on this machine"
"""The lock that whoever measures on this machine holds, and what waiting for it is called."""


class LocalDevice(WorkerDevice):
    """This machine."""

    name = "local"

    def __init__(self, *, lock_dir: Path, timeout_s: float, waiting: Note = lambda _: None) -> None:
        """Wait until no other run measures here. `timeout_s` bounds each silence of the worker."""
        super().__init__(LOCK, where=WHERE, lock_dir=lock_dir, timeout_s=timeout_s, waiting=waiting)

    def calibrate(self, target: Target, threads: int, report: Report) -> Calibration:
        """Measure peak FLOP/s and the bandwidth of each cache level."""
        return cast(Calibration, self.run(worker.calibrate, (target, threads), threads, report))

    def calibrate_type(self, target: Target, threads: int, dtype: str, report: Report) -> Calibration:
        """Measure the peak in multiply-adds of a type."""
        return cast(Calibration, self.run(worker.calibrate_type, (target, threads, dtype), threads, report))

    def measure(self, artifact: Artifact, plan: MeasurePlan, report: Report) -> Observation:
        """Check and time an artifact."""
        return cast(Observation, self.run(worker.measure, (artifact.folder, plan), plan.threads, report))

    def sustain(self, artifact: Artifact, plan: SustainPlan, report: Report) -> SustainedRun:
        """Check an artifact, then run it without a pause for a time."""
        return cast(SustainedRun, self.run(worker.sustain, (artifact.folder, plan), plan.threads, report))

    def build_pace(self, loops: PaceLoops, report: Report) -> None:
        """Compile the loops that sessions time between their samples."""
        self.run(worker.build_pace, (loops,), loops.threads, report)

    def duel(self, base: Artifact, twin: Artifact, head: Artifact, plan: DuelPlan, report: Report) -> Bout:
        """Time artifacts against each other in one process."""
        folders = (base.folder, twin.folder, head.folder)
        return cast(Bout, self.run(worker.duel, (folders, plan), plan.threads, report))
