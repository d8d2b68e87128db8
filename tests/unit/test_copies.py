"""Copies of runs in front of the gate: they do not count, and every form of the verdict names them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import record_factory as factory
from conftest import Mbench, Outcome

from mbench.core import record_files
from mbench.core.records import Record

NAME = "mobilenet_v1_0.25_32"
LATER = "2025-03-09T12:00:00Z"
FORMS = ("--junit", "--markdown", "--html")


def run_of(side: str, number: int, factor: float = 1.0) -> Record:
    """Return one of several runs of a job on one thread."""
    item = factory.short(factory.record([NAME]))
    item = msgspec.structs.replace(item, settings=msgspec.structs.replace(item.settings, threads=1))
    item = factory.again(item, f"{side}-{number}", factor * (1 + 0.0005 * number))
    return msgspec.structs.replace(item, created_at_utc=f"2025-03-0{number + 1}T12:00:00Z")


def several(folder: Path, count: int = 5, factor: float = 1.0) -> Path:
    """Write runs into a folder."""
    folder.mkdir()
    for number in range(count):
        record_files.write(folder / f"run{number}.json", run_of(folder.name, number, factor))
    return folder


def edited(source: Path, copy: Path, **fields: Any) -> None:
    record_files.write(copy, msgspec.structs.replace(record_files.read(source), **fields))


def indented(source: Path, copy: Path) -> None:
    copy.write_text(json.dumps({**json.loads(source.read_bytes()), "run_id": copy.stem}, indent=1, sort_keys=True))


WAYS: dict[str, Callable[[Path, Path], object]] = {
    "copied": shutil.copyfile,
    "linked": lambda source, copy: copy.symlink_to(source),
    "linked hard": lambda source, copy: copy.hardlink_to(source),
    "with another run_id": lambda source, copy: edited(source, copy, run_id=copy.stem),
    "as of another day": lambda source, copy: edited(
        source, copy, run_id=copy.stem, created_at_utc="2025-03-09T12:00:00Z"
    ),
    "written again": indented,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("side", ["base", "head", "both"])
def test_copies_are_no_runs_and_every_form_names_them(run: Mbench, tmp_path: Path, way: str, side: str) -> None:
    for name in ("base", "head"):
        several(tmp_path / name, 1 if side in (name, "both") else 5)
        if side in (name, "both"):
            for number in range(1, 5):
                WAYS[way](tmp_path / name / "run0.json", tmp_path / name / f"same{number}.json")
    done = verdict(run, tmp_path / "base", tmp_path / "head")
    document = json.loads(Path("verdict.json").read_text())
    # one run a side shows no spread; five on the other side do
    expected = (3, "inconclusive") if side == "both" else (0, "passed")
    assert (done.code, document["conclusion"]) == expected
    assert len(document["comparison"]["copies"]) == (8 if side == "both" else 4)
    assert {document["comparison"][name]["runs"] for name in ("base", "head")} == ({1} if side == "both" else {1, 5})
    assert_named(done, [f"same{number}.json" for number in range(1, 5)], kept="run0.json")


def verdict(run: Mbench, base: Path, head: Path, *options: str) -> Outcome:
    """Judge in all forms at once: JSON, and what the other options print and write."""
    Path("verdict.json").write_text(run("gate", base, head, "--json", *options).out)
    outputs = [word for form in FORMS for word in (form, f"out{form}")]
    return run("gate", base, head, "--annotations", *outputs, *options)


def assert_named(done: Outcome, names: list[str], kept: str) -> None:
    """Check that all forms name these files as copies."""
    terminal = done.out.split("::", maxsplit=1)[0]
    annotations = "".join(line for line in done.out.splitlines() if line.startswith("::warning title=not counted"))
    texts = {"terminal": terminal, "annotations": annotations, "json": Path("verdict.json").read_text()}
    texts |= {form: Path(f"out{form}").read_text() for form in FORMS}
    for form, text in texts.items():
        plain = "".join(text.split())
        for name in names:
            assert f"{name}hasthesame" in plain or f"{name}isthesame" in plain, form
        assert kept in plain, form


def test_five_runs_a_side_pass_and_a_copy_more_changes_nothing(run: Mbench, tmp_path: Path) -> None:
    base, head = several(tmp_path / "base"), several(tmp_path / "head")
    assert run("gate", base, head).code == 0
    before = figures(run, base, head)
    for way, write in WAYS.items():
        write(base / "run0.json", base / f"{way.replace(' ', '-')}.json")
        write(head / "run1.json", head / f"{way.replace(' ', '-')}.json")
    assert run("gate", base, head).code == 0
    assert figures(run, base, head) == before


def figures(run: Mbench, base: Path, head: Path) -> list[tuple[Any, ...]]:
    """Return what was computed of the runs."""
    found = json.loads(run("gate", base, head, "--json").out)["comparison"]["findings"]
    return [(each["layer"], each["metric"], each["ratio"], each["interval"], each["p_value"]) for each in found]


def test_a_slow_down_is_not_hidden_by_copies_of_a_quick_run(run: Mbench, tmp_path: Path) -> None:
    base, head = several(tmp_path / "base"), several(tmp_path / "head", factor=1.5)
    assert run("gate", base, head).code == 1
    for number in range(20):
        edited(base / "run0.json", head / f"quick{number}.json", run_id=f"quick{number}")
    assert run("gate", base, head).code == 1


@pytest.mark.parametrize("way", WAYS)
def test_the_bases_own_runs_are_no_runs_of_the_head(run: Mbench, tmp_path: Path, way: str) -> None:
    base, head = several(tmp_path / "base"), tmp_path / "head"
    head.mkdir()
    for number in range(5):
        WAYS[way](base / f"run{number}.json", head / f"head{number}.json")
    done = verdict(run, base, head)
    assert done.code == 0, "the very same samples"
    assert_named(done, [f"head{number}.json" for number in range(5)], kept="run0.json")


def test_a_run_of_the_base_among_the_heads_is_left_out(run: Mbench, tmp_path: Path) -> None:
    base, head = several(tmp_path / "base", 6), several(tmp_path / "head", 6)
    before = figures(run, base, head)
    edited(base / "run3.json", head / "zzz.json", run_id="zzz")
    assert run("gate", base, head).code == 0
    assert figures(run, base, head) == before
    assert "zzz.json" in run("compare", base, head, "--json").out


def test_counts_of_one_run_on_both_sides_are_the_same_and_it_is_said(run: Mbench, tmp_path: Path) -> None:
    item = factory.counted(factory.record([NAME]))
    record_files.write(tmp_path / "a.json", item)
    record_files.write(tmp_path / "b.json", msgspec.structs.replace(item, run_id="b"))
    done = run("gate", tmp_path / "a.json", tmp_path / "b.json")
    assert done.code == 0
    assert "b.json has the same samples as" in " ".join(done.out.split())
    assert "one run is on both sides" in " ".join(done.out.split())
    again = run("gate", tmp_path / "a.json", tmp_path / "a.json")
    assert "a.json: one file is on both sides" in " ".join(again.out.split())


def test_a_link_in_a_circle_and_a_link_to_nothing_are_one_line(run: Mbench, tmp_path: Path) -> None:
    base = several(tmp_path / "base", 1)
    for target in ("circle.json", "nothing.json"):
        link = base / "circle.json"
        link.symlink_to(target)
        done = run("gate", base, base)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
        assert "circle.json: cannot be read" in done.err
        link.unlink()
