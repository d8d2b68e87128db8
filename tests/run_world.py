"""A machine where building and measuring take no time, for tests of whole runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fake_devices as fakes
import msgspec
import record_factory as factory

from mbench.core import artifact, record_files, records
from mbench.core.artifact import Artifact
from mbench.core.records import Record
from mbench.core.settings import Settings, Warmup
from mbench.hardware import host
from mbench.networks import variants
from mbench.pipeline import job, runner

NAMES = ("mobilenet_v1_0.25_32", "mobilenet_v1_0.25_32_standard", "mobilenet_v1_0.5_32")
SETTINGS = Settings(
    variants=NAMES, threads=1, batch=1, dtype="float32", number=1, repeat=5, layer_repeat=5, block=5,
    warmup=Warmup(max_s=1.0), timeout_s=60.0,
)  # fmt: skip


class World:
    """A machine where building and measuring take no time, and go as `device` and `builds` say."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "out" / "run.json"
        self.path.parent.mkdir()
        self.artifacts = folder / "artifacts"
        self.device = fakes.Device()
        self.builds: dict[str, Any] = {}
        self.built: list[str] = []
        self.progress = fakes.Progress()
        self.target = msgspec.structs.replace(
            factory.record().target, tvm={"kind": "llvm", "mtriple": "x86_64-linux-gnu", "mcpu": "x86-64-v2"}
        )

    def build(self, variant: records.Variant, **_: Any) -> tuple[Artifact, bool]:
        self.built.append(variant.name)
        planned = self.builds.get(variant.name)
        if isinstance(planned, list):
            planned = planned.pop(0) if planned else None
        if planned is not None:
            raise planned
        return fakes.compiled(self.artifacts / variant.name, variant), False

    def job(self, **changes: Any) -> job.Job:
        settings = msgspec.structs.replace(SETTINGS, **changes.pop("settings", {}))
        networks = changes.pop("networks", None) or tuple(
            variants.parse(name, batch=settings.batch, dtype=settings.dtype) for name in settings.variants
        )
        given = {
            "target": self.target, "host": host.describe(), "device": "local", "path": self.path, "networks": networks,
            **changes,
        }  # fmt: skip
        return job.Job(settings=settings, **given)

    def run(self, **changes: Any) -> Record:
        returned = runner.run(self.job(**changes), self.progress)
        on_disk = record_files.read(self.path)
        assert record_files.encode(on_disk) == record_files.encode(
            record_files.decode(record_files.encode(returned), source="returned")
        )
        return on_disk

    def fails(self, name: str, how: BaseException) -> None:
        self.device.behaviour[name] = how

    def ended(self, name: str) -> str:
        return [stage for variant, stage, _ in self.progress.stages if variant == name][-1]


def names(record: Record) -> list[str]:
    return [result.variant.name for result in record.results]


def resumed(world: World) -> job.Job:
    return runner.resumed(world.path, host.describe(), use_cache=True)


def kept_in(world: World) -> set[str]:
    return {path.name for path in artifact.beside(world.path).iterdir()}
