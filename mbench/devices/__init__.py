"""Where an artifact runs. A device calibrates itself and measures one artifact at a time, holding its hardware alone.

`local` measures on this machine, in a worker process of its own. Others are added to `OPENERS` by kind.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from mbench.artifact import Artifact
from mbench.compile.tuning import Readings, SearchPlan, TimingPlan
from mbench.devices import local
from mbench.errors import UsageError
from mbench.measure.observation import Observation, Plan
from mbench.records import Calibration, Target

Report = Callable[[str, float], None]
"""Called with a stage (`warming up`, `measuring`, …) and how far it is, from 0 to 1."""


class Device(Protocol):
    """Something that runs artifacts."""

    kind: str
    name: str

    def calibrate(self, target: Target, threads: int, report: Report) -> Calibration:
        """Measure the ceilings of the hardware."""
        ...

    def measure(self, artifact: Artifact, plan: Plan, report: Report) -> Observation:
        """Run and time an artifact.

        Raises:
            WorkerDied: the process that ran it crashed, was killed, or hung.
            MeasureError: it could not be measured.
        """
        ...

    def time_kernel(self, plan: TimingPlan, report: Report) -> Readings:
        """Time candidates of one kernel.

        Raises:
            WorkerDied: the process that ran them crashed, was killed, or hung; the plan's log says where.
            MeasureError: what the rules choose computes something wrong.
        """
        ...

    def search_kernel(self, plan: SearchPlan, report: Report) -> int:
        """Let MetaSchedule search schedules of one kernel; return how many its database has.

        Raises:
            WorkerDied: the process crashed, was killed, or hung. What was timed up to then is in the database.
            MeasureError: none of its schedules could be timed.
        """
        ...

    def close(self) -> None:
        """Let the hardware go."""
        ...


OPENERS: dict[str, Callable[..., Device]] = {"local": local.LocalDevice}


def open_device(kind: str, *, lock_dir: Path, timeout_s: float, waiting: Callable[[str], None]) -> Device:
    """Return a device, held exclusively until it is closed.

    Raises:
        UsageError: the kind is not known.
    """
    if kind not in OPENERS:
        raise UsageError(f"device {kind!r} is not known; expected one of: {', '.join(OPENERS)}")
    return OPENERS[kind](lock_dir=lock_dir, timeout_s=timeout_s, waiting=waiting)
