"""Tuned choices in their networks: whether a kernel that is quicker alone is quicker there, and what the whole gains.

Alone in a loop a kernel finds its input in the caches of the cores that read it, and nobody else wants its output. In a
network the layer before has written the one, and the layer after reads the other, each with a share of its own for each
core. So networks made by rule and as tuned take turns in one process (`measure.duel`), in several processes, and a
choice counts by the layers that it serves. Measures and judges; what comes of it is `tuner`'s business.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mbench.core import stats
from mbench.core.artifact import Artifact
from mbench.core.progress import Fraction
from mbench.measure import duel
from mbench.measure.duel import Arena, Bout, Sample

PROCESSES = 5
"""That time each network."""


class TunedRatio(NamedTuple):
    """Seconds by rule and as tuned, and the upper quartile over processes of their ratio."""

    default_s: float
    tuned_s: float
    high: float


class NetworkTimings(NamedTuple):
    """What a network's processes saw: of the whole and of each layer, a sample a process. The base is by rule."""

    whole: tuple[Sample, ...]
    layers: dict[str, tuple[Sample, ...]]
    others_busy: float
    """Processors that other processes kept busy meanwhile."""


def time_network(
    by_rule: Artifact, as_tuned: Artifact, arena: Arena, threads: int, tolerance: float, report: Fraction
) -> NetworkTimings:
    """Time a network made in two ways, in `PROCESSES` processes.

    Args:
        by_rule: the one.
        as_tuned: the other; it has the same layers.
        arena: where.
        threads: of each run.
        tolerance: of the outputs.
        report: called with the share that is done.

    Raises:
        MeasureError: one of the two computes something wrong, or a process died.
    """
    bouts: list[Bout] = []
    with duel.twin_of(by_rule) as twin:
        for number in range(PROCESSES):
            report(number / PROCESSES)
            plan = duel.drawn(threads, tolerance)
            bouts.append(arena.duel(by_rule, twin, as_tuned, plan, lambda *_: None))
    places = [[layer.name for layer in copy.manifest.layers] for copy in (by_rule, by_rule, as_tuned)]
    layers = {
        name: tuple(
            duel.sample([seconds[names.index(name)] for seconds, names in zip(bout.layers_s, places, strict=True)])
            for bout in bouts
        )
        for name in places[0]
    }
    others_busy = sum(bout.others_busy_s for bout in bouts) / sum(bout.wall_s for bout in bouts)
    return NetworkTimings(tuple(duel.sample(bout.whole_s) for bout in bouts), layers, others_busy)


def ratio(parts: Iterable[Sequence[Sample]]) -> TunedRatio:
    """Return how long some parts take together, each of which has a sample a process.

    A part that is faster by a ratio counts by how long it takes by rule. One that is too short for the instrument, and
    reads as nothing, counts as `duel.LEAST_S`, by which its ratio was taken too.
    """
    by_process = list(zip(*parts, strict=True))
    ratios = []
    for samples in by_process:
        weights = [max(sample.base_s, duel.LEAST_S) for sample in samples]
        tuned = sum(weight * math.exp(sample.log_ratio) for weight, sample in zip(weights, samples, strict=True))
        ratios.append(tuned / sum(weights))
    typical_s = statistics.median(sum(sample.base_s for sample in samples) for samples in by_process)
    return TunedRatio(typical_s, typical_s * statistics.median(ratios), stats.quantile(ratios, 0.75))
