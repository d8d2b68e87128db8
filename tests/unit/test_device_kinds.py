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
    machine = msgspec.structs.replace(host.describe(), processors_usable=6, cores_usable=3, processors_quota=None)
    assert device_kinds.of(kind).threads(targets.load(target), machine) == expected


@pytest.mark.parametrize(("quota", "default"), [(0.5, 1), (1.0, 1), (1.5, 1), (2.9, 2), (3.5, 3), (48.0, 3)])
def test_by_default_a_run_here_has_no_more_threads_than_the_quota_keeps_running(quota: float, default: int) -> None:
    machine = msgspec.structs.replace(host.describe(), processors_usable=6, cores_usable=3, processors_quota=quota)
    limits = {
        kind: device_kinds.of(kind).threads(targets.load("x86_64_v3"), machine) for kind in ("local", "rpc", "none")
    }
    assert limits["local"] == (6, default, "this machine")
    assert limits["rpc"].default == limits["none"].default == targets.load("x86_64_v3").threads
