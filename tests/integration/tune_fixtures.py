"""Kernels that can be tuned, and a bench for one of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kernel_bench import VARIANT, Bench
from running_mbench import TARGET

from mbench.core import machine_types
from mbench.hardware import targets
from mbench.networks import variants
from mbench.tuning import jobs
from mbench.tuning.plans import Task


@pytest.fixture(scope="module")
def tasks(target: machine_types.Target) -> tuple[Task, ...]:
    return jobs.tasks(variants.parse(VARIANT), target)


@pytest.fixture(scope="module")
def target() -> machine_types.Target:
    return targets.load(TARGET)


@pytest.fixture
def bench(tmp_path: Path, tasks: tuple[Task, ...], target: machine_types.Target) -> Iterator[Bench]:
    made = Bench(tmp_path, [task for task in tasks if "k1x1" in task.kernel][-1], target)
    yield made
    made.device.close()
