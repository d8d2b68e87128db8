"""What a search found, as a file: reading, checking, writing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec

from mbench.core import record_files, strict_json
from mbench.core.atomic_files import write_atomically
from mbench.core.errors import RecordError, shown
from mbench.core.fit_records import FORMAT_VERSION, FitRecord
from mbench.core.records import Record


def encode(record: FitRecord) -> bytes:
    """Return what was found as one line of JSON."""
    return (
        json.dumps(record_files.rounded(msgspec.to_builtins(record)), ensure_ascii=False, allow_nan=False).encode()
        + b"\n"
    )


def write(path: Path, record: FitRecord) -> None:
    """Write the file whole, or not at all.

    Raises:
        OutputError: it could not be written.
    """
    write_atomically(path, encode(record))


def read(path: Path) -> FitRecord:
    """Return what a file holds.

    Raises:
        RecordError: it cannot be read, or is of another kind.
    """
    return decode(record_files.content(path), source=str(path))


def read_either(path: str | os.PathLike[str]) -> FitRecord | Record:
    """Return what a search found, or a record: whichever the file holds.

    Raises:
        RecordError: it cannot be read, or is neither.
    """
    data = record_files.content(path)
    decoder = decode if _is_fit(data) else record_files.decode
    return decoder(data, source=str(path))


def decode(data: bytes, *, source: str) -> FitRecord:
    """Return what is in `data`; `source` names it in errors.

    Raises:
        RecordError: it is no such document.
    """
    if not _is_fit(data):
        raise RecordError(f"{source}: not a file of 'mbench fit'; 'mbench show {source}' prints a record")
    try:
        found = strict_json.decode(data, FitRecord)
        strict_json.refuse_repeated_keys(data)
    except ValueError as error:
        raise RecordError(f"{source}: not a file of 'mbench fit': {error}") from error
    broken = _broken(found)
    if broken:
        raise RecordError(f"{source}: not a file of 'mbench fit': {broken}")
    return found


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a file of `mbench fit`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"what mbench fit found, format_version {FORMAT_VERSION}",
        **msgspec.json.schema(FitRecord),
    }


class _FileKind(msgspec.Struct):
    kind: msgspec.Raw = msgspec.Raw(b"null")


def _is_fit(data: bytes) -> bool:
    try:
        return bytes(strict_json.decode(data, _FileKind).kind) == b'"fit"'
    except ValueError:
        return False


def _broken(found: FitRecord) -> str:
    """Return what does not go together, in words; empty: all does."""
    names = {each.network.name for each in found.candidates}
    if len(names) < len(found.candidates):
        return "two candidates have the same name"
    named = [name for answer in found.answers for name in (answer.network, answer.next_better) if name is not None]
    missing = next((name for name in named if name not in names), None)
    return "" if missing is None else f"an answer names {shown(missing)}, which is no candidate"
