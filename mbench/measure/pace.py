"""How fast the processors are while a session measures: two small loops, timed between its samples.

A virtual machine's processors may share a core, or lie in parts of a chip that are far from each other, and change
that from second to second; no count of the system shows it. Multiply-adds on all threads take longer where a core is
shared or its clock is low; where they are far apart, it takes longer to read what another has written, as each layer of
a network does: 16 KiB in 2.7 to 3.0 µs on neighbours of one chip and in 8.8 to 11.7 on others (AMD EPYC, two
processors of a virtual machine), with a network's time 1.5 times as long.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import tvm
import tvm_ffi

from mbench.core import dtypes
from mbench.measure.observation import PaceLoops

Shapes = tuple[tuple[int, ...], tuple[int, ...]]
"""Of what a kernel reads and of what it writes."""
CHAINS, STEPS = 12, 20_000
"""Of the loop of multiply-adds: independent chains, and how long each is."""
EXCHANGES = 20
"""Parallel loops that are timed in turn, in which each thread reads what another wrote in the one before."""
_EXCHANGED = 4096
"""Numbers that a thread reads in each: 16 KiB, as much as layers of small networks give to each other."""
FILLED = {"peak": 0.5, "exchange": 1.0}
"""What the data of each are; x ← x/2 + 1/2 stays within 1/2 … 1: no denormals."""
_FLOAT = dtypes.of(dtypes.DEFAULT)
_REPEAT = 3


def shapes(name: str, threads: int, lanes: int) -> Shapes:
    """Return the shapes of one of the two loops' data."""
    if name == "peak":
        return (threads, CHAINS + 2, lanes), (threads, CHAINS, lanes)
    return (threads, _EXCHANGED), (threads, _EXCHANGED)


def flops(threads: int, lanes: int) -> int:
    """Return the operations of the loop of multiply-adds, two for each, of all threads."""
    return threads * CHAINS * STEPS * lanes * 2


class Pace:
    """Both loops, loaded. A reading takes a millisecond or two."""

    def __init__(self, loops: PaceLoops) -> None:
        """Load the library that `mbench.measure.pace_build` wrote."""
        module, device, lanes = tvm_ffi.load_module(str(loops.library)), tvm.cpu(), lanes_of(loops)
        self._flops = flops(loops.threads, lanes)
        self._timers: dict[str, Callable[[], float]] = {}
        for name in FILLED if loops.threads > 1 else ("peak",):
            arrays = [tvm.runtime.empty(shape, _FLOAT.numpy, device) for shape in shapes(name, loops.threads, lanes)]
            module[f"fill_{name}"](arrays[0])
            timer = module.time_evaluator(name, device, number=1, repeat=_REPEAT)
            self._timers[name] = functools.partial(_median_s, timer, arrays)
        self._seconds: dict[str, list[float]] = {name: [] for name in FILLED}

    def read(self) -> None:
        """Time both loops; the second only where there are threads to start."""
        for name, timer in self._timers.items():
            self._seconds[name].append(timer())

    def flops_per_s(self) -> float | None:
        """Return the median rate of multiply-adds, two operations each, of all threads together; None: not read."""
        seconds = self._seconds["peak"]
        return self._flops / statistics.median(seconds) if seconds else None

    def exchange_s(self) -> float | None:
        """Return the median seconds of a parallel loop that reads what other threads wrote; None with one thread."""
        seconds = self._seconds["exchange"]
        return statistics.median(seconds) / EXCHANGES if seconds else None


def _median_s(timer: Any, arrays: Sequence[Any]) -> float:
    return float(statistics.median(timer(*arrays).results))


def lanes_of(loops: PaceLoops) -> int:
    """Return the lanes of the vectors that the loop of multiply-adds works on."""
    return _FLOAT.lanes(loops.target.processor.vector_bits)
