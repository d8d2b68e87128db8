"""The sessions of a run: networks take turns, disturbed sessions are repeated, and the record grows with each."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from mbench.analysis import headline
from mbench.core import spread_history
from mbench.core.artifact import Artifact
from mbench.core.errors import MeasureError
from mbench.core.progress import Progress, Report
from mbench.core.records import Failure, Record, Result
from mbench.core.spread_history import SeenSpread
from mbench.devices.protocols import DeviceRunner
from mbench.hardware import device_kinds
from mbench.measure import sessions
from mbench.measure.disturbance import Quiet
from mbench.measure.observation import Observation, PaceLoops
from mbench.pipeline import observe, pace_library, quiet_machine, results, run_plan, sustaining
from mbench.pipeline.job import Job

NOT_REPORTED = "the server does not report it; mbench's own does, see 'mbench device serve'"
WriteFound = Callable[..., Record]
"""Called with a record and results or failures; returns the record with them, which is on disk."""
_ENOUGH = 3
"""Sessions that show a spread."""
_FRUITLESS = 2
"""Turns of repeating that brought no quiet session, after which repeating is given up."""


@dataclasses.dataclass
class Turns:
    """A network that is measured: its artifact, and what its sessions saw."""

    artifact: Artifact
    cached: bool
    seen: list[Observation] = dataclasses.field(default_factory=list)
    failed: bool = False
    over: bool = False
    """Whether no session is to come."""
    took_s: list[float] = dataclasses.field(default_factory=list)
    """Of each session, from the start of its process until it is in the record."""

    @property
    def name(self) -> str:
        """Of the network."""
        return self.artifact.manifest.variant.name

    @property
    def wrong(self) -> bool:
        """Whether a session computed something wrong."""
        return any(not each.numerics.passed for each in self.seen)

    @property
    def timed(self) -> bool:
        """Whether its sessions have times, so that more of them say more."""
        return not self.failed and not self.wrong and any(each.latency_s is not None for each in self.seen)


def measure_all(
    job: Job, record: Record, ready: dict[str, tuple[Artifact, bool]], progress: Progress, keep: WriteFound
) -> Record:
    """Measure every network that was built, session by session; return the record, which is on disk.

    Raises:
        UsageError: this machine lacks something that the device needs.
        OutputError: the record could not be written.
    """
    with contextlib.ExitStack() as stack:
        counting = None
        if job.counted:
            counting = stack.enter_context(contextlib.closing(observe.Counting(job, tuple(ready), progress)))
        device = stack.enter_context(contextlib.closing(observe.open_device(job, job.device, job.target, progress)))
        observe.measure_ahead(job, device, [artifact for artifact, _ in ready.values()])
        described, peaks = observe.described(job, device, progress)
        record = msgspec.structs.replace(record, device=described)
        _settle(job, progress)
        networks = [Turns(artifact, cached) for artifact, cached in ready.values()]
        loops = _pace(job, device, progress)
        best_s = pace_library.best_exchange_s(loops)
        quiet = Quiet(processors=job.host.cores_logical, calibration=peaks, exchange_s=best_s)
        run = _SessionRunner(job, device, quiet, counting, progress, keep, loops)
        wanted = job.settings.sessions
        for turns in in_turn(networks, wanted, quiet):
            record = run.session(record, turns)
            turns.over = not turns.timed or wanted == 1 or _undisturbed(turns, quiet) >= wanted
            if turns.over and not (turns.timed and job.settings.sustain_s is not None):
                progress.stage(turns.name, "failed" if turns.failed else "done", 1.0)
            else:
                number, expected = len(turns.seen), _expected(turns, wanted, quiet)
                progress.stage(turns.name, f"{number}/{max(number, expected)} measured", 1.0)
        for turns in networks if job.settings.sustain_s is None else ():
            if not turns.over:
                progress.stage(turns.name, "done", 1.0)
        pace_library.keep(loops, quiet.best_exchange_s([seen for turns in networks for seen in turns.seen]))
        spread_history.add(job.host, job.settings.threads, _spreads(record))
        run_plan.keep(job, {turns.name: turns.took_s for turns in networks if turns.took_s and not turns.failed})
        if job.settings.sustain_s is not None:
            timed = [turns.artifact for turns in networks if turns.timed]
            settle = functools.partial(_settle, job, progress)
            record = sustaining.run_all(record, timed, device, progress, keep, settle)
    return record


def _settle(job: Job, progress: Progress) -> None:
    """Wait for a quiet and cool machine, where that was asked for."""
    if job.wait_quiet_s is not None:
        quiet_machine.wait(job.wait_quiet_s, progress.note, processors=job.host.cores_logical)


def _spreads(record: Record) -> tuple[SeenSpread, ...]:
    """Return how far apart the sessions of each network lay, where quiet ones show it."""
    found = []
    for result in record.results:
        values = [math.log(value) for value in headline.medians(result) if value > 0]
        if len(values) >= _ENOUGH and not headline.disturbed(result):
            found.append(SeenSpread(variance=statistics.variance(values), freedom=len(values) - 1))
    return tuple(found)


def in_turn(networks: Sequence[Turns], wanted: int, quiet: Quiet) -> Iterator[Turns]:
    """Yield networks, one for each session that is to come.

    First all have their sessions, in turn; then those with disturbed ones have as many again, at most as many as there
    were, and no more once two turns have brought no quiet session.
    """
    for number in range(wanted):
        for each in networks:
            if not each.failed and (number == 0 or each.timed):
                yield each
    if wanted == 1:
        return
    fruitless = 0
    for _ in range(wanted):
        left = [each for each in networks if each.timed and _undisturbed(each, quiet) < wanted]
        before = sum(_undisturbed(each, quiet) for each in left)
        if not left or fruitless == _FRUITLESS:
            return
        yield from left
        fruitless = 0 if sum(_undisturbed(each, quiet) for each in left) > before else fruitless + 1


def _undisturbed(turns: Turns, quiet: Quiet) -> int:
    return len(turns.seen) - sessions.disturbed(turns.seen, quiet)


def _expected(turns: Turns, wanted: int, quiet: Quiet) -> int:
    """Return how many sessions a network will have had at the end, by what is known of those before.

    One is repeated for each that was disturbed; if all were, two of them, to see whether that helps.
    """
    undisturbed = _undisturbed(turns, quiet)
    disturbed = len(turns.seen) - undisturbed
    if wanted == 1 or not disturbed:
        return wanted
    return wanted + min(disturbed if undisturbed else _FRUITLESS, disturbed, wanted)


def which_session(turns: Turns, wanted: int, quiet: Quiet) -> str:
    """Return which session of a network comes next, as stages begin: `2/5 `, `again 6/7 `, nothing where it is one."""
    number = len(turns.seen) + 1
    expected = max(number, _expected(turns, wanted, quiet))
    return ("again " if number > wanted else "") + (f"{number}/{expected} " if wanted > 1 else "")


class _SessionRunner:
    """Measures one session after the other, and keeps each in the record."""

    def __init__(
        self,
        job: Job,
        device: DeviceRunner,
        quiet: Quiet,
        counting: observe.Counting | None,
        progress: Progress,
        keep: WriteFound,
        pace: PaceLoops | None,
    ) -> None:
        self._job, self._device, self._quiet = job, device, quiet
        self._counting, self._progress, self._keep = counting, progress, keep
        self._pace = pace

    def session(self, record: Record, turns: Turns) -> Record:
        """Measure a network once more; return the record with what is known of it now."""
        first, began_s = not turns.seen, time.monotonic()
        seen = observe.observe(
            self._job, self._device, turns.artifact, self._report(turns), self._counting if first else None,
            pace=self._pace, meter=first,
        )  # fmt: skip
        record = _with_machine(record, seen)
        if isinstance(seen, Failure):
            turns.failed = True
            if turns.seen:
                stage = f"session {len(turns.seen) + 1}, {seen.stage}"
                seen = msgspec.structs.replace(seen, stage=stage)
            return self._keep(record, seen)
        turns.seen.append(seen)
        found = made(self._job, turns, self._quiet)
        turns.failed = any(isinstance(each, Failure) for each in found)
        record = self._keep(record, *found)
        turns.failed |= any(failure.variant == turns.name for failure in record.failures)
        turns.took_s.append(time.monotonic() - began_s)
        return record

    def _report(self, turns: Turns) -> Report:
        which = which_session(turns, self._job.settings.sessions, self._quiet)

        def report(stage: str, fraction: float) -> None:
            self._progress.stage(turns.name, which + stage, fraction)

        return report


def made(job: Job, turns: Turns, quiet: Quiet) -> tuple[Result | Failure, ...]:
    """Return the result of a network's sessions; a failure beside it where it came out wrong."""
    seen = sessions.merged(turns.seen, quiet)
    found = results.result(
        turns.artifact,
        cached=turns.cached,
        target=job.target_as_run,
        described=job.target,
        threads=job.settings.threads,
        observation=seen,
        calibration=quiet.calibration,
        reason=device_kinds.of(job.device).no_time or "the machine's peaks could not be measured",
    )
    found = sustaining.awaited(found, job.settings)
    if seen.numerics.passed:
        return (found,)
    return (found, Failure(variant=turns.name, stage="checking", reason=f"wrong result: {seen.numerics.detail}"))


def _pace(job: Job, device: DeviceRunner, progress: Progress) -> PaceLoops | None:
    """Return the loops that are timed between samples; None, with a note, where they cannot be."""
    try:
        return pace_library.find(job, device, functools.partial(progress.stage, "machine"))
    except MeasureError as error:
        progress.note(f"the processors' pace is not read between samples: {error}")
        return None


def _with_machine(record: Record, seen: Observation | Failure) -> Record:
    """Add what a device's machine reports of itself, once."""
    before = record.device
    if not device_kinds.of(before.kind).remote or before.machine is not None or isinstance(seen, Failure):
        return record
    missing = {name: why for name, why in before.missing.items() if name != "machine"}
    if seen.machine is None:
        missing["machine"] = NOT_REPORTED
    return msgspec.structs.replace(
        record, device=msgspec.structs.replace(before, machine=seen.machine, missing=missing)
    )
