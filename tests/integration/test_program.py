"""How many threads the runtime uses, and where they may run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from conftest import require
from measure_plans import PLAN, ignore

from mbench.core.artifact import Artifact
from mbench.core.errors import MeasureError
from mbench.core.settings import Warmup
from mbench.devices.local import LocalDevice

pytest_plugins = ("worker_fixtures",)
pytestmark = pytest.mark.usefixtures("nothing_left_running")


def test_the_runtime_uses_as_many_threads_as_it_is_told(tiny: Artifact, device: LocalDevice) -> None:
    require((os.cpu_count() or 1) >= 2, "needs two processors")
    few = msgspec.structs.replace(PLAN, threads=2, repeat=3, layer_repeat=2, block=3, warmup=Warmup(max_s=0.1))
    assert device.measure(tiny, few, ignore).threads == 2


def test_a_number_without_axes_stays_one() -> None:
    from mbench.measure.program import LocalProgram

    loaded = LocalProgram.__new__(LocalProgram)
    loaded.device = None
    assert tuple(loaded.tensor(np.array(2.0, np.float32)).shape) == ()


def one_thread_more_than_set(send: Callable[[str, float], None]) -> None:
    from mbench.measure import program

    program.use_threads(int(os.environ["TVM_NUM_THREADS"]) + 1)


def test_another_number_of_threads_than_asked_for_is_an_error(device: LocalDevice) -> None:
    with pytest.raises(MeasureError, match="the runtime uses 1 threads, 2 were set; check TVM_NUM_THREADS"):
        device.run(one_thread_more_than_set, (), 1, ignore)


def affinity_in_use(_send: Callable[[str, float], None]) -> tuple[int, ...] | None:
    from mbench.measure import program

    program.use_threads(1)
    return program.affinity()


def affinities_of_two(_send: Callable[[str, float], None], processors: tuple[int, ...]) -> tuple[set[int], ...]:
    """Return where two threads may run: the first, and the one that TVM starts."""
    from mbench.hardware import host
    from mbench.measure import program

    host.processors_for = lambda threads: processors  # type: ignore[assignment, misc]
    before = set(Path("/proc/self/task").iterdir())
    program.use_threads(2)
    [started] = set(Path("/proc/self/task").iterdir()) - before
    return os.sched_getaffinity(0), os.sched_getaffinity(int(started.name))


@pytest.mark.parametrize("backwards", [False, True])
def test_each_thread_is_bound_to_one_of_the_processors_that_suit_best(device: LocalDevice, backwards: bool) -> None:
    require(len(os.sched_getaffinity(0)) >= 2, "needs two processors")
    first, second = sorted(os.sched_getaffinity(0), reverse=backwards)[:2]
    seen = device.run(affinities_of_two, ((first, second),), 2, ignore)
    assert seen == ({first}, {second})


def affinity_after_asking(_send: Callable[[str, float], None]) -> set[int]:
    from mbench.measure import program

    program.threads_in_use(2)
    return os.sched_getaffinity(0)


def test_asking_for_the_threads_binds_none(device: LocalDevice) -> None:
    """What tunes starts processes that compile side by side; they may run where it may."""
    require(len(os.sched_getaffinity(0)) >= 2, "needs two processors")
    assert device.run(affinity_after_asking, (), 2, ignore) == os.sched_getaffinity(0)


def test_threads_are_left_free_where_that_is_asked_for(device: LocalDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TVM_BIND_THREADS", "0")
    assert device.run(affinity_in_use, (), 1, ignore) == tuple(sorted(os.sched_getaffinity(0)))


def test_the_runtime_stays_on_the_processors_that_it_was_given(device: LocalDevice) -> None:
    given = os.sched_getaffinity(0)
    require(len(given) >= 2, "needs two processors")
    try:
        os.sched_setaffinity(0, {max(given)})  # as `taskset` does
        seen = device.run(affinity_in_use, (), 1, ignore)
    finally:
        os.sched_setaffinity(0, given)
    assert seen == (max(given),)
