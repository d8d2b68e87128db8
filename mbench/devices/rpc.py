"""A machine at the other end of TVM's RPC as a device: a board with mbench's server, or any other TVM RPC server.

Its clocks, its memory, its sensors; here is only the worker process that talks to it. TVM's RPC has no authentication:
an SSH tunnel carries it to machines that are not next to this one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from mbench.core import names, scratch
from mbench.core.artifact import Artifact
from mbench.core.machine_types import Calibration, Target
from mbench.core.progress import Note, Report
from mbench.devices import rpc_jobs
from mbench.devices.address import SCHEME, Address
from mbench.devices.process import WorkerDevice
from mbench.measure.observation import MeasurePlan, Observation
from mbench.measure.sustain import SustainedRun, SustainPlan


class RpcDevice(WorkerDevice):
    """The device at an address."""

    def __init__(self, target: Target, address: str, *, lock_dir: Path, timeout_s: float, waiting: Note) -> None:
        """Wait until no other run of this machine measures there; nothing is connected yet.

        Args:
            target: what the artifacts are for.
            address: `rpc://host:port`, or `rpc://host:port/key` of a tracker.
            lock_dir: where locks and logs lie.
            timeout_s: bounds each silence of the device, and the wait for a tracker's.
            waiting: called with a line when another run measures there.

        Raises:
            UsageError: the address is none.
        """
        self.address = Address.parse(address)
        self.name = str(self.address)
        parts = (SCHEME, self.address.host, self.address.port, self.address.key)
        file = names.component("-".join(("device", *(str(part) for part in parts if part is not None))))
        self._stack = contextlib.ExitStack()
        if self.address.key is not None:  # a tracker has its own queue
            lock_dir = self._stack.enter_context(scratch.folder(lock_dir))
        super().__init__(
            file,
            where=f"on {self.name}",
            lock_dir=lock_dir,
            timeout_s=timeout_s,
            waiting=waiting,
        )

    def measure(self, artifact: Artifact, plan: MeasurePlan, report: Report) -> Observation:
        """Check and time an artifact on the device."""
        return cast(Observation, self._work_there(rpc_jobs.measure, (artifact.folder, plan), report))

    def sustain(self, artifact: Artifact, plan: SustainPlan, report: Report) -> SustainedRun:
        """Check an artifact on the device, then run it there without a pause for a time."""
        return cast(SustainedRun, self._work_there(rpc_jobs.sustain, (artifact.folder, plan), report))

    def calibrate(self, target: Target, threads: int, report: Report) -> Calibration:
        """Measure peak FLOP/s and the bandwidth of each cache level of the device."""
        return cast(Calibration, self._work_there(rpc_jobs.calibrate, (target, threads), report))

    def calibrate_type(self, target: Target, threads: int, dtype: str, report: Report) -> Calibration:
        """Measure the device's peak in multiply-adds of a type."""
        return cast(Calibration, self._work_there(rpc_jobs.calibrate_type, (target, threads, dtype), report))

    def close(self) -> None:
        """Let other runs measure."""
        super().close()
        self._stack.close()

    def _work_there(self, job: Callable[..., Any], arguments: tuple[Any, ...], report: Report) -> Any:
        """Run a job of `mbench.devices.rpc_jobs`, with a folder that is gone afterwards, however it ends."""
        address = self._entrance(report)
        with scratch.temporary() as work:
            return self.run(job, (address, work, self._timeout_s, *arguments), 1, report)

    def _entrance(self, report: Report) -> Address:
        """Return where the next session connects."""
        return self.address

    def _silence(self, silence_s: float) -> str:
        return (
            f"the device at {self.name} was silent for {silence_s:g} s; the line was dropped, "
            "which ends what still runs there"
        )
