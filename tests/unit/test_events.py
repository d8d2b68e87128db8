from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from mbench.measure import events, latency

KERNEL_S = 5e-6
LAUNCH_S = 20e-6


class Device:
    """A device's time and a host's, both simulated: the device works off its stream in order, the host goes ahead.

    An event is the moment when the device comes to it. Each use of the host costs it time; recording an event costs the
    device a little too.
    """

    EVENT_S = 1e-6

    def __init__(self) -> None:
        self.host_s = self.device_s = 0.0
        self.alive: set[int] = set()
        self.holds: list[float] = []

    def clock(self) -> float:
        return self.host_s

    def _work(self, seconds: float) -> float:
        self.device_s = max(self.device_s, self.host_s) + seconds
        return self.device_s

    def launch(self, seconds: float = KERNEL_S) -> None:
        self.host_s += LAUNCH_S
        self._work(seconds)

    def record(self) -> list[float]:
        self.host_s += 1e-6
        event = [self._work(0.0)]
        self._work(self.EVENT_S)
        self.alive.add(id(event))
        return event

    def hold(self, seconds: float) -> None:
        self.holds.append(seconds)
        self._work(seconds)

    def wait(self) -> None:
        self.host_s = max(self.host_s, self.device_s)

    def seconds(self, start: list[float], stop: list[float]) -> float:
        assert stop[0] <= self.host_s, "the device has not come there yet"
        return stop[0] - start[0]

    def free(self, event: list[float]) -> None:
        self.alive.remove(id(event))


class Vm:
    """Calls three kernels and a builtin, each under the instrument."""

    def __init__(self, device: Device, *, waits: bool = False) -> None:
        self._device, self._waits = device, waits
        self.instrument: Callable[..., Any] = lambda *_: 0

    def set_instrument(self, instrument: Callable[..., Any]) -> None:
        self.instrument = instrument

    def __getitem__(self, entry: str) -> Callable[[Any], None]:
        return lambda _: self._kernels()

    def _call(self, name: str, run: Callable[[], None], *arguments: Any) -> None:
        def function(*given: Any) -> None:
            assert given == arguments
            run()

        self.instrument(function, name, True, None, *arguments)
        run()
        self.instrument(function, name, False, None, *arguments)

    def _kernels(self) -> None:
        self._call("vm.builtin.alloc_storage", lambda: None)
        for index in range(3):
            self._call(f"k{index}", functools.partial(self._device.launch, (index + 1) * KERNEL_S), "x", index)
            if self._waits:
                self._device.wait()


def instrument(device: Device, **vm: bool) -> events.EventInstrument:
    found = events.EventInstrument(Vm(device, **vm), {"main": ("image",)}, device)
    found._queue = events.Queue(device, device.clock)
    return found


def test_a_layer_takes_what_the_device_takes_whatever_the_host_needs_to_launch_it() -> None:
    device = Device()
    seen = instrument(device).run("main")
    assert [name for name, _ in seen] == ["k0", "k1", "k2"]
    for index, (_, seconds) in enumerate(seen):
        assert seconds == pytest.approx((index + 1) * KERNEL_S + Device.EVENT_S)
    assert device.alive == set(), "events are freed"


def test_without_holding_the_device_back_the_host_would_be_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device()
    monkeypatch.setattr(device, "hold", device.holds.append)
    assert instrument(device).run("main")[0][1] > LAUNCH_S


def test_the_device_is_held_longer_until_the_host_is_done() -> None:
    device = Device()
    queue = events.Queue(device, device.clock)

    def slow() -> None:
        device.host_s += 5e-3

    queue.whole(slow, lambda _: None)
    assert device.holds == [2e-3, 10e-3]
    queue.whole(slow, lambda _: None)
    assert device.holds[2:] == [10e-3], "and it is remembered"


def test_a_run_that_waits_for_the_device_in_the_middle_cannot_be_queued() -> None:
    device = Device()
    with pytest.raises(events.NotQueued, match="the host was not done queuing a run"):
        instrument(device, waits=True).run("main")
    assert device.alive == set()
    assert max(device.holds) < 1, "usleep need not take a second"


def test_the_launch_gap_is_what_a_run_takes_longer_when_the_device_waits_for_the_host() -> None:
    device = Device()
    vm = Vm(device)

    def run() -> None:
        vm["main"](None)

    start = device.record()
    run()
    stop = device.record()
    device.wait()
    whole_s = device.seconds(start, stop)
    assert whole_s == pytest.approx(3 * LAUNCH_S + 3 * KERNEL_S, abs=2e-6), "the host is what takes the time"
    queued = events.queued_s(run, device, repeat=3)
    assert queued == pytest.approx([6 * KERNEL_S + Device.EVENT_S] * 3)
    gaps = events.launch_gaps_s((whole_s,) * 5, queued)
    assert gaps == pytest.approx([whole_s - queued[0]] * 3)


def test_there_is_no_negative_launch_gap() -> None:
    assert events.launch_gaps_s((1.0, 1.0, 1.0), (2.0, 0.5)) == (0.0, 0.5)


def test_each_kernel_can_be_called_again_alone() -> None:
    device = Device()
    vm = Vm(device)
    calls = events.kernel_calls(vm, lambda: vm["main"](None))
    assert len(calls) == 3
    device.wait()
    before = device.device_s
    calls[1]()
    assert device.device_s - before == pytest.approx(LAUNCH_S + 2 * KERNEL_S)
    assert vm.instrument("f", "k0", True, None) == 0, "nothing is kept afterwards"
    assert len(calls) == 3


def test_the_method_says_as_that_of_a_cpu_which_processes_there_are() -> None:
    assert events.METHOD.rpartition("; ")[2] == latency.METHOD.rpartition("; ")[2]
