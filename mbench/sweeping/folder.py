"""The records of a sweep in its folder: what each says of the sweep's cells. A file that did not change is not read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from mbench.analysis import sweep_cells
from mbench.core import names, record_files, regular_files, strict_json
from mbench.core.errors import RecordError
from mbench.core.progress import Note
from mbench.core.records import Record
from mbench.core.sweep_definition import LABEL
from mbench.core.sweep_records import SweepFile


class _LabelledFile(msgspec.Struct):
    """What of a file shows whether it is a record of the sweep."""

    labels: dict[str, str] = {}


def files(folder: Path, name: str, before: Iterable[SweepFile], note: Note) -> tuple[SweepFile, ...]:
    """Return what the files of a folder say of a sweep, by name.

    Args:
        folder: of the sweep's records; others may lie there.
        name: of the sweep.
        before: what they said when they were read last.
        note: called for a record of the sweep that cannot be read.
    """
    known = {each.name: each for each in before}
    found = []
    for path in sorted(folder.glob("*.json")):
        with contextlib.suppress(FileNotFoundError):
            found.append(_current(path, name, known.get(path.name), note))
    return tuple(found)


def of_records(records: Iterable[Record], name: str) -> tuple[SweepFile, ...]:
    """Return what records of a store say of a sweep, as if they were files."""
    return tuple(
        _of_record(SweepFile(name=f"{names.component(record.run_id)}.json", bytes=0, changed_ns=0), record, None)
        for record in records
        if record.labels.get(LABEL) == name
    )


def _current(path: Path, name: str, before: SweepFile | None, note: Note) -> SweepFile:
    facts = path.stat()
    plain = SweepFile(name=path.name, bytes=facts.st_size, changed_ns=facts.st_mtime_ns)
    if before is not None and (before.bytes, before.changed_ns) == (plain.bytes, plain.changed_ns):
        return before
    try:
        record = _record_of(path, name)
    except RecordError as error:
        note(f"{error}; its networks count as open")
        return plain
    return plain if record is None else _of_record(plain, record, before)


def _record_of(path: Path, name: str) -> Record | None:
    """Return the record in a file; None: it is something else, or of another sweep.

    Raises:
        RecordError: it is a record of the sweep and breaks the format.
    """
    try:
        data = regular_files.read(path, most_bytes=record_files.MOST_BYTES)
        if strict_json.decode(data, _LabelledFile).labels.get(LABEL) != name:
            return None
    except (OSError, ValueError):
        return None
    return record_files.decode(data, source=str(path))


def _of_record(plain: SweepFile, record: Record, before: SweepFile | None) -> SweepFile:
    return msgspec.structs.replace(
        plain, place=sweep_cells.place_of(record), at_utc=record.created_at_utc, host=record.host.name,
        sessions=record.settings.sessions,
        counts=record.settings.counts, seen=tuple(sweep_cells.seen(record)), open=record.unfinished(),
        wall_s=before.wall_s if before else 0.0, ran=before.ran if before else 0,
    )  # fmt: skip
