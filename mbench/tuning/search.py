"""The search for one kernel: compile some candidates, time them, look closer at the best, and decide.

First the tiles that the cost models predict to be best, each in one task grid. Then other grids of the quickest tiles,
and what MetaSchedule found, if it was asked.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mbench.build.compilers import Compilers
from mbench.core.choices import METASCHEDULE
from mbench.core.errors import BuildError, MeasureError
from mbench.core.machine_types import Target
from mbench.core.progress import Fraction, Report
from mbench.tuning import jobs
from mbench.tuning.choice_files import TimedChoice
from mbench.tuning.plans import Built, Candidate, Read, SearchPlan, Task, Timing, TimingPlan, read_log
from mbench.tuning.timer import KernelTimer

MIN_GAIN = 0.02
"""A choice must be this much quicker than the rules' own."""
TILES = 2
"""Of so many of the quickest tiles other task grids are tried."""
FINALISTS = 3
AS_IS = Candidate(rule="fallback")
"""The kernel as TVM made it: what candidates are checked against."""

Skip = Callable[[Candidate, str], None]


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """A kernel, what the rules choose for it, and the tiles to try first."""

    task: Task
    default: Candidate
    tiles: tuple[Candidate, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench:
    """Where candidates are compiled and timed."""

    target: Target
    cache_bytes: int
    """What the second-level caches of this machine hold for the threads."""
    threads: int
    processes: int
    """That MetaSchedule compiles with, side by side."""
    tries: int
    """Tiles of each rule, and task grids of the quickest tiles together, at most."""
    timeout_s: float
    compilers: Compilers
    timer: KernelTimer
    scratch: Path
    trials: int
    """Schedules that MetaSchedule shall try; 0: it is not asked."""
    database: Path
    """The folder of its records."""
    times_s: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    """Of each batch of the last kernel: seconds, and processor seconds that other processes used meanwhile."""
    _numbers: Iterator[int] = dataclasses.field(default_factory=itertools.count)

    def others_busy(self) -> float:
        """Return the processors that other processes kept busy while the last kernel was timed."""
        wall_s, others_s = (sum(times) for times in zip(*self.times_s, strict=True)) if self.times_s else (0.0, 0.0)
        return others_s / wall_s if wall_s else 0.0

    def search(self, search: Search, report: Report, skip: Skip) -> dict[str, Any]:
        """Return what an entry has of the kernel: the choice, its seconds and error, and the default.

        Args:
            search: the kernel.
            report: called with a stage and how far it is.
            skip: called with each candidate that could not be compiled or timed, and the reason.

        Raises:
            BuildError: what the rules choose could not be compiled.
            MeasureError: no candidate could be timed.
        """
        self.times_s.clear()
        task = search.task
        needed = self._compiled(task, (AS_IS, search.default), lambda _: None, _refuse)
        built = self._compiled(task, search.tiles, functools.partial(report, "compiling tiles"), skip)
        first = self._timed(task, needed, built, functools.partial(report, "timing tiles"), skip)
        best = _quickest(first)[:TILES]
        chosen = [search.default, *(candidate for candidate, _ in best)][: TILES + 1]
        list_grids = functools.partial(jobs.grids, task.function, self.target, chosen, max(1, self.tries // 2))
        others = (*self.compilers.all_of({0: list_grids}, self.timeout_s)[0].answer(), *self._deep(task, report, skip))
        built = self._compiled(task, others, functools.partial(report, "compiling grids"), skip) + [
            one for one in built if one.candidate in [candidate for candidate, _ in best]
        ]
        second = self._timed(task, needed, built, functools.partial(report, "timing grids"), skip, FINALISTS)
        return decided(search.default, [*first, *second])

    def _deep(self, task: Task, report: Report, skip: Skip) -> list[Candidate]:
        """Return what MetaSchedule found quickest, if it is asked and finds anything."""
        found = Candidate(rule=METASCHEDULE, database=str(self.database))
        if not self.trials:
            return []
        self.database.mkdir(exist_ok=True)
        report("searching", 0.0)
        plan = SearchPlan(
            function=task.function,
            target=self.target,
            threads=self.threads,
            processes=self.processes,
            trials=self.trials,
            database=str(self.database),
            scratch=str(self.scratch / f"{next(self._numbers)}"),
        )
        try:
            self.timer.search_kernel(plan, lambda _, done: report("searching", done))
        except MeasureError as error:
            skip(found, str(error))
            return []
        return [found]

    def _compiled(self, task: Task, candidates: Sequence[Candidate], report: Fraction, skip: Skip) -> list[Built]:
        """Compile candidates side by side; leave out those that cannot be."""
        libraries = [str(self.scratch / f"{next(self._numbers)}.so") for _ in candidates]
        work = {
            library: functools.partial(jobs.compiled, task.function, self.target, candidate, library)
            for candidate, library in zip(candidates, libraries, strict=True)
        }
        report(0.0)
        ended = self.compilers.all_of(work, self.timeout_s, report)
        built = []
        for candidate, library in zip(candidates, libraries, strict=True):
            reason = ended[library].reason or ended[library].answer()
            if reason:
                skip(candidate, reason)
            else:
                built.append(Built(candidate=candidate, library=library))
        return built

    def _timed(
        self, task: Task, needed: Sequence[Built], built: Sequence[Built], report: Fraction, skip: Skip,
        finalists: int = 0,
    ) -> list[tuple[Candidate, Timing]]:  # fmt: skip
        """Time candidates; if one takes the worker process down, it is left out and the others are timed anew."""
        reference, default = needed
        waiting = list(built)
        report(0.0)
        while waiting:
            plan = TimingPlan(
                function=task.function, target=self.target, threads=self.threads, cache_bytes=self.cache_bytes,
                reference=reference.library, default=default, candidates=tuple(waiting), finalists=finalists,
                log=str(self.scratch / f"{next(self._numbers)}.log"),
            )  # fmt: skip
            try:
                readings = self.timer.time_kernel(plan, lambda _, done: report(done))
            except MeasureError as error:
                _, begun = read_log(Path(plan.log))
                if begun is None:
                    raise
                skip(waiting.pop(begun).candidate, str(error))
            else:
                self.times_s.append((readings.wall_s, readings.others_busy_s))
                return _sorted_out(waiting, readings.reads, skip)
        return []


def _refuse(candidate: Candidate, reason: str) -> None:
    raise BuildError(f"{candidate}: {reason}")


def _sorted_out(built: Sequence[Built], reads: Sequence[Read], skip: Skip) -> list[tuple[Candidate, Timing]]:
    timed = []
    for read in reads:
        if read.timing is None:
            skip(built[read.number].candidate, read.refused)
        else:
            timed.append((built[read.number].candidate, read.timing))
    return timed


def _quickest(timed: Sequence[tuple[Candidate, Timing]]) -> list[tuple[Candidate, Timing]]:
    return sorted(timed, key=lambda pair: pair[1].ratio)


def decided(default: Candidate, timed: Sequence[tuple[Candidate, Timing]]) -> dict[str, Any]:
    """Return the quickest of the finalists if it is quicker than the default by more than noise, else the default.

    Quicker is: by `MIN_GAIN` in the median of the rounds, and by anything in three quarters of them.

    Raises:
        MeasureError: nothing was timed.
    """
    if not timed:
        raise MeasureError("no candidate could be timed")
    finals = _quickest([pair for pair in timed if pair[1].final])
    if finals and finals[0][1].ratio <= 1 / (1 + MIN_GAIN) and finals[0][1].high_ratio < 1:
        best, timing = finals[0]
        seconds, error = timing.seconds, timing.error
        default_s = timing.default_seconds
    else:
        best, error = default, None
        seconds = default_s = statistics.median(timing.default_seconds for _, timing in finals or timed)
    return {
        "rule": best.rule,
        "parameters": best.parameters,
        "seconds": seconds,
        "error": error,
        "default": TimedChoice(rule=default.rule, parameters=default.parameters, seconds=default_s),
    }
