"""The trials of the gate on plain records, as `recorded_calibration.py` keeps them: the file, and the table.

Runs nothing. A trial counts only if its digest is that of the code as it is now: what `mbench.gating.recorded` decides
on fixed, made-up sessions, and how a default run measures.
"""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Sequence
from pathlib import Path

import msgspec
from layout import table

from mbench.core.sessions import DEFAULT_SESSIONS
from mbench.core.stats import MOST_LOG
from mbench.gating import recorded
from mbench.gating.timed import CONFIDENCE, FAMILY_ERROR
from mbench.gating.two_sides import TwoSides
from mbench.measure import disturbance
from mbench.pipeline import options

SCENARIOS = ("same", "whole10", "whole30", "layer10")
RUNS = {"layer10": 5}
"""Records a side; else one."""
GOALS = {"same": 0.99, "whole10": 0.95, "whole30": 0.95, "layer10": 0.90}
"""The share of right verdicts that is asked for."""
MOST_INCONCLUSIVE = 0.05
_CONFIDENCE = 0.95
_MADE_UP = ((1, 0.0, 0.01, 1.0), (1, 0.0, 0.03, 1.1), (3, 0.03, 0.01, 1.1), (5, 0.0, 0.02, 1.0))
"""Runs a side, how far runs lie apart, how far their sessions, and how much slower the head is."""


class RecordedTrial(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate said of two sides of default records."""

    scenario: str
    network: str
    threads: int
    loaded: bool
    """Whether other work ran beside it."""
    planted: str | None
    """The layer with more work."""
    alone_ratio: float | None
    """The slow-down of the planted layer, or of the network, by the time of its kernel alone."""
    named: tuple[str, ...]
    """What the gate called regressed: layers, and `whole`."""
    whole: str
    """What it said of the whole network."""
    whole_ratio: float
    planted_ratio: float | None
    """What it estimated for the planted layer."""
    base_s: tuple[tuple[float, ...], ...]
    head_s: tuple[tuple[float, ...], ...]
    """Of each record, the median of each session that counts."""
    disturbed: tuple[int, int]
    """Records of either side without a quiet session."""
    seconds: float
    """Of one record."""
    cpu: str
    code: str

    @property
    def right(self) -> bool:
        """Whether what it called regressed is what was made slower."""
        if self.scenario == "same":
            return not self.named
        return ("whole" if self.scenario.startswith("whole") else self.planted) in self.named

    @property
    def inconclusive(self) -> bool:
        """Whether it left the whole network open."""
        return not self.named and self.whole == "undecided"


@functools.cache
def digest(threads: int) -> str:
    """Return the digest of what decides with so many threads: parameters, and verdicts on made-up sessions."""
    draw = random.Random(1)
    parts: list[object] = [DEFAULT_SESSIONS, options.MOST_SAMPLES, options.MEASURE_MAX_S, FAMILY_ERROR, CONFIDENCE]
    parts += [MOST_LOG, recorded.SENSITIVITY, recorded.ASSUMED_SPREAD]
    parts += [disturbance.SLOWER_EXCHANGE] if threads > 1 else []
    for runs, between, within, slower in (
        (1, 0.0, 0.01, 1.0),
        (1, 0.0, 0.03, 1.1),
        (3, 0.03, 0.01, 1.1),
        (5, 0, 0.02, 1),
    ):
        sides = [
            tuple(
                tuple(factor * (1 + centre + draw.gauss(0, within)) for _ in range(5))
                for centre in [draw.gauss(0, between) for _ in range(runs)]
            )
            for factor in (1.0, slower)
        ]
        found = TwoSides(sides[0], sides[1], 0.04)
        parts += [
            f"{value:.9g}" for value in (*found.interval(0.99), found.p(1, 0.01), found.smallest_change(0.01, 0.005))
        ]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def read(file: Path) -> list[RecordedTrial]:
    """Return all trials of a file; none where there is no file."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [msgspec.json.decode(line, type=RecordedTrial) for line in lines]


def append(file: Path, trial: RecordedTrial) -> None:
    """Add a trial to a file."""
    with file.open("ab") as out:
        out.write(msgspec.json.encode(trial) + b"\n")


def current(trials: Sequence[RecordedTrial]) -> list[RecordedTrial]:
    """Return the trials of today's code."""
    return [trial for trial in trials if trial.code == digest(trial.threads)]


def report(trials: Sequence[RecordedTrial]) -> str:
    """Return a Markdown table: a row for each scenario, number of threads, and load."""
    groups: dict[tuple[str, int, bool], list[RecordedTrial]] = {}
    for trial in trials:
        groups.setdefault((trial.scenario, trial.threads, trial.loaded), []).append(trial)
    rows = []
    for key in sorted(groups, key=lambda key: (SCENARIOS.index(key[0]), *key[1:])):
        group, (scenario, threads, loaded) = groups[key], key
        right, seconds = sum(each.right for each in group), sorted(each.seconds for each in group)
        goal = "met" if right >= GOALS[scenario] * len(group) else "missed"
        rows.append((
            scenario, str(threads), "other work" if loaded else "alone", str(RUNS.get(scenario, 1)),
            f"{right} of {len(group)}", _bound(group), f"{GOALS[scenario]:.0%}: {goal}",
            str(sum(each.inconclusive for each in group)), f"{seconds[len(group) // 2]:.0f}",
        ))  # fmt: skip
    heading = (
        "scenario",
        "threads",
        "beside",
        "records a side",
        "right",
        "95 % bound",
        "goal",
        "inconclusive",
        "s a record",
    )
    return table(heading, rows, markdown=True)


def _bound(trials: Sequence[RecordedTrial]) -> str:
    """Return the one-sided limit of the rate by Clopper and Pearson: of alarms where nothing is to be found."""
    from scipy.stats import binomtest

    right = sum(trial.right for trial in trials)
    if trials[0].scenario == "same":
        limit = binomtest(len(trials) - right, len(trials), alternative="less").proportion_ci(_CONFIDENCE).high
        return f"alarms below {limit:.1%}"
    limit = binomtest(right, len(trials), alternative="greater").proportion_ci(_CONFIDENCE).low
    return f"named above {limit:.1%}"
