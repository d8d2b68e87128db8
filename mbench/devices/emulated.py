"""A machine that is not there, executed by QEMU: real code for the target, checked and counted. Nothing is timed here.

Emulated time means nothing for the hardware, so it is not read.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from mbench.core import scratch
from mbench.core.artifact import Artifact
from mbench.core.machine_types import Target
from mbench.core.progress import Note, Report
from mbench.devices import emulation, worker
from mbench.devices.process import WorkerDevice
from mbench.measure.observation import MeasurePlan, Observation

_PATIENCE = 6
"""Times the silence that a run on hardware may keep: a single emulated run can take minutes."""


class EmulatedDevice(WorkerDevice):
    """The emulated machine of one target."""

    name = "emulated"

    def __init__(self, target: Target, *, lock_dir: Path, timeout_s: float, waiting: Note) -> None:
        """Build what is needed and not there yet. `timeout_s`: six times that is the longest silence of a run."""
        self.machine = emulation.prepare(target, waiting)
        super().__init__(
            f"device-emulated-{target.name}",
            where=f"in emulation of {target.name}",
            lock_dir=lock_dir,
            timeout_s=_PATIENCE * timeout_s,
            waiting=waiting,
        )

    @property
    def emulator(self) -> str:
        """Program, version and processor."""
        return self.machine.name

    def measure(self, artifact: Artifact, plan: MeasurePlan, report: Report) -> Observation:
        """Check an artifact's numerics and count one run."""
        with scratch.temporary() as work:
            return cast(Observation, self.run(worker.emulate, (artifact.folder, plan, self.machine, work), 1, report))
