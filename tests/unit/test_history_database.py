"""Databases under stores: made, brought to this version, refused, shared by many, and never half-written."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import store_records as stores
from postgres_cluster import PASSWORD, Cluster

from mbench.core.errors import MbenchError, OutputError, StoreError
from mbench.core.exits import Exit
from mbench.history import database
from mbench.history.database import Database
from mbench.history.store import Store, open_store
from mbench.history.store_address import parse
from mbench.history.tables import METADATA

pytest_plugins = ("store_fixtures",)

FIRST, SECOND = stores.timed("run-1"), stores.timed("run-2")


def refusal(url: str | Path, *, create: bool = False, code: Exit = Exit.WRONG_USE) -> str:
    with pytest.raises(MbenchError) as caught:
        open_store(url, create=create)
    assert caught.value.exit_code == code
    assert "\n" not in str(caught.value)
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------------------ versions
def test_the_versions_make_the_tables_that_are_used(store_url: str) -> None:
    """Alembic's own comparison of a database with tables in Python finds nothing to do."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    open_store(store_url, create=True).close()
    opened = Database(parse(store_url))
    with opened.reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "mbench_version"})
        assert compare_metadata(context, METADATA) == []
    opened.close()


def test_the_newest_version_is_the_one_that_is_expected() -> None:
    from alembic.script import ScriptDirectory

    assert database._scripts(ScriptDirectory).get_heads() == [database.HEAD]


def plant_version(tmp_path: Path, patch: pytest.MonkeyPatch, *steps: str) -> None:
    """Add a version after the newest one, which takes these steps."""
    versions = tmp_path / "versions"
    shutil.copytree(database.VERSIONS, versions, ignore=shutil.ignore_patterns("__pycache__"))
    head = "import sqlalchemy as sa\nfrom alembic import op\nrevision = 'v2'\ndown_revision = 'v1'\ndef upgrade():\n"
    (versions / "v2_planted.py").write_text(head + "".join(f"    {step}\n" for step in steps))
    patch.setattr(database, "VERSIONS", versions)
    patch.setattr(database, "HEAD", "v2")


def test_an_older_store_is_brought_to_this_version(
    tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(store_url, create=True) as store:
        store.add([FIRST])
    plant_version(tmp_path, monkeypatch, "op.add_column('records', sa.Column('more', sa.Text))")
    with open_store(store_url) as store:
        assert store.read("run-1").run_id == "run-1"
    opened = Database(parse(store_url))
    with opened.reading() as connection:
        assert connection.exec_driver_sql("SELECT more FROM records").all() == [(None,)]
    opened.close()


def test_a_version_that_fails_leaves_the_store_as_it_was(
    tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(store_url, create=True) as store:
        store.add([FIRST])
    with monkeypatch.context() as patched:
        plant_version(tmp_path, patched, "op.drop_table('points')", "raise RuntimeError('planted')")
        with pytest.raises(RuntimeError, match="planted"):
            open_store(store_url)
    with open_store(store_url) as store:
        assert len(store.series(quantities=["latency_s"])) == 1


def test_a_store_of_a_newer_version_is_refused(store_url: str) -> None:
    open_store(store_url, create=True).close()
    opened = Database(parse(store_url))
    with opened.writing() as connection:
        connection.exec_driver_sql("UPDATE mbench_version SET version_num = 'v99'")
    opened.close()
    assert "is of version v99, this mbench knows up to v1: it is newer, update mbench" in refusal(store_url)
    assert "v99" in refusal(store_url, create=True)


# ---------------------------------------------------------------------------------------------------- what is no store
def test_a_database_of_another_program_is_refused(store_url: str) -> None:
    if not store_url.startswith("postgresql"):
        Path(store_url).touch()
    opened = Database(parse(store_url))
    with opened.writing() as connection:
        connection.exec_driver_sql("CREATE TABLE users (id INTEGER)")
    opened.close()
    assert "belongs to another program (tables: users); give a file or a database of its own" in refusal(
        store_url, create=True
    )


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text("{}")
    assert "record.json is no database of SQLite" in refusal(tmp_path / "record.json", create=True)
    assert "Is a directory" in refusal(tmp_path, create=True)
    os.mkfifo(tmp_path / "pipe")
    assert "it is a named pipe" in refusal(tmp_path / "pipe", create=True)
    assert "its folder is not there" in refusal(tmp_path / "no" / "a.db", create=True, code=Exit.FAILED)


def test_a_store_that_is_not_there_is_not_made_by_reading(tmp_path: Path) -> None:
    assert "there is no store; 'mbench history add' makes one" in refusal(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "empty.db").touch()
    assert "there is no store yet" in refusal(tmp_path / "empty.db")
    open_store(tmp_path / "empty.db", create=True).close()


def test_a_damaged_file_is_refused(file_store: Store, tmp_path: Path) -> None:
    file_store.add([FIRST])
    file = tmp_path / "store.db"
    data = bytearray(file.read_bytes())
    data[100:200] = b"\xff" * 100
    file.write_bytes(data)
    assert "is damaged; restore it from a copy" in refusal(file)
    file.write_bytes(data[: len(data) // 2])
    assert "is damaged; restore it from a copy" in refusal(file)


# ----------------------------------------------------------------------------------------------------------- no writing
@contextlib.contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """Be a user who may read a folder and not write it."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("closed", ["file", "folder"])
def test_a_store_that_is_read_only_can_be_read(closed: str) -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own is closed to other users
        folder, file = Path(name), Path(name) / "store.db"
        with open_store(file, create=True) as store:
            store.add([FIRST])
        file.chmod(0o444 if closed == "file" else 0o666)
        folder.chmod(0o555)
        with without_rights(folder), open_store(file) as store:
            assert len(store.listed()) == 1
            with pytest.raises(OutputError) as caught:
                store.add([SECOND])
        folder.chmod(0o755)
        assert "read-only here" in str(caught.value) or "its folder" in str(caught.value)
        with open_store(file) as store:
            assert [each.run_id for each in store.listed()] == ["run-1"]


def test_a_server_that_lets_nobody_write(cluster: Cluster) -> None:
    name = cluster.new_database()
    with open_store(cluster.url(name), create=True) as store:
        store.add([FIRST])
    cluster.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with open_store(cluster.url(name)) as store:
        assert len(store.listed()) == 1
        with pytest.raises(OutputError, match="read-only here"):
            store.add([SECOND])


def test_a_full_disk_harms_nothing(file_store: Store, tmp_path: Path) -> None:
    file_store.add([FIRST])
    file = tmp_path / "store.db"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size, before[1]))
    try:
        with pytest.raises(OutputError, match=r"store\.db: cannot be written: no space left"):
            file_store.add([stores.timed(f"more-{number}") for number in range(5)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [each.run_id for each in file_store.listed()] == ["run-1"]
    assert file_store.add([SECOND]).new == 1


def test_what_another_process_has_for_itself_is_waited_for_and_then_refused(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "WAIT_S", 0.05)
    with open_store(store_url, create=True) as store, open_store(store_url) as other:
        with other._database.writing(), pytest.raises(OutputError, match="another process has it for itself"):
            store.add([FIRST])
        assert store.add([FIRST]).new == 1


def test_a_writer_that_is_killed_leaves_the_store_whole(file_store: Store, tmp_path: Path) -> None:
    """The journal that it leaves behind is taken back by the next who opens the store."""
    file_store.add([FIRST])
    code = (
        "import os, sqlite3, sys\nconnection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('PRAGMA cache_size = 1')\nconnection.execute('BEGIN IMMEDIATE')\n"
        "connection.execute('DELETE FROM contents')\nconnection.execute('DELETE FROM points')\n"
        "connection.execute('CREATE TABLE big (x)')\n"
        "connection.executemany('INSERT INTO big VALUES (zeroblob(4000))', [()] * 500)\nos.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "store.db")], check=False)
    assert done.returncode == -9
    assert (tmp_path / "store.db-journal").exists()
    assert file_store.read("run-1").run_id == "run-1"
    assert file_store.add([SECOND]).new == 1
    with sqlite3.connect(tmp_path / "store.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


# -------------------------------------------------------------------------------------------------------------- servers
def test_what_a_server_refuses(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CONNECT_S", 5)
    name = cluster.new_database()
    assert "refuses this user or this password" in refusal(cluster.url(name, password="wrong" + PASSWORD))
    assert "refuses this user or this password" in refusal(cluster.url(name, user="nobody"))
    assert "no such database" in refusal(cluster.url("none"))
    nobody = Cluster(port=1)
    assert "nothing listens there; is the server running?" in refusal(nobody.url(name))
    assert "there is no store yet" in refusal(cluster.url(name))


def test_a_host_that_nobody_knows(cluster: Cluster) -> None:
    url = cluster.url("x").replace("127.0.0.1", "no-such-host.invalid")
    assert "no machine of this name is known" in refusal(url)


def test_what_postgresql_needs_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    nobody = Cluster(port=1)
    assert "PostgreSQL needs psycopg; install: pip install 'mobilenet-bench[store]'" in refusal(nobody.url("x"))


def test_writers_at_once_add_each_record_once(store_url: str) -> None:
    import threading

    open_store(store_url, create=True).close()
    failures: list[BaseException] = []

    def write(first: int) -> None:
        try:
            with open_store(store_url) as store:
                for number in range(first, first + 4):
                    store.add([stores.timed(f"run-{number}")])
        except BaseException as error:  # noqa: BLE001 - looked at below
            failures.append(error)

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 2, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with open_store(store_url) as store:
        assert sorted(each.run_id for each in store.listed()) == [f"run-{number}" for number in range(8)]
        assert len(store.series(quantities=["latency_s"])[0].points) == 8


def test_two_who_make_a_store_at_once(store_url: str) -> None:
    first, second = Database(parse(store_url)), Database(parse(store_url))
    first.prepare(create=True)
    second.prepare(create=True)
    with second.reading() as connection:
        assert second._version(connection) == database.HEAD
    first.close()
    second.close()


def test_a_store_that_is_moved_away_does_not_come_back_empty(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    with open_store(file, create=True) as store:
        file.rename(tmp_path / "b.db")
        for use in (store.state, store.listed):
            with pytest.raises(StoreError, match="it is gone or cannot be opened"):
                use()
    assert not file.exists()


def test_a_store_that_cannot_be_made_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(OutputError, match="cannot be made: Permission denied; give another file"):
        open_store(tmp_path / "a.db", create=True)
