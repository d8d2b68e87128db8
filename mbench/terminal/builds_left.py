"""How long the builds of a run will take yet, by their sizes and by what those that are done have taken.

Builds begin in order, so many side by side. Each is taken to need a time in proportion to its size. The time left is
that until the last builder is done.
"""

from __future__ import annotations

import collections
import heapq
from collections.abc import Callable, Mapping

Clock = Callable[[], float]


class BuildsLeft:
    """The time left of builds."""

    def __init__(self, sizes: Mapping[str, float], builders: int | None, clock: Clock) -> None:
        """Begin.

        Args:
            sizes: of what is to be built, by name, in order; 0: it is there already.
            builders: how many builds run side by side; None: nobody knows.
            clock: in seconds.
        """
        self._clock, self._builders = clock, builders
        self._sizes = {name: size for name, size in sizes.items() if size}
        self._waiting = collections.deque(self._sizes)
        self._began_s: dict[str, float] = {}
        """When those that run have begun."""
        self._built, self._took_s = 0.0, 0.0
        """The sizes of those that are built, and what they took, together."""

    def stage(self, name: str, stage: str, fraction: float) -> None:
        """Hear of a stage of a build."""
        if name not in self._sizes:
            return
        now = self._clock()
        if stage == "failed" or (stage == "compiling" and fraction == 1.0):
            began_s = self._began_s.pop(name, None)
            if began_s is not None and stage != "failed":
                self._built += self._sizes[name]
                self._took_s += now - began_s
            if name in self._waiting:
                self._waiting.remove(name)
        if stage in ("compiling", "failed"):
            self._begin(now)

    def _begin(self, now: float) -> None:
        """Begin as many builds as there are builders for."""
        while self._waiting and len(self._began_s) < (self._builders or 1):
            self._began_s[self._waiting.popleft()] = now

    def seconds(self) -> float | None:
        """Return the seconds that are left; None until one build is done."""
        if not self._waiting and not self._began_s:
            return 0.0
        if self._builders is None or not self._took_s:
            return None
        pace_s, now = self._took_s / self._built, self._clock()
        ends = [max(0.0, at + pace_s * self._sizes[name] - now) for name, at in self._began_s.items()]
        ends += [0.0] * (self._builders - len(ends))
        heapq.heapify(ends)
        for name in self._waiting:
            heapq.heapreplace(ends, ends[0] + pace_s * self._sizes[name])
        return max(ends)
