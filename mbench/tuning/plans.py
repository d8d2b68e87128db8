"""The search for quicker ways to make a kernel: what is tried, how it is compiled, how it is timed.

`candidates` and `timing` run in child processes and import tvm; the words that they share are here and import neither
tvm nor torch. `mbench.tuning.tuner` puts them together.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from mbench.core.machine_types import Target


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A way to make a kernel. `database` is the folder of MetaSchedule's records, for one that lies there."""

    rule: str
    parameters: dict[str, int] = {}
    database: str | None = None

    @property
    def tile(self) -> tuple[object, ...]:
        """All but the parameters that say how the work is shared out to threads: `tasks` and `…_parts`."""
        return (self.rule, *(item for item in sorted(self.parameters.items()) if not _shares_out(item[0])))

    def __str__(self) -> str:
        return " ".join((self.rule, *(f"{name}={value}" for name, value in self.parameters.items())))


def _shares_out(parameter: str) -> bool:
    return parameter == "tasks" or parameter.endswith("_parts")


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A kernel to tune: its signature, TVM's JSON of its function, and the layers that it serves."""

    kernel: str
    function: str
    layers: tuple[str, ...]


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate and the shared library that it was compiled to."""

    candidate: Candidate
    library: str


class TimingPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker process is to time."""

    function: str
    target: Target
    threads: int
    cache_bytes: int
    """What the second-level caches of these threads hold."""
    reference: str
    """The library of the kernel as TVM made it, which every candidate's output is compared with."""
    default: Built
    """What the rules choose; every candidate is timed in turns with it."""
    candidates: tuple[Built, ...]
    finalists: int
    """How many of the quickest are timed once more, for longer."""
    log: str
    """A file that each reading is written to, line by line: what was timed is not lost if the process dies."""


class SearchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker process is to let MetaSchedule search."""

    function: str
    target: Target
    threads: int
    processes: int
    """That compile side by side."""
    trials: int
    database: str
    """The folder of its records, which is there; those that it has count as trials."""
    scratch: str
    """A folder for its temporary files."""


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """How a candidate did against the default, which ran in turns with it. Seconds are medians of one call."""

    seconds: float
    default_seconds: float
    ratio: float
    """Median over the rounds of candidate / default."""
    high_ratio: float
    """The quartile above it."""
    error: float
    """Largest difference from the kernel as TVM made it, as a share of the largest element."""
    final: bool = False


class Begun(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A line of the log: the process goes on to a candidate, by its number in the plan."""

    number: int


class Read(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A line of the log: a candidate was timed, or refused with the reason."""

    number: int
    timing: Timing | None = None
    refused: str = ""


class Readings(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a plan, and the processor time that other processes used meanwhile."""

    reads: tuple[Read, ...]
    wall_s: float
    others_busy_s: float


def read_log(path: Path) -> tuple[list[Read], int | None]:
    """Return the readings of a log, and the candidate that was begun and not ended, if there is one."""
    readings: list[Read] = []
    begun: int | None = None
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            entry = msgspec.json.decode(line, type=Begun | Read)
        except msgspec.DecodeError:  # truncated as the process died
            continue
        begun = entry.number if isinstance(entry, Begun) else None
        if isinstance(entry, Read):
            readings.append(entry)
    return readings, begun
