"""Stores from Python: the same table as from files, and files as they were."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import msgspec
import pandas as pd
import pytest
import record_factory as factory
import store_records as stores

import mbench
from mbench.api import history
from mbench.core import record_files
from mbench.core.errors import OutputError, StoreError, UsageError
from mbench.core.records import Record

pytest_plugins = ("store_fixtures",)

replace = msgspec.structs.replace


@pytest.fixture
def records() -> list[Record]:
    later = replace(stores.timed("run-2", names=(stores.SMALL, stores.OTHER)), created_at_utc="2025-03-02T00:00:00Z")
    board = replace(factory.on_board(stores.timed("run-3")), created_at_utc="2025-03-03T00:00:00Z")
    return [replace(stores.timed("run-1"), labels={"branch": "main", "commit": "4f2a9c1"}), later, board]


@pytest.fixture
def folder(tmp_path: Path, records: list[Record]) -> Path:
    (tmp_path / "records").mkdir()
    for record in records:
        record_files.write(tmp_path / "records" / f"{record.run_id}.json", record)
    return tmp_path / "records"


@pytest.mark.parametrize(
    "where",
    [
        mbench.Filter(), mbench.Filter(networks=("*_64",)), mbench.Filter(machines=("raspberrypi",)),
        mbench.Filter(branches=("main",)), mbench.Filter(dtypes=("int8",)),
        mbench.Filter(since=datetime.datetime(2025, 3, 2, tzinfo=datetime.UTC), threads=(2,)),
    ],
)  # fmt: skip
def test_a_table_of_a_store_is_that_of_its_files(store_url: str, folder: Path, where: mbench.Filter) -> None:
    with mbench.open_store(store_url, create=True) as store:
        assert history.add_files(store, [folder]).new == 3
    files, stored = mbench.load(folder, where=where), mbench.load(store_url, where=where)
    pd.testing.assert_frame_equal(stored, files)
    if where == mbench.Filter():
        pd.testing.assert_frame_equal(mbench.load(folder), stored)
        with pytest.warns(UserWarning, match="has the same run_id as"):
            pd.testing.assert_frame_equal(mbench.load([folder, store_url]), files)


def test_what_is_exported_is_what_was_added(store_url: str, folder: Path, tmp_path: Path) -> None:
    with mbench.open_store(store_url, create=True) as store:
        history.add_files(store, [folder])
        assert history.export(store, tmp_path / "a" / "b")[1:] == (3, 0)
        assert history.export(store, tmp_path / "a" / "b")[1:] == (0, 3)
        for file in folder.iterdir():
            assert (tmp_path / "a" / "b" / file.name).read_bytes() == file.read_bytes()
        (tmp_path / "a" / "b" / "run-1.json").write_text("{}")
        with pytest.raises(OutputError, match=r"run-1\.json is there with other content"):
            history.export(store, tmp_path / "a" / "b")
        assert history.export(store, tmp_path / "c", mbench.Filter(networks=("*_64",))).written == 1
        with pytest.raises(OutputError, match="cannot be made"):
            history.export(store, folder / "run-1.json")


def test_files_that_are_no_records(file_store: mbench.Store, folder: Path) -> None:
    (folder / "broken.json").write_text("{")
    (folder / "fit.json").write_text('{"kind":"fit"')
    added = history.add_files(file_store, [folder, folder / "none.json", folder / "*.nothing"])
    assert added.new == 3
    assert len(added.refused) == 4
    assert any("broken.json: not a whole JSON document" in line for line in added.refused)


def test_one_store_is_added_to_another(tmp_path: Path, folder: Path, store_url: str) -> None:
    with mbench.open_store(tmp_path / "other.db", create=True) as other:
        history.add_files(other, [folder])
    with mbench.open_store(store_url, create=True) as store:
        assert history.add_files(store, [tmp_path / "other.db"]).new == 3
        assert history.add_files(store, [tmp_path / "other.db", tmp_path / "none.db"]).known == 3
        [refused] = history.add_files(store, [tmp_path / "none.db"]).refused
        assert "there is no store" in refused


def test_records_of_version_1_are_added(file_store: mbench.Store) -> None:
    kept = Path(__file__).parents[1] / "data" / "records" / "v1"
    added = history.add_files(file_store, [kept])
    assert added.new + len(added.refused) == len(list(kept.glob("*.json")))
    assert all("run 20250301-120000-test: the store has other measurements" in line for line in added.refused)
    assert all(json.loads(data)["format_version"] == 2 for _, data in file_store.contents())


def test_the_store_that_is_used_where_none_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MBENCH_STORE", raising=False)
    assert mbench.open_store(create=True).shown == "mbench-history.db"
    Path("mbench.toml").write_text('[history]\nstore = "of-the-file.db"\n')
    assert mbench.open_store(create=True).shown == "of-the-file.db"
    monkeypatch.setenv("MBENCH_STORE", "of-the-variable.db")
    assert mbench.open_store(create=True).shown == "of-the-variable.db"
    assert mbench.open_store("given.db", create=True).shown == "given.db"
    with pytest.raises(StoreError, match=r"none\.db: there is no store"):
        mbench.load("none.db")


def test_a_run_that_is_dated_before_those_of_its_machine(tmp_path: Path, records: list[Record]) -> None:
    url = tmp_path / "store.db"
    first, second, _ = records
    assert history.add_run(second, url)[1].notes == ()
    [note] = history.add_run(first, url)[1].notes
    assert "the clock of testhost went backwards: the store has 1 of its records with a later date" in note
    committed = replace(stores.timed("run-9", factor=1.1), labels={"committed_at": "2020-01-01T00:00:00Z"})
    assert history.add_run(committed, url)[1].notes == ()  # measured afterwards, on purpose
    assert history.add_run(first, url)[1].notes == ()


def test_what_a_store_needs_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "alembic", None)
    with pytest.raises(UsageError, match=r"install: pip install 'mobilenet-bench\[store\]'"):
        mbench.open_store(tmp_path / "store.db", create=True)
