"""What devices can do, each ability by itself: a device implements only what it can, and callers ask for it.

`isinstance(device, Calibrator)` says whether a device has an ability. Timing artifacts against each other is
`mbench.measure.duel.Arena`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from mbench.core.artifact import Artifact
from mbench.core.machine_types import Calibration, Target
from mbench.core.progress import Report
from mbench.measure.observation import MeasurePlan, Observation, PaceLoops
from mbench.measure.sustain import SustainedRun, SustainPlan


@runtime_checkable
class DeviceRunner(Protocol):
    """Something that runs artifacts, one at a time; all devices do."""

    name: str

    def measure(self, artifact: Artifact, plan: MeasurePlan, report: Report) -> Observation:
        """Run an artifact; time it or count it.

        Raises:
            WorkerDied: the process that ran it crashed, was killed, or hung.
            MeasureError: it could not be measured.
        """
        ...

    def close(self) -> None:
        """Let the hardware go."""
        ...


@runtime_checkable
class Calibrator(Protocol):
    """A device whose peak FLOP/s and bandwidths can be measured."""

    name: str

    def calibrate(self, target: Target, threads: int, report: Report) -> Calibration:
        """Measure them at so many threads, with code for a target.

        Raises:
            WorkerDied: the process that did it crashed, was killed, or hung.
            MeasureError: they could not be measured.
        """
        ...


@runtime_checkable
class MeasuresTypes(Protocol):
    """A device whose peak in multiply-adds of other types than float32 can be measured."""

    name: str

    def calibrate_type(self, target: Target, threads: int, dtype: str, report: Report) -> Calibration:
        """Measure that of one type alone, at so many threads, with code for a target.

        Raises:
            WorkerDied: the process that did it crashed, was killed, or hung.
            MeasureError: it could not be measured.
        """
        ...


@runtime_checkable
class Paced(Protocol):
    """A device whose processors' pace can be read between samples."""

    def build_pace(self, loops: PaceLoops, report: Report) -> None:
        """Compile the loops that are timed for it.

        Raises:
            WorkerDied: the process that did it crashed, was killed, or hung.
            MeasureError: they could not be compiled.
        """
        ...


@runtime_checkable
class Sustains(Protocol):
    """A device that can run an artifact without a pause for a time."""

    def sustain(self, artifact: Artifact, plan: SustainPlan, report: Report) -> SustainedRun:
        """Check an artifact, then run it for that time; return its latency over the time.

        Raises:
            WorkerDied: the process that ran it crashed, was killed, or hung.
            MeasureError: it computes something wrong, or could not be run.
        """
        ...


@runtime_checkable
class MeasuresAhead(Protocol):
    """A device that has others do its work, several at once."""

    def measure_ahead(self, wanted: Sequence[tuple[Artifact, MeasurePlan]]) -> None:
        """Have artifacts run that `measure` will be asked for."""
        ...


@runtime_checkable
class Emulates(Protocol):
    """A device that is no hardware."""

    @property
    def emulator(self) -> str:
        """Program, version and processor."""
        ...
