"""A network with one layer made slower by a known share, for trials of the gate.

What is planted is timed a second way before the gate sees it: its kernel alone, again and again. It is changed until it
is what was intended, give or take a tenth.
"""

from __future__ import annotations

import functools
import random
import sys
from pathlib import Path
from typing import NamedTuple

import alone
import trial_builds
from gate_trials import NEAR, SLOWER

from mbench.core import artifact
from mbench.core.artifact import Artifact

_TRIES = 5
"""At planting so much in a layer, before another one is drawn."""
_MUCH, _LITTLE = 40_000, 100
"""Iterations of planted work that show how long it takes: longer than any layer, and about a hundredth of one."""


def slowed(base: Artifact, scenario: str, threads: int, *, least: float = 0.0) -> tuple[str, Artifact, float]:
    """Return a layer drawn among those that are long enough, the network with it made slower, and the ratio alone.

    Planted code moves the kernel's own within its function, which may cost or save as much. `least` is the share of the
    network's time that such a layer has at least.

    Raises:
        SystemExit: no layer could be made as much slower as intended.
    """
    seconds, pace = _seconds_and_pace(str(base.folder), threads)
    kernels = trial_builds.own_kernels(base)
    layers = [
        name for name in trial_builds.long_enough(kernels, seconds) if seconds[name] >= least * sum(seconds.values())
    ]
    for layer in random.sample(layers, len(layers)):
        slowed_s = sum(seconds.values()) if scenario.startswith("whole") else seconds[layer]
        wanted_s = work_s = SLOWER[scenario] * slowed_s
        for _ in range(_TRIES):
            iterations = max(1, round((work_s - pace.fixed_s) / pace.iteration_s))
            head = trial_builds.build(base.manifest.variant.name, kernel=kernels[layer], iterations=iterations)
            extra_s = alone.extra_s(base, head, layer, threads)
            print(f"{layer}: {extra_s / slowed_s:.2%} with {iterations} iterations", file=sys.stderr, flush=True)
            if abs(extra_s - wanted_s) <= NEAR * wanted_s:
                return layer, head, 1 + extra_s / slowed_s
            work_s += wanted_s - extra_s
    raise SystemExit(f"gate_calibration.py: {scenario}: no layer could be made as much slower as intended")


class Pace(NamedTuple):
    """How long planted work takes."""

    iteration_s: float
    fixed_s: float
    """What it takes beside its iterations: the kernel waits for their end, and its code lies elsewhere."""


@functools.cache
def _seconds_and_pace(folder: str, threads: int) -> tuple[dict[str, float], Pace]:
    """Return what each layer takes, and planted work, side by side in the gate's own measurement.

    Much work in one layer shows how long an iteration is, little in the shortest what else it costs.
    """
    base = artifact.load(Path(folder))
    kernels = trial_builds.own_kernels(base)
    first = next(iter(kernels))
    seconds, extra_s = _extra(base, first, kernels[first], _MUCH, threads)
    iteration_s = extra_s / _MUCH
    shortest = min(trial_builds.long_enough(kernels, seconds), key=seconds.__getitem__)
    _, extra_s = _extra(base, shortest, kernels[shortest], _LITTLE, threads)
    pace = Pace(iteration_s, extra_s - _LITTLE * iteration_s)
    print(f"{iteration_s * 1e9:.2f} ns an iteration, {pace.fixed_s * 1e9:.0f} ns beside", file=sys.stderr, flush=True)
    return seconds, pace


def _extra(base: Artifact, layer: str, kernel: str, iterations: int, threads: int) -> tuple[dict[str, float], float]:
    """Return what each layer takes, and by how much the one with planted work takes longer."""
    head = trial_builds.build(base.manifest.variant.name, kernel=kernel, iterations=iterations)
    found = {finding.layer: finding for finding in trial_builds.gate(base, head, threads)[0] if finding.layer}
    seconds = {name: float(finding.base or 0.0) for name, finding in found.items()}
    return seconds, seconds[layer] * (float(found[layer].ratio or 1.0) - 1)
