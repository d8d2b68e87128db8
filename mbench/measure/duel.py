"""Two artifacts against each other in one process: a baseline, its twin, and a head, alternating in short blocks.

A process has its own memory layout and its own luck with the machine; both hit all three copies alike. So one process
is one sample: how far the head is from the baseline there, with the twin as the measure of what is noise. The baseline
and its twin are two files with the same content, so that nothing is shared that the head could not share.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from mbench.measure import latency

if TYPE_CHECKING:
    import numpy as np

    from mbench.measure.session import Instrument, Runs

COPIES = ("base", "twin", "head")
METHOD = (
    "base, a twin of it and head, loaded into one process in random order and alternated in short blocks, each order "
    "followed by its mirror image; a sample is the log ratio of one process"
)
_BLOCK_S = 3e-3
"""What a block should last: a machine's speed drifts within tens of milliseconds."""
_MOST_RUNS = 10
_FEWEST_RUNS = 2
_FEWEST_ROUNDS = 5
_LAYER_RUNS = 3

Progress = Callable[[float], None]


class DuelPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How one process measures."""

    threads: int
    order: tuple[int, ...]
    """In which the copies are loaded, as indices into `COPIES`."""
    seed: int
    """Of the orders in which they take turns."""
    warmup_s: float
    whole_s: float
    """How long whole runs are timed, once every copy has had five rounds."""
    layers_s: float
    """The same for layers."""
    tolerance: float
    """Of the outputs, as in `records.Numerics`."""


class Bout(msgspec.Struct, frozen=True, kw_only=True):
    """What one process saw of the three copies, in the order of `COPIES`. Times in seconds."""

    order: tuple[int, ...]
    block: int
    """Consecutive runs of one copy."""
    whole_s: tuple[tuple[float, ...], ...]
    """Of each copy: the median of each of its blocks; the i-th blocks ran beside one another."""
    layers_s: tuple[tuple[tuple[float, ...], ...], ...]
    """Of each copy: of each layer of its artifact, the median of each block."""
    wall_s: float
    others_busy_s: float
    """Processor seconds that other processes used meanwhile."""


def block_runs(seconds: float) -> int:
    """Return how many runs of `seconds` make a block."""
    return max(_FEWEST_RUNS, min(_MOST_RUNS, round(_BLOCK_S / seconds))) if seconds > 0 else _MOST_RUNS


def alternate(
    copies: Sequence[Callable[[], Sequence[float]]],
    draw: np.random.Generator,
    *,
    budget_s: float,
    progress: Progress = lambda _: None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[list[Sequence[float]]]:
    """Let `copies` take turns until `budget_s` is over and each had five rounds; return what each call returned.

    A round is a random order and its mirror image, so that a drift within it hits all alike.
    """
    taken: list[list[Sequence[float]]] = [[] for _ in copies]
    start, rounds = clock(), 0
    while rounds < _FEWEST_ROUNDS or clock() - start < budget_s:
        order = draw.permutation(len(copies)).tolist()
        for index in (*order, *reversed(order)):
            taken[index].append(copies[index]())
        rounds += 1
        progress(min(1.0, rounds / _FEWEST_ROUNDS, (clock() - start) / budget_s))
    return taken


def whole(
    sessions: Sequence[Runs], draw: np.random.Generator, plan: DuelPlan, progress: Progress
) -> tuple[int, tuple[tuple[float, ...], ...]]:
    """Warm up, then time whole runs; return the runs of a block and the block medians of each copy."""
    one = [session.timer(number=1, repeat=_FEWEST_RUNS) for session in sessions]
    warm = alternate(one, draw, budget_s=plan.warmup_s)
    block = block_runs(min(min(samples) for samples in warm[0]))
    timers = [session.timer(number=1, repeat=block) for session in sessions]
    taken = alternate(timers, draw, budget_s=plan.whole_s, progress=progress)
    return block, tuple(tuple(statistics.median(samples) for samples in blocks) for blocks in taken)


def layers(
    sessions: Sequence[Runs], draw: np.random.Generator, plan: DuelPlan, progress: Progress
) -> tuple[tuple[tuple[float, ...], ...], ...]:
    """Time layers in place, by the runtime's instrument; return the block medians of each layer of each copy.

    The instrument's cost of a reading, calibrated in this process, is taken off.

    Raises:
        MeasureError: the kernels that ran are not those of the artifact.
    """
    cost_s = statistics.median(latency.instrument_cost(session) for session in sessions)
    blocks = [_layer_block(session, session.instrument(), cost_s) for session in sessions]
    taken = alternate(blocks, draw, budget_s=plan.layers_s, progress=progress)
    return tuple(tuple(zip(*medians, strict=True)) for medians in taken)


def _layer_block(session: Runs, instrument: Instrument, cost_s: float) -> Callable[[], tuple[float, ...]]:
    """Return a function that runs a block under the instrument and returns the median seconds of each layer."""
    indices = [layer for _, layer in session.artifact.manifest.calls]

    def run() -> tuple[float, ...]:
        latency.kernel_times(instrument, session, cost_s)  # the first after a change of copies finds cold caches
        sums = []
        for _ in range(_LAYER_RUNS):
            seconds = [0.0] * len(session.artifact.manifest.layers)
            for layer, kernel_s in zip(indices, latency.kernel_times(instrument, session, cost_s)[0], strict=True):
                seconds[layer] += kernel_s
            sums.append(seconds)
        return tuple(statistics.median(of_layer) for of_layer in zip(*sums, strict=True))

    return run
