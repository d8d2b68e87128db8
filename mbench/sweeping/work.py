"""The work of a sweep: goes on with records that were interrupted, then makes new ones, and keeps where it stands.

How a record is made, and what becomes of it, is given: this module decides what comes next.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from mbench.core import sweep_files, units
from mbench.core.errors import OutputError, RecordError, UsageError
from mbench.core.machine_types import Host
from mbench.core.progress import Note
from mbench.core.records import Record, Variant
from mbench.core.sweep_records import CellPlace, SweepFile, SweepRecord
from mbench.pipeline.job import Job
from mbench.sweeping import folder, standing
from mbench.sweeping.planning import AskedSweep, PlannedPlace, SweepPlan

MeasureJob = Callable[[Job], Record]
"""Runs a job, and returns its record."""
GoOnWith = Callable[[Path], Record]
"""Goes on with the run of a record, and returns it."""
KeepRecord = Callable[[Path], str]
"""Called with each record that is done: a page, a store. Returns the store that has it now; empty: none."""


class SweepWork:
    """A sweep that is going on; its file is held by this process."""

    def __init__(self, sweep: AskedSweep, plan: SweepPlan, machine: Host, note: Note) -> None:
        """Read what was done before.

        Raises:
            RecordError: the sweep's file is of another kind or version.
            UsageError: the folder has a sweep of this name that another file describes.
            OutputError: where it stands cannot be written.
        """
        self._sweep, self._plan, self._machine, self._note = sweep, plan, machine, note
        self.path = sweep_files.path_of(sweep.output, sweep.name)
        before = sweep_files.find(self.path)
        if before is not None:
            self._check_same(before)
        self._files = folder.files(sweep.output, sweep.name, before.files if before else (), note)
        self._tried: set[tuple[str, CellPlace]] = set()
        self.record = self._kept()

    def _check_same(self, before: SweepRecord) -> None:
        other = Path(before.definition)
        if other == self._sweep.file.resolve():
            return
        if other.exists():
            raise UsageError(
                f"{self.path} is the sweep '{before.name}' of {other}; write another name = \"…\" in "
                f"{self._sweep.file}, or choose another --output"
            )
        self._note(
            f"{self.path}: its file was {other}, which is not there any more; {self._sweep.file} goes on with it"
        )

    def _kept(self) -> SweepRecord:
        """Return where the sweep stands, which is on disk."""
        found = standing.of(self._sweep, self._plan, self._files, self._machine)
        sweep_files.write(self.path, found)
        return found

    def do(self, measure: MeasureJob, go_on: GoOnWith, keep: KeepRecord, store: str = "") -> None:
        """Measure what is open, and try again what failed; `record` grows with each of its records.

        `store` is what `keep` calls the store that records go to; empty: there is none.
        """
        for path, wanted in self._interrupted():
            try:
                self._run(path, lambda path=path: go_on(path), keep)  # type: ignore[misc]
                self._tried |= wanted
            except (UsageError, RecordError) as error:
                self._note(f"{error}; what it lacks is measured in a new record")
        for place in self._plan.places:
            while networks := self._next(place):
                job = place.part(networks, self._sweep.output)
                self._note(f"sweep {self._sweep.name}: {in_words(self.record)}; next {_place_in_words(place.place)}")
                self._tried |= {(network.name, place.place) for network in networks}
                try:
                    self._run(job.path, lambda job=job: measure(job), keep)  # type: ignore[misc]
                except UsageError as error:  # such as a tracker that is away; other places may be there
                    self._note(f"{_place_in_words(place.place)}: {error}; its cells stay open")
                    break
        self._keep_all(keep, store)

    def _run(self, path: Path, work: Callable[[], object], keep: KeepRecord) -> None:
        """Do some work on a record; whatever ends it, what it brought is kept."""
        began_s, had = time.monotonic(), self._done_in(path)
        try:
            work()
        except BaseException:
            with contextlib.suppress(OutputError):  # the first error says more: where what was measured is saved
                self._seen(path, began_s, had)
            raise
        self._seen(path, began_s, had)
        self._keep_one(path, keep)

    def _seen(self, path: Path, began_s: float, had: int) -> None:
        """Look at what is in the folder now, and keep where the sweep stands."""
        took_s = time.monotonic() - began_s
        self._files = folder.files(self._sweep.output, self._sweep.name, self._files, self._note)
        ran = self._done_in(path) - had
        self._change(path, lambda each: _longer(each, took_s, ran))
        self.record = self._kept()

    def _done_in(self, path: Path) -> int:
        return sum(seen.finished for file in self._files if file.name == path.name for seen in file.seen)

    def _change(self, path: Path, change: Callable[[SweepFile], SweepFile]) -> None:
        self._files = tuple(change(each) if each.name == path.name else each for each in self._files)

    def _keep_one(self, path: Path, keep: KeepRecord) -> None:
        store = keep(path)
        if store:
            self._change(path, lambda each: msgspec.structs.replace(each, stored=store))
            self.record = self._kept()

    def _keep_all(self, keep: KeepRecord, store: str) -> None:
        """Give to the store what it lacks: another one than before, or one that could not be reached."""
        for file in self._files:
            if file.place is not None and (not store or file.stored != store):
                self._keep_one(self._sweep.output / file.name, keep)

    def _interrupted(self) -> Iterator[tuple[Path, set[tuple[str, CellPlace]]]]:
        """Yield the records that lack nothing but cells of this sweep, with these cells.

        They were asked for what the sweep asks for now.
        """
        places = {place.place: place for place in self._plan.places}
        for file in self._files:
            place = places.get(file.place) if file.place and file.open else None
            if place is None or file.sessions != place.wanted_sessions or file.counts != place.job.settings.counts:
                continue
            left = {
                each.network.name for each in self.record.cells if each.place == file.place and each.state != "done"
            }
            lacking = {(name, place.place) for name in file.open}
            if set(file.open) <= left and not self._stale(file) and not lacking & self._tried:
                yield self._sweep.output / file.name, lacking

    def _stale(self, file: SweepFile) -> bool:
        """Return whether what a record has would be built otherwise now: then its rest belongs to a new one."""
        return any(
            cell.place == file.place and cell.reason == standing.OTHER_ARTIFACT
            for cell in self.record.cells
        )  # fmt: skip

    def _next(self, place: PlannedPlace) -> Sequence[Variant]:
        """Return the networks of the next record at a place: one network in all types stays together."""
        wanted = [
            cell.network
            for cell in self.record.cells
            if cell.place == place.place and cell.state != "done" and (cell.network.name, cell.place) not in self._tried
        ]
        most, end = self._sweep.definition.networks_per_record, 0
        while end < len(wanted) and (end < most or _related(wanted[end - 1], wanted[end])):
            end += 1
        return wanted[:end]


def _related(one: Variant, other: Variant) -> bool:
    """Return whether two networks differ in type or convolution alone, so that one record compares them."""
    return (one.family, one.parameters) == (other.family, other.parameters)


def _longer(file: SweepFile, took_s: float, ran: int) -> SweepFile:
    return msgspec.structs.replace(file, wall_s=file.wall_s + took_s, ran=file.ran + max(0, ran))


def in_words(record: SweepRecord) -> str:
    """Return how many cells of a sweep are done, failed and open: `12 of 48 cells are done, 1 failed`."""
    failed = record.count("failed")
    done = f"{record.count('done')} of {units.counted(len(record.cells), 'cell')} are done"
    return f"{done}, {failed} failed" if failed else done


def _place_in_words(place: CellPlace) -> str:
    batch = f", batch {place.batch}" if place.batch > 1 else ""
    return f"{place.target} on {place.device}, {units.counted(place.threads, 'thread')}{batch}"
