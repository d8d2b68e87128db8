"""The file that says where a sweep stands: reading, checking, writing, and finding it in a folder."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from mbench.core import record_files, strict_json
from mbench.core.atomic_files import write_atomically
from mbench.core.errors import RecordError
from mbench.core.sweep_records import FORMAT_VERSION, SweepRecord

ENDING = ".sweep"
"""Not .json: what reads a folder of records leaves it alone."""


def path_of(folder: Path, name: str) -> Path:
    """Return where a sweep's file lies among its records."""
    return folder / f"{name}{ENDING}"


def encode(record: SweepRecord) -> bytes:
    """Return where a sweep stands as one line of JSON."""
    return msgspec.json.encode(record_files.rounded(msgspec.to_builtins(record))) + b"\n"


def write(path: Path, record: SweepRecord) -> None:
    """Write the file whole, or not at all.

    Raises:
        OutputError: it could not be written.
    """
    write_atomically(path, encode(record))


def read(path: Path) -> SweepRecord:
    """Return what a file holds.

    Raises:
        RecordError: it cannot be read, or is of another kind or version.
    """
    data = record_files.content(path)
    try:
        return strict_json.decode(data, SweepRecord)
    except ValueError as error:
        raise RecordError(
            f"{path}: not where a sweep stands, of format_version {FORMAT_VERSION}: {error}; remove it, and "
            "'mbench run --sweep' makes it again of the records"
        ) from error


def find(path: Path) -> SweepRecord | None:
    """Return what a file holds; None: there is none.

    Raises:
        RecordError: it is of another kind or version.
    """
    return read(path) if path.exists() else None


def is_sweep(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is called as a sweep's file is."""
    return Path(path).suffix == ENDING


def in_folder(folder: Path) -> Path:
    """Return the sweep's file of a folder.

    Raises:
        RecordError: there is none, or several.
    """
    found = sorted(folder.glob(f"*{ENDING}"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise RecordError(f"{folder}: no sweep there; expected NAME{ENDING} of 'mbench run --sweep', or name records")
    raise RecordError(f"{folder}: several sweeps: {', '.join(file.name for file in found)}; name one of these files")
