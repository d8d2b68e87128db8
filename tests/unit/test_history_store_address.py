"""Where a store is, and that what is shown of it holds no password, however a URL is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbench.core.errors import MbenchError, StoreError, UsageError
from mbench.history import store_address

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("a.db", "a.db"), ("sqlite:///a.db", "a.db"), ("sqlite:////tmp/a.db", "/tmp/a.db"), ("/y z.db", "/y z.db"),
        ("SQLite:///a.db", "a.db"), ("a?b#c%20.db", "a?b#c%20.db"),
    ],
)  # fmt: skip
def test_files(text: str, file: str) -> None:
    assert store_address.parse(text).file == Path(file)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"postgresql://me:{SECRET}@db.example:5433/team", "postgresql://db.example:5433/team"),
        (f"postgres://me:{SECRET}@db/team", "postgresql://db/team"),
        (f"postgresql+psycopg://me:{SECRET}@db/team?sslmode=require", "postgresql://db/team?sslmode=require"),
        (f"postgresql://db/team?user=me&password={SECRET}", "postgresql://db/team"),
        (f"postgresql://db/team?sslmode=require&pasword={SECRET}", "postgresql://db/team?sslmode=require"),
        (f" postgresql://me:{SECRET}@db/team\n", "postgresql://db/team"),
        (f"postgresql://db/team?sslpassword={SECRET}", "postgresql://db/team"),
        ("postgresql:///team", "postgresql:///team"),
    ],
)
def test_what_is_shown_of_a_server(text: str, shown: str) -> None:
    found = store_address.parse(text)
    assert found.shown == shown
    assert SECRET not in f"{found} {found!r}"
    assert found.url is not None
    assert (SECRET in text) == (SECRET in found.url.render_as_string(hide_password=False))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"mysql://me:{SECRET}@db/team", "this database is not known"),
        (f"postgresq://me:{SECRET}@db/team", "did you mean 'postgresql'?"),
        (f"postgresql://me:{SECRET}@x@db/team", "in a password '@' is written %40"),
        (f"postgresql://me:{SECRET}@db:port/team", "it is not understood"),
        (f"postgresql://me:{SECRET}@db", "it names no database"),
        (f"postgresql:/me:{SECRET}@db/team", "neither a file nor a whole URL"),
        (f" postgresql:me:{SECRET}@db/team", "neither a file nor a whole URL"),
        (f"me:{SECRET}@db/team", "neither a file nor a whole URL"),
        (f"//me:{SECRET}@db/team", "neither a file nor a whole URL"),
        (f"me:{SECRET}\n/@db/team", "neither a file nor a whole URL"),
        ("sqlite:a.db", "neither a file nor a whole URL"),
        ("", "no file has this name"),
        (":memory:", "no file has this name"),
        ("sqlite://", "no file has this name"),
        ("a\0b", "no file has this name"),
    ],
)
def test_what_can_be_no_store(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        store_address.parse(text)
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@given(st.text(st.characters(codec="utf-8"), max_size=20), st.text(st.characters(codec="utf-8"), max_size=20))
def test_no_password_is_ever_shown(before: str, after: str) -> None:
    try:
        shown = repr(store_address.parse(f"postgresql://me:{before}{SECRET}{after}@db/team"))
    except MbenchError as error:
        shown = str(error)
    assert SECRET not in shown


def test_what_is_taken_for_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.db").mkdir()
    (tmp_path / "me:x@y").touch()
    stores = [
        "postgresql:/me:pw@h/d",
        "me:pw@h/d",
        "mysql://me:pw@h/d",
        "a.db",
        "a.SQLITE",
        "b.sqlite3",
        "postgresql://h/d",
        "sqlite:///x.json",
    ]
    assert all(map(store_address.is_store, stores))
    (tmp_path / "named").write_bytes(b"SQLite format 3\0 and more")
    assert store_address.is_store(tmp_path / "named")
    records = ["a.json", "./a:b@c.json", "me:x@y", "folder", "*.json", str(tmp_path / "folder.db"), "x:y", "http://h/d"]
    assert not any(map(store_address.is_store, records))


def test_a_file_that_is_something_else(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    store_address.check_file(file)
    file.touch()
    store_address.check_file(file)
    file.write_bytes(b"PK\x03\x04")
    with pytest.raises(StoreError, match="is no database of SQLite"):
        store_address.check_file(file)
