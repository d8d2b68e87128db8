"""What `peers.py` says of the runtimes that it saw: who is wrong, medians, ratios, tables. Pure; measures nothing."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from mbench.measure import numerics
from mbench.measure.numerics import Expected

MBENCH = "mbench"
TOLERANCE = 1e-3
"""Largest error over the largest magnitude of an expected output, above which a runtime computes something else."""
GOALS = {"geometric mean": 0.90, "worst": 1.05, "standard network": 0.95}
TUNED_GOALS = GOALS | {"geometric mean": 0.80, "standard network": 0.75}
FILE_GOALS = {"geometric mean": 0.80, "worst": 1.05}
"""Of the user's own files: over ONNX Runtime."""
INT8_NETWORKS = {"mobilenet_v1_1.0_224_int8": 0.75, "mobilenet_v2_1.0_224_int8": 0.64}
"""Networks in int8 that have goals of their own."""
_INT8_MEANS: dict[str | None, tuple[float, float]] = {
    None: (0.70, 0.72),
    "avx2_vnni": (0.68, 0.68),
    "avx2": (0.82, 0.82),
}
"""Geometric means in int8 by what peers were limited to, at one thread and at several."""
_TOO_BUSY = 0.25
"""Processors that a runtime may be seen to use beyond its threads."""
_DISTURBING = 0.1
"""Processors that other work may keep busy before a table says so."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timed:
    """Seconds of each run of one runtime on one network, a tuple a round; and how it was checked."""

    rounds_s: tuple[tuple[float, ...], ...]
    error: float
    """Of its outputs, over the largest magnitude of what is expected."""
    busy: float
    """Processors that it kept busy."""
    others: float = 0.0
    """Processors that other work kept busy meanwhile."""
    differing: float = 0.0
    """Share of the numbers of its outputs that are not the very ones expected."""

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
    against: str | None = None
    """The peer that mbench is compared with; None: the best of them."""

    @property
    def kind(self) -> tuple[int, str | None]:
        """What standings of one table have in common."""
        return self.threads, self.against

    @property
    def best_peer(self) -> str | None:
        """The peer with the lowest median."""
        return min(
            (name for name in self.timed if name != MBENCH), key=lambda name: self.timed[name].median_s, default=None
        )

    @property
    def rival(self) -> str | None:
        """The peer that the ratio is to; None where it has no time."""
        return self.best_peer if self.against is None else self.against if self.against in self.timed else None

    @property
    def ratio(self) -> float | None:
        """Median of mbench over that of its rival: below 1, mbench is faster."""
        return self.ratio_to({self.rival})

    def ratio_to(self, names: Collection[str | None]) -> float | None:
        """Median of mbench over that of the best of some peers."""
        theirs = [timed.median_s for name, timed in self.timed.items() if name != MBENCH and name in names]
        return self.timed[MBENCH].median_s / min(theirs) if MBENCH in self.timed and theirs else None

    @property
    def round_ratio(self) -> float | None:
        """The same within each round, then the median over rounds: drift of the machine cancels."""
        if MBENCH not in self.timed or self.rival is None:
            return None
        pairs = zip(self.timed[MBENCH].rounds_s, self.timed[self.rival].rounds_s, strict=True)
        return statistics.median(statistics.median(ours) / statistics.median(theirs) for ours, theirs in pairs)


def error(outputs: Sequence[np.ndarray], expected: Expected) -> float:
    """Return the error of the worst output, as `mbench run` has it; infinite where they cannot be compared."""
    found = numerics.worst(outputs, expected, math.inf).max_rel_error
    return math.inf if found is None else found


def differing(outputs: Sequence[np.ndarray], expected: Expected) -> float:
    """Return the share of numbers of outputs that are not the very ones expected; all where they cannot be compared."""
    pairs = list(zip(outputs, expected.outputs, strict=False))
    if len(outputs) != len(expected.outputs) or any(one.shape != other.shape for one, other in pairs):
        return 1.0
    return sum(int(np.count_nonzero(one != other)) for one, other in pairs) / sum(one.size for one, _ in pairs)


def judge(
    variant: str,
    threads: int,
    timed: Mapping[str, Timed],
    left_out: Mapping[str, str],
    *,
    tolerance: float = TOLERANCE,
    own_tolerance: float | None = None,
    against: str | None = None,
) -> Standing:
    """Return the standing of a network; runtimes with a wrong output or more processors than threads are left out.

    mbench has a tolerance of its own where that is given.
    """
    most = dict.fromkeys(timed, tolerance) | ({} if own_tolerance is None else {MBENCH: own_tolerance})
    wrong = {
        name: f"wrong output: error {seen.error:.3g} of the largest value expected, tolerated at most {most[name]:g}"
        for name, seen in timed.items()
        if not seen.error <= most[name]
    }
    greedy = {
        name: f"kept {seen.busy:.2f} processors busy, expected {threads} at most"
        for name, seen in timed.items()
        if name not in wrong and seen.busy > threads + _TOO_BUSY
    }
    counted = {name: seen for name, seen in timed.items() if name not in wrong and name not in greedy}
    return Standing(
        variant=variant, threads=threads, timed=counted, left_out={**left_out, **greedy}, wrong=wrong, against=against
    )


def table(
    standings: Sequence[Standing],
    titles: Mapping[str, str],
    *,
    markdown: bool,
    limited: Collection[str] | None = None,
) -> str:
    """Return a line a network: each runtime's median in ms, then mbench over its rival, and over other peers.

    Args:
        standings: of the same kind.
        titles: of runtimes by name. Those that have no time of any network have no column.
        markdown: with bars between columns.
        limited: peers that were kept from some instructions; the last column is the ratio to the best of them.
    """
    seen = {name for standing in standings for name in (*standing.timed, *standing.wrong)}
    there = {name: title for name, title in titles.items() if name in seen}
    against = standings[0].against
    beside: dict[str, Collection[str]] = {}
    if against is not None:
        beside |= {f"to {title}": [name] for name, title in there.items() if name not in (MBENCH, against)}
    if limited is not None:
        beside |= {"to limited peers": limited}
    ratio = "ratio" if against is None else f"to {titles[against]}"
    heading = ["median ms", *there.values(), "best peer", ratio, "by round", *beside]
    rows = [heading, *(_row(standing, there, beside.values()) for standing in standings)]
    if markdown:
        rows.insert(1, ["---", *("---:" for _ in heading[1:])])
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows)
    return "\n".join("  ".join(row) for row in padded)


def _row(standing: Standing, titles: Mapping[str, str], beside: Iterable[Collection[str]]) -> list[str]:
    medians = [
        f"{standing.timed[name].median_s * 1e3:.3f}"
        if name in standing.timed
        else "wrong"
        if name in standing.wrong
        else "-"
        for name in titles
    ]
    best = titles[standing.best_peer] if standing.best_peer else "-"
    ratios = [standing.ratio, standing.round_ratio, *map(standing.ratio_to, beside)]
    return [standing.variant, *medians, best, *("-" if ratio is None else f"{ratio:.3f}" for ratio in ratios)]


def int8_goals(threads: int, isa: str | None) -> dict[str, float]:
    """Return the goals in int8, over peers that were limited to some instructions; none where there are none."""
    if isa not in _INT8_MEANS:
        return {}
    found = {"geometric mean": _INT8_MEANS[isa][threads > 1], "worst": 0.92}
    return found if isa else {**found, **INT8_NETWORKS}


def verdicts(
    standings: Sequence[Standing], goals: Mapping[str, float] = GOALS, limited: Collection[str] | None = None
) -> list[str]:
    """Return the ratios that there are goals for, each with its goal; over `limited` peers where there are some."""
    all_ratios = {each.variant: each.ratio if limited is None else each.ratio_to(limited) for each in standings}
    ratios = {name: ratio for name, ratio in all_ratios.items() if ratio is not None}
    twins = {name for name in ratios if "_standard" in name and "standard network" in goals}
    separable = {name: ratio for name, ratio in ratios.items() if name not in twins}
    said = []
    if separable and goals:
        worst = max(separable, key=separable.__getitem__)
        mean = statistics.geometric_mean(separable.values())
        said.append(_verdict("geometric mean", mean, goals, f"over {len(separable)} networks"))
        said.append(_verdict("worst", separable[worst], goals, worst))
    said += [_verdict("standard network", ratios[name], goals, name) for name in ratios if name in twins]
    return said + [_verdict(name, ratios[name], goals, "alone") for name in goals if name in ratios]


def _verdict(name: str, ratio: float, goals: Mapping[str, float], of: str) -> str:
    goal = goals[name]
    return f"{name:17} {ratio:.3f}   goal {goal:.2f}: {'met' if ratio <= goal else 'missed'}   ({of})"


def differences(standings: Sequence[Standing], titles: Mapping[str, str]) -> list[str]:
    """Return how far outputs are from those that are expected: a line for each runtime, of all networks."""
    names = dict.fromkeys(name for standing in standings for name in standing.timed)
    said = []
    for name in names:
        seen = [standing.timed[name] for standing in standings if name in standing.timed]
        far, count = max(each.error for each in seen), max(each.differing for each in seen)
        same = sum(not each.differing for each in seen)
        said.append(
            f"{titles[name]}: outputs are the very same of {same} of {len(seen)} networks"
            + (f"; up to {100 * count:.0f} % of the numbers differ, by up to {far:.2g} of the largest" if count else "")
        )
    return said


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
