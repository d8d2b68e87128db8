"""`mbench history publish` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import record_factory as factory
from conftest import Mbench, assert_one_line

from mbench.api import history as stores
from mbench.cli.history import history
from mbench.cli.history_publish import publish


@pytest.fixture
def store(tmp_path: Path) -> str:
    file = tmp_path / "history.db"
    with stores.open_store(file, create=True) as opened:
        opened.add([factory.record(("mobilenet_v1_0.25_128",), latency=False)])
    return str(file)


def test_publish_says_what_there_is_and_where(run: Mbench, store: str) -> None:
    outcome = run(history, publish, "site", "--store", store)
    assert (outcome.code, outcome.err) == (0, "")
    assert "1 of 1 records have a page, 0 of them from the last time" in outcome.out
    assert Path("site/index.html").is_file()
    again = json.loads(run(history, publish, "site", "--store", store, "--json").out)
    assert (again["record_pages"], again["kept"], again["folder"]) == (1, 1, "site")


def test_publish_what_is_wanted_alone(run: Mbench, store: str) -> None:
    assert_one_line(run(history, publish, "site", "--store", store, "--network", "none_*"), "has no runs of none_*")
    assert not Path("site").exists()
    found = run(history, publish, "site", "--store", store, "--since", "2099-01-01", "--record-pages", "all", "--json")
    assert json.loads(found.out)["series"] == 0
    assert "There is no series yet" in Path("site/index.html").read_text(encoding="utf-8")


def test_publish_refuses_in_one_line(run: Mbench, store: str) -> None:
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("x")
    assert_one_line(run(history, publish, "mine", "--store", store), "is no site that mbench made")
    assert [path.name for path in Path("mine").iterdir()] == ["notes.txt"]
    assert_one_line(run(history, publish, "site", "--store", "none.db"), "none.db")
    assert_one_line(
        run(history, publish, "site", "--store", store, "--record-pages", "-1"), "neither a number nor 'all'"
    )
    assert_one_line(
        run(history, publish, "/proc/site", "--store", store), "nothing can be written into the folder /proc"
    )
    assert not Path("site").exists()
