"""One device of a farm: held, measured on, and checked with the reference network, which shows how it does.

It decides what is wrong with it and nothing else: who gets which job is in `farm_tasks`, the threads are in `farm`.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from mbench.core import stats, units
from mbench.core.artifact import Artifact
from mbench.core.errors import MeasureError, why
from mbench.core.farm_records import FarmDevice, SetAside
from mbench.core.machine_types import Host, Target
from mbench.core.progress import Note, Report
from mbench.devices.address import Address
from mbench.devices.farm_file import FarmFile
from mbench.devices.labgrid import LabgridPlace
from mbench.devices.rpc import RpcDevice
from mbench.devices.tickets import TicketOffice
from mbench.measure import drift
from mbench.measure.observation import MeasurePlan, Observation

_SILENCES = 3.0
"""Times what the reference network makes expected, after which a silence is a hang."""
_BLOCKS = 4
"""Of runs that a session may do without a word: three of its warm-up, and one of samples."""
_CYCLE_S = 120.0
"""How long a command may take that switches a board off and on."""
_LOCK_POLL_S = 0.5
_ENDED = "the run has ended"


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoardPlan:
    """How a device is reached."""

    name: str
    kind: str
    address: Address
    office: TicketOffice | None = None
    """Of the tracker that knows it under a key that others have too; then `address` is its own."""
    place: LabgridPlace | None = None
    power_cycle: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reference:
    """The network that shows how a device does."""

    artifact: Artifact
    plan: Callable[[], MeasurePlan]
    """Returns how it is measured, each time with a memory layout of its own."""


class FarmBoard:
    """A device of a farm, from the thread that uses it."""

    def __init__(
        self,
        plan: BoardPlan,
        reference: Reference,
        rules: FarmFile,
        *,
        opener: Callable[..., RpcDevice] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Contact nobody yet.

        Args:
            plan: how it is reached.
            reference: what it is checked with.
            rules: how patient to be with it.
            opener: opens the device, `opener(target, address, office, **common)`; by default one over RPC.
            clock: seconds.
        """
        self.name, self.plan = plan.name, plan
        self.first_s: list[float] = []
        """What the reference network took in the first sessions."""
        self.later_s: list[float] = []
        """And at intervals after them."""
        self.set_aside: list[SetAside] = []
        self.machine: Host | None = None
        self.calibration: Any = None
        self.missing: dict[str, str] = {}
        self.prepared = False
        """Whether what a run does once on it is done."""
        self.doubtful = False
        """Whether what was measured there since the last check may be wrong: it is slower, or computes wrongly."""
        self.unreached = 0
        """How often in a row it was not reached for a job, although it is right."""
        self._reference, self._rules, self._clock = reference, rules, clock
        self._opener = opener or _Entered
        self._device: RpcDevice | None = None
        self._stopped = False
        self._longest_silence_s = 0.0
        self._checked_s = 0.0

    # --------------------------------------------------------------------------------------------------------- holding
    def open(self, target: Target, *, lock_dir: Path, timeout_s: float, waiting: Note) -> None:
        """Hold the device, and its place.

        Raises:
            MeasureError: its place cannot be had, or the run has ended.
        """
        self._timeout_s = timeout_s
        if self.plan.place is not None:
            self.plan.place.acquire(waiting, timeout_s, lambda: self._stopped)
        told = ""
        while not self._stopped:
            try:
                self._device = self._opener(
                    target, str(self.plan.address), self.plan.office, lock_dir=lock_dir, timeout_s=timeout_s,
                    waiting=_busy,
                )  # fmt: skip
            except _Busy as busy:
                if str(busy) != told:
                    waiting(told := str(busy))
                time.sleep(_LOCK_POLL_S)
            else:
                return
        raise MeasureError(_ENDED)

    def close(self, note: Note) -> None:
        """Let the device and its place go."""
        if self._device is not None:
            self._device.close()
        if self.plan.place is not None:
            try:
                self.plan.place.release()
            except MeasureError as error:
                note(str(error))

    def stop(self) -> None:
        """End what it does, from another thread: whoever waits for it has an error."""
        self._stopped = True
        if self._device is not None:
            self._device.interrupt()

    # ------------------------------------------------------------------------------------------------------- measuring
    def measure(self, artifact: Artifact, plan: MeasurePlan, report: Report) -> Observation:
        """Measure one session of a network, with as much patience as the reference network makes expected.

        Raises:
            MeasureError: it could not be measured.
        """
        device = self.device
        device.wait_at_most(self.patience_s(artifact, plan))
        seen = device.measure(artifact, plan, report)
        self.machine = self.machine or seen.machine
        return seen

    def patience_s(self, artifact: Artifact, plan: MeasurePlan) -> float:
        """Return after which silence the device hangs: what its reference network needs, and the multiply-adds say.

        Before it has any figures, as long as any run may be silent.
        """
        if not self.first_s:
            return self._timeout_s
        larger = max(1.0, _macs(artifact) / max(1, _macs(self._reference.artifact)))
        runs_s = _BLOCKS * plan.block * plan.number * max(self.first_s) * larger
        needed_s = math.ceil(_SILENCES * (self._longest_silence_s + runs_s))
        return min(self._timeout_s, max(self._rules.patience_s, needed_s))

    # -------------------------------------------------------------------------------------------------------- checking
    @property
    def due(self) -> bool:
        """Whether its reference network is to be timed again."""
        return self._clock() - self._checked_s >= self._rules.check_every_s

    def _begin(self, report: Report) -> str | None:
        while len(self.first_s) < self._rules.reference_sessions:
            taken = self._time(report)
            if isinstance(taken, str):
                return taken
            self.first_s.append(taken)
        self._checked_s = self._clock()
        return None

    def check(self, report: Report) -> str | None:
        """Time the reference network, at first for the first figures; return what is wrong with the device, or None."""
        self.doubtful = False
        if len(self.first_s) < self._rules.reference_sessions:
            return self._begin(report)
        limit_s = drift.slowest_s(self.first_s, self._rules.max_slowdown)
        for _ in range(2):  # one session may have been disturbed
            taken = self._time(report)
            if isinstance(taken, str):
                return taken
            self.later_s.append(taken)
            if taken <= limit_s:
                self._checked_s = self._clock()
                return None
        first_s, self.doubtful = stats.median(self.first_s), True
        return (
            f"it drifts: its reference network takes {units.seconds(self.later_s[-1])}, at first it took "
            f"{units.seconds(first_s)}, and up to {units.seconds(limit_s)} is its own spread"
        )

    def put_aside(self, reason: str) -> None:
        """Note that it takes no jobs."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self.set_aside.append(SetAside(at_utc=now, reason=reason))

    def taken_back(self) -> None:
        """Note that it takes jobs again."""
        self.unreached = 0
        self.set_aside[-1] = msgspec.structs.replace(self.set_aside[-1], returned=True)

    @property
    def may_return(self) -> bool:
        """Whether it is tried again after having been set aside: once."""
        return len(self.set_aside) == 1

    def cycle_power(self) -> str | None:
        """Switch it off and on, where that can be done; return what was done, in words.

        Raises:
            MeasureError: that went wrong.
        """
        if self.plan.power_cycle:
            _called(self.plan.power_cycle)
            return "its power was cycled"
        if self.plan.place is not None:
            self.plan.place.cycle()
            return f"the power of its place {self.plan.place.name} was cycled"
        return None

    def described(self) -> FarmDevice:
        """Return it as the record has it."""
        missing = dict(self.missing)  # its thread adds to its own
        if self.machine is None:
            missing.setdefault("machine", "it never answered")
        return FarmDevice(
            name=self.name, kind=self.plan.kind, address=str(self.plan.address), machine=self.machine,
            calibration=self.calibration, reference_s=(*self.first_s, *self.later_s), set_aside=tuple(self.set_aside),
            missing=missing,
        )  # fmt: skip

    def _time(self, report: Report) -> float | str:
        """Return what the reference network takes, in seconds, or what is wrong."""
        longest = _Silences(report, self._clock)
        try:
            seen = self.measure(self._reference.artifact, self._reference.plan(), longest)
        except MeasureError as error:
            return str(error)
        if not seen.numerics.passed:
            self.doubtful = True
            return f"its reference network came out wrong: {seen.numerics.detail or 'beyond the tolerance'}"
        if not seen.latency_s:
            return "it does not time its reference network"
        self._longest_silence_s = max(self._longest_silence_s, longest.longest_s)
        return stats.median(seen.latency_s)

    @property
    def device(self) -> RpcDevice:
        """The device itself, once it is open.

        Raises:
            MeasureError: the run has ended.
        """
        if self._stopped or self._device is None:
            raise MeasureError(_ENDED)
        return self._device


class _Entered(RpcDevice):
    """A device that a tracker gives under a key that others have too: each session needs a ticket."""

    def __init__(self, target: Target, address: str, office: TicketOffice | None, **common: Any) -> None:
        self._office = office
        super().__init__(target, address, **common)

    def _entrance(self, report: Report) -> Address:
        if self._office is None:
            return self.address
        return self._office.ticket(
            self.address, lambda text: report(text, 0.0), self._timeout_s, lambda: self.interrupted
        )


class _Busy(Exception):
    """Another run of this machine measures there."""


def _busy(text: str) -> None:
    raise _Busy(text)


class _Silences:
    """A report that knows the longest time between two of its calls."""

    def __init__(self, report: Report, clock: Callable[[], float]) -> None:
        self._report, self._clock = report, clock
        self._last_s, self.longest_s = clock(), 0.0

    def __call__(self, stage: str, fraction: float) -> None:
        now_s = self._clock()
        self.longest_s, self._last_s = max(self.longest_s, now_s - self._last_s), now_s
        self._report(stage, fraction)


def _macs(artifact: Artifact) -> int:
    return sum(layer.macs for layer in artifact.manifest.layers)


def _called(command: tuple[str, ...]) -> None:
    """Run a command of the user's.

    Raises:
        MeasureError: it failed, or did not end.
    """
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=_CYCLE_S,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MeasureError(f"power_cycle {command[0]!r}: {why(error)}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise MeasureError(
            f"power_cycle {command[0]!r}: exit status {done.returncode}{f': {said[-1]}' if said else ''}"
        )
