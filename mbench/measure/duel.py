"""Two artifacts against each other in one process: a baseline, its A/A copy, and a head, alternating in short blocks.

A process has its own memory layout and its own luck with the machine; both hit all three copies alike. So one process
is one sample: how far the head is from the baseline there, with the A/A copy as the measure of noise. The baseline
and its copy are two files with the same content, so that nothing is shared that the head could not share.

A block counts by its shortest run: what disturbs a run makes it longer. A slow-down that only some runs show is not
seen here; the samples of a record show it.
"""

from __future__ import annotations

import math
import secrets
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from mbench.core import artifact, scratch
from mbench.core.artifact import Artifact
from mbench.core.errors import OutputError, why
from mbench.core.progress import Fraction, Report
from mbench.measure import latency

if TYPE_CHECKING:
    import numpy as np

    from mbench.measure.program import Instrument, LoadedProgram

COPIES = ("base", "twin", "head")
_BLOCK_S = 3e-3
"""What a block should last: a machine's speed drifts within tens of milliseconds."""
_MOST_RUNS = 10
_FEWEST_RUNS = 2
_FEWEST_ROUNDS = 5
_LAYER_RUNS = 3
_MOST_WARMING = 1000
_WARMUP_S = 0.15
_ROUNDS = 30
_MAX_S = 1.2
LEAST_S = 1e-8
"""What stands for a time of nothing where a ratio is taken."""


class DuelPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How one process measures."""

    threads: int
    order: tuple[int, ...]
    """In which the copies are loaded, as indices into `COPIES`."""
    seed: int
    """Of the orders in which they take turns."""
    warmup_s: float
    rounds: int
    """Of turns, of whole runs and then of layers."""
    max_s: float
    """When to be content with fewer rounds of either, though never fewer than five."""
    tolerance: float
    """Of the outputs, as in `records.Numerics`."""


class Bout(msgspec.Struct, frozen=True, kw_only=True):
    """What one process saw of the three copies, in the order of `COPIES`. Times in seconds."""

    order: tuple[int, ...]
    block: int
    """Consecutive runs of one copy."""
    whole_s: tuple[tuple[float, ...], ...]
    """Of each copy: the shortest run of each of its blocks; the i-th blocks ran beside one another."""
    layers_s: tuple[tuple[tuple[float, ...], ...], ...]
    """Of each copy: of each layer of its artifact, its shortest time in each block."""
    wall_s: float
    others_busy_s: float
    """Processor seconds that other processes used meanwhile."""


class Arena(Protocol):
    """Where artifacts are measured against each other."""

    def duel(self, base: Artifact, twin: Artifact, head: Artifact, plan: DuelPlan, report: Report) -> Bout:
        """Time them in one fresh process.

        Raises:
            MeasureError: one of them computes something wrong, or the process died.
        """
        ...


class Sample(NamedTuple):
    """What one process says of the whole network, or of a layer."""

    log_ratio: float
    """log(head / base); the base counts by itself and its A/A copy together."""
    log_noise: float
    """log(A/A copy / base)."""
    base_s: float
    head_s: float


def drawn(threads: int, tolerance: float) -> DuelPlan:
    """Return a plan whose orders are drawn anew, since the order of loading and of turns may favour a copy."""
    order = sorted(range(len(COPIES)), key=lambda _: secrets.randbits(32))
    return DuelPlan(
        threads=threads, order=tuple(order), seed=secrets.randbits(32), warmup_s=_WARMUP_S, rounds=_ROUNDS,
        max_s=_MAX_S, tolerance=tolerance,
    )  # fmt: skip


@contextmanager
def twin_of(base: Artifact) -> Iterator[Artifact]:
    """Yield a copy of an artifact: a library that is opened twice would be loaded once.

    Raises:
        OutputError: there is no room for it.
    """
    with scratch.temporary() as folder:
        try:
            copy = artifact.copied(base, folder)
        except OSError as error:
            raise OutputError(
                f"{folder}: cannot be written: {why(error)}; free space, or choose another place with the environment "
                "variable TMPDIR"
            ) from error
        yield Artifact(copy, base.manifest)


def sample(blocks: Sequence[Sequence[float]]) -> Sample:
    """Return what the blocks of the copies say, in the order of `COPIES`, in seconds.

    Blocks that ran beside one another are compared, and the median of that is taken: a disturbance hits one round of
    many.
    """
    rounds = [[math.log(max(value, LEAST_S)) for value in beside] for beside in zip(*blocks, strict=True)]
    return Sample(
        statistics.median(head - (base + twin) / 2 for base, twin, head in rounds),
        statistics.median(twin - base for base, twin, _ in rounds),
        statistics.median((*blocks[0], *blocks[1])),
        statistics.median(blocks[2]),
    )


def block_runs(seconds: float) -> int:
    """Return how many runs of `seconds` make a block."""
    return max(_FEWEST_RUNS, min(_MOST_RUNS, round(_BLOCK_S / seconds))) if seconds > 0 else _MOST_RUNS


def alternate(
    copies: Sequence[Callable[[], Sequence[float]]],
    draw: np.random.Generator,
    *,
    rounds: int,
    max_s: float,
    progress: Fraction = lambda _: None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[list[Sequence[float]]]:
    """Let `copies` take turns, `rounds` times or until `max_s` is over after five; return what each call returned.

    A round is a random order and its mirror image, so that a drift within it hits all alike.
    """
    taken: list[list[Sequence[float]]] = [[] for _ in copies]
    start = clock()
    for turn in range(rounds):
        order = draw.permutation(len(copies)).tolist()
        for index in (*order, *reversed(order)):
            taken[index].append(copies[index]())
        progress((turn + 1) / rounds)
        if turn + 1 >= _FEWEST_ROUNDS and clock() - start >= max_s:
            break
    return taken


def whole(
    programs: Sequence[LoadedProgram], draw: np.random.Generator, plan: DuelPlan, progress: Fraction
) -> tuple[int, tuple[tuple[float, ...], ...]]:
    """Warm up, then time whole runs; return the runs of a block and the shortest run of each block of each copy."""
    one = [program.timer(number=1, repeat=_FEWEST_RUNS) for program in programs]
    warm = alternate(one, draw, rounds=_MOST_WARMING, max_s=plan.warmup_s)
    block = block_runs(min(min(samples) for samples in warm[0]))
    timers = [program.timer(number=1, repeat=block) for program in programs]
    taken = alternate(timers, draw, rounds=plan.rounds, max_s=plan.max_s, progress=progress)
    return block, tuple(tuple(min(samples) for samples in blocks) for blocks in taken)


def layers(
    programs: Sequence[LoadedProgram], draw: np.random.Generator, plan: DuelPlan, progress: Fraction
) -> tuple[tuple[tuple[float, ...], ...], ...]:
    """Time layers in the network by the runtime's instrument; return each layer's shortest time by block and copy.

    The instrument's cost of a reading, calibrated in this process, is subtracted.

    Raises:
        MeasureError: the kernels that ran are not those of the artifact.
    """
    cost_s = statistics.median(latency.instrument_cost(program) for program in programs)
    blocks = [_layer_block(program, program.instrument(), cost_s) for program in programs]
    taken = alternate(blocks, draw, rounds=plan.rounds, max_s=plan.max_s, progress=progress)
    return tuple(tuple(zip(*shortest, strict=True)) for shortest in taken)


def _layer_block(program: LoadedProgram, instrument: Instrument, cost_s: float) -> Callable[[], tuple[float, ...]]:
    """Return a function that runs a block under the instrument and returns the shortest seconds of each layer."""
    indices = [layer for _, layer in program.artifact.manifest.calls]

    def run() -> tuple[float, ...]:
        latency.kernel_times(instrument, program, cost_s)  # the first after a change of copies finds cold caches
        sums = []
        for _ in range(_LAYER_RUNS):
            seconds = [0.0] * len(program.artifact.manifest.layers)
            for layer, kernel_s in zip(indices, latency.kernel_times(instrument, program, cost_s)[0], strict=True):
                seconds[layer] += kernel_s
            sums.append(seconds)
        return tuple(min(of_layer) for of_layer in zip(*sums, strict=True))

    return run
