"""How a record comes into a store: made ready outside of any transaction, then written in one.

A record's digest is that of its content, in a form that does not depend on how the file was written, or on fields that
later versions of mbench add with a default.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import zlib
from typing import TYPE_CHECKING, Any

import msgspec

from mbench.analysis import headline, runs
from mbench.core import record_files
from mbench.core.errors import RecordError
from mbench.core.records import Record, Result
from mbench.history import identity, moments, quantities
from mbench.history.series import Identity

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

_LEVEL = 6
"""Of zlib; 9 takes twice the time for a hundredth less."""
_OF_THE_FILE = ("format_version", "format_minor")
"""What a record says of its file, and not of the run."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadyRecord:
    """A record with all that a store keeps of it."""

    record: Record
    """As it is read again: numbers at nine digits, texts that can be stored."""
    digest: str
    content: bytes
    fingerprints: tuple[str, ...]

    @property
    def run_id(self) -> str:
        """Its run's name, as databases hold it."""
        return identity.storable(self.record.run_id)


def ready(record: Record) -> ReadyRecord:
    """Return a record as a store keeps it.

    Raises:
        RecordError: it is not valid, so that no reader would take it.
    """
    source = f"record of run {record.run_id}"
    try:
        data = record_files.encode(record)
    except ValueError as error:
        raise RecordError(f"{source}: not a valid record: a number is not finite") from error
    held = record_files.decode(data, source=source)
    return ReadyRecord(
        record=held, digest=digest(held), content=zlib.compress(data, _LEVEL),
        fingerprints=tuple(sorted(runs.measured(held))),
    )  # fmt: skip


def digest(record: Record) -> str:
    """Return the SHA-256 of what a record says."""
    return hashlib.sha256(msgspec.json.encode(_meaning(record), order="sorted")).hexdigest()


def _meaning(value: Any) -> Any:
    """Return a document without fields that have their default: those of later versions, in older records."""
    if isinstance(value, msgspec.Struct):
        return {
            name: _meaning(item)
            for attribute, name, default in _fields(type(value))
            if (item := getattr(value, attribute)) != default and name not in _OF_THE_FILE
        }
    if isinstance(value, dict):
        return {key: _meaning(item) for key, item in value.items()}
    if isinstance(value, tuple) and value and not isinstance(value[0], float):
        return [_meaning(item) for item in value]
    return value


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> tuple[tuple[str, str, Any], ...]:
    """Return the attribute, the name in the file and the default of each field."""
    return tuple(
        (field.name, field.encode_name, _default(field)) for field in msgspec.structs.fields(kind)
    )  # fmt: skip


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


# -------------------------------------------------------------------------------------------------------------- writing
class RecordWriter:
    """Writes records into the tables, within one transaction of the store's only writer."""

    def __init__(self, connection: Connection, known: dict[str, int]) -> None:
        """Begin with the numbers of identities and series that are known by their keys."""
        self._connection = connection
        self.known = dict(known)
        """The same with those that were added: true once the transaction is over."""

    def insert(self, item: ReadyRecord) -> None:
        """Write a record that is not there."""
        from mbench.history.tables import CONTENTS, FINGERPRINTS, RECORDS

        number = self._inserted(RECORDS, _row(item))
        self._connection.execute(CONTENTS.insert(), {"record_id": number, "content": item.content})
        marked = [{"record_id": number, "fingerprint": each} for each in item.fingerprints]
        if marked:
            self._connection.execute(FINGERPRINTS.insert(), marked)
        for result in item.record.results:
            self._insert_result(number, item.record, result)

    def remove(self, number: int) -> None:
        """Remove a record, with all that belongs to it."""
        from mbench.history.tables import RECORDS

        self._connection.execute(RECORDS.delete().where(RECORDS.c.id == number))

    def _insert_result(self, number: int, record: Record, result: Result) -> None:
        from mbench.history.tables import POINTS, RESULTS

        of = identity.of_result(record, result)
        owner = self._identity(of)
        row = {
            "record_id": number, "identity_id": owner, "disturbed": _json(headline.disturbed(result)),
            "marks": _json(identity.marks(record, result)),
        }  # fmt: skip
        at = self._inserted(RESULTS, row)
        points = [
            {
                "series_id": self._series(of, owner, name), "result_id": at, "value": seen.value, "low": seen.low,
                "high": seen.high, "sessions": _json(seen.sessions) if seen.sessions else None,
            }
            for name, seen in quantities.of_result(result)
        ]  # fmt: skip
        if points:
            self._connection.execute(POINTS.insert(), points)

    def _identity(self, of: Identity) -> int:
        from mbench.history.tables import IDENTITIES

        key = identity.key(of)
        return self._number(IDENTITIES, key, {"key": key, **msgspec.structs.asdict(of)})

    def _series(self, of: Identity, owner: int, quantity: str) -> int:
        from mbench.history.tables import SERIES

        key = identity.series_id(of, quantity)
        return self._number(SERIES, key, {"key": key, "identity_id": owner, "quantity": quantity})

    def _number(self, table: Table, key: str, row: dict[str, Any]) -> int:
        """Return the number of a row, which is written where it is not there."""
        from sqlalchemy import select

        if key not in self.known:
            found = self._connection.execute(select(table.c.id).where(table.c.key == key)).scalar()
            self.known[key] = self._inserted(table, row) if found is None else int(found)
        return self.known[key]

    def _inserted(self, table: Table, row: dict[str, Any]) -> int:
        answer = self._connection.execute(table.insert(), row).inserted_primary_key
        if answer is None:
            raise TypeError(f"table {table.name} gives no number")
        return int(answer[0])


def _row(item: ReadyRecord) -> dict[str, Any]:
    record = item.record
    branch = record.labels.get("branch")
    return {
        "digest": item.digest,
        "run_id": item.run_id,
        "at": moments.microseconds(moments.of_record(record)),
        "mbench": identity.storable(record.mbench_version),
        "host": identity.storable(record.host.name),
        "target": identity.storable(record.target.name),
        "device": record.device.kind,
        "branch": None if branch is None else identity.storable(branch),
        "labels": _json(record.labels),
        "networks": _json([result.variant.name for result in record.results]),
        "failures": len(record.failures),
    }


def _json(value: object) -> str:
    """Return a value as JSON in ASCII: every database holds it, whatever a name is made of."""
    return json.dumps(value, separators=(",", ":"))
