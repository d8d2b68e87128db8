"""What is read out of a store's tables, by SQL alone: records, and series with their points."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from mbench.core.errors import UsageError, did_you_mean, shown
from mbench.history import moments
from mbench.history.filters import Filter
from mbench.history.quantities import QUANTITIES
from mbench.history.series import Identity, Point, Series

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Row

_DIGEST = re.compile(r"[0-9a-f]+")
_DIGEST_CHARACTERS = 64
_NUMBERS = msgspec.json.Decoder(tuple[float, ...])
_TEXTS = msgspec.json.Decoder(dict[str, str])


# ------------------------------------------------------------------------------------------------------------- records
def records(connection: Connection, where: Filter) -> Sequence[Row[Any]]:
    """Return the rows of the records that are wanted, oldest first."""
    from sqlalchemy import select

    from mbench.history.tables import RECORDS, RESULTS

    wanted = select(RECORDS).where(*_of_records(where)).order_by(RECORDS.c.at, RECORDS.c.run_id)
    if where.by_identity:
        numbers = list(_identities(connection, where))
        held = select(RESULTS.c.record_id).where(_among(RESULTS.c.identity_id, numbers))
        wanted = wanted.where(RECORDS.c.id.in_(held))
    return connection.execute(wanted).all()


def contents(connection: Connection, numbers: Iterable[int]) -> dict[int, bytes]:
    """Return the compressed records with these numbers."""
    from sqlalchemy import select

    from mbench.history.tables import CONTENTS

    found = connection.execute(select(CONTENTS).where(_among(CONTENTS.c.record_id, numbers)))
    return {int(row.record_id): bytes(row.content) for row in found}


def has_digest(connection: Connection, digest: str) -> bool:
    """Return whether a record is there."""
    from sqlalchemy import select

    from mbench.history.tables import RECORDS

    return connection.execute(select(RECORDS.c.id).where(RECORDS.c.digest == digest)).first() is not None


def of_run(connection: Connection, run_id: str, fingerprints: Iterable[str]) -> list[tuple[int, str, bytes]]:
    """Return each record of a run, of this name or with some of its measurements: number, digest and content."""
    from sqlalchemy import select

    from mbench.history.tables import CONTENTS, FINGERPRINTS, RECORDS

    held = select(FINGERPRINTS.c.record_id).where(FINGERPRINTS.c.fingerprint.in_(list(fingerprints)))
    numbers = {int(row.record_id) for row in connection.execute(held)}
    named = select(RECORDS.c.id).where(RECORDS.c.run_id == run_id)
    numbers |= {int(row.id) for row in connection.execute(named)}
    if not numbers:
        return []
    whole = select(RECORDS.c.id, RECORDS.c.digest, CONTENTS.c.content).where(
        RECORDS.c.id == CONTENTS.c.record_id, _among(RECORDS.c.id, numbers)
    )
    return [(int(row.id), str(row.digest), bytes(row.content)) for row in connection.execute(whole)]


def named(connection: Connection, name: str, *, shortest: int) -> list[tuple[int, str]]:
    """Return the number and the digest of the records that a name stands for: a run's, or the beginning of a digest."""
    from sqlalchemy import select

    from mbench.history.identity import storable
    from mbench.history.tables import RECORDS

    columns = select(RECORDS.c.id, RECORDS.c.digest)
    found = connection.execute(columns.where(RECORDS.c.run_id == storable(name))).all()
    if not found and shortest <= len(name) <= _DIGEST_CHARACTERS and _DIGEST.fullmatch(name):
        found = connection.execute(columns.where(RECORDS.c.digest.startswith(name, autoescape=True)).limit(100)).all()
    return [(int(row.id), str(row.digest)) for row in found]


# -------------------------------------------------------------------------------------------------------------- series
class _OfResult(NamedTuple):
    """What all points of a result share, and its place among all by date."""

    place: int
    digest: str
    run_id: str
    at: datetime.datetime
    labels: dict[str, str]
    marks: dict[str, str]
    disturbed: tuple[str, ...]


def series(connection: Connection, where: Filter, quantities: Collection[str] | None) -> tuple[Series, ...]:
    """Return the series that are wanted, by network, place and quantity, each with its points by date.

    Raises:
        UsageError: a quantity is not known.
    """
    unknown = next((name for name in quantities or () if name not in QUANTITIES), None)
    if unknown is not None:
        hint = did_you_mean(unknown, QUANTITIES) or f"; expected one of: {', '.join(QUANTITIES)}"
        raise UsageError(f"quantity {shown(unknown)} is not known{hint}")
    identities = _identities(connection, where)
    held = _results(connection, where, list(identities))
    found: dict[int, list[tuple[int, Point]]] = {}
    kinds = {
        int(row.id): row
        for row in _series_of(connection, where, list(identities))
        if row.quantity in QUANTITIES and (quantities is None or row.quantity in quantities)
    }
    rows = _points(connection, where, list(kinds), quantities is None and not where.by_identity)
    for number, result, value, low, high, sessions in rows:
        if result in held and number in kinds:
            shared = held[result]
            point = Point(
                record=shared.digest, run_id=shared.run_id, at=shared.at, value=value,
                sessions=_NUMBERS.decode(sessions) if sessions else (), low=low, high=high,
                disturbed=shared.disturbed, labels=shared.labels, marks=shared.marks,
            )  # fmt: skip
            found.setdefault(number, []).append((shared.place, point))
    order = {name: at for at, name in enumerate(QUANTITIES)}
    numbers = sorted(
        found, key=lambda each: (*_place(identities[kinds[each].identity_id]), order[kinds[each].quantity])
    )
    return tuple(
        Series(
            id=kinds[number].key, identity=identities[kinds[number].identity_id],
            quantity=QUANTITIES[kinds[number].quantity],
            points=tuple(point for _, point in sorted(found[number], key=lambda each: each[0])),
        )
        for number in numbers
    )  # fmt: skip


def _place(identity: Identity) -> tuple[Any, ...]:
    return (
        identity.network, identity.target, identity.device, identity.machine, identity.hardware, identity.dtype,
        identity.batch, identity.threads,
    )  # fmt: skip


def _identities(connection: Connection, where: Filter) -> dict[int, Identity]:
    """Return the identities that are wanted, by number."""
    from sqlalchemy import select

    from mbench.history.tables import IDENTITIES

    found = {}
    for row in connection.execute(select(IDENTITIES)).mappings():
        identity = Identity(**{name: row[name] for name in Identity.__struct_fields__})
        if where.takes(identity):
            found[int(row["id"])] = identity
    return found


def _results(connection: Connection, where: Filter, identities: list[int]) -> dict[int, _OfResult]:
    """Return what the points of each result share, by the result's number. What is the same is made once."""
    from sqlalchemy import select

    from mbench.history.tables import RECORDS, RESULTS

    wanted = (
        select(
            RESULTS.c.id, RECORDS.c.digest, RECORDS.c.run_id, RECORDS.c.at, RECORDS.c.labels, RESULTS.c.marks,
            RESULTS.c.disturbed,
        )
        .join(RECORDS, RECORDS.c.id == RESULTS.c.record_id)
        .where(*_of_records(where))
        .order_by(RECORDS.c.at, RECORDS.c.run_id, RESULTS.c.id)
    )  # fmt: skip
    if where.by_identity:
        wanted = wanted.where(_among(RESULTS.c.identity_id, identities))
    tables: dict[str, dict[str, str]] = {}
    texts: dict[str, tuple[str, ...]] = {"[]": ()}
    found = {}
    for place, (number, digest, run_id, at, labels, marks, disturbed) in enumerate(connection.execute(wanted).all()):
        for text in (labels, marks):
            if text not in tables:
                tables[text] = _TEXTS.decode(text)
        if disturbed not in texts:
            texts[disturbed] = tuple(json.loads(disturbed))
        moment = moments.of_number(at)
        found[number] = _OfResult(place, digest, run_id, moment, tables[labels], tables[marks], texts[disturbed])
    return found


def _series_of(connection: Connection, where: Filter, identities: list[int]) -> Sequence[Row[Any]]:
    from sqlalchemy import select

    from mbench.history.tables import SERIES

    wanted = select(SERIES)
    if where.by_identity:
        wanted = wanted.where(_among(SERIES.c.identity_id, identities))
    return connection.execute(wanted).all()


def _points(connection: Connection, where: Filter, series_ids: list[int], every: bool) -> Sequence[Any]:
    """Return the rows of points; only records that are wanted are looked at, where few may be."""
    from sqlalchemy import select

    from mbench.history.tables import POINTS, RECORDS, RESULTS

    wanted = select(
        POINTS.c.series_id, POINTS.c.result_id, POINTS.c.value, POINTS.c.low, POINTS.c.high, POINTS.c.sessions
    )  # fmt: skip
    if not every:
        wanted = wanted.where(_among(POINTS.c.series_id, series_ids))
    if where.by_record:
        wanted = wanted.join(RESULTS, RESULTS.c.id == POINTS.c.result_id)
        wanted = wanted.join(RECORDS, RECORDS.c.id == RESULTS.c.record_id).where(*_of_records(where))
    return connection.execute(wanted).all()


def _of_records(where: Filter) -> list[ColumnElement[bool]]:
    """Return the conditions on records."""
    from mbench.history.identity import storable
    from mbench.history.tables import RECORDS

    found: list[ColumnElement[bool]] = []
    if where.branches:
        found.append(RECORDS.c.branch.in_([storable(branch) for branch in where.branches]))
    if where.since is not None:
        found.append(RECORDS.c.at >= moments.microseconds(where.since))
    if where.until is not None:
        found.append(RECORDS.c.at < moments.microseconds(where.until))
    return found


def _among(column: Any, numbers: Iterable[int]) -> ColumnElement[bool]:
    """Return the condition that a column has one of these numbers, however many they are.

    They are written into the statement: drivers take a limited number of parameters.
    """
    from sqlalchemy import bindparam

    found: ColumnElement[bool] = column.in_(
        bindparam(None, sorted(map(int, numbers)), expanding=True, literal_execute=True)
    )
    return found
