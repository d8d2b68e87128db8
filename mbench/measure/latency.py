"""Latency in one process: end to end, and layer by layer with the instrument's own cost calibrated and subtracted.

How far processes lie apart shows in several of them: see `mbench.measure.sessions`.
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
from mbench.core.settings import Warmup

if TYPE_CHECKING:
    from mbench.measure.observation import MeasurePlan
    from mbench.measure.program import Instrument, LoadedProgram

METHOD = "one run a sample, the runtime's steady clock; several fresh processes, each warmed up"
FEWEST_SAMPLES = 8
"""Of a session: how many it takes where time is short, end to end and of each layer."""
_WARMUP_BLOCK = 5
_STEADY_BLOCKS = 3
CALIBRATION_RUNS = 30
_BUILTIN = "vm.builtin."
_SHORTEST_S = 1e-7


def warm_up(program: LoadedProgram, plan: Warmup, clock: Callable[[], float] = time.perf_counter) -> tuple[int, float]:
    """Run until the medians of three blocks in a row agree, or time is up; return (runs, seconds).

    A first run says how long a run takes: where blocks of five would not end in time, each is a single run.
    """
    start = clock()
    if plan.max_s <= 0:
        return 0, 0.0
    [first_s] = program.timer(number=1, repeat=1)()
    fits = first_s * (_WARMUP_BLOCK + 1) * _STEADY_BLOCKS <= plan.max_s
    block = _WARMUP_BLOCK if fits else 1
    timer, medians = program.timer(number=1, repeat=block), list[float]()
    while clock() - start < plan.max_s:
        medians.append(statistics.median(timer()))
        last = medians[-_STEADY_BLOCKS:]
        if len(last) == _STEADY_BLOCKS and max(last) <= min(last) * (1 + plan.steady_within):
            break
    return 2 + len(medians) * (block + 1), clock() - start


def whole(
    program: LoadedProgram,
    plan: MeasurePlan,
    progress: Fraction = lambda _: None,
    between: Callable[[], object] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[float, ...]:
    """Return up to `plan.repeat` samples of whole runs, in seconds, taken in blocks of `plan.block`.

    After each block `between` is called. Where the plan has a time for it, the blocks are spread over that time, and
    the network keeps running between them, so that a moment of noise is not all that is seen; when it is over, the
    samples of one block are enough.
    """
    timer = program.timer(number=plan.number, repeat=plan.block)
    samples, blocks, start = list[float](), -(-plan.repeat // plan.block), clock()
    for index in range(1, blocks + 1):
        taken = timer()
        samples.extend(taken)
        if between is not None:
            between()
        progress(index / blocks)
        if plan.measure_max_s is None or index == blocks:
            continue
        spare_s = plan.measure_max_s * index / blocks - (clock() - start)
        if clock() - start >= plan.measure_max_s:
            break
        if (runs := int(spare_s / max(statistics.median(taken), _SHORTEST_S))) > 1:
            program.timer(number=runs - 1, repeat=1)()
    return tuple(samples[: plan.repeat])


def layers(
    program: LoadedProgram,
    *,
    repeat: int,
    max_s: float | None = None,
    progress: Fraction = lambda _: None,
    chain_s: Callable[[LoadedProgram], float] | None = None,
) -> tuple[tuple[tuple[float, ...], ...], tuple[float, ...], float]:
    """Time every kernel in the network, up to `repeat` runs; after `max_s` seconds, eight runs are enough.

    Args:
        program: what runs.
        repeat: how often, at most.
        max_s: when to be content.
        progress: called with the share that is done.
        chain_s: returns the seconds of the instrument's calibration without it; by default the program's timer does.

    Returns:
        The seconds of each kernel call (one tuple of samples a call), the seconds between the kernels in each run, and
        the instrument's cost of one reading in seconds, which is taken off both.

    Raises:
        MeasureError: the kernels that ran are not those of the artifact.
    """
    cost_s = instrument_cost(program, chain_s)
    kernels, overheads = [], []
    instrument = program.instrument()
    start = time.perf_counter()
    for index in range(repeat):
        ran, between = kernel_times(instrument, program, cost_s)
        kernels.append(ran)
        overheads.append(sum(between))
        progress((index + 1) / repeat)
        if max_s is not None and index + 1 >= FEWEST_SAMPLES and time.perf_counter() - start >= max_s:
            break
    instrument.remove()
    return tuple(zip(*kernels, strict=True)), tuple(overheads), cost_s


def kernel_times(instrument: Instrument, program: LoadedProgram, cost_s: float) -> tuple[list[float], list[float]]:
    """Run the network once; return the seconds of the artifact's kernels, in order, and of the runtime between them.

    Args:
        instrument: set on the program.
        program: what runs.
        cost_s: the instrument's own cost of one reading, which is taken off each.

    Raises:
        MeasureError: the kernels that ran are not those of the artifact.
    """
    events = instrument.run(artifact.ENTRY)
    kernels = [(name, seconds) for name, seconds in events if not name.startswith(_BUILTIN)]
    ran, expected = [name for name, _ in kernels], [name for name, _ in program.artifact.manifest.calls]
    if ran != expected:
        seen, named = next(both for both in itertools.zip_longest(ran, expected) if both[0] != both[1])
        raise MeasureError(
            f"kernel {seen or 'none'!r} ran where the artifact names {named or 'none'!r}; build it again"
        )
    between = [seconds for name, seconds in events if name.startswith(_BUILTIN)]
    return [max(0.0, seconds - cost_s) for _, seconds in kernels], [max(0.0, seconds - cost_s) for seconds in between]


def instrument_cost(program: LoadedProgram, chain_s: Callable[[LoadedProgram], float] | None = None) -> float:
    """Return the seconds that the instrument adds to one reading.

    A chain of kernels of 16 elements, with the allocations between them, is read under the instrument; what the whole
    chain takes without it is its own, the rest is the instrument's, the same for every reading.

    Args:
        program: what runs.
        chain_s: returns the seconds of the whole chain without the instrument; by default the program's timer does.
    """
    plain = (chain_s or _chain_s)(program)
    instrument = program.instrument()
    chains = [instrument.run(artifact.CALIBRATION_ENTRY) for _ in range(CALIBRATION_RUNS)]
    instrument.remove()
    read = statistics.median(sum(seconds for _, seconds in chain) for chain in chains)
    return max(0.0, float(read - plain) / len(chains[0]))


def _chain_s(program: LoadedProgram) -> float:
    timer = program.timer(number=1, repeat=CALIBRATION_RUNS, entry=artifact.CALIBRATION_ENTRY)
    return float(statistics.median(timer()))
