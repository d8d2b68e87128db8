"""The gate's trials as `gate_calibration.py` keeps them: reading the file, and the tables that RESULTS.md claims.

Runs nothing. A trial counts only if its digest is that of the code as it is now (see `gate_digest`).
"""

from __future__ import annotations

import collections
import dataclasses
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import gate_digest
import msgspec
from layout import table

SCENARIOS = ("same", "loaded", "moved", "layer10", "layer5", "whole2", "counts", "counts1")
SILENT = ("same", "loaded", "moved", "counts")
"""Where there is nothing to find."""
SLOWER = {"layer10": 0.10, "layer5": 0.05, "whole2": 0.02, "whole10": 0.10, "whole30": 0.30}
"""By how much code is made slower; the last two by `recorded_calibration.py`."""
NEAR = 0.1
"""How far a planted slow-down may be from the intended one, as a share of it."""
TOLERATED = 0.005
"""A layer's change of counts that the gate tolerates by default."""
_CONFIDENCE = 0.95


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What one trial saw."""

    scenario: str
    network: str
    threads: int
    loaded: bool
    planted: str | None
    """The layer with more work."""
    named: tuple[str, ...]
    """What the gate called regressed: layers, and `whole`."""
    whole: str
    """What it said of the whole network."""
    alone_ratio: float | None = None
    """The slow-down of the layer, or of the network in `whole2`, by the time of its kernel alone; null: not timed."""
    planted_ratio: float | None
    """What the gate estimated for the layer with more work."""
    planted_outcome: str | None
    whole_ratio: float | None
    processes: int
    seconds: float
    log_ratios: tuple[float, ...]
    """Of the whole network, one a process."""
    cpu: str
    code: str
    """The digest of what decides."""

    @property
    def silent(self) -> bool:
        """Whether there was nothing to find."""
        return self.scenario in SILENT

    @property
    def right(self) -> bool:
        """Whether the gate reported what is true."""
        named = set(self.named)
        if self.silent:
            return not named
        if self.scenario == "whole2":
            return "whole" in named
        return self.planted in named and named <= {self.planted, "whole"}

    @property
    def as_meant(self) -> bool:
        """Whether the planted slow-down is the intended one, as far as it was timed alone."""
        meant = SLOWER.get(self.scenario)
        return meant is None or self.alone_ratio is None or abs(self.alone_ratio - 1 - meant) <= NEAR * meant


@dataclasses.dataclass(frozen=True, kw_only=True)
class Goal:
    """How often the gate should be right, and which trials show it."""

    what: str
    scenarios: tuple[str, ...]
    least: float
    """The share of right trials that is asked for."""
    chosen: Callable[[Trial], bool] = lambda _: True


GOALS = (
    Goal(what="same code, timed: no false alarm", scenarios=("same", "loaded"), least=0.99),
    Goal(what="a layer 10 % slower: named", scenarios=("layer10",), least=0.99),
    Goal(what="a layer 5 % slower, timed alone too: named", scenarios=("layer5",), least=0.95,
         chosen=lambda trial: trial.alone_ratio is not None),
    Goal(what="the network 2 % slower: named", scenarios=("whole2",), least=0.95),
    Goal(what="same code, counted: no difference", scenarios=("counts",), least=1.0),
    Goal(what="one more instruction, above the 0.5 % tolerated: named", scenarios=("counts1",), least=1.0,
         chosen=lambda trial: (trial.planted_ratio or 1.0) - 1 > TOLERATED),
)  # fmt: skip


def digest(scenario: str) -> str:
    """Return the digest of the code that a scenario tries."""
    return gate_digest.counted() if scenario.startswith("counts") else gate_digest.timed()


def read(file: Path) -> list[Trial]:
    """Return all trials of a file; none where there is no file."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [msgspec.json.decode(line, type=Trial) for line in lines]


def append(file: Path, trial: Trial) -> None:
    """Add a trial to a file."""
    with file.open("ab") as out:
        out.write(msgspec.json.encode(trial) + b"\n")


def current(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials of today's code; those of code that decides otherwise show nothing about it."""
    digests = {scenario: digest(scenario) for scenario in ("same", "counts") if trials}
    return [trial for trial in trials if trial.code == digests["counts" if "counts" in trial.scenario else "same"]]


def report(trials: Sequence[Trial]) -> str:
    """Return Markdown tables: the goals, every scenario, and the trials in which the gate was wrong or not tried."""
    meant = [trial for trial in trials if trial.as_meant]
    return f"{goals(meant)}\n\n{scenarios(meant)}\n\n{agreement(meant)}\n{exceptions(trials)}"


def goals(trials: Sequence[Trial]) -> str:
    """Return a row for each goal: how often the gate was right, and what that proves."""
    rows = []
    for goal in GOALS:
        some = [trial for trial in trials if trial.scenario in goal.scenarios and goal.chosen(trial)]
        right = sum(trial.right for trial in some)
        verdict = "no trials" if not some else "met" if right >= goal.least * len(some) else "missed"
        cells = (f"{goal.least:.0%}", f"{right} of {len(some)}", _bound(some), verdict)
        rows.append((goal.what, *cells))
    return table(("goal", "share", "right", "95 % bound on the rate", ""), rows, markdown=True)


def scenarios(trials: Sequence[Trial]) -> str:
    """Return a row for each scenario. Processes are medians; of seconds, the median, the least and the most."""
    groups: dict[tuple[str, int, bool], list[Trial]] = {}
    for trial in trials:  # the oldest were not timed alone
        groups.setdefault((trial.scenario, trial.threads, trial.alone_ratio is not None), []).append(trial)
    rows = []
    for (scenario, threads, timed_alone), group in sorted(groups.items(), key=lambda item: SCENARIOS.index(item[0][0])):
        alone = "not timed" if scenario in SLOWER and not timed_alone else _percent(one.alone_ratio for one in group)
        seen = _percent(one.whole_ratio if scenario == "whole2" else one.planted_ratio for one in group if one.planted)
        processes = statistics.median_high(one.processes for one in group)
        seconds = sorted(one.seconds for one in group)
        took = f"{statistics.median_high(seconds):.0f} ({seconds[0]:.0f} to {seconds[-1]:.0f})"
        undecided = sum(one.whole == "undecided" for one in group)
        right = f"{sum(one.right for one in group)} of {len(group)}"
        cells = (threads, alone, seen, right, _bound(group), undecided, processes)
        rows.append((scenario, *map(str, cells), took))
    heading = (
        *("scenario", "threads", "slower alone, %", "estimated by the gate, %", "right", "95 % bound"),
        *("network undecided", "processes", "seconds"),
    )
    return table(heading, rows, markdown=True)


def agreement(trials: Sequence[Trial]) -> str:
    """Return a line on how far the gate's estimate is from the time of the kernel alone."""
    pairs = [(trial.planted_ratio, trial.alone_ratio) for trial in trials]
    apart = sorted(100 * (seen - alone) for seen, alone in pairs if seen is not None and alone is not None)
    if not apart:
        return "- No planted slow-down was timed alone."
    near = sum(abs(value) <= 0.5 for value in apart)
    return (
        f"- Estimated minus alone: {statistics.median(apart):.2f} percentage points in the median, within 0.5 in "
        f"{near} of {len(apart)}, {max(apart, key=abs):.1f} at most."
    )


def exceptions(trials: Sequence[Trial]) -> str:
    """Return a line for each kind of trial in which the gate was wrong, or which is left out of the tables."""
    groups: dict[str, collections.Counter[str]] = {}
    for one in trials:
        if one.as_meant and one.right:
            continue
        alone = "" if one.alone_ratio is None else f"{_percent([one.alone_ratio])} % alone, "
        kind = (
            f"Wrong in {one.scenario}{', timed alone' * bool(alone)}" if one.as_meant else f"Left out of {one.scenario}"
        )
        found = f"{one.planted or 'same code'} ({alone}estimated {_percent([one.planted_ratio])} %)"
        groups.setdefault(kind, collections.Counter())[found] += 1
    return "\n".join(f"- {kind}: {_listed(groups[kind])}." for kind in sorted(groups))


def _listed(found: collections.Counter[str]) -> str:
    return ", ".join(f"{text}{f', {count} times' * (count > 1)}" for text, count in found.items())


def _bound(trials: Sequence[Trial]) -> str:
    """Return the one-sided limit of the rate by Clopper and Pearson: of alarms where nothing is to be found."""
    from scipy.stats import binomtest

    if not trials:
        return ""
    right, silent = sum(trial.right for trial in trials), trials[0].silent
    count = len(trials) - right if silent else right
    test = binomtest(count, len(trials), alternative="less" if silent else "greater")
    limit = test.proportion_ci(_CONFIDENCE, method="exact")
    return f"wrong in at most {limit.high:.1%}" if silent else f"right in at least {limit.low:.1%}"


def _percent(ratios: Iterable[float | None]) -> str:
    """Return slow-downs in per cent: the median, the least, the most; or the only one."""
    found = sorted(100 * (ratio - 1) for ratio in ratios if ratio is not None)
    if len(found) == 1:
        return f"{found[0]:.2f}"
    return f"{statistics.median(found):.1f} ({found[0]:.1f} to {found[-1]:.1f})" if found else ""
