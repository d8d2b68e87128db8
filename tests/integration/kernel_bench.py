"""A bench where the candidates of a kernel are compiled, and timed in a worker process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mbench.core import machine_types
from mbench.devices.local import LocalDevice
from mbench.tuning import jobs, search
from mbench.tuning.plans import Built, Candidate, Task, TimingPlan
from mbench.tuning.timer import LocalTimer

VARIANT = "mobilenet_v1_0.25_32"


class Bench:
    """Compiles a kernel's candidates here, and times them in a worker process."""

    def __init__(self, folder: Path, task: Task, target: machine_types.Target) -> None:
        self.folder, self.task, self.target = folder, task, target
        self.device = LocalDevice(lock_dir=folder / "locks", timeout_s=60)

    def built(self, candidate: Candidate, name: str) -> Built:
        library = self.folder / f"{name}.so"
        assert jobs.compiled(self.task.function, self.target, candidate, str(library)) == ""
        return Built(candidate=candidate, library=str(library))

    def plan(self, default: Built, *others: Built, **changes: Any) -> TimingPlan:
        reference = self.built(search.AS_IS, "reference")
        given = {
            "function": self.task.function, "target": self.target, "threads": 1, "cache_bytes": 2**19,
            "reference": reference.library, "default": default, "candidates": others, "finalists": 0,
            "log": str(self.folder / "log"), **changes,
        }  # fmt: skip
        return TimingPlan(**given)

    def time(self, plan: TimingPlan) -> Any:
        return LocalTimer(self.device, self.target).time_kernel(plan, lambda *_: None)
