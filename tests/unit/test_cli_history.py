"""`mbench history` as a user runs it: add, list, export, and `run --store`."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
import record_factory as factory
import store_records as stores
from api_fakes import Fake
from conftest import Mbench, assert_one_line
from postgres_cluster import PASSWORD, Cluster

import mbench
from mbench.cli import store_options
from mbench.cli.history import COMMANDS, history
from mbench.core import record_files
from mbench.core.errors import UsageError
from mbench.pipeline import runner
from mbench.pipeline.job import Job

pytest_plugins = ("api_fixtures", "store_fixtures")

replace = msgspec.structs.replace


@pytest.fixture(autouse=True)
def no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MBENCH_STORE", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "records").mkdir()
    for name in ("run-1", "run-2"):
        record = replace(stores.timed(name), labels={"commit": "4f2a9c1b00", "branch": name})
        record_files.write(tmp_path / "records" / f"{name}.json", record)
    return tmp_path / "records"


def test_every_command_says_what_it_does(run: Mbench) -> None:
    shown = run(history, "--help")
    assert shown.code == 0
    for command in COMMANDS:
        assert f"  {command.name}" in shown.out
        assert run(history, command, "--help").code == 0


def test_add_list_and_export(run: Mbench, folder: Path) -> None:
    added = run(history, "add", folder)
    assert (added.code, added.out, added.err) == (0, "mbench-history.db: 2 added, 0 known\n", "")
    assert run(history, "add", folder / "run-1.json").out == "mbench-history.db: 0 added, 1 known\n"
    listed = run(history, "list")
    assert listed.code == 0
    assert all(word in listed.out for word in ("2025-03-01 12:00", "testhost", "4f2a9c1b0", stores.SMALL))
    assert max(map(len, listed.out.splitlines())) <= 80
    [digest] = {each["digest"] for each in json.loads(run(history, "list", "--branch", "run-1", "--json").out)}
    assert digest[:9] in listed.out, "it can be copied: it stands in one line"
    assert run(history, "export", "out").out == "out: 2 records written\n"
    assert run(history, "export", "out").out == "out: 0 records written, 2 there already\n"
    assert Path("out/run-1.json").read_bytes() == (folder / "run-1.json").read_bytes()


def test_another_store_is_added_by_its_url_and_no_password_is_quoted(run: Mbench, folder: Path) -> None:
    assert run(history, "add", folder, "--store", "a.db").code == 0
    assert run(history, "add", "sqlite:///a.db", "--store", "b.db").out == "b.db: 2 added, 0 known\n"
    for url in ("postgresql://me:hunter2@127.0.0.1:1/x", "postgresql:/me:hunter2@h/x", "mysql://me:hunter2@h/x"):
        shown = run(history, "add", url, "--store", "b.db")
        assert shown.code == 2
        assert "hunter2" not in shown.out + shown.err


def test_documents(run: Mbench, folder: Path) -> None:
    store = ("--store", "a.db", "--json")
    assert json.loads(run(history, "add", folder, *store).out) == {
        "store": "a.db", "new": 2, "replaced": 0, "known": 0, "refused": [], "notes": [],
    }  # fmt: skip
    [listed] = json.loads(run(history, "list", *store, "--branch", "run-2").out)
    assert (listed["run_id"], listed["networks"], listed["labels"]["branch"]) == ("run-2", [stores.SMALL], "run-2")
    assert json.loads(run(history, "list", *store, "--network", "none*").out) == []
    assert json.loads(run(history, "export", "out", *store).out)["written"] == 2
    assert json.loads(run(history, "list", *store, "--since", "2025-03-02", "--until", "2026-01-01").out) == []


def test_what_is_refused_is_said_and_the_rest_is_added(run: Mbench, folder: Path) -> None:
    record_files.write(folder / "other.json", stores.timed("run-1", factor=2.0))
    (folder / "broken.json").write_text("{")
    outcome = run(history, "add", folder)
    assert outcome.code == 2
    assert outcome.out == "mbench-history.db: 2 added, 0 known, 2 refused\n"
    lines = outcome.err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("mbench: ") for line in lines)


def test_wrong_use(run: Mbench, folder: Path) -> None:
    assert_one_line(run(history, "list"), "mbench-history.db: there is no store; 'mbench history add' makes one")
    assert_one_line(run(history, "list", "--store", "mysql://x/y"), "this database is not known")
    run(history, "add", folder)
    assert_one_line(run(history, "list", "--since", "yesterday"), "--since 'yesterday': expected a date")
    assert_one_line(run(history, "export", folder / "run-1.json"), "run-1.json is a file, expected a folder")
    assert_one_line(run(history, "list", "--store", folder / "run-1.json"), "is no database of SQLite")
    assert_one_line(run(history, "add", folder, "--store", folder / "no" / "a.db"), "its folder is not there", code=4)


def test_no_password_is_printed(run: Mbench, folder: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    url = cluster.url(cluster.new_database())
    outcomes = [run(history, "add", folder, "--store", url, "--json"), run(history, "list", "--store", url)]
    assert [outcome.code for outcome in outcomes] == [0, 0]
    monkeypatch.setenv("MBENCH_STORE", cluster.url("none"))
    outcomes += [run(history, "list"), run("doctor", "--json")]
    outcomes.append(run(history, "list", "--store", cluster.url("none", password=f"{PASSWORD}!")))
    assert [outcome.code for outcome in outcomes[2:]] == [2, 0, 2]
    quoted = cluster.url("none").split("@")[0].rpartition(":")[2]
    for outcome in outcomes:
        assert not any(word in outcome.out + outcome.err for word in (PASSWORD, quoted, "s3cret"))


def test_hostile_names_do_not_steer_the_terminal(run: Mbench, tmp_path: Path) -> None:
    record = replace(factory.hostile(stores.timed()), labels={"commit": "\x1b[31m"})
    record_files.write(tmp_path / "a.json", record)
    assert run(history, "add", tmp_path / "a.json").code == 0
    shown = run(history, "list")
    assert "\x1b" not in shown.out
    assert json.loads(run(history, "list", "--json").out)[0]["labels"] == {"commit": "\x1b[31m"}


def test_dates_of_options() -> None:
    where = store_options.where(since="2026-11-01", until="2026-11-01", networks=("a",))
    assert where.since is not None
    assert where.until is not None
    assert (where.until - where.since).days == 1
    with pytest.raises(UsageError, match="--until"):
        store_options.where(since=None, until="2026-13-01")
    assert isinstance(where, mbench.Filter)


# ------------------------------------------------------------------------------------------------------- run --store
RUN = ("run", stores.SMALL, "--target", "x86_64_v2")


@pytest.mark.usefixtures("machine", "fake")
def test_a_run_is_added_to_the_store_that_is_given_or_set(run: Mbench, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(*RUN, "--store", "a.db", "--json")
    assert "store   a.db" in done.err
    [listed] = json.loads(run(history, "list", "--store", "a.db", "--json").out)
    assert listed["run_id"] == json.loads(done.out)["run_id"]
    monkeypatch.setenv("MBENCH_STORE", "b.db")
    assert "store   b.db" in run(*RUN).err
    assert "store" not in run(*RUN, "--store", "").err
    assert len(json.loads(run(history, "list", "--json").out)) == 1
    Path("mbench.toml").write_text("[history]\nstore = 'c.db'\n")
    monkeypatch.delenv("MBENCH_STORE")
    assert "store   c.db" in run(*RUN).err


def test_a_store_that_cannot_be_is_refused_before_anything_is_measured(run: Mbench, fake: Fake) -> None:
    Path("a.db").write_text("not a database, but a text")
    assert_one_line(run(*RUN, "--store", "a.db"), "a.db is no database of SQLite")
    assert fake.jobs == []


@pytest.mark.usefixtures("machine")
def test_a_record_that_cannot_be_added_stays_a_file(run: Mbench, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    measure = fake.run

    def and_spoil(job: Job, progress: object) -> None:
        measure(job, progress)
        Path("a.db").write_text("not a database, but a text")

    monkeypatch.setattr(runner, "run", and_spoil)
    done = run(*RUN, "--store", "a.db")
    assert done.code == 4
    [file] = Path("mbench-results").glob("*.json")
    assert f"the record is a file: add it with: mbench history add {file}" in done.err
