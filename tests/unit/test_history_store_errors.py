"""What drivers say, in a line: by codes of SQLite, states of PostgreSQL, and words of libpq."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy.exc import OperationalError

from mbench.core.errors import MbenchError, OutputError, StoreError
from mbench.history import store_errors


class Planted(Exception):
    """An error as a driver raises it."""

    def __init__(self, text: str = "", **fields: str) -> None:
        super().__init__(text)
        self.__dict__.update(fields)


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (Planted(sqlite_errorname="SQLITE_BUSY_RECOVERY"), OutputError, "try again"),
        (Planted(sqlite_errorname="SQLITE_READONLY_ROLLBACK"), OutputError, "read-only"),
        (Planted(sqlite_errorname="SQLITE_FULL"), OutputError, "no space left"),
        (Planted(sqlite_errorname="SQLITE_IOERR_READ"), OutputError, "the disk or the network folder"),
        (Planted(sqlite_errorname="SQLITE_CORRUPT_INDEX"), StoreError, "damaged"),
        (Planted(sqlite_errorname="SQLITE_CANTOPEN"), StoreError, "is gone or cannot be opened"),
        (Planted("odd\nthing", sqlite_errorname="SQLITE_NEW"), OutputError, "odd thing"),
        (Planted(sqlstate="28P01"), StoreError, "refuses this user or this password"),
        (Planted(sqlstate="3F000"), StoreError, "no schema to make tables in"),
        (Planted(sqlstate="53100"), OutputError, "no space left"),
        (Planted(sqlstate="XX001"), StoreError, "damaged"),
        (Planted(sqlstate="55P03"), OutputError, "try again"),
        (Planted("odd", sqlstate="99999"), OutputError, "the server reports 99999: odd"),
        (Planted('invalid connection option "hunter2"'), StoreError, "an option after '?'"),
        (Planted("connection timeout expired"), StoreError, "no answer"),
        (Planted('SSL error: certificate of "h"'), StoreError, "no encrypted connection"),
        (Planted("who knows, hunter2"), StoreError, "the server cannot be reached"),
    ],
)
def test_in_words(error: Planted, kind: type[MbenchError], said: str) -> None:
    with pytest.raises(kind) as caught, store_errors.in_words("the-store"):
        raise OperationalError("SELECT secret", {}, error)
    assert str(caught.value).startswith("the-store: ")
    assert said in str(caught.value)
    assert not any(word in str(caught.value) for word in ("SELECT", "hunter2", "\n"))
    assert caught.value.__suppress_context__


def test_errors_of_sqlite_itself() -> None:
    with pytest.raises(StoreError, match="damaged"), store_errors.in_words("a.db"):
        raise sqlite3.DatabaseError("odd")
    with pytest.raises(KeyError), store_errors.in_words("a.db"):
        raise KeyError("not of a database")
