"""Measure many networks at many places: the work behind `mbench run --sweep` and `mbench sweep`."""

from __future__ import annotations

import functools
from concurrent.futures import Executor
from pathlib import Path
from typing import NamedTuple

from mbench.analysis.frame import AnyPath
from mbench.api import history, report, run
from mbench.build import places
from mbench.build.builders import TIMEOUT_S
from mbench.core import plain, project_file, record_files, scratch, sweep_files
from mbench.core.errors import MbenchError, OutputError
from mbench.core.progress import Display, Note, silent, unheard
from mbench.core.records import Record
from mbench.core.sweep_records import SweepRecord
from mbench.hardware import host
from mbench.pipeline.job import Job
from mbench.sweeping import folder, planning, standing, work
from mbench.sweeping.planning import AskedSweep, SweepPlan

MOST_PAGED = 500
"""Cells of a sweep whose records have pages, unless its file says otherwise."""


class SweepOutcome(NamedTuple):
    """What became of a sweep."""

    record: SweepRecord
    """Where it stands."""
    path: Path
    """The file of that, beside the sweep's records."""
    unstored: tuple[str, ...] = ()
    """Records that the store did not take, and why; a line each."""


class SweepInterrupted(KeyboardInterrupt):
    """A sweep was interrupted; what it measured is recorded, and the same call goes on."""

    def __init__(self, outcome: SweepOutcome) -> None:
        """Keep where it stands."""
        super().__init__("interrupted; the same call goes on")
        self.outcome = outcome


def sweep(
    file: AnyPath,
    *,
    output: AnyPath | None = None,
    store: AnyPath | None = None,
    executor: Executor | str = places.LOCAL,
    use_cache: bool = True,
    build_timeout_s: float = TIMEOUT_S,
    display: Display = silent,
    note: Note = unheard,
) -> SweepOutcome:
    """Measure the cells of a sweep that are not measured yet: each is a network at a target, device and threads.

    Records are written to the sweep's folder one by one, each with its page; the same call goes on where it ended.

    Args:
        file: describes the sweep; see docs/sweeps.md.
        output: the folder for records and pages; None: as the file says.
        store: a store that each record is added to; None: as the file says, else `MBENCH_STORE` or `mbench.toml`.
        executor: where networks are built, and counted in emulation; see `run`.
        use_cache: whether builds and calibrations of before may be used.
        build_timeout_s: seconds after which the build of a network is given up.
        display: shows progress; by default nothing does.
        note: called with what comes next, and what the user should know.

    Raises:
        UsageError: something in the file is wrong, a cell can be neither measured nor emulated here, another process
            works on the sweep, or the folder has another sweep of its name.
        TargetError: a target is not known.
        StoreError: the store cannot be used.
        OutputError: something could not be written.
        SweepInterrupted: by the user; where the sweep stands is in it.

    Example:
        `mbench.sweep("sweep.toml").record.count("done")`
    """
    places.check(executor)
    asked = _asked(file, output, use_cache=use_cache, build_timeout_s=build_timeout_s)
    machine = host.describe()
    plan = planning.planned(asked, machine)
    url, store_name = _store_of(asked, store)
    planning.check_output(asked.output)
    path, unstored = sweep_files.path_of(asked.output, asked.name), dict[Path, str]()
    with scratch.only(path):
        for said in plan.notes:
            note(said)
        going = work.SweepWork(asked, plan, machine, note)
        try:
            pages = asked.definition.pages
            paged = len(going.record.cells) <= MOST_PAGED if pages is None else pages
            going.do(
                functools.partial(_measure, executor=executor, display=display),
                functools.partial(run.resume, use_cache=use_cache, build_timeout_s=build_timeout_s, executor=executor,
                                  display=display),
                functools.partial(_keep, paged=paged, url=url, unstored=unstored, note=note),
                store_name,
            )  # fmt: skip
        except KeyboardInterrupt as error:
            raise SweepInterrupted(SweepOutcome(going.record, path, tuple(unstored.values()))) from error
    return SweepOutcome(going.record, path, tuple(unstored.values()))


def sweep_status(
    file: AnyPath, *, output: AnyPath | None = None, store: AnyPath | None = None, note: Note = unheard
) -> SweepRecord:
    """Return where a sweep stands, also while it is going on; nothing is built or written.

    Args:
        file: describes the sweep; or the file `NAME.sweep` beside its records, or their folder, which say where it
            stood when something was recorded last.
        output: the folder of its records; None: as the file says.
        store: by whose records it is judged, in the place of those in the folder.
        note: called with what the user should know.

    Raises:
        UsageError: something in the file is wrong.
        RecordError: there is no sweep.
        StoreError: the store cannot be read.
    """
    path = Path(file)
    if path.is_dir():
        path = sweep_files.in_folder(path)
    if sweep_files.is_sweep(path):
        return sweep_files.read(path)
    asked = _asked(path, output, use_cache=True, build_timeout_s=TIMEOUT_S)
    machine = host.describe()
    plan: SweepPlan = planning.planned(asked, machine)
    if store is not None:
        with history.open_store(store) as opened:
            wanted = (record for _, record in opened.records())
            return standing.of(asked, plan, folder.of_records(wanted, asked.name), machine)
    before = sweep_files.find(sweep_files.path_of(asked.output, asked.name))
    files = folder.files(asked.output, asked.name, before.files if before else (), note)
    return standing.of(asked, plan, files, machine)


def _asked(file: AnyPath, output: AnyPath | None, *, use_cache: bool, build_timeout_s: float) -> AskedSweep:
    into = None if output is None else Path(output)
    return planning.asked(Path(file), output=into, use_cache=use_cache, build_timeout_s=build_timeout_s)


def _store_of(asked: AskedSweep, store: AnyPath | None) -> tuple[str | None, str]:
    """Return the address of the store that records go to, which is one, and what it is called; None: to none.

    Raises:
        UsageError: there can be no such store.
        StoreError: it is not mbench's, or cannot be reached.
        OutputError: it cannot be made.
    """
    own = asked.definition.store
    if own is not None and "://" not in own:
        own = str(asked.beside(own))
    url = str(store) if store is not None else own or project_file.store()
    if not url:
        return None, ""
    with history.open_store(url, create=True) as opened:
        return url, opened.shown


def _measure(job: Job, *, executor: Executor | str, display: Display) -> Record:
    return run.of_job(job, executor, display)


def _keep(path: Path, *, paged: bool, url: str | None, unstored: dict[Path, str], note: Note) -> str:
    """Write the page of a record, and add it to the store; return what the store is called."""
    page = path.with_suffix(".html")
    lacks_page = paged and (not page.exists() or page.stat().st_mtime_ns < path.stat().st_mtime_ns)
    if url is None and not lacks_page:
        return ""
    record = record_files.read(path)
    if lacks_page:
        try:
            report.report(record, page, plotlyjs="directory")
        except OutputError as error:
            note(str(error))
    if url is None:
        return ""
    try:
        shown, added = history.add_run(record, url)
    except MbenchError as error:
        unstored[path] = f"{error}; add it with: mbench history add {plain.quoted(path)}"
        return ""
    for line in added.notes:
        note(line)
    if added.refused:
        unstored[path] = "; ".join(added.refused)
        return ""
    return shown
