"""A machine where finding, compiling and timing kernels takes no time, for tests of tuning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fake_devices as fakes
import msgspec
import pytest

from mbench.build import builders
from mbench.core import records
from mbench.core.artifact import Artifact
from mbench.core.choices import Choices
from mbench.core.records import Variant
from mbench.hardware import host, targets
from mbench.measure.duel import Bout, DuelPlan
from mbench.networks import variants
from mbench.tuning import choice_files, in_network, jobs, tuner
from mbench.tuning.plans import Begun, Candidate, Read, Readings, Task, Timing, TimingPlan
from mbench.tuning.tuner import Tuner, TuningJob

TARGET = targets.load("x86_64_v2")


DEFAULT = Candidate(rule="cpu.matmul", parameters={"rows": 4})
OTHER = Candidate(rule="cpu.matmul", parameters={"rows": 6})


def timing(ratio: float, *, high: float | None = None, final: bool = True) -> Timing:
    return Timing(
        seconds=ratio * 1e-5,
        default_seconds=1e-5,
        ratio=ratio,
        high_ratio=high or ratio * 1.001,
        error=1e-7,
        final=final,
    )


KERNELS = ("conv2d_a", "conv2d_b", "conv2d_c")
GRID = Candidate(rule="cpu.matmul", parameters={"rows": 6, "row_parts": 2})


class Device(fakes.Device):
    """Times candidates as `speeds` says, relative to the default; an exception is raised at that candidate."""

    def __init__(self) -> None:
        super().__init__()
        self.speeds: dict[str, Any] = {}
        self.timed: list[TimingPlan] = []

    def time_kernel(self, plan: TimingPlan, report: Any) -> Readings:
        self.timed.append(plan)
        report("timing", 0.5)
        reads = []
        for number, built in enumerate(plan.candidates):
            speed = self.speeds.get(str(built.candidate), 1.0)
            if isinstance(speed, BaseException):
                Path(plan.log).write_bytes(msgspec.json.encode(Begun(number=number)) + b"\n")
                raise speed
            if isinstance(speed, str):
                reads.append(Read(number=number, refused=speed))
            else:
                reads.append(Read(number=number, timing=timing(speed, final=plan.finalists > 0)))
        return Readings(reads=tuple(reads), wall_s=1.0, others_busy_s=0.25)


class Arena:
    """Times networks of KERNELS, 1 ms each by rule; those made as tuned take `ratios`, one process after the other."""

    def __init__(self) -> None:
        self.ratios: dict[str, Sequence[float]] = {}
        self.followed: dict[Path, set[str]] = {}
        """The kernels that an artifact has as tuned."""
        self.fights: list[tuple[str, frozenset[str]]] = []
        """The network of each process, and what was tuned in it."""
        self.faults: dict[str, BaseException] = {}
        self.interrupts_at: int | None = None
        self.closed = False

    def duel(self, base: Artifact, twin: Artifact, head: Artifact, plan: DuelPlan, _: Any) -> Bout:
        name, followed = head.manifest.variant.name, self.followed[head.folder]
        if name in self.faults:
            raise self.faults[name]
        if len(self.fights) == self.interrupts_at:
            raise KeyboardInterrupt
        number = len([one for one, _ in self.fights if one == name]) % in_network.PROCESSES
        self.fights.append((name, frozenset(followed)))
        ratios = [self.ratios.get(kernel, SLOW)[number] if kernel in followed else 1.0 for kernel in KERNELS]
        by_rule, as_tuned = ((1e-3,) * 4,) * 3, tuple((1e-3 * ratio,) * 4 for ratio in ratios)
        whole = ((3e-3,) * 4, (3e-3,) * 4, (sum(ratios) * 1e-3,) * 4)
        return Bout(
            order=plan.order, block=1, whole_s=whole, layers_s=(by_rule, by_rule, as_tuned), wall_s=1.0,
            others_busy_s=0.1,
        )  # fmt: skip

    def close(self) -> None:
        self.closed = True


QUICK, SLOW = (0.8,) * in_network.PROCESSES, (1.25,) * in_network.PROCESSES


class World:
    """A machine where finding, compiling and timing kernels takes no time."""

    def __init__(self, folder: Path) -> None:
        self.device = Device()
        self.arena = Arena()
        self.progress = fakes.Progress()
        self.refused: dict[str, str] = {}
        self.tiles: Sequence[Candidate] = (OTHER,)
        self.default = DEFAULT
        self.folder = folder

    def tasks(self, variant: Any, _target: Any) -> tuple[Task, ...]:
        return tuple(Task(kernel=name, function=name, layers=(f"{variant.name} {name}",)) for name in KERNELS)

    def list_tiles(self, *_: Any) -> tuple[Candidate, tuple[Candidate, ...]]:
        return self.default, tuple(self.tiles)

    def compiled(self, function: str, _target: Any, candidate: Candidate, _library: str) -> str:
        return self.refused.get(f"{function} {candidate}", "")

    def build_all(
        self, wanted: Sequence[Variant], _target: Any, report: Any, *, use_cache: bool, choices: Choices, **_: Any
    ) -> dict[str, builders.Build]:
        return {variant.name: self.build(variant, choices, report) for variant in wanted}

    def build(self, variant: Variant, choices: Choices, report: Any) -> builders.Build:
        report(variant.name, "compiling", 1.0)
        if self.refused.get(variant.name):
            return records.Failure(variant=variant.name, stage="compiling", reason=self.refused[variant.name])
        folder = self.folder / f"built-{len(self.arena.followed)}"
        self.arena.followed[folder] = set(choices.kernels)
        built = fakes.compiled(folder, variant)
        layers = zip(built.manifest.layers, KERNELS, strict=False)
        named = tuple(msgspec.structs.replace(layer, name=kernel) for layer, kernel in layers)
        return Artifact(folder, msgspec.structs.replace(built.manifest, layers=named)), False

    def job(self, **changes: Any) -> TuningJob:
        given = {
            "target": TARGET, "host": host.describe(), "processor": "a CPU", "mcpu": "some",
            "networks": tuple(map(variants.parse, changes.pop("variants", (A,)))), "threads": 1, "tries": 4,
            "again": False, "timeout_s": 5.0,
            "file": self.folder / "tuned.toml", **changes,
        }  # fmt: skip
        return TuningJob(**given)

    def run(self, **changes: Any) -> Tuner:
        with Tuner(self.job(**changes)) as work:
            work.find(self.progress.note)
            work.run(self.progress)
        return work

    def confirm(self, **changes: Any) -> Tuner:
        with Tuner(self.job(**changes)) as work:
            work.find(self.progress.note)
            work.run(self.progress)
            work.confirm(self.progress)
        return work

    def chosen(self) -> dict[str, dict[str, int]]:
        return {entry.kernel: entry.parameters for entry in choice_files.read(self.folder / "tuned.toml").kernels}


A, B = "mobilenet_v1_0.25_32", "mobilenet_v1_0.5_32"


def in_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Put a world whose files lie in a folder in the place of this machine."""
    made = World(folder)
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(folder / "cache"))
    monkeypatch.setattr(builders, "children", fakes.no_children)
    monkeypatch.setattr(jobs, "tasks", made.tasks)
    monkeypatch.setattr(jobs, "tiles", made.list_tiles)
    monkeypatch.setattr(jobs, "grids", lambda *_: (GRID,))
    monkeypatch.setattr(jobs, "compiled", made.compiled)
    monkeypatch.setattr(tuner, "LocalDevice", lambda **_: made.arena)
    monkeypatch.setattr(tuner, "LocalTimer", lambda *_: made.device)
    monkeypatch.setattr(builders, "build_all", made.build_all)
    return made
