"""A team's memory: stores of records, what is in them, and tables of it. The work behind `mbench history`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from mbench.analysis import found_records, frame, runs
from mbench.analysis.frame import AnyPath
from mbench.core import fit_files, names, project_file, record_files
from mbench.core.atomic_files import write_atomically
from mbench.core.errors import MbenchError, OutputError
from mbench.core.records import Record
from mbench.history import filters, moments, store, store_address
from mbench.history.filters import Filter
from mbench.history.store import Added, Store

if TYPE_CHECKING:
    import pandas as pd

_ALL = Filter()
_BACKWARDS = (
    "the clock of {host} went backwards: the store has {later} of its records with a later date; in its series this "
    "run stands before them"
)


class Exported(NamedTuple):
    """What was written of a store."""

    folder: Path
    written: int
    there: int
    """Files that were there already, with the same content."""


def open_store(url: AnyPath | None = None, *, create: bool = False) -> Store:
    """Open a store of records; use it in a `with` block.

    Args:
        url: a file of SQLite, `sqlite:///FILE`, or `postgresql://USER:PASSWORD@HOST/DATABASE`. None: what
            `MBENCH_STORE` names, or `[history] store` in `mbench.toml`, or `mbench-history.db` in this folder.
        create: make it where it is not there.

    Raises:
        UsageError: this can be no store, or what a store needs is not installed.
        StoreError: it is not there, not mbench's, of a newer version, damaged, or cannot be reached.
        OutputError: it cannot be made.

    Example:
        ```python
        with mbench.open_store("history.db", create=True) as store:
            store.add([mbench.read("record.json")])
            [latency] = store.series(mbench.Filter(networks=("mobilenet_v1_*",)), ["latency_s"])
        ```
    """
    return store.open_store(url or project_file.store(), create=create)


def add_files(into: Store, paths: Iterable[AnyPath]) -> Added:
    """Add files of records, the *.json of folders, and the records of other stores to a store.

    What cannot be read is refused, and the rest is added.

    Raises:
        OutputError: the store cannot be written.
    """
    refused: list[str] = []
    added = into.add(_read(paths, refused))
    return Added(
        new=added.new, replaced=added.replaced, known=added.known, refused=(*refused, *added.refused), notes=added.notes
    )


def add_run(record: Record, url: AnyPath) -> tuple[str, Added]:
    """Add the record of a run that has just ended to a store; return what the store is called, and what came of it.

    Raises:
        StoreError: the store cannot be used.
        OutputError: it cannot be written.
    """
    with open_store(url, create=True) as opened:
        added = opened.add([record])
        later = opened.later(record) if added.new and moments.committed(record) is None else 0
    notes = (_BACKWARDS.format(host=record.host.name, later=later),) if later else ()
    return opened.shown, msgspec.structs.replace(added, notes=(*added.notes, *notes))


def _read(paths: Iterable[AnyPath], refused: list[str]) -> Iterator[Record]:
    """Yield the records in files and other stores; of a folder, what is of `mbench fit` is left out."""
    for given in paths:
        path = Path(given)
        try:
            if store_address.is_store(given):
                with store.open_store(given) as other:
                    yield from (record for _, record in other.records())
                continue
            files = frame.every_file(path)
        except MbenchError as error:
            refused.append(str(error))
            continue
        for file in files:
            try:
                found = fit_files.read_either(file)
                if isinstance(found, Record):
                    yield found
                elif not path.is_dir():
                    refused.append(f"{file} is what 'mbench fit' found, not a record; a store holds records")
            except MbenchError as error:
                refused.append(str(error))


def export(of: Store, folder: AnyPath, where: Filter = _ALL) -> Exported:
    """Write the records of a store as files, as they were added; each is called after its run.

    Raises:
        StoreError: the store cannot be read.
        OutputError: a file cannot be written, or another file of its name is there.
    """
    target, written, there = Path(folder), 0, 0
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{target}: cannot be made: {error.strerror}; choose another folder") from error
    for digest, data in of.contents(where):
        run_id = record_files.decode(data, source=f"{of.shown}: record {digest[:12]}").run_id
        file = target / f"{names.component(run_id)}.json"
        if file.exists():
            if file.read_bytes() != data:
                raise OutputError(f"{file} is there with other content; choose another folder, or remove it")
            there += 1
            continue
        write_atomically(file, data)
        written += 1
    return Exported(target, written, there)


def load(source: AnyPath | Iterable[AnyPath], *, where: Filter = _ALL) -> pd.DataFrame:
    """Read records into one table: for each result a row of scope `network`, then rows of scope `layer`.

    The columns, with their units, are those of `mbench.analysis.frame_columns.MEANINGS`: times in seconds, sizes in
    bytes, energies in joules, and `created_at_utc` as datetime64[ns, UTC]. What a record could not have is missing. A
    run counts once, however many copies of its record there are; a warning names those that were left out.

    Args:
        source: a file, several, folders (their *.json), globs, or stores: their files (*.db, *.sqlite) or URLs.
        where: which records and results. Of a store no others are read.

    Raises:
        RecordError: nothing is there, or a file is not a valid record.
        StoreError: a store cannot be read.

    Example:
        ```python
        table = mbench.load("mbench-results")
        table[table["scope"] == "network"].groupby("variant")["latency_s"].min()
        ```
    """
    given = [source] if isinstance(source, str | os.PathLike) else list(source)
    paths = [Path(each) for each in given if not store_address.is_store(each)]
    found = {os.path.realpath(file): (file, item) for path in paths for file, item in found_records.read(path)}
    items = [item for _, item in found.values()]
    places = [str(file) for file, _ in found.values()]
    for each in given:
        if store_address.is_store(each):
            with open_store(each) as opened:
                stored = list(opened.records(where))
            items += [record for _, record in stored]
            places += [f"record {digest[:12]} of {opened.shown}" for digest, _ in stored]
    for copy in runs.copies(items):
        warnings.warn(f"{places[copy.at]} {copy.why} as {places[copy.of]}; it is left out", stacklevel=2)
    wanted = (filters.part(item, where) for item in runs.distinct(items))
    return frame.dated(item for item in wanted if item is not None)
