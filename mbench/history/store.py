"""A store of records: a team's memory, in a file of SQLite or a database of PostgreSQL.

Records are kept whole and come out as they were added. Series are read from rows: no record is opened for them.
"""

from __future__ import annotations

import datetime
import itertools
import zlib
from collections.abc import Collection, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from mbench.core import no_gc, plain, record_files
from mbench.core.errors import RecordError, StoreError, UsageError, shortened
from mbench.core.field_types import Strict
from mbench.core.records import Record
from mbench.history import adding, identity, moments, reading, run_states, store_address
from mbench.history.adding import ReadyRecord, RecordWriter
from mbench.history.database import Database
from mbench.history.filters import Filter
from mbench.history.series import Series

if TYPE_CHECKING:
    import os

    from sqlalchemy import Connection, Row

_BATCH = 50
"""Records of one transaction: other writers wait for no longer than these take."""
_PAGE = 20
"""Records that are read at once: they are decoded between transactions."""
_SHORTEST = 4
"""Characters of a digest that stand for it."""
_LONGEST = 80
_ALL = Filter()
_NAMES = msgspec.json.Decoder(tuple[str, ...])
_LABELS = msgspec.json.Decoder(dict[str, str])


class _Dated(NamedTuple):
    """A run that is dated in the future."""

    host: str
    at: datetime.datetime
    run_id: str


class Added(Strict, frozen=True, kw_only=True):
    """What became of the records that were to be added."""

    new: int = 0
    replaced: int = 0
    """Of runs whose earlier state was there."""
    known: int = 0
    """That were there already, or whose run was: copies, and earlier states."""
    refused: tuple[str, ...] = ()
    """What could not be added, a line each."""
    notes: tuple[str, ...] = ()
    """What else is to be known, a line each."""


class ListedRecord(Strict, frozen=True, kw_only=True):
    """A record, as a list shows it."""

    digest: str
    run_id: str
    at: datetime.datetime
    mbench: str
    host: str
    target: str
    device: str
    networks: tuple[str, ...]
    """With a result."""
    failures: int
    labels: dict[str, str]


class Store:
    """A store, open. Use it in a `with` block, or close it."""

    def __init__(self, database: Database) -> None:
        """Use a database that is prepared; see `open_store`."""
        self._database = database
        self._known: dict[str, int] = {}
        self.shown = database.shown
        """Where it is, without user and password."""

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all connections."""
        self._database.close()

    # ------------------------------------------------------------------------------------------------------- adding
    def add(self, records: Iterable[Record]) -> Added:
        """Add records; what is there already is left alone, so that adding twice is adding once.

        A later state of a run replaces the earlier one. Records are written in transactions of a few: an interrupted
        call has added the first of them, whole, and can be repeated.

        Raises:
            OutputError: the store cannot be written.
        """
        counts, refused, dated = dict.fromkeys(("new", "replaced", "known"), 0), list[str](), list[_Dated]()
        given = iter(records)
        while batch := list(itertools.islice(given, _BATCH)):
            made = []
            for record in batch:
                try:
                    made.append(adding.ready(record))
                except RecordError as error:
                    refused.append(str(error))
            with self._database.writing() as connection:
                writer = RecordWriter(connection, self._known)
                outcomes = [(item, self._added(connection, writer, item)) for item in made]
            self._known = writer.known
            for item, outcome in outcomes:
                if outcome in counts:
                    counts[outcome] += 1
                    dated += _in_the_future(item)
                else:
                    refused.append(outcome)
        return Added(**counts, refused=tuple(refused), notes=tuple(_of_wrong_clocks(dated)))

    def _added(self, connection: Connection, writer: RecordWriter, item: ReadyRecord) -> str:
        """Add a record; return `new`, `replaced`, `known`, or why it is refused."""
        if reading.has_digest(connection, item.digest):
            return "known"
        older = []
        for number, digest, content in reading.of_run(connection, item.run_id, item.fingerprints):
            stored = self._decoded(digest, self._unpacked(digest, content))
            relation = run_states.relation(item.record, stored)
            if relation == "contradiction" and stored.run_id == item.record.run_id:
                return (
                    f"run {shortened(item.run_id, _LONGEST)}: the store has other measurements of a run of this name; "
                    "one of the two records was edited, or two machines gave one name: not added"
                )
            if relation != "later":
                return "known"
            older.append(number)
        for number in older:
            writer.remove(number)
        writer.insert(item)
        return "replaced" if older else "new"

    def later(self, record: Record) -> int:
        """Return how many records of the same machine are dated after a record.

        Of a run that has just ended there is none, unless a clock went backwards.
        """
        from sqlalchemy import func, select

        from mbench.history.tables import RECORDS

        at, host = moments.microseconds(moments.of_record(record)), identity.storable(record.host.name)
        with self._database.reading() as connection:
            found = connection.execute(
                select(func.count()).select_from(RECORDS).where(RECORDS.c.host == host, RECORDS.c.at > at)
            )
            return int(found.scalar_one())

    # ------------------------------------------------------------------------------------------------------ reading
    def state(self) -> str:
        """Return a short text that is another one once records were added or replaced; for whoever waits for that.

        Raises:
            StoreError: the store cannot be read.
        """
        from sqlalchemy import func, select

        from mbench.history.tables import RECORDS

        newest = select(RECORDS.c.id, RECORDS.c.digest).order_by(RECORDS.c.id.desc()).limit(1)
        with self._database.reading() as connection:
            count = int(connection.execute(select(func.count()).select_from(RECORDS)).scalar_one())
            last = connection.execute(newest).first()
        return f"{count}" if last is None else f"{count}-{last.id}-{last.digest[:16]}"

    def listed(self, where: Filter = _ALL) -> tuple[ListedRecord, ...]:
        """Return the records, oldest first.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._database.reading() as connection, no_gc.not_collected():
            return tuple(map(_listed, reading.records(connection, where)))

    def records(self, where: Filter = _ALL) -> Iterator[tuple[str, Record]]:
        """Yield the records whole, oldest first, each with its digest. What is added meanwhile may be left out.

        Raises:
            StoreError: the store cannot be read.
        """
        for digest, data in self.contents(where):
            yield digest, self._decoded(digest, data)

    def contents(self, where: Filter = _ALL) -> Iterator[tuple[str, bytes]]:
        """Yield the records as the files that they were, oldest first, each with its digest.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._database.reading() as connection:
            numbers = {int(row.id): str(row.digest) for row in reading.records(connection, where)}
        for page in _pages(list(numbers)):
            with self._database.reading() as connection:
                found = reading.contents(connection, page)
            for number in page:
                if number in found:  # a later state of the run may have come in its place
                    yield numbers[number], self._unpacked(numbers[number], found[number])

    def read(self, name: str) -> Record:
        """Return one record.

        Args:
            name: its run_id, its digest, or the beginning of its digest.

        Raises:
            StoreError: there is none, or there are several.
        """
        with self._database.reading() as connection:
            found = reading.named(connection, name, shortest=_SHORTEST)
            shown = shortened(plain.visible(name), _LONGEST)
            if not found:
                raise StoreError(f"{self.shown}: no record {shown}; see 'mbench history list'")
            if len(found) > 1:
                raise StoreError(f"{self.shown}: {shown} stands for {len(found)} records; give more of the digest")
            [(number, digest)] = found
            content = reading.contents(connection, [number])[number]
        return self._decoded(digest, self._unpacked(digest, content))

    def series(self, where: Filter = _ALL, quantities: Collection[str] | None = None) -> tuple[Series, ...]:
        """Return the series with their points, by network, place and quantity.

        Args:
            where: which.
            quantities: names of `mbench.history.quantities`; None: all.

        Raises:
            StoreError: the store cannot be read.
            UsageError: a quantity is not known.
        """
        with self._database.reading() as connection, no_gc.not_collected():
            return reading.series(connection, where, quantities)

    def _unpacked(self, digest: str, content: bytes) -> bytes:
        try:
            return zlib.decompress(content)
        except zlib.error:
            raise StoreError(
                f"{self.shown}: record {digest[:12]} is damaged; restore the store from a copy, or add its file again"
            ) from None

    def _decoded(self, digest: str, data: bytes) -> Record:
        return record_files.decode(data, source=f"{self.shown}: record {digest[:12]}")


def open_store(url: str | os.PathLike[str] | None = None, *, create: bool = False) -> Store:
    """Open a store.

    Args:
        url: a file's path, `sqlite:///FILE`, or `postgresql://USER:PASSWORD@HOST/DATABASE`; None: `mbench-history.db`
            in this folder.
        create: make it where it is not there.

    Raises:
        UsageError: this can be no store, or what a store needs is not installed.
        StoreError: it is not there, not mbench's, of a newer version, damaged, or cannot be reached.
        OutputError: it cannot be made.
    """
    _check_installed()
    database = Database(store_address.parse(store_address.DEFAULT_FILE if url is None else url))
    try:
        database.prepare(create=create)
    except BaseException:
        database.close()
        raise
    return Store(database)


def _check_installed() -> None:
    try:
        import alembic  # noqa: F401
        import sqlalchemy  # noqa: F401
    except ImportError:
        raise UsageError(
            "a store needs SQLAlchemy and Alembic; install: pip install 'mobilenet-bench[store]'"
        ) from None


def _in_the_future(item: ReadyRecord) -> Iterator[_Dated]:
    """Yield when a run was, if that is after today."""
    at = moments.of_record(item.record)
    if at > datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1):
        yield _Dated(item.record.host.name, at, item.run_id)


def _of_wrong_clocks(dated: Iterable[_Dated]) -> Iterator[str]:
    """Yield a line for each machine that dated runs after today."""
    for host, group in itertools.groupby(sorted(dated), key=lambda each: each.host):
        first, *more = group
        runs = f"run {shortened(first.run_id, _LONGEST)}" + (f" and {len(more)} more are" if more else " is")
        what = "these runs stand" if more else "the run stands"
        yield (
            f"{runs} dated {first.at:%Y-%m-%d}{' and later' if more else ''}, after today: the clock of "
            f"{shortened(plain.visible(host), _LONGEST)} was wrong, and {what} last in "
            f"{'their' if more else 'its'} series"
        )


def _pages(numbers: list[int]) -> Iterator[list[int]]:
    return (numbers[at : at + _PAGE] for at in range(0, len(numbers), _PAGE))


def _listed(row: Row[Any]) -> ListedRecord:
    return ListedRecord(
        digest=row.digest, run_id=row.run_id, at=moments.of_number(row.at), mbench=row.mbench,
        host=row.host, target=row.target, device=row.device, networks=_NAMES.decode(row.networks),
        failures=row.failures, labels=_LABELS.decode(row.labels),
    )  # fmt: skip
