"""Boards of a farm that are none: what they answer is written down, and their clock goes as it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mbench.core.records import Numerics
from mbench.devices.address import Address
from mbench.devices.farm_board import BoardPlan, FarmBoard, Reference
from mbench.devices.farm_file import FarmEntry, FarmFile
from mbench.devices.farm_tasks import FarmTask
from mbench.devices.process import WorkerDied
from mbench.measure.observation import Observation

REFERENCE = "reference"
MACS = 1000
PLAN: Any = SimpleNamespace(block=8, number=1)


def rules(**fields: Any) -> FarmFile:
    """Return the rules of a farm file whose pauses take no time."""
    entry = FarmEntry(rpc="10.0.0.21:9090", targets=("x86_64_v2",))
    return FarmFile(format_version=1, devices={"one": entry}, **{"reference_sessions": 3, "pause_s": 0.01, **fields})


def artifact(name: str, macs: int = MACS) -> Any:
    """Return what a board reads of an artifact."""
    layers = (SimpleNamespace(macs=macs),)
    return SimpleNamespace(manifest=SimpleNamespace(variant=SimpleNamespace(name=name), layers=layers, digest="ab"))


def task(name: str) -> FarmTask:
    """Return a task."""
    return FarmTask(artifact(name))


def seen(seconds: float = 0.01, *, right: bool = True) -> Observation:
    """Return what a session saw."""
    numerics = Numerics(
        max_abs_error=0.0, max_rel_error=0.0, tolerance=1e-4, reference="PyTorch", passed=right,
        detail=None if right else "all zeros",
    )  # fmt: skip
    return Observation(numerics=numerics, threads=1, affinity=None, latency_s=(seconds,) * 3 if right else None)


class Device:
    """Answers by name of the network; text that `said` gives is raised, as what failed in `stage`."""

    def __init__(self, said: Callable[[str], Observation | str], stage: str = "measuring") -> None:
        self.said, self.stage, self.closed = said, stage, False
        self.asked: list[str] = []
        self.patience_s: list[float] = []

    def measure(self, artifact: Any, _plan: Any, report: Callable[[str, float], None]) -> Observation:
        """Answer, or fail."""
        name = artifact.manifest.variant.name
        self.asked.append(name)
        report("measuring", 0.0)
        answer = self.said(name)
        if isinstance(answer, str):
            raise WorkerDied(answer, stage=self.stage)
        return answer

    def wait_at_most(self, silence_s: float) -> None:
        """Keep how patient one is."""
        self.patience_s.append(silence_s)

    def interrupt(self) -> None:
        """Nothing runs that could be ended."""

    def close(self) -> None:
        """Keep that it was let go."""
        self.closed = True


def board(
    name: str, device: Device, farm: FarmFile | None = None, *, clock: Callable[[], float] = lambda: 0.0, **plan: Any
) -> FarmBoard:
    """Return a board that opens to a device of the test's."""
    reached = BoardPlan(name=name, kind="pi", address=Address("10.0.0.21", 9090), **plan)
    reference = Reference(artifact=artifact(REFERENCE), plan=lambda: PLAN)
    opened: Any = lambda *_, **__: device  # noqa: E731
    return FarmBoard(reached, reference, farm or rules(), opener=opened, clock=clock)


def opened(name: str, device: Device, farm: FarmFile | None = None, **more: Any) -> FarmBoard:
    """Return a board that is held."""
    found = board(name, device, farm, **more)
    target: Any = None
    found.open(target, lock_dir=Path("locks"), timeout_s=600.0, waiting=lambda _: None)
    return found


class Together:
    """Lets so many threads go on at once, when all of them have come."""

    def __init__(self, number: int) -> None:
        self._barrier = threading.Barrier(number, timeout=60)

    def meet(self) -> None:
        """Wait for the others."""
        self._barrier.wait()
