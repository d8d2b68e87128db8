"""A run counts once: copies of a record are known whatever was done to them, and other runs are never taken for one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import record_factory as factory
from conftest import Mbench

import mbench
from mbench.analysis import frame, record_history, runs
from mbench.core import record_files
from mbench.core.records import Record
from mbench.page import report

NAME, OTHER = "mobilenet_v1_0.25_32", "mobilenet_v1_0.25_64"
RUN = factory.record([NAME, OTHER])
COUNTED = factory.emulated([NAME])


def changed(item: Record, **fields: Any) -> Record:
    return msgspec.structs.replace(item, **fields)


def serialised(item: Record, **options: Any) -> Record:
    """Return the record as another program would have written it."""
    text = json.dumps(json.loads(record_files.encode(item)), **options)
    return changed(record_files.decode(text.encode(), source="again"), run_id="serialised")


def with_warning(item: Record) -> Record:
    first, *others = item.results
    return changed(item, run_id="warned", results=(changed_result(first, warnings=("edited",)), *others))


def changed_result(result: Any, **fields: Any) -> Any:
    return msgspec.structs.replace(result, **fields)


COPIES: dict[str, Callable[[Record], Record]] = {
    "to the byte": lambda item: item,
    "with another run_id": lambda item: changed(item, run_id="other"),
    "with other content": lambda item: factory.again(item, item.run_id, 2.0),
    "of another day": lambda item: changed(item, run_id="other", created_at_utc="2026-01-01T00:00:00Z"),
    "of another host": lambda item: changed(item, run_id="other", host=msgspec.structs.replace(item.host, name="b")),
    "indented": lambda item: serialised(item, indent=4, sort_keys=True),
    "in ASCII": lambda item: serialised(item, ensure_ascii=True, separators=(" , ", " : ")),
    "with a network less": lambda item: changed(item, run_id="other", results=item.results[1:]),
    "in another order": lambda item: changed(item, run_id="other", results=item.results[::-1]),
    "with a warning more": with_warning,
}


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_known(kind: str) -> None:
    written = record_files.decode(record_files.encode(RUN), source="written")
    for items in ((RUN, COPIES[kind](RUN)), (written, COPIES[kind](RUN))):
        [copy] = runs.copies(items)
        assert {copy.at, copy.of} == {0, 1}
        assert copy.why in (runs.SAME_ID, runs.SAME_SAMPLES)
        assert len(runs.distinct(items)) == 1


def test_of_copies_the_whole_one_counts_then_the_oldest_then_the_first() -> None:
    part = changed(RUN, results=RUN.results[:1], created_at_utc="2020-01-01T00:00:00Z")
    later = changed(RUN, run_id="later", created_at_utc="2026-01-01T00:00:00Z")
    assert runs.distinct([part, later, RUN, changed(RUN, mbench_version="9")]) == (RUN,)


def test_runs_of_one_job_are_no_copies() -> None:
    several = [factory.again(RUN, f"run-{number}") for number in range(20)]
    assert runs.copies(several) == ()
    assert runs.distinct(several) == tuple(several)
    assert runs.shared(several[:10], several[10:]) == ()


def test_what_was_counted_and_not_timed_is_a_copy_only_where_all_is_the_same() -> None:
    assert runs.copies([COUNTED, changed(COUNTED, run_id="other")])[0].why == runs.SAME_CONTENT
    later = changed(COUNTED, run_id="other", created_at_utc="2026-01-01T00:00:00Z")
    assert runs.copies([COUNTED, later]) == (), "every run counts the same"


def test_a_few_samples_that_are_equal_by_chance_make_no_copy() -> None:
    def coarse(run_id: str) -> Record:
        item = factory.record([NAME], run_id=run_id)
        [result] = item.results
        whole = msgspec.structs.replace(result.end_to_end, latency_s=(1e-3, 1e-3, 2e-3), twin_latency_s=None)
        layers = tuple(msgspec.structs.replace(layer, latency_s=None) for layer in result.layers)
        result = msgspec.structs.replace(result, end_to_end=whole, layers=layers)
        return changed(item, results=(result,), created_at_utc=f"2025-01-01T00:00:0{len(run_id)}Z")

    assert runs.copies([coarse("a"), coarse("bb")]) == ()


def test_what_is_shared_with_other_runs_is_found_by_what_was_measured() -> None:
    mine = [factory.again(RUN, "a"), factory.again(RUN, "b")]
    theirs = [factory.again(RUN, "a", 2.0), changed(mine[1], run_id="c")]
    assert runs.shared(theirs, mine) == (runs.Copy(1, 1, runs.SAME_SAMPLES),)


# ----------------------------------------------------------------------------------------------- wherever runs are read
@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two runs of one day each, and copies of the first under other names."""
    place = tmp_path / "runs"
    place.mkdir()
    second = changed(factory.again(RUN, "second", 2.0), created_at_utc="2025-04-01T00:00:00Z")
    for name, item in (("a", RUN), ("b", second), *((kind.replace(" ", "-"), COPIES[kind](RUN)) for kind in COPIES)):
        record_files.write(place / f"{name}.json", item)
    (place / "hard.json").hardlink_to(place / "a.json")
    (place / "link.json").symlink_to(place / "a.json")
    return place


def test_a_table_has_each_run_once_and_names_the_copies(folder: Path) -> None:
    with pytest.warns(UserWarning, match="it is left out") as told:
        table = mbench.load(folder)
    assert set(table["run_id"]) == {RUN.run_id, "second"}
    assert len(table[table["scope"] == "network"]) == 4
    assert len(told) == len(COPIES) + 1
    named = {path.name for path in folder.iterdir() for each in told if str(each.message).startswith(f"{path} ")}
    assert len(named) == len(told)


def test_a_history_has_each_run_once(folder: Path) -> None:
    items = [record_files.read(path) for path in sorted(folder.iterdir())]
    table = record_history.history(record_history.networks(items))
    assert list(table[table["variant"] == NAME]["run_id"]) == [RUN.run_id, "second"]
    assert len(frame.from_records(items)) == len(frame.from_records([RUN])) * 2


def test_two_runs_and_a_copy_are_two_runs_beside_each_other_on_the_page(folder: Path) -> None:
    items = [record_files.read(path) for path in sorted(folder.iterdir())]
    page = report.render(items)
    assert "The second run against the first" in page
    assert page.count("<article") == 2
    assert page.count("A run counts once.") == len(items) - 2


def test_report_names_the_copies(run: Mbench, folder: Path) -> None:
    done = run("report", folder / "a.json", folder / "b.json", folder / "with-another-run_id.json", "-o", "page.html")
    assert done.code == 0
    assert "with-another-run_id.json has the same samples as" in done.err
    assert "a.json; it is left out" in done.err
    assert done.err.count("left out") == 1
