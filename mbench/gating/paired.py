"""Both libraries measured again, now, against each other: processes, and what each says of networks and layers.

Takes a device's word for what happened in a process (`mbench.measure.duel`); judges nothing (see `timed`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from mbench.core.artifact import Artifact
from mbench.core.errors import MeasureError
from mbench.core.progress import Stage
from mbench.gating import timed
from mbench.gating.comparison import Finding
from mbench.gating.limits import Limits
from mbench.gating.matching import Match
from mbench.gating.timed import Reading
from mbench.measure import activity, duel
from mbench.measure.duel import Arena, Bout

FIRST_LOOK = 8
"""Processes that look for suspects."""
FRESH = 12
"""Further processes that test them, at least; where they leave one open, about as many again."""
MOST = 30
"""Processes of either set, however noisy the machine is."""


class Contest(NamedTuple):
    """One network in both runs."""

    variant: str
    base: Artifact
    twin: Artifact
    """The same as `base`, in files of its own."""
    head: Artifact
    matches: tuple[Match, ...]
    threads: int
    tolerance: float


class Fought(NamedTuple):
    """What came of paired measuring."""

    findings: tuple[Finding, ...] = ()
    remarks: tuple[str, ...] = ()
    """How it was measured."""
    failures: tuple[str, ...] = ()
    """What could not be measured, and why."""


def judge(
    contests: Sequence[Contest], arena: Arena, limits: Limits, report: Stage, *, first_look: int = FIRST_LOOK
) -> Fought:
    """Measure all contests and judge the latencies. One that cannot be measured leaves the others standing."""
    failures: list[str] = []

    def attempt(contest: Contest, take: Callable[[], list[Bout]]) -> list[Bout]:
        try:
            return take()
        except MeasureError as error:
            failures.append(f"{contest.variant}: {error}")
            return []

    first = [attempt(each, partial(_first_look, each, arena, limits, report, first_look)) for each in contests]
    seen = _all_readings(contests, first, limits)
    suspects = [reading for reading in seen if reading.suspicion()]
    fresh: list[list[Bout]] = []
    for contest in contests:
        count = _fresh_count(_of(contest, suspects), len(suspects))
        fresh.append(attempt(contest, partial(_bouts, contest, arena, report, count)))
    settled = timed.tested(seen, _all_readings(contests, fresh, limits))
    for contest, bouts in zip(contests, fresh, strict=True):
        left = _of(contest, [each.reading for each in settled if each.open])
        bouts += attempt(contest, partial(_bouts, contest, arena, report, _more(left, len(bouts))))
    findings = timed.judge_all(seen, _all_readings(contests, fresh, limits))
    held = {each.variant: [*old, *new] for each, old, new in zip(contests, first, fresh, strict=True)}
    return Fought(findings, tuple(_remarks(held)), tuple(failures))


def _of(contest: Contest, readings: Sequence[Reading]) -> list[Reading]:
    return [reading for reading in readings if reading.variant == contest.variant]


def _all_readings(contests: Sequence[Contest], bouts: Sequence[Sequence[Bout]], limits: Limits) -> list[Reading]:
    held = zip(contests, bouts, strict=True)
    return [reading for contest, taken in held if taken for reading in readings(contest, taken, limits)]


def readings(contest: Contest, bouts: Sequence[Bout], limits: Limits) -> tuple[Reading, ...]:
    """Return what the processes say of the whole network, then of each layer that both have."""
    whole = timed.reading(contest.variant, None, limits, [duel.sample(bout.whole_s) for bout in bouts])
    found = [whole]
    for match in contest.matches:
        if match.base and match.head and match.comparable:
            samples = [duel.sample(_of_layers(bout, match)) for bout in bouts]
            found.append(timed.reading(contest.variant, match, limits, samples, whole.base_s))
    return tuple(found)


def _first_look(contest: Contest, arena: Arena, limits: Limits, report: Stage, count: int) -> list[Bout]:
    """Return bouts; more than `count` of them where noise hides what was asked for."""
    bouts: list[Bout] = []
    wanted = count
    while len(bouts) < wanted:
        bouts.append(_bout(contest, arena, report, "measuring", len(bouts), wanted))
        if len(bouts) == count:
            asked = [each for each in readings(contest, bouts, limits) if each.sensitivity is not None]
            wanted = min(max(MOST, count), max(count, *(each.needed(each.aim) for each in asked)))
    return bouts


def _bouts(contest: Contest, arena: Arena, report: Stage, count: int) -> list[Bout]:
    return [_bout(contest, arena, report, "confirming", index, count) for index in range(count)]


def _fresh_count(suspects: Sequence[Reading], family: int) -> int:
    """Return how many fresh processes test these suspects: as noise demands, and enough for Holm's smallest p.

    `family`: the suspects of all contests.
    """
    if not suspects:
        return 0
    smallest_p = math.ceil(math.log2(timed.LOOKS * family / timed.FAMILY_ERROR)) + 1
    return min(max(MOST, smallest_p), max(FRESH, smallest_p, *(reading.needed(reading.aim) for reading in suspects)))


def _more(left_open: Sequence[Reading], taken: int) -> int:
    """Return how many further processes may settle what `taken` fresh ones left open."""
    if not left_open or not taken:
        return 0
    return max(0, min(MOST, max(2 * taken, *(reading.needed(reading.aim) for reading in left_open))) - taken)


def _bout(contest: Contest, arena: Arena, report: Stage, stage: str, index: int, wanted: int) -> Bout:
    plan = duel.drawn(contest.threads, contest.tolerance)

    def tell(_: str, fraction: float) -> None:
        report(contest.variant, stage, (index + fraction) / wanted)

    tell(stage, 0.0)
    return arena.duel(contest.base, contest.twin, contest.head, plan, tell)


def _of_layers(bout: Bout, match: Match) -> tuple[tuple[float, ...], ...]:
    """Return the block times of a layer, or of the sum of a group, in each copy."""
    indices = [[layer.index for layer in side] for side in (match.base, match.base, match.head)]
    return tuple(
        tuple(sum(blocks) for blocks in zip(*(layers[index] for index in wanted), strict=True))
        for layers, wanted in zip(bout.layers_s, indices, strict=True)
    )


def _remarks(bouts: dict[str, list[Bout]]) -> Iterator[str]:
    for variant, held in bouts.items():
        if not held:
            continue
        seconds = sum(bout.wall_s for bout in held)
        yield f"{variant}: {len(held)} processes, blocks of {held[0].block} runs, {seconds:.0f} s of measuring"
        others = sum(bout.others_busy_s for bout in held) / seconds
        if others > activity.DISTURBED:
            yield f"{variant}: other processes kept {others:.2f} processors busy meanwhile"
