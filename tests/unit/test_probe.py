from __future__ import annotations

import types
from typing import Any

from mbench.measure import probe


class Kernel:
    """A module whose calls take given seconds, one after the other, and then the last of them for ever."""

    def __init__(self, *seconds: float) -> None:
        self.seconds = list(seconds)
        self.asked: list[tuple[int, int]] = []

    def time_evaluator(self, name: str, _device: object, *, number: int, repeat: int) -> Any:
        assert name == "main"
        self.asked.append((number, repeat))

        def call(*_arguments: object) -> Any:
            taken = [self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0] for _ in range(repeat)]
            return types.SimpleNamespace(results=taken)

        return call


def test_the_fastest_sample_counts() -> None:
    kernel = Kernel(1e-3, 4e-3, 0.5e-3, 2e-3)
    timed = probe.Probe(kernel, None, [], work=10.0)
    assert timed.rate() == 10.0 / 1e-3
    timed.sample()
    assert timed.rate() == 10.0 / 0.5e-3


def test_a_sample_takes_about_ten_milliseconds_and_a_slow_kernel_runs_once() -> None:
    for seconds, number in ((1e-3, 10), (1.0, 1), (0.0, 100_000)):
        kernel = Kernel(seconds)
        probe.Probe(kernel, None, [], work=1.0).sample()
        assert kernel.asked == [(1, 1), (number, probe.SAMPLES)]


def test_all_are_sampled_in_turn() -> None:
    order: list[str] = []

    class Sampled:
        def __init__(self, name: str) -> None:
            self.name = name

        def sample(self) -> None:
            order.append(self.name)

    shares: list[float] = []
    probes: list[Any] = [Sampled("a"), Sampled("b")]
    probe.sample_in_turn(probes, shares.append)
    assert order == ["a", "b"] * probe.TURNS
    assert shares[-1] == 1.0
