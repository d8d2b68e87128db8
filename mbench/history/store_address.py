"""Where a store is: a file of SQLite, or a database of PostgreSQL; and what it is called where people read it.

A password never leaves this module but to the database: messages, listings and documents have `StoreAddress.shown`.
"""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mbench.core import regular_files, system_limits
from mbench.core.errors import StoreError, UsageError, cut, did_you_mean

if TYPE_CHECKING:
    from sqlalchemy import URL

DEFAULT_FILE = "mbench-history.db"
ENDINGS = (".db", ".sqlite", ".sqlite3")
"""Of files that are taken for stores where records may be given too."""
_SCHEMES = {
    **dict.fromkeys(("postgresql", "postgres", "postgresql+psycopg"), "postgresql+psycopg"),
    **dict.fromkeys(("sqlite", "sqlite+pysqlite"), "sqlite"),
}
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_MISWRITTEN = re.compile(r"/{0,3}[^/]*:[^/]*@|[a-z+]+:.*@|(postgres|sqlite)[a-z0-9+]*:", re.IGNORECASE | re.DOTALL)
"""How a URL begins that lacks a part: no message quotes it, for there may be a password in it."""
_SHOWN_OPTIONS = ("host", "port", "options", "sslmode")
"""Of a URL; others may be a user, a password, or a password with a wrong name."""
_HINT = "expected a file such as mbench-history.db, sqlite:///FILE, or postgresql://USER@HOST/DATABASE"
_SHOWN = 200
_MAGIC = b"SQLite format 3\0"


@dataclasses.dataclass(frozen=True)
class StoreAddress:
    """Where a store is: one of `file` and `url`."""

    shown: str
    """Without user names and passwords."""
    file: Path | None = None
    url: URL | None = dataclasses.field(default=None, repr=False)


def parse(text: str | os.PathLike[str]) -> StoreAddress:
    """Return where a store is.

    Args:
        text: a file's path, `sqlite:///FILE`, or `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`.

    Raises:
        UsageError: it is none of these, or SQLAlchemy is not installed.
    """
    given = _given(text)
    found = _URL.match(given)
    if found is None:
        if _miswritten(given):
            raise UsageError(f"store …: this is neither a file nor a whole URL; {_HINT}")
        return _of_file(given)
    scheme = _SCHEMES.get(found[1].lower())
    if scheme is None:
        raise UsageError(f"store {cut(found[0], _SHOWN)}…: this database is not known{_near(found[1])}")
    rest = given[found.end() :]
    if scheme == "sqlite":
        return _of_file(rest.partition("?")[0].removeprefix("/"))
    return _of_server(f"{scheme}://{rest}")


def is_store(text: str | os.PathLike[str]) -> bool:
    """Return whether something is given as a store, rather than as a record or a folder of records."""
    given = _given(text)
    found = _URL.match(given)
    if found is not None:
        return found[1].lower() in _SCHEMES or "@" in given
    if _miswritten(given):
        return True
    path = Path(given)
    try:
        if path.suffix.lower() in ENDINGS:
            return not path.is_dir()
        with regular_files.opened(path) as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except (OSError, ValueError):
        return False


def check_file(file: Path) -> None:
    """Refuse a file that is there and holds something else than a database of SQLite; an empty one may become a store.

    Raises:
        StoreError: it is so, or it cannot be read.
    """
    try:
        with regular_files.opened(file) as opened:
            head = opened.read(len(_MAGIC))
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"{file}: cannot be read: {system_limits.why(error)}") from None
    if head and head != _MAGIC:
        raise StoreError(f"{file} is no database of SQLite; expected a store that 'mbench history add' made")


def _given(text: str | os.PathLike[str]) -> str:
    """Return what is given; around a URL no spaces and ends of lines count, which files of secrets have."""
    given = os.fspath(text)
    return given.strip() if _URL.match(given.strip()) or _miswritten(given.strip()) else given


def _miswritten(text: str) -> bool:
    """Return whether a text is a URL without one of its parts, and no file's name."""
    return _MISWRITTEN.match(text) is not None and not os.path.lexists(text.replace("\0", ""))


def _of_file(text: str) -> StoreAddress:
    if not text or "\0" in text or text == ":memory:":
        raise UsageError(f"store {cut(repr(text), _SHOWN)}: no file has this name; {_HINT}")
    return StoreAddress(shown=text, file=Path(text))


def _of_server(text: str) -> StoreAddress:
    """Return the address of a server. No refusal quotes it: what is wrong with it may lie in the password."""
    from sqlalchemy import URL, make_url
    from sqlalchemy.exc import ArgumentError

    if text.count("@") > 1:
        raise UsageError("store postgresql://…: it has several '@'; in a password '@' is written %40")
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise UsageError(f"store postgresql://…: it is not understood; {_HINT}") from None
    if not url.database:
        raise UsageError(f"store postgresql://…: it names no database; {_HINT}")
    query = {key: value for key, value in url.query.items() if key in _SHOWN_OPTIONS}
    bare = URL.create("postgresql", host=url.host, port=url.port, database=url.database, query=query)
    return StoreAddress(shown=bare.render_as_string(), url=url)


def _near(scheme: str) -> str:
    return did_you_mean(scheme.lower(), _SCHEMES) or f"; {_HINT}"
