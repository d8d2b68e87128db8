"""Networks to build, and a stand-in for the compiler that makes them in no time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fake_devices as fakes
import msgspec

from mbench.build import build
from mbench.build.artifact_store import ArtifactStore
from mbench.core.artifact import Artifact
from mbench.core.records import Variant
from mbench.hardware import targets
from mbench.networks import variants

NAMES = ("mobilenet_v1_0.25_32", "mobilenet_v1_0.5_32", "mobilenet_v1_0.25_64")
WANTED = [variants.parse(name) for name in NAMES]
TARGET = targets.load("x86_64_v3")


def compiled(variant: Variant, target: Any, cache: Path, **_: Any) -> tuple[Artifact, bool]:
    """Stand for the compiler: what it makes follows from the variant alone."""
    store = ArtifactStore(cache)
    with store.work() as work:
        made = fakes.compiled(work, variant)
        made.library.write_bytes(variant.name.encode())
        made.reference.write_bytes(b"input and output")
        digest = build.digest(build.digest_inputs(variant, target))
        manifest = msgspec.structs.replace(made.manifest, digest=digest, target=target.name)
        return store.put(manifest, work), False
