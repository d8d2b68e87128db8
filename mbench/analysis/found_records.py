"""The records that a path stands for: a file, the *.json of a folder, or a glob. One rule for all that take records.

Files of `mbench fit` lie beside records: of a folder or a glob they are left out where records are wanted.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mbench.analysis import frame
from mbench.core import fit_files, record_files
from mbench.core.errors import RecordError
from mbench.core.fit_records import FitRecord
from mbench.core.records import Record


def read(path: Path) -> list[tuple[Path, Record]]:
    """Return the records that a path stands for, each with its file, in the order of names.

    Raises:
        RecordError: there is none, or one is not valid.
    """
    return of_files(frame.every_file(path), path)


def of_files(files: Iterable[Path], path: Path) -> list[tuple[Path, Record]]:
    """Return the records of files that were found by a path.

    Raises:
        RecordError: there is none, or one is not valid.
    """
    found = []
    for file in files:
        one = record_files.read(file) if file == path else fit_files.read_either(file)
        if isinstance(one, Record):
            found.append((file, one))
    if not found:
        raise RecordError(f"{path}: no record there but of 'mbench fit'; expected *.json that 'mbench run' wrote")
    return found


def newest(path: Path) -> tuple[Path, Record | FitRecord]:
    """Return the newest of what a path stands for: a record, or what a search found.

    Raises:
        RecordError: there is none, or one is not valid.
    """
    found = [(file, fit_files.read_either(file)) for file in frame.every_file(path)]
    return max(found, key=lambda pair: (pair[1].created_at_utc, pair[1].run_id))
