"""Latency: end to end with an A/A pair, and layer by layer with the instrument's own cost calibrated and subtracted.

Two runs of the same code differ by noise. So end to end is measured as a pair of two loaded copies, alternating in
blocks (A B B A …): the first copy's samples are the latency, the difference between the copies is the noise floor.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from mbench.core import artifact
from mbench.core.errors import MeasureError
from mbench.core.progress import Fraction
from mbench.core.records import Warmup

if TYPE_CHECKING:
    from mbench.measure.observation import MeasurePlan
    from mbench.measure.session import Instrument, LoadedProgram

METHOD = "one run a sample, the runtime's steady clock; two copies of the program in one process, alternating in blocks"
_WARMUP_BLOCK = 5
CALIBRATION_RUNS = 30
_BUILTIN = "vm.builtin."
_ENOUGH_BLOCKS = 3
_ENOUGH_RUNS = 10


def warm_up(session: LoadedProgram, plan: Warmup, clock: Callable[[], float] = time.perf_counter) -> tuple[int, float]:
    """Run until the medians of three blocks in a row agree, or time is up; return (runs, seconds)."""
    timer = session.timer(number=1, repeat=_WARMUP_BLOCK)
    start, medians = clock(), []
    while clock() - start < plan.max_s:
        medians.append(statistics.median(timer()))
        last = medians[-3:]
        if len(last) == 3 and max(last) <= min(last) * (1 + plan.steady_within):
            break
    return len(medians) * (_WARMUP_BLOCK + 1), clock() - start


def pair(
    first: LoadedProgram,
    twin: LoadedProgram,
    *,
    number: int,
    repeat: int,
    block: int,
    max_s: float | None = None,
    progress: Fraction = lambda _: None,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return up to `repeat` samples of each of two sessions, in seconds, taken in alternating blocks A B B A.

    After `max_s` seconds, three blocks of each are enough.
    """
    timers = [session.timer(number=number, repeat=block) for session in (first, twin)]
    samples: tuple[list[float], list[float]] = ([], [])
    blocks = -(-repeat // block)
    start = clock()
    for index in range(blocks):
        for which in (0, 1) if index % 2 == 0 else (1, 0):
            samples[which].extend(timers[which]())
        progress((index + 1) / blocks)
        if max_s is not None and index + 1 >= _ENOUGH_BLOCKS and clock() - start >= max_s:
            break
    return tuple(samples[0][:repeat]), tuple(samples[1][:repeat])


def pair_as_planned(
    first: LoadedProgram, twin: LoadedProgram, plan: MeasurePlan, progress: Fraction
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the samples of each of two sessions, in seconds; see `pair`."""
    return pair(
        first, twin, number=plan.number, repeat=plan.repeat, block=plan.block, max_s=plan.measure_max_s,
        progress=progress,
    )  # fmt: skip


def layers(
    session: LoadedProgram,
    *,
    repeat: int,
    max_s: float | None = None,
    progress: Fraction = lambda _: None,
    chain_s: Callable[[LoadedProgram], float] | None = None,
) -> tuple[tuple[tuple[float, ...], ...], tuple[float, ...], float]:
    """Time every kernel in the network, up to `repeat` runs; after `max_s` seconds, ten runs are enough.

    Args:
        session: what runs.
        repeat: how often, at most.
        max_s: when to be content.
        progress: called with the share that is done.
        chain_s: returns the seconds of the instrument's calibration without it; by default the session's timer does.

    Returns:
        The seconds of each kernel call (one tuple of samples a call), the seconds between the kernels in each run, and
        the instrument's cost of one reading in seconds, which is taken off both.

    Raises:
        MeasureError: the kernels that ran are not those of the artifact.
    """
    cost_s = instrument_cost(session, chain_s)
    kernels, overheads = [], []
    instrument = session.instrument()
    start = time.perf_counter()
    for index in range(repeat):
        ran, between = kernel_times(instrument, session, cost_s)
        kernels.append(ran)
        overheads.append(sum(between))
        progress((index + 1) / repeat)
        if max_s is not None and index + 1 >= _ENOUGH_RUNS and time.perf_counter() - start >= max_s:
            break
    instrument.remove()
    return tuple(zip(*kernels, strict=True)), tuple(overheads), cost_s


def kernel_times(instrument: Instrument, session: LoadedProgram, cost_s: float) -> tuple[list[float], list[float]]:
    """Run the network once; return the seconds of the artifact's kernels, in order, and of the runtime between them.

    Args:
        instrument: set on the session.
        session: what runs.
        cost_s: the instrument's own cost of one reading, which is taken off each.

    Raises:
        MeasureError: the kernels that ran are not those of the artifact.
    """
    events = instrument.run(artifact.ENTRY)
    kernels = [(name, seconds) for name, seconds in events if not name.startswith(_BUILTIN)]
    ran, expected = [name for name, _ in kernels], [name for name, _ in session.artifact.manifest.calls]
    if ran != expected:
        seen, named = next(both for both in itertools.zip_longest(ran, expected) if both[0] != both[1])
        raise MeasureError(
            f"kernel {seen or 'none'!r} ran where the artifact names {named or 'none'!r}; build it again"
        )
    between = [seconds for name, seconds in events if name.startswith(_BUILTIN)]
    return [max(0.0, seconds - cost_s) for _, seconds in kernels], [max(0.0, seconds - cost_s) for seconds in between]


def instrument_cost(session: LoadedProgram, chain_s: Callable[[LoadedProgram], float] | None = None) -> float:
    """Return the seconds that the instrument adds to one reading.

    A chain of kernels of 16 elements, with the allocations between them, is read under the instrument; what the whole
    chain takes without it is its own, the rest is the instrument's, the same for every reading.

    Args:
        session: what runs.
        chain_s: returns the seconds of the whole chain without the instrument; by default the session's timer does.
    """
    plain = (chain_s or _chain_s)(session)
    instrument = session.instrument()
    chains = [instrument.run(artifact.CALIBRATION_ENTRY) for _ in range(CALIBRATION_RUNS)]
    instrument.remove()
    read = statistics.median(sum(seconds for _, seconds in chain) for chain in chains)
    return max(0.0, float(read - plain) / len(chains[0]))


def _chain_s(session: LoadedProgram) -> float:
    timer = session.timer(number=1, repeat=CALIBRATION_RUNS, entry=artifact.CALIBRATION_ENTRY)
    return float(statistics.median(timer()))
