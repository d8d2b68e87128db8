"""The database under a store: connections, transactions that many writers can have, and its version.

SQLite keeps a rollback journal, not a write-ahead log: that works in network folders, and what a killed writer leaves
behind the next process takes back. A writer takes the lock at the beginning (`BEGIN IMMEDIATE`), so that it never has
to give up half-way; PostgreSQL has a lock for writers for the same reason. Readers wait for a commit, no longer.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mbench.core import system_limits
from mbench.core.errors import OutputError, StoreError, UsageError, shortened
from mbench.history import store_errors
from mbench.history.store_address import StoreAddress, check_file

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

HEAD = "v1"
"""The newest of `versions/`."""
VERSIONS = Path(__file__).parent / "versions"
WAIT_S = 60.0
"""How long a writer waits for others."""
CONNECT_S = 10
"""How long a server has to answer."""
_APPLICATION_ID = 0x6D626E63
"""What the file's header says: `mbnc`. `file` and other programs show it."""
_LOCK = 0x6D626E63
"""The number of PostgreSQL's advisory lock that writers take."""
_WRITES = "mbench_writes"
_SHOWN_TABLES = 100


class Database:
    """A store's database, open."""

    def __init__(self, address: StoreAddress) -> None:
        """Open nothing yet."""
        self.shown = address.shown
        self._file = address.file
        self._engine = _engine_of_file(address.file) if address.file else _engine_of_server(address)

    def prepare(self, *, create: bool) -> None:
        """Look whether it is a store of this version; bring one of an older version to this one.

        Args:
            create: make one of what is empty, or not there.

        Raises:
            StoreError: it is no store, or one of a newer version; or there is none, and none shall be made.
            OutputError: it cannot be made or brought to this version.
        """
        if self._file is not None:
            self._check_place(self._file, create=create)
        with self.reading() as connection:
            version = self._version(connection)
        if version == HEAD:
            return
        if version is None and not create:
            raise StoreError(f"{self.shown}: there is no store yet; 'mbench history add' makes one")
        with self.writing() as connection:
            if self._version(connection) != HEAD:  # another process may have been first
                _upgrade(connection)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that sees one state of the store.

        Raises:
            StoreError: the store cannot be read.
            OutputError: another process has it for too long.
        """
        with store_errors.in_words(self.shown), self._engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield the connection of the only writer; what it wrote is there whole afterwards, or not at all.

        Raises:
            OutputError: the store cannot be written, or another process has it for too long.
        """
        writer = self._engine.execution_options(**{_WRITES: True})
        with store_errors.in_words(self.shown), writer.begin() as connection:
            yield connection

    def close(self) -> None:
        """End all connections."""
        self._engine.dispose()

    def _check_place(self, file: Path, *, create: bool) -> None:
        check_file(file)
        if file.exists():
            return
        if not create:
            raise StoreError(f"{file}: there is no store; 'mbench history add' makes one")
        if not file.absolute().parent.is_dir():
            raise OutputError(f"{file}: its folder is not there; make it, or give another file")
        try:
            file.touch()  # connections make none: a store that was moved away meanwhile does not come back empty
        except OSError as error:
            raise OutputError(f"{file}: cannot be made: {system_limits.why(error)}; give another file") from None

    def _version(self, connection: Connection) -> str | None:
        """Return the version of the store; None: there is nothing.

        Raises:
            StoreError: there is something else, or a version that is not known here.
        """
        from sqlalchemy import inspect, text

        from mbench.history.tables import VERSION_TABLE

        tables = inspect(connection).get_table_names()
        if VERSION_TABLE not in tables:
            if not tables:
                return None
            names = shortened(", ".join(sorted(tables)), _SHOWN_TABLES)
            raise StoreError(
                f"{self.shown} belongs to another program (tables: {names}); give a file or a database of its own"
            )
        found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608
        if found not in (None, HEAD) and found not in _known():
            raise StoreError(
                f"{self.shown}: the store is of version {shortened(str(found), _SHOWN_TABLES)}, this mbench knows up "
                f"to {HEAD}: it is newer, update mbench"
            )
        return None if found is None else str(found)


def _known() -> set[str]:
    """Return the names of all versions."""
    from alembic.script import ScriptDirectory

    return {each.revision for each in _scripts(ScriptDirectory).walk_revisions()}


def _scripts(kind: Any) -> Any:
    return kind(str(VERSIONS.parent), version_locations=[str(VERSIONS)])


def _upgrade(connection: Connection) -> None:
    """Make the tables of this version, in the transaction of the connection."""
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    from mbench.history.tables import VERSION_TABLE

    scripts = _scripts(ScriptDirectory)

    def steps(revision: str, _context: object) -> Any:
        return scripts._upgrade_revs("head", revision)  # what `alembic upgrade head` does

    with EnvironmentContext(Config(), scripts, fn=steps) as environment:
        environment.configure(connection=connection, version_table=VERSION_TABLE, transactional_ddl=True)
        environment.run_migrations()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA application_id = {_APPLICATION_ID}")


def _engine_of_file(file: Path) -> Engine:
    from sqlalchemy import NullPool, create_engine, event

    uri = file.absolute().as_uri()

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{uri}?mode=rw", uri=True, timeout=WAIT_S, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)

    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "begin", begin)
    return engine


def _engine_of_server(address: StoreAddress) -> Engine:
    from sqlalchemy import create_engine, event

    if address.url is None:
        raise ValueError("an address has a file or a URL")
    arguments = {} if "connect_timeout" in address.url.query else {"connect_timeout": CONNECT_S}
    try:
        engine = create_engine(
            address.url, connect_args={**arguments, "application_name": "mbench"}, hide_parameters=True,
            pool_size=1, pool_pre_ping=True,
        )  # fmt: skip
    except ImportError:
        raise UsageError(
            f"{address.shown}: PostgreSQL needs psycopg; install: pip install 'mobilenet-bench[store]'"
        ) from None

    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get(_WRITES):
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(WAIT_S * 1000)}")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        else:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    event.listen(engine, "begin", begin)
    return engine
