"""A kernel timed for a measured peak: on a CPU, on a board or on a GPU."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mbench.core.progress import Fraction

TURNS = 5
SAMPLES = 4
_SAMPLE_S = 0.01
_SHORTEST_S = 1e-7


class Probe:
    """One kernel with its data; the fastest sample counts, since interference only ever slows a kernel down."""

    def __init__(self, module: Any, device: Any, arguments: Sequence[Any], *, work: float) -> None:
        """Run it once.

        Args:
            module: whose `main` is the kernel.
            device: TVM's name of where it runs.
            arguments: of the kernel, on the device.
            work: of one call: operations, bytes or loops.
        """
        self._timer, self._device, self._arguments = module.time_evaluator, device, arguments
        self._work = work
        [self._best_s] = self._seconds(number=1, repeat=1)
        self._number = max(1, int(_SAMPLE_S / max(self._best_s, _SHORTEST_S)))

    def _seconds(self, *, number: int, repeat: int) -> Sequence[float]:
        timer = self._timer("main", self._device, number=number, repeat=repeat)
        seconds: Sequence[float] = timer(*self._arguments).results
        return seconds

    def sample(self) -> None:
        """Take a few samples."""
        self._best_s = min(self._best_s, *self._seconds(number=self._number, repeat=SAMPLES))

    def rate(self) -> float:
        """Return the work a second."""
        return float(self._work / self._best_s)


def sample_in_turn(probes: Iterable[Probe], progress: Fraction) -> None:
    """Sample all in turn, so that a short disturbance does not meet every sample of one; report the share done."""
    probes = tuple(probes)
    for turn in range(TURNS):
        for probe in probes:
            probe.sample()
        progress((turn + 1) / TURNS)
