"""Waiting for a quiet and cool machine before it measures: `--wait-quiet`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from mbench.core import units
from mbench.core.machine_types import Conditions
from mbench.core.progress import Note
from mbench.hardware import host
from mbench.measure import activity, disturbance

_LOOK_S = 0.5
_QUIET_LOOKS = 4
"""In a row: two seconds."""
_COOLING_C = 1.0
"""A machine that cooled down by more than this within `_COOLING_LOOKS` is not cool yet."""
_COOLING_LOOKS = 10
_FIRST_S, _SAY_S = 2.5, 10.0
"""When it first says what it waits for, and how often."""


class _Others:
    """Processors that others keep busy, from one look to the next."""

    def __init__(self) -> None:
        self._watch = activity.Watch()

    def __call__(self) -> float:
        wall_s, busy_s = self._watch.read_s()
        self._watch = activity.Watch()
        return busy_s / wall_s if wall_s else 0.0


def wait(
    most_s: float,
    note: Note,
    *,
    processors: int,
    others: Callable[[], float] | None = None,
    conditions: Callable[[], Conditions] = host.conditions,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> bool:
    """Wait until others leave the machine alone and it cools down no more; return whether that came in time.

    Args:
        most_s: after so many seconds it gives up.
        note: called with what it waits for, every ten seconds, and with what came of it.
        processors: that the machine has.
        others: returns how many processors others kept busy since it was called last; by default looks itself.
        conditions: returns what the machine is doing now.
        clock: in seconds.
        sleep: waits so many seconds.
    """
    look, begun, said = others or _Others(), clock(), 0.0
    limit = disturbance.most_busy(processors)
    quiet, warmth = 0, deque[float](maxlen=_COOLING_LOOKS)
    while True:
        sleep(_LOOK_S)
        busy, warm = look(), conditions().temperature_c
        quiet = quiet + 1 if busy <= limit else 0
        if warm is not None:
            warmth.append(warm)
        reason = _reason(busy if quiet < _QUIET_LOOKS else None, warmth, limit)
        waited = clock() - begun
        if reason is None:
            if waited >= _SAY_S:
                note(f"the machine is quiet after {units.seconds(waited)}")
            return True
        if waited >= most_s:
            note(f"the machine did not get quiet within {units.seconds(most_s)}: {reason}; measuring all the same")
            return False
        if waited >= said + _FIRST_S:
            said = waited + _SAY_S - _FIRST_S
            note(f"waiting for a quiet machine, {units.seconds(most_s - waited)} at most: {reason}")


def _reason(busy: float | None, warmth: deque[float], limit: float) -> str | None:
    if busy is not None:
        return f"other processes keep {busy:.2f} processors busy, {limit:.2f} is quiet"
    if len(warmth) > 1 and max(warmth) - warmth[-1] > _COOLING_C:
        return f"it cools down, {max(warmth):.0f} to {warmth[-1]:.0f} °C"
    return None
