"""Records as files: reading, validation, writing, and the JSON Schema."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import msgspec

from mbench.core import (
    newer_minor,
    plain,
    record_migrations,
    record_rules,
    regular_files,
    strict_json,
    system_limits,
)
from mbench.core.atomic_files import write_atomically
from mbench.core.errors import RecordError, shown
from mbench.core.field_types import LEAST_MAGNITUDE
from mbench.core.records import FORMAT_MINOR, FORMAT_VERSION, Record

MOST_BYTES = 256 * 2**20
"""Of a file."""


def encode(record: Record) -> bytes:
    """Return the record as one line of JSON, times and energies at nine significant digits.

    Raises:
        ValueError: a number is not finite.
    """
    return (
        json.dumps(
            rounded(msgspec.to_builtins(record)), ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()
        + b"\n"
    )


def rounded(value: Any) -> Any:
    """Return a document with numbers at nine significant digits, and texts that any file can hold."""
    if isinstance(value, str):
        return plain.storable(value)
    if isinstance(value, float):
        return 0.0 if abs(value) < LEAST_MAGNITUDE else float(f"{value:.9g}")
    if isinstance(value, dict):
        return {rounded(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return value


_NETWORKS = (".onnx", ".pt2")
"""Endings of files that hold networks."""


class _Head(msgspec.Struct):
    """What shows whether a document is a record, and of which version."""

    kind: msgspec.Raw = msgspec.Raw(b"null")
    """Only files of `mbench fit` and of sweeps have one."""
    format_version: msgspec.Raw = msgspec.Raw(b"null")
    format_minor: msgspec.Raw = msgspec.Raw(b"0")


def decode(data: bytes, *, source: str) -> Record:
    """Return the record in `data`, of this format version or an older one; `source` names it in errors.

    Fields that a newer minor version added are left out.

    Raises:
        RecordError: not JSON, truncated, a newer format version, or a field that breaks the format.
    """
    if not data.strip():
        raise RecordError(f"{source}: the file is empty; expected a record that 'mbench run' wrote")
    try:
        version, minor = _version(data, source)
        found = _decoded(data, version, minor)
        strict_json.refuse_repeated_keys(data)
    except strict_json.NotJsonError as error:
        if source.lower().endswith(_NETWORKS):
            raise RecordError(f"{source} is a network, not a record; 'mbench run {source}' makes its record") from error
        raise RecordError(f"{source}: not a whole JSON document ({error}); is it truncated?") from error
    except strict_json.MisfitError as error:
        raise RecordError(f"{source}: not a valid record: {error}") from error
    broken = record_rules.broken(found)
    if broken:
        raise RecordError(f"{source}: not a valid record: {broken}")
    return found


_LIMITED = 1
"""The minor version from which on weights have a limit where nothing is preferred; before, they had none."""


def _decoded(data: bytes, version: int, minor: int) -> Record:
    if version == FORMAT_VERSION and minor <= FORMAT_MINOR:
        found = msgspec.structs.replace(strict_json.decode(data, Record), format_minor=FORMAT_MINOR)
        if minor >= _LIMITED:
            return found
        return msgspec.structs.replace(found, settings=msgspec.structs.replace(found.settings, prefer="latency"))
    document = strict_json.decode(data, dict[str, Any])
    if version < FORMAT_VERSION:
        return strict_json.converted(record_migrations.migrated(document, version), Record)
    known = newer_minor.known_part({**document, "format_minor": FORMAT_MINOR}, Record)
    return strict_json.converted(known, Record)


def _version(data: bytes, source: str) -> tuple[int, int]:
    """Return the format version and minor version of a record that this mbench reads."""
    version: object = None
    minor: object = 0
    with contextlib.suppress(strict_json.MisfitError):  # no object, or a version that is no number of JSON's
        head = strict_json.decode(data, _Head)
        if bytes(head.kind) == b'"fit"':
            raise RecordError(
                f"{source} is what 'mbench fit' found, not a record; 'mbench show' and 'mbench report' take it"
            )
        if bytes(head.kind) == b'"sweep"':
            raise RecordError(
                f"{source} is where a sweep stands, not a record; 'mbench sweep status' and 'mbench report' take it"
            )
        version = strict_json.decode(bytes(head.format_version), Any)
        minor = strict_json.decode(bytes(head.format_minor), Any)
    if version is None:
        strict_json.decode(data, Any)  # what is no JSON at all is said to be that
        raise RecordError(f"{source}: no format_version; expected a record that 'mbench run' wrote")
    if type(version) is int and version > FORMAT_VERSION:
        raise RecordError(
            f"{source}: format_version is {shown(version)}, this mbench reads up to {FORMAT_VERSION}: "
            "newer format, update mbench"
        )
    if type(version) is not int or version not in (*record_migrations.MIGRATIONS, FORMAT_VERSION):
        raise RecordError(
            f"{source}: format_version is {shown(version)}, this mbench reads 1 to {FORMAT_VERSION}; "
            "expected a record that 'mbench run' wrote"
        )
    return version, minor if type(minor) is int else 0


def read(path: str | os.PathLike[str]) -> Record:
    """Read and validate one record file.

    Raises:
        RecordError: the file cannot be read, or is not a valid record of this version or an older one.
    """
    return decode(content(path), source=str(path))


def content(path: str | os.PathLike[str]) -> bytes:
    """Return what a file of mbench holds, a record's or another's.

    Raises:
        RecordError: it cannot be read; the message names what lies beside it under a near name.
    """
    try:
        return regular_files.read(path, most_bytes=MOST_BYTES)
    except OSError as error:
        near = regular_files.near_name(Path(path)) if isinstance(error, FileNotFoundError) else ""
        raise RecordError(f"{path}: cannot be read: {system_limits.why(error)}{near}") from error


def write(path: Path, record: Record) -> None:
    """Write one record file atomically, if what is written can be read back; else what lies there stays.

    Raises:
        OutputError: it could not be written.
        RecordError: no reader would take it.
    """
    try:
        data = encode(record)
    except ValueError as error:  # NaN and infinity
        raise RecordError(f"{path}: not a valid record: a number is not finite") from error
    decode(data, source=str(path))
    write_atomically(path, data)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a record file."""
    schema = msgspec.json.schema(Record)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"mbench record, format_version {FORMAT_VERSION}",
        **schema,
    }
