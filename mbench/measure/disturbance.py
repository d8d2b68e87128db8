"""What disturbed a session: other work, a hypervisor, a quota, clocks held back, a spread far beyond its siblings'.

A session's median is no reason: it may be slow by its layout of memory, as the network would be elsewhere too.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Sequence

from mbench.core import stats, units
from mbench.core.machine_types import Calibration, Conditions
from mbench.measure.observation import Observation

OTHERS_BUSY = 0.1
"""Processors that others kept busy on average, from which on a session counts as disturbed …"""
_OTHERS_SHARE = 0.05
"""… or this share of the machine's processors, if that is more."""
_GOT_SHARE = 0.97
"""Processor time over what the threads wanted, below which somebody took it."""
_LOST_SHARE = 0.02
_SLOWER_CLOCK = 0.9
SLOWER_EXCHANGE = 1.75
"""What threads take to read what others wrote, over the quickest: on two processors of a virtual machine it was below
1.12 or above 3.2, and the network's time 1.5 times as long with it."""
_FAR_APART = "reading what another thread wrote took"
_WIDE, _WIDER = 0.05, 3.0
"""A spread between quartiles is far beyond its siblings' if it is above 5 % and three times their median."""
_FEWEST_SIBLINGS = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quiet:
    """What a quiet machine is like."""

    processors: int
    calibration: Calibration | None = None
    """Its peaks; None: not measured."""
    exchange_s: float | None = None
    """What threads take there at best to read what others wrote; None: not known."""

    def best_exchange_s(self, seen: Sequence[Observation]) -> float | None:
        """Return what threads take at best to read what others wrote, as these sessions or any before saw."""
        return min((each for each in (self.exchange_s, *(each.exchange_s for each in seen)) if each), default=None)


def most_busy(processors: int) -> float:
    """Return how many processors others may keep busy on a quiet machine that has so many."""
    return max(OTHERS_BUSY, _OTHERS_SHARE * processors)


def reasons(seen: Sequence[Observation], quiet: Quiet) -> tuple[tuple[str, ...], ...]:
    """Return what disturbed each of the sessions of one network, in words."""
    return tuple(_of_session(each, [other for other in seen if other is not each], quiet) for each in seen)


def _of_session(seen: Observation, siblings: Sequence[Observation], quiet: Quiet) -> tuple[str, ...]:
    found = [reason for cause in _OWN if (reason := cause(seen, quiet.processors)) is not None]
    found += [reason for cause in _BESIDE if (reason := cause(seen, siblings)) is not None]
    found += [reason for cause in _PACE if (reason := cause(seen, siblings, quiet)) is not None]
    return tuple(found)


def _slow_multiply_adds(seen: Observation, siblings: Sequence[Observation], _quiet: Quiet) -> str | None:
    best = max((each.flops_per_s for each in (seen, *siblings) if each.flops_per_s), default=None)
    if seen.flops_per_s is None or best is None or seen.flops_per_s >= _SLOWER_CLOCK * best:
        return None
    return (
        f"the processors did {units.percent(seen.flops_per_s / best)} of the multiply-adds that they did in another "
        "session: lower clocks, or cores that are shared"
    )


def _slow_exchange(seen: Observation, siblings: Sequence[Observation], quiet: Quiet) -> str | None:
    best = quiet.best_exchange_s([seen, *siblings])
    if seen.exchange_s is None or best is None or seen.exchange_s <= SLOWER_EXCHANGE * best:
        return None
    return (
        f"{_FAR_APART} {units.seconds(seen.exchange_s)}, at best {units.seconds(best)}: processors that are far apart"
    )


def far_apart(why: Sequence[str]) -> bool:
    """Return whether nothing else disturbed a session than that its processors were far apart."""
    return len(why) == 1 and why[0].startswith(_FAR_APART)


def _others(seen: Observation, processors: int) -> str | None:
    if not seen.wall_s or seen.others_busy_s is None:
        return None
    busy = seen.others_busy_s / seen.wall_s
    if busy <= most_busy(processors):
        return None
    return f"other processes kept {busy:.2f} processors busy"


def _waited(seen: Observation, _processors: int) -> str | None:
    if seen.processor_share is None or seen.processor_share >= _GOT_SHARE:
        return None
    return f"its threads got {units.percent(seen.processor_share)} of the processor time that they wanted"


def _stolen(seen: Observation, _processors: int) -> str | None:
    lost = _lost_s(seen, lambda conditions: conditions.steal_s)
    return lost and f"the hypervisor gave {lost} of processor time to others"


def _held_back(seen: Observation, _processors: int) -> str | None:
    lost = _lost_s(seen, lambda conditions: conditions.throttled_s)
    return lost and f"the processor quota held threads back for {lost}"


def _lost_s(seen: Observation, counted_s: Callable[[Conditions], float | None]) -> str | None:
    """Return how far a counter of seconds went on during the session; None where that is little or not known."""
    if seen.conditions_before is None or seen.conditions_after is None or not seen.wall_s:
        return None
    before, after = counted_s(seen.conditions_before), counted_s(seen.conditions_after)
    if before is None or after is None or after - before <= _LOST_SHARE * seen.wall_s:
        return None
    return units.seconds(after - before)


def _slowed_gpu(seen: Observation, _processors: int) -> str | None:
    moments = (seen.conditions_before, seen.conditions_after)
    held = [reason for moment in moments if moment and moment.gpu for reason in moment.gpu.slowed_by or ()]
    return f"the GPU's clocks were held back: {', '.join(dict.fromkeys(held))}" if held else None


def _clock(seen: Observation, siblings: Sequence[Observation]) -> str | None:
    own, others = _frequency_hz(seen), [hz for each in siblings if (hz := _frequency_hz(each))]
    if not own or not others or own >= _SLOWER_CLOCK * max(others):
        return None
    return f"the processor ran at {own / 1e9:.2f} GHz, and at {max(others) / 1e9:.2f} GHz in another session"


def _frequency_hz(seen: Observation) -> float | None:
    return seen.conditions_after.frequency_hz if seen.conditions_after else None


def _spread(seen: Observation, siblings: Sequence[Observation]) -> str | None:
    others = [spread for each in siblings if (spread := quartile_spread(each.latency_s)) is not None]
    own = quartile_spread(seen.latency_s)
    if own is None or len(others) < _FEWEST_SIBLINGS:
        return None
    usual = statistics.median(others)
    if own <= max(_WIDE, _WIDER * usual):
        return None
    return f"its quartiles lie {units.percent(own)} apart, in the other sessions {units.percent(usual)}"


def quartile_spread(samples: Sequence[float] | None) -> float | None:
    """Return how far the quartiles lie apart, as a share of the median; None without samples, or where that is 0."""
    if not samples:
        return None
    low, middle, high = stats.quantiles(samples, (0.25, 0.5, 0.75))
    return (high - low) / middle if middle else None


_OWN: tuple[Callable[[Observation, int], str | None], ...] = (_others, _waited, _stolen, _held_back, _slowed_gpu)
_PACE: tuple[Callable[[Observation, Sequence[Observation], Quiet], str | None], ...] = (
    _slow_multiply_adds,
    _slow_exchange,
)
_BESIDE: tuple[Callable[[Observation, Sequence[Observation]], str | None], ...] = (_clock, _spread)
