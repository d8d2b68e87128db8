"""What drivers of databases raise, as errors of mbench in one line: of SQLite by its code, of PostgreSQL by its state.

No text of a driver is passed on where it could hold a part of a URL: a password that was written wrongly ends up there.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from mbench.core.errors import MbenchError, OutputError, StoreError, shortened

_LONGEST = 200
_BUSY = "another process has it for itself for too long; try again"
_DAMAGED = "it is damaged; restore it from a copy, or make a new store of the record files"
_NO_ROOM = "cannot be written: no space left; what was there before is unharmed"
_NO_RIGHT = "it is read-only here; ask for the right to write, or give another store"

_SQLITE: tuple[tuple[str, type[MbenchError], str], ...] = (
    ("SQLITE_BUSY", OutputError, _BUSY),
    ("SQLITE_LOCKED", OutputError, _BUSY),
    (
        "SQLITE_READONLY_DIRECTORY",
        OutputError,
        "its folder, where SQLite keeps its journal, cannot be written",
    ),
    ("SQLITE_READONLY", OutputError, _NO_RIGHT),
    ("SQLITE_FULL", OutputError, _NO_ROOM),
    ("SQLITE_IOERR_WRITE", OutputError, _NO_ROOM),
    ("SQLITE_IOERR_FSYNC", OutputError, _NO_ROOM),
    ("SQLITE_IOERR", OutputError, "the disk or the network folder that it is on does not answer as it should"),
    ("SQLITE_CORRUPT", StoreError, _DAMAGED),
    ("SQLITE_NOTADB", StoreError, "it is no database of SQLite; expected a store that 'mbench history add' made"),
    ("SQLITE_CANTOPEN", StoreError, "it is gone or cannot be opened; look at the rights of the file and of its folder"),
    ("SQLITE_PERM", StoreError, "it cannot be opened; look at the rights of the file and of its folder"),
)
"""By the beginning of the code's name; the first that fits counts."""
_POSTGRESQL: tuple[tuple[str, type[MbenchError], str], ...] = (
    ("28", StoreError, "the server refuses this user or this password"),
    ("3D000", StoreError, "the server has no database of this name; make it with createdb"),
    ("3F000", StoreError, "it has no schema to make tables in; see search_path in the URL, or make the schema"),
    ("42501", OutputError, _NO_RIGHT),
    ("25006", OutputError, _NO_RIGHT),
    ("53100", OutputError, _NO_ROOM),
    ("53300", StoreError, "the server has too many clients; try again"),
    ("55P03", OutputError, _BUSY),
    ("57P03", StoreError, "the server is starting or stopping; try again"),
    ("XX00", StoreError, _DAMAGED),
)
"""By the beginning of SQLSTATE. Source: PostgreSQL, Appendix A, error codes."""
_UNREACHED: tuple[tuple[str, str], ...] = (
    ("password", "the server refuses this user or this password"),
    ("connection option", "it has an option after '?' that PostgreSQL does not know"),
    ("no pg_hba.conf entry", "the server refuses this user from this machine"),
    ("does not exist", "the server has no such database or user"),
    ("starting up", "the server is starting or stopping; try again"),
    ("too many clients", "the server has too many clients; try again"),
    ("translate host name", "no machine of this name is known"),
    ("resolve host", "no machine of this name is known"),
    ("refused", "nothing listens there; is the server running?"),
    ("no such file", "nothing listens there; is the server running?"),
    ("timeout", "no answer; is the address right, and the way to it open?"),
    ("ssl", "no encrypted connection can be made; see sslmode"),
    ("unexpectedly", "the server ended the connection; try again"),
)
"""By words of libpq's messages, which have no code."""


@contextlib.contextmanager
def in_words(store: str) -> Iterator[None]:
    """Raise what a driver raises inside as an error of mbench.

    Raises:
        StoreError: the store cannot be used.
        OutputError: it cannot be written, or not now.
    """
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        raise _said(store, error.orig or error) from None
    except sqlite3.Error as error:
        raise _said(store, error) from None


def _said(store: str, error: BaseException) -> MbenchError:
    code = getattr(error, "sqlite_errorname", None)
    if code is not None:
        kind, what = _by_code(code, _SQLITE) or (OutputError, shortened(str(error), _LONGEST))
        return kind(f"{store}: {what}")
    state = getattr(error, "sqlstate", None)
    if state is not None:
        found = _by_code(state, _POSTGRESQL)
        kind, what = found or (OutputError, f"the server reports {state}: {shortened(str(error), _LONGEST)}")
        return kind(f"{store}: {what}")
    if isinstance(error, sqlite3.Error):
        return StoreError(f"{store}: {_DAMAGED}")
    text = str(error).lower()
    reason = next((what for words, what in _UNREACHED if words in text), "the server cannot be reached")
    return StoreError(f"{store}: {reason}")


def _by_code(code: str, table: tuple[tuple[str, type[MbenchError], str], ...]) -> tuple[type[MbenchError], str] | None:
    return next(((kind, what) for beginning, kind, what in table if code.startswith(beginning)), None)
