"""Networks that are built for a target, and run on its emulated machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
from conftest import require

from mbench.build import build
from mbench.core import artifact
from mbench.core.artifact import Artifact
from mbench.core.settings import Warmup
from mbench.devices.emulated import EmulatedDevice
from mbench.hardware import targets
from mbench.measure.observation import MeasurePlan, Observation
from mbench.networks import variants

VARIANT = "mobilenet_v1_0.25_128"
PLAN = MeasurePlan(
    threads=1, number=1, repeat=1, layer_repeat=1, block=1, warmup=Warmup(max_s=0), measure_max_s=None, tolerance=1e-4
)


def needs(target: str) -> None:
    arm = target.startswith("arm64")
    require(shutil.which("qemu-aarch64" if arm else "qemu-x86_64"), "QEMU's user-mode emulator is not on PATH")
    require(not arm or shutil.which("aarch64-linux-gnu-g++"), "aarch64-linux-gnu-g++ is not on PATH")


def built(target: str, cache: Path, variant: str = VARIANT) -> Artifact:
    needs(target)
    return build.build(variants.parse(variant), targets.load(target), cache / "artifacts")[0]


def observed(target: str, made: Artifact, locks: Path) -> Observation:
    device = EmulatedDevice(targets.load(target), lock_dir=locks, timeout_s=60, waiting=lambda _: None)
    try:
        return device.measure(made, PLAN, lambda *_: None)
    finally:
        device.close()


def reseal(folder: Path, made: Artifact) -> artifact.Manifest:
    """Write the manifest anew for changed files."""
    files = {name: artifact._sha256(folder / name) for name in (artifact.LIBRARY, artifact.REFERENCE)}
    manifest = msgspec.structs.replace(made.manifest, files=files)
    manifest = msgspec.structs.replace(
        manifest, files={**files, artifact.MANIFEST: artifact._seal(msgspec.to_builtins(manifest))}
    )
    (folder / artifact.MANIFEST).write_bytes(msgspec.json.encode(manifest))
    return manifest
