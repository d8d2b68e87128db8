"""Fixtures of the tests of worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from measure_plans import left_running

from mbench.core.artifact import Artifact
from mbench.devices.local import LocalDevice
from mbench.hardware import targets
from mbench.networks import variants


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    from mbench.build import build

    variant, cache = variants.parse("mobilenet_v1_0.25_32"), tmp_path_factory.mktemp("artifacts")
    return build.build(variant, targets.load("host"), cache)[0]


@pytest.fixture
def device(tmp_path: Path) -> Iterator[LocalDevice]:
    opened = LocalDevice(lock_dir=tmp_path / "locks", timeout_s=60)
    yield opened
    opened.close()


@pytest.fixture
def nothing_left_running() -> Iterator[None]:
    yield
    assert left_running() == []
