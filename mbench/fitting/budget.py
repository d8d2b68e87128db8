"""How long measurements take here, by those of this search, and how many of them the time that is left allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from mbench.core import durations
from mbench.fitting.candidates import NetworkCandidate

_START_MACS = 9e7
"""Multiply-adds that take as long in emulation as to build a network and to begin."""
_COUNTED_S = 7e-8
"""Of a multiply-add in emulation, twice executed, before one was seen: two cores of 2024, QEMU 7.2."""
_TIMED_S = 4.0
"""Of a network in one session, its build with it, before one was seen."""
_SESSIONS = 3.0
"""How much longer a network takes in all of its sessions than in one."""


class Budget:
    """The time of a search, and what it is spent on."""

    def __init__(self, time_s: float, *, counted: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin.

        Args:
            time_s: seconds in which measurements may be begun.
            counted: whether networks are emulated, which takes as long as they have multiply-adds.
            clock: in seconds.
        """
        self._clock, self.counted = clock, counted
        self._end_s = clock() + time_s
        self.time_s = time_s
        self._spent: dict[bool, tuple[float, float]] = {}
        """Seconds and work so far, by whether networks had several sessions."""

    @property
    def left_s(self) -> float:
        """Seconds that are left; not above 0 when they are over."""
        return self._end_s - self._clock()

    @property
    def seen(self) -> bool:
        """Whether something was measured."""
        return bool(self._spent)

    def spent(self, networks: Sequence[NetworkCandidate], sessions: int, seconds: float) -> None:
        """Hear how long networks took together."""
        before_s, before = self._spent.get(sessions > 1, (0.0, 0.0))
        self._spent[sessions > 1] = before_s + seconds, before + sum(map(self._work, networks))

    def expected_s(self, networks: Sequence[NetworkCandidate], sessions: int) -> float:
        """Return how long networks will take, about."""
        return self._each_s(sessions > 1) * sum(map(self._work, networks))

    def allowed(self, networks: Sequence[NetworkCandidate], sessions: int) -> int:
        """Return how many of networks, the first ones first, can be measured in the time that is left.

        One is always begun before something is known of how long they take.
        """
        if self.left_s <= 0:
            return 0
        count = len(networks)
        while count and self.expected_s(networks[:count], sessions) > self.left_s:
            count -= 1
        return count if self.seen else max(1, count)

    def _work(self, network: NetworkCandidate) -> float:
        return _START_MACS + network.costs.macs if self.counted else 1.0

    def _each_s(self, several: bool) -> float:
        """Return the seconds that one unit of work takes."""
        for kind, factor in ((several, 1.0), (not several, _SESSIONS if several else 1 / _SESSIONS)):
            if kind in self._spent:
                seconds, work = self._spent[kind]
                return factor * seconds / work
        return _COUNTED_S if self.counted else _TIMED_S * (_SESSIONS if several else 1.0)


def roughly(seconds: float) -> str:
    """Return a time as an estimate is said: `40 s`, `3 min`."""
    if seconds < 90:
        return durations.words(max(10.0, 10.0 * round(seconds / 10)))
    return durations.words(60.0 * round(seconds / 60)) if seconds >= 120 else "2 min"
