"""A store keeps what it is given, once, on every database, and refuses in one line what cannot be."""

from __future__ import annotations

import datetime
import json
import sqlite3
from pathlib import Path

import msgspec
import pytest
import record_factory as factory
import store_records as stores
from postgres_cluster import Cluster

from mbench.analysis import headline, pairs
from mbench.core import record_files
from mbench.core.errors import StoreError, UsageError
from mbench.core.records import Record, Result
from mbench.history import adding, quantities
from mbench.history.filters import Filter
from mbench.history.series import Series
from mbench.history.store import Store, open_store

pytest_plugins = ("store_fixtures",)

replace = msgspec.structs.replace
FIRST = stores.timed("run-1")
KEPT = sorted((Path(__file__).parents[1] / "data" / "records").glob("v*/*.json"))


def dated(item: Record, at: str) -> Record:
    return replace(item, created_at_utc=at)


def only(store: Store, quantity: str = "latency_s", **where: object) -> Series:
    [found] = store.series(Filter(**where), [quantity])  # type: ignore[arg-type]
    return found


# -------------------------------------------------------------------------------------------------------------- adding
def test_what_was_added_comes_out_to_the_byte(store: Store) -> None:
    given = [FIRST, stores.timed("run-2"), stores.read(factory.emulated([stores.SMALL]))]
    assert store.add(given).new == 3
    assert {data for _, data in store.contents()} == {record_files.encode(record) for record in given}
    assert record_files.encode(store.read("run-2")) == record_files.encode(given[1])


def test_adding_twice_is_adding_once(store: Store) -> None:
    assert store.add([FIRST, FIRST]) == replace(store.add([]), new=1, known=1)
    again = record_files.decode(json.dumps(json.loads(record_files.encode(FIRST)), indent=2).encode(), source="again")
    assert store.add([again]).known == 1
    assert len(store.listed()) == 1
    assert len(only(store).points) == 1


def test_a_field_that_a_later_version_adds_does_not_make_another_record(store: Store) -> None:
    earlier = replace(FIRST, format_minor=2)
    assert adding.digest(earlier) == adding.digest(FIRST) != adding.digest(replace(FIRST, mbench_version="9"))
    store.add([earlier])
    assert store.add([FIRST]).known == 1


def test_a_copy_under_another_name_is_known(store: Store) -> None:
    store.add([FIRST])
    assert store.add([replace(FIRST, run_id="copy")]).known == 1
    assert [each.run_id for each in store.listed()] == ["run-1"]


def test_a_resumed_run_takes_the_place_of_its_earlier_state(store: Store) -> None:
    whole = stores.timed(names=(stores.SMALL, stores.OTHER))
    part = replace(whole, results=whole.results[:1])
    assert store.add([part]).new == 1
    assert store.add([whole]).replaced == 1
    assert store.add([part]).known == 1
    assert record_files.encode(store.read("run-1")) == record_files.encode(whole)
    assert [len(each.points) for each in store.series(quantities=["latency_s"])] == [1, 1]


def test_records_that_contradict_each_other_are_refused_and_the_rest_is_added(store: Store) -> None:
    store.add([FIRST])
    added = store.add([stores.timed("run-1", factor=2.0), stores.timed("run-2")])
    assert (added.new, added.known, added.replaced) == (1, 0, 0)
    [refused] = added.refused
    assert "run run-1: the store has other measurements" in refused
    assert record_files.encode(store.read("run-1")) == record_files.encode(FIRST)


def test_what_no_reader_would_take_is_refused(store: Store) -> None:
    broken = replace(FIRST, run_id="broken", created_at_utc="2025-13-01T00:00:00Z")
    added = store.add([broken, FIRST])
    assert added.new == 1
    assert [line for line in added.refused if "not a valid record" in line] == list(added.refused)
    assert len(added.refused) == 1


@pytest.mark.parametrize("file", KEPT, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_records_of_every_version_are_kept(file_store: Store, file: Path) -> None:
    record = record_files.read(file)
    assert file_store.add([record]).new == 1
    assert record_files.encode(file_store.read(record.run_id)) == record_files.encode(record)
    assert {each.identity.network for each in file_store.series()} == {each.variant.name for each in record.results}


def test_hostile_names_are_kept_as_they_are(store: Store) -> None:
    hostile = factory.hostile(FIRST)
    spoilt = replace(
        hostile, run_id="a\0b'; DROP TABLE records; --", host=replace(hostile.host, name="x\0" * 3000 + "\U0001f600"),
        labels={"branch": "%" * 900, "commit": "\u202e"},
    )  # fmt: skip
    assert store.add([spoilt]).new == 1
    [(digest, found)] = store.records()
    assert record_files.encode(found) == record_files.encode(spoilt)
    assert store.read(digest[:12]) == found == store.read(spoilt.run_id)
    assert only(store, branches=("%" * 900,)).identity.network == spoilt.results[0].variant.name


def test_the_digest_and_the_series_are_the_same_in_every_store(tmp_path: Path, cluster: Cluster) -> None:
    found = []
    for url in (str(tmp_path / "a.db"), cluster.url(cluster.new_database())):
        with open_store(url, create=True) as store:
            store.add([factory.hostile(FIRST), factory.emulated([stores.SMALL])])
            found.append(([each.digest for each in store.listed()], store.series()))
    assert found[0] == found[1]


# ------------------------------------------------------------------------------------------------------------- reading
def test_a_point_is_what_the_record_says(file_store: Store) -> None:
    labelled = replace(FIRST, labels={"commit": "4f2a9c1", "branch": "main"})
    file_store.add([labelled])
    [(digest, record)] = file_store.records()
    [point] = only(file_store).points
    result, whole = record.results[0], headline.of_result(record.results[0])
    assert whole is not None
    assert whole.interval is not None
    assert (point.value, point.low, point.high) == (whole.median_s, whole.interval.low, whole.interval.high)
    assert point.sessions == headline.medians(result)
    assert (point.record, point.run_id, point.labels) == (digest, "run-1", labelled.labels)
    assert point.at == datetime.datetime(2025, 3, 1, 12, tzinfo=datetime.UTC)
    assert point.marks["mbench"] == "0.1.0"
    assert only(file_store, "macs").points[0].value == pairs.macs(result)


def test_disturbed_and_wrong_results(file_store: Store) -> None:
    busy = factory.short(factory.in_sessions(factory.record([stores.SMALL], repeat=10), disturbed=range(5)))

    def wrong(result: Result) -> Result:
        assert result.numerics
        return replace(result, numerics=replace(result.numerics, passed=False))

    other = stores.timed("wrong")
    file_store.add([busy, replace(other, results=tuple(map(wrong, other.results)))])
    [point] = only(file_store).points
    assert point.disturbed == (factory.BUSY,)
    assert len(file_store.listed()) == 2


def test_points_are_in_the_order_of_their_dates(store: Store) -> None:
    days = [3, 1, 2]
    store.add([dated(stores.timed(f"run-{day}"), f"2025-03-0{day}T12:00:00.000001Z") for day in days])
    assert [point.run_id for point in only(store).points] == ["run-1", "run-2", "run-3"]
    assert [each.run_id for each in store.listed()] == ["run-1", "run-2", "run-3"]
    assert only(store).points[0].at.microsecond == 1


def test_two_machines_of_one_name_have_series_of_their_own(store: Store) -> None:
    other = replace(FIRST.host, cpu="Another CPU")
    store.add([FIRST, replace(stores.timed("run-2"), host=other)])
    assert [series.identity.hardware for series in store.series(quantities=["latency_s"])] == [
        "Another CPU, 2 processors", "Test CPU @ 2.0 GHz, 2 processors",
    ]  # fmt: skip


def test_a_clock_that_is_wrong_is_said(store: Store) -> None:
    future = dated(stores.timed("late"), "9999-01-01T00:00:00Z")
    [note] = store.add([FIRST, future]).notes
    assert "run late is dated 9999-01-01, after today: the clock of testhost was wrong" in note
    assert store.later(FIRST) == 1
    assert store.later(future) == 0
    later = [dated(stores.timed(name), f"9999-01-0{name}T00:00:00Z") for name in "32"]
    elsewhere = dated(stores.timed("board"), "9999-01-01T00:00:00Z")
    elsewhere = replace(elsewhere, host=replace(elsewhere.host, name="runner"))
    said = store.add([*later, elsewhere]).notes
    assert [each.partition(" was wrong")[0] for each in said] == [
        "run board is dated 9999-01-01, after today: the clock of runner",
        "run 2 and 1 more are dated 9999-01-02 and later, after today: the clock of testhost",
    ]


FILTERS = {
    "none": (Filter(), {"run-1", "run-2", "board"}),
    "a glob": (Filter(networks=("*_64",)), {"run-2"}),
    "a name": (Filter(networks=(stores.SMALL,)), {"run-1", "run-2", "board"}),
    "a machine": (Filter(machines=("raspberrypi",)), {"board"}),
    "a type": (Filter(dtypes=("int8",)), set()),
    "threads": (Filter(threads=(2,), targets=("nothing",)), set()),
    "a branch": (Filter(branches=("main",)), {"run-1"}),
    "since": (Filter(since=datetime.datetime(2025, 3, 2, tzinfo=datetime.UTC)), {"run-2", "board"}),
    "until": (Filter(until=datetime.datetime(2025, 3, 2, tzinfo=datetime.UTC)), {"run-1"}),
    "both": (Filter(networks=("*",), branches=("main", "other"), machines=("testhost",)), {"run-1"}),
}


@pytest.fixture
def store(each_store: Store) -> Store:
    """Return a store of each kind; other fixtures of this name are of other things."""
    return each_store


@pytest.fixture
def filled(store: Store) -> Store:
    store.add(
        [
            replace(FIRST, labels={"branch": "main"}),
            dated(stores.timed("run-2", names=(stores.SMALL, stores.OTHER)), "2025-03-02T00:00:00Z"),
            dated(factory.on_board(stores.timed("board")), "2025-03-03T00:00:00Z"),
        ]
    )
    return store


def test_filters_choose_the_same_of_lists_records_and_series(filled: Store) -> None:
    for name, (where, expected) in FILTERS.items():
        assert {each.run_id for each in filled.listed(where)} == expected, name
        assert {record.run_id for _, record in filled.records(where)} == expected, name
        points = [point for series in filled.series(where) for point in series.points]
        assert {point.run_id for point in points} == expected, name
        assert all(where.takes(series.identity) for series in filled.series(where)), name


def test_series_of_one_quantity_and_of_all(filled: Store) -> None:
    names = {series.quantity.name for series in filled.series()}
    assert {"latency_s", "load_s", "macs", "library_bytes"} <= names <= set(quantities.QUANTITIES)
    assert {series.quantity.name for series in filled.series(quantities=["macs", "params"])} == {"macs", "params"}
    assert len({series.id for series in filled.series()}) == len(filled.series())
    with pytest.raises(UsageError, match="quantity 'latency' is not known; did you mean 'latency_s'"):
        filled.series(quantities=["latency"])


def test_a_record_is_found_by_its_run_or_the_beginning_of_its_digest(filled: Store) -> None:
    [digest] = [each.digest for each in filled.listed() if each.run_id == "board"]
    assert filled.read("board") == filled.read(digest) == filled.read(digest[:8])
    for name in ("none", digest[:3], "", "%", "0" * 64):
        with pytest.raises(StoreError, match="no record"):
            filled.read(name)


def test_a_damaged_record_is_one_line(file_store: Store, tmp_path: Path) -> None:
    file_store.add([FIRST])
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("UPDATE contents SET content = x'00'")
    with pytest.raises(StoreError, match="is damaged; restore the store from a copy"):
        list(file_store.records())
    assert len(only(file_store).points) == 1
