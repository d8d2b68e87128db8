"""What other processes did meanwhile. The load average lags by a minute and counts our own work too."""

from __future__ import annotations

import os
import time

import psutil

DISTURBED = 0.05
"""Processors that others kept busy, above which a measurement is called disturbed."""


def busy_s() -> float:
    """Return the seconds that all processors together were busy since boot, whoever kept them so."""
    times = psutil.cpu_times()
    return float(sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq")))


def own_s() -> float:
    """Return the processor seconds of this process, of all its threads, and of those it started that have ended."""
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


class Watch:
    """Watches from when it is made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._own = own_s()
        self._others = busy_s() - self._own

    def share(self, threads: int) -> float:
        """Return the processor time that this process used since, over what so many threads could have had."""
        wall_s = time.perf_counter() - self._start
        return (own_s() - self._own) / (wall_s * threads) if wall_s else 1.0

    def read_s(self) -> tuple[float, float]:
        """Return the seconds since, and the processor seconds that other processes used in them."""
        return time.perf_counter() - self._start, max(0.0, busy_s() - own_s() - self._others)
