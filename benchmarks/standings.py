"""What `peers.py` says of the runtimes that it saw: who is wrong, medians, ratios, tables. Pure; measures nothing."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Collection, Mapping, Sequence

import numpy as np

MBENCH = "mbench"
TOLERANCE = 1e-3
"""Largest error over the largest magnitude of PyTorch's output, above which a runtime computes something else."""
GOALS = {"geometric mean": 0.90, "worst": 1.05, "standard network": 0.95}
TUNED_GOALS = GOALS | {"geometric mean": 0.80, "standard network": 0.75}
_TOO_BUSY = 0.25
"""Processors that a runtime may be seen to use beyond its threads."""
_DISTURBING = 0.1
"""Processors that other work may keep busy before a table says so."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timed:
    """Seconds of each run of one runtime on one network, a tuple a round; and how it was checked."""

    rounds_s: tuple[tuple[float, ...], ...]
    error: float
    """Of its output, over the largest magnitude of PyTorch's."""
    busy: float
    """Processors that it kept busy."""
    others: float = 0.0
    """Processors that other work kept busy meanwhile."""

    @property
    def median_s(self) -> float:
        """Median of all runs."""
        return statistics.median(run_s for runs_s in self.rounds_s for run_s in runs_s)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standing:
    """One network at one number of threads: each runtime's times, or why it has none."""

    variant: str
    threads: int
    timed: Mapping[str, Timed]
    left_out: Mapping[str, str]
    wrong: Mapping[str, str]
    """Runtimes whose output is wrong: their times do not count."""

    @property
    def best_peer(self) -> str | None:
        """The peer with the lowest median."""
        return min(
            (name for name in self.timed if name != MBENCH), key=lambda name: self.timed[name].median_s, default=None
        )

    @property
    def ratio(self) -> float | None:
        """Median of mbench over the best peer's: below 1, mbench is faster."""
        return self.ratio_to(self.timed)

    def ratio_to(self, names: Collection[str]) -> float | None:
        """Median of mbench over that of the best of some peers."""
        theirs = [timed.median_s for name, timed in self.timed.items() if name != MBENCH and name in names]
        return self.timed[MBENCH].median_s / min(theirs) if MBENCH in self.timed and theirs else None

    @property
    def round_ratio(self) -> float | None:
        """The same within each round, then the median over rounds: drift of the machine cancels."""
        if MBENCH not in self.timed or self.best_peer is None:
            return None
        pairs = zip(self.timed[MBENCH].rounds_s, self.timed[self.best_peer].rounds_s, strict=True)
        return statistics.median(statistics.median(ours) / statistics.median(theirs) for ours, theirs in pairs)


def error(output: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest error over the largest magnitude of `expected`; infinite where they cannot be compared."""
    if output.shape != expected.shape or not (np.isfinite(output).all() and np.isfinite(expected).all()):
        return math.inf
    if np.ptp(expected) == 0:
        return math.inf  # a constant passes whatever is computed
    return float(np.abs(output.astype(np.float64) - expected).max() / np.abs(expected).max())


def judge(
    variant: str,
    threads: int,
    timed: Mapping[str, Timed],
    left_out: Mapping[str, str],
    *,
    tolerance: float = TOLERANCE,
) -> Standing:
    """Return the standing of a network; runtimes with a wrong output or more processors than threads are left out."""
    wrong = {
        name: f"wrong output: error {seen.error:.3g} of PyTorch's largest value, expected at most {tolerance:g}"
        for name, seen in timed.items()
        if not seen.error <= tolerance
    }
    greedy = {
        name: f"kept {seen.busy:.2f} processors busy, expected {threads} at most"
        for name, seen in timed.items()
        if name not in wrong and seen.busy > threads + _TOO_BUSY
    }
    counted = {name: seen for name, seen in timed.items() if name not in wrong and name not in greedy}
    return Standing(variant=variant, threads=threads, timed=counted, left_out={**left_out, **greedy}, wrong=wrong)


def table(
    standings: Sequence[Standing],
    titles: Mapping[str, str],
    *,
    markdown: bool,
    limited: Collection[str] | None = None,
) -> str:
    """Return a line a network: each runtime's median in ms, then mbench over the best peer.

    `limited`: peers that were kept from some instructions; the last column is the ratio to the best of them.
    """
    heading = ["median ms", *titles.values(), "best peer", "ratio", "by round"]
    heading += [] if limited is None else ["to limited peers"]
    rows = [heading, *(_row(standing, titles, limited) for standing in standings)]
    if markdown:
        rows.insert(1, ["---", *("---:" for _ in heading[1:])])
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows)
    return "\n".join("  ".join(row) for row in padded)


def _row(standing: Standing, titles: Mapping[str, str], limited: Collection[str] | None) -> list[str]:
    medians = [
        f"{standing.timed[name].median_s * 1e3:.3f}"
        if name in standing.timed
        else "wrong"
        if name in standing.wrong
        else "-"
        for name in titles
    ]
    best = titles[standing.best_peer] if standing.best_peer else "-"
    ratios = [standing.ratio, standing.round_ratio] + ([] if limited is None else [standing.ratio_to(limited)])
    return [standing.variant, *medians, best, *("-" if ratio is None else f"{ratio:.3f}" for ratio in ratios)]


def verdicts(standings: Sequence[Standing], goals: Mapping[str, float] = GOALS) -> list[str]:
    """Return the ratios that there are goals for, each with its goal."""
    ratios = {standing.variant: standing.ratio for standing in standings if standing.ratio is not None}
    separable = {name: ratio for name, ratio in ratios.items() if "_standard" not in name}
    said = []
    if separable:
        worst = max(separable, key=separable.__getitem__)
        mean = statistics.geometric_mean(separable.values())
        said.append(_verdict("geometric mean", mean, goals, f"over {len(separable)} networks"))
        said.append(_verdict("worst", separable[worst], goals, worst))
    said += [
        _verdict("standard network", ratio, goals, name) for name, ratio in ratios.items() if name not in separable
    ]
    return said


def _verdict(name: str, ratio: float, goals: Mapping[str, float], of: str) -> str:
    goal = goals[name]
    return f"{name:18}{ratio:.3f}   goal {goal:.2f}: {'met' if ratio <= goal else 'missed'}   ({of})"


def notes(standings: Sequence[Standing], titles: Mapping[str, str]) -> list[str]:
    """Return what disturbed the times, and why runtimes were left out: each reason once, with its networks."""
    where: dict[tuple[str, str], list[str]] = {}
    for standing in standings:
        for name, reason in {**standing.left_out, **standing.wrong}.items():
            where.setdefault((titles[name], reason), []).append(standing.variant)
    most = max((seen.others for standing in standings for seen in standing.timed.values()), default=0.0)
    disturbed = [f"measured beside other work, which kept up to {most:.1f} processors busy"]
    return (disturbed if most > _DISTURBING else []) + [
        f"{title}: {reason} ({'all networks' if len(names) == len(standings) else ', '.join(names)})"
        for (title, reason), names in where.items()
    ]
