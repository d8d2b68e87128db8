"""What differs by kind of device."""

from __future__ import annotations

import msgspec
import pytest

from mbench.core.field_types import MOST_THREADS
from mbench.core.machine_types import DeviceKind
from mbench.hardware import device_kinds, host, targets


@pytest.mark.parametrize(
    ("kind", "target", "expected"),
    [
        ("emulated", "x86_64_v3", (1, 1, "an emulated run, which counts")),
        ("rpc", "arm64_cortex_a72", (MOST_THREADS, 4, "any board")),
        ("none", "arm64_cortex_a72", (4, 4, "target 'arm64_cortex_a72'")),
        ("local", "cuda_sm90", (1, 1, "target 'cuda_sm90'")),
        ("local", "x86_64_v3", (6, 3, "this machine")),
    ],
)
def test_how_many_threads_a_run_may_have(kind: DeviceKind, target: str, expected: tuple[int, int, str]) -> None:
    machine = msgspec.structs.replace(host.describe(), processors_usable=6, cores_usable=3)
    assert device_kinds.of(kind).threads(targets.load(target), machine) == expected
