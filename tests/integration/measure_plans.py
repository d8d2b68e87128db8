"""How the tests of devices measure, and what every device's measurement must keep to."""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
import time
from typing import Any

import psutil
import pytest

from mbench.core.artifact import Artifact
from mbench.core.settings import Warmup
from mbench.devices.process import WorkerDevice
from mbench.measure.observation import MeasurePlan
from mbench.networks import architectures, costs, weights

PLAN = MeasurePlan(
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


MOST_FLOPS_PER_S = 16 * 2 * 4 * 8e9
"""Of one thread: 512-bit vectors, four units of multiply-adds, 8 GHz; no processor does more."""


def assert_accounted(device: Any, net: Artifact, plan: MeasurePlan) -> None:
    """Measure, and fail if the readings are not those of one run after the other.

    Each call is read in each run; no run is shorter than physics allows; all runs lie, one after the other, between
    two readings of this process's clock. All of that holds however busy the machine is. That the readings of a run add
    up exactly is shown in tests/unit/test_latency.py, with a clock that goes on as it is told.
    """
    begin = time.perf_counter()
    seen = device.measure(net, plan, ignore)
    wall_s = time.perf_counter() - begin
    assert seen.latency_s
    assert seen.calls_s
    assert seen.overhead_s
    assert [len(samples) for samples in seen.calls_s] == [plan.layer_repeat] * len(net.manifest.calls)
    assert len(seen.overhead_s) == plan.layer_repeat
    runs = seen.latency_s
    macs = sum(costs.of_layer(spec).macs for spec in architectures.layers(net.manifest.variant))
    assert min(runs) > 2 * macs / MOST_FLOPS_PER_S
    readings = [seconds for samples in (*seen.calls_s, seen.overhead_s) for seconds in samples]
    assert all(seconds >= 0 for seconds in readings)
    assert plan.number * sum(runs) + sum(readings) < wall_s


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


STAGES = ("loading", "checking", "warming up", "measuring", "measuring layers")


def left_running() -> list[list[str]]:
    """Return the command lines of our children, but for what stays: Python's resource tracker, and torch."""
    stays = {child.pid for child in multiprocessing.active_children() if child.name == weights.PROCESS}
    commands = []
    for child in psutil.Process().children(recursive=True):
        if child.pid in stays:
            continue
        with contextlib.suppress(psutil.NoSuchProcess):
            commands.append(child.cmdline())
    return [command for command in commands if "resource_tracker" not in " ".join(command)]
