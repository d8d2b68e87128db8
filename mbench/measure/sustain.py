"""A network under load without a pause: its runs over time, slice by slice, with what sensors show beside them.

The same for every device: a program runs in blocks that its timer takes one after the other; clock and sensors are
given. Where the latency becomes steady is looked for in `mbench.analysis.steady_state`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from mbench.core import stats
from mbench.core.progress import Fraction
from mbench.core.sustained import MOST_POINTS, SustainedPoint

if TYPE_CHECKING:
    from mbench.measure.program import LoadedProgram

STAGE = "sustaining"
SLICE_S = 0.1
"""The shortest slice where sensors are files of this machine: reading them takes about 1 % of it at most."""
FAR_SLICE_S = 0.5
"""Where a driver or a line to another machine is asked, which takes milliseconds."""
_CALL_S = 1.0
"""How long one call of the timer may take, so that progress is reported and Ctrl-C is heard."""
_MOST_SAMPLES = 100_000
"""Of a slice that are kept for its quantiles; of more, every second, fourth, … is."""
_SHORTEST_S = 1e-9
_SENSED = ("frequency_hz", "temperature_c", "others_busy", "slowed_by")


class SustainPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How to put a network under load."""

    seconds: float
    threads: int
    tolerance: float
    """Of its output, which is checked before."""
    memory_offset: int = 0
    """Bytes by which the process moves its heap, where it can."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SensorReading:
    """What a machine shows at one moment; None: it does not show it."""

    frequency_hz: float | None = None
    temperature_c: float | None = None
    others_busy_s: float | None = None
    """Processor seconds that others used, since any beginning."""
    slowed_by: tuple[str, ...] | None = None


class SustainedRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a device saw of a network under load; nothing is derived but the quantiles of each slice."""

    began_utc: str
    ran_s: float
    running_share: float
    points: tuple[SustainedPoint, ...]
    missing: dict[str, str]


def run(
    program: LoadedProgram,
    seconds: float,
    sense: Callable[[], SensorReading],
    *,
    began_utc: str,
    why: Mapping[str, str],
    shortest_s: float = SLICE_S,
    progress: Fraction = lambda _: None,
    clock: Callable[[], float] = time.perf_counter,
) -> SustainedRun:
    """Run a network for a time; return its latency over that time.

    The time is parted into up to 600 slices, none shorter than `shortest_s`; each has one run at least.

    Args:
        program: what runs.
        seconds: for how long.
        sense: reads the sensors; called once before and after each slice.
        began_utc: when that is.
        why: reasons by field of a point, where the sensors do not show it.
        shortest_s: how long a slice is at least.
        progress: called with the share of the time that is over.
        clock: in seconds.
    """
    load = _LoadRunner(program, clock, lambda now_s: progress(min(1.0, now_s / seconds)))
    slices = max(1, min(MOST_POINTS, int(seconds / shortest_s + _SHORTEST_S)))
    slice_s = seconds / slices
    points, number, before = list[SustainedPoint](), 0, sense()
    begin_s = load.now_s()
    while number < slices and begin_s < seconds - slice_s / 2:
        number = max(number, int(begin_s / slice_s + 0.5)) + 1
        samples, runs = load.until(min(slice_s * number, seconds))
        after, end_s = sense(), load.now_s()
        points.append(_point(samples, runs, end_s, _between(before, after, end_s - begin_s)))
        before, begin_s = after, end_s
    lacking = [field for field in _SENSED if any(getattr(point, field) is None for point in points)]
    return SustainedRun(
        began_utc=began_utc,
        ran_s=begin_s,
        running_share=min(1.0, load.running_s / max(begin_s, _SHORTEST_S)),
        points=tuple(points),
        missing={f"points.{field}": why.get(field, "this machine does not show it") for field in lacking},
    )


class _LoadRunner:
    """Runs a program in calls of its timer, each as long as what is left of a slice."""

    def __init__(self, program: LoadedProgram, clock: Callable[[], float], passed: Fraction) -> None:
        self._program, self._clock, self._passed = program, clock, passed
        self._start = clock()
        self._run_s: float | None = None
        """What a run took of the clock in the last call, the timer's own time included."""
        self.running_s = 0.0
        """What all runs took together, those that the timer throws away too."""

    def now_s(self) -> float:
        """Return the seconds since the beginning."""
        return self._clock() - self._start

    def until(self, end_s: float) -> tuple[list[float], int]:
        """Run until a moment, once at least; return samples, of which there may be fewer than runs, and the runs."""
        samples, runs, stride = list[float](), 0, 1
        while True:
            taken = self._call(end_s - self.now_s())
            runs += len(taken)
            samples.extend(taken[::stride])
            while len(samples) > _MOST_SAMPLES:
                samples, stride = samples[::2], 2 * stride
            if end_s - self.now_s() < (self._run_s or 0.0):  # the next call would end further from it
                return samples, runs

    def _call(self, left_s: float) -> Sequence[float]:
        """Take as many samples as fit, one after the other; the timer throws away one run before."""
        number = 1 if self._run_s is None else max(1, int(min(left_s, _CALL_S) / self._run_s) - 1)
        before_s = self.now_s()
        taken = self._program.timer(number=1, repeat=number)()
        after_s = self.now_s()
        self._run_s = max((after_s - before_s) / (number + 1), _SHORTEST_S)
        self.running_s += sum(taken) * (number + 1) / number
        self._passed(after_s)
        return taken


def _between(before: SensorReading, after: SensorReading, seconds: float) -> dict[str, object]:
    """Return what the sensors show of a slice."""
    busy_s = None
    if before.others_busy_s is not None and after.others_busy_s is not None and seconds > 0:
        busy_s = max(0.0, after.others_busy_s - before.others_busy_s) / seconds
    return {
        "frequency_hz": after.frequency_hz,
        "temperature_c": after.temperature_c,
        "others_busy": busy_s,
        "slowed_by": after.slowed_by,
    }


def _point(samples: Sequence[float], runs: int, at_s: float, shown: dict[str, object]) -> SustainedPoint:
    low, middle, high, slow = stats.quantiles(samples, (0.25, 0.5, 0.75, 0.9))
    return SustainedPoint(
        at_s=at_s, runs=runs, p25_s=low, median_s=middle, p75_s=high, p90_s=slow, **shown  # type: ignore[arg-type]
    )  # fmt: skip
