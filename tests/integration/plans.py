"""How the tests of devices measure, and what every device's measurement must keep to."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from mbench.devices.process import WorkerDevice
from mbench.measure.observation import Observation, Plan
from mbench.records import Warmup

PLAN = Plan(
    threads=1,
    number=1,
    repeat=30,
    layer_repeat=15,
    block=10,
    warmup=Warmup(max_s=1.0),
    measure_max_s=None,
    tolerance=1e-4,
)


def ignore(_stage: str, _fraction: float) -> None:
    pass


ANOTHER_UNIT = 100
"""What lies further apart is of another unit, or leaves most of it out; no machine is so busy in every run."""


def assert_accounted(seen: Observation, calls: int) -> None:
    """Fail if the layers are not those of the whole: each was read in each run, and their least times are of one size.

    What others do meanwhile makes runs longer and never shorter, so the shortest run of many counts. That readings add
    up exactly is shown in tests/unit/test_latency.py, with a clock that goes on as it is told.
    """
    assert seen.latency_s
    assert seen.calls_s
    assert seen.overhead_s
    assert [len(samples) for samples in seen.calls_s] == [len(seen.overhead_s)] * calls
    assert all(seconds >= 0 for samples in (*seen.calls_s, seen.overhead_s) for seconds in samples)
    whole = min(seen.latency_s)
    layers = sum(min(samples) for samples in seen.calls_s)
    assert whole / ANOTHER_UNIT < layers < whole * ANOTHER_UNIT
    assert min(seen.overhead_s) < whole * ANOTHER_UNIT


class Patience:
    """Stands for the clock of a device that waits for its worker: a silence is over when that is said, not before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._over = threading.Event()
        listen = WorkerDevice._listen

        def patiently(device: Any, process: Any, pipe: Any, *arguments: Any) -> Any:
            return listen(device, process, _Pipe(pipe, self._over), *arguments)

        monkeypatch.setattr(WorkerDevice, "_listen", patiently)

    def end(self) -> None:
        """Let the time of every silence have passed."""
        self._over.set()


class _Pipe:
    def __init__(self, pipe: Any, over: threading.Event) -> None:
        self._pipe, self._over = pipe, over

    def poll(self, _seconds: float) -> bool:
        while not self._over.is_set():
            if self._pipe.poll(0.02):
                return True
        return bool(self._pipe.poll(0))

    def recv(self) -> Any:
        return self._pipe.recv()
