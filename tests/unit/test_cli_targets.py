"""`mbench targets` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Mbench, assert_one_line
from target_descriptions import write

from mbench.cli.targets import targets
from mbench.hardware import targets as known


def test_every_target_is_listed_with_what_can_be_done(run: Mbench) -> None:
    listed = json.loads(run(targets, "--json").out)
    assert [entry["name"] for entry in listed] == ["host", *known.load_all()]
    assert all(entry["measure"] or entry["name"] == "host" or entry["reason"] for entry in listed)
    shown = run(targets)
    assert shown.code == 0
    assert all(entry["name"] in shown.out for entry in listed)


def test_a_target_is_shown_with_the_source_of_each_figure(run: Mbench) -> None:
    shown = run(targets, "arm64")
    assert (shown.code, shown.err) == (0, "")
    assert "arm64_cortex_a72" in shown.out
    assert "estimate: " in shown.out
    assert json.loads(run(targets, "arm64", "--json").out)["tvm"]["mcpu"] == "cortex-a72"


def test_boards_stand_together_in_80_columns_with_their_core(run: Mbench) -> None:
    shown = run(targets).out
    assert max(map(len, shown.splitlines())) <= 80
    headings = [line.strip() for line in shown.splitlines() if not set(line) & set(",;:_") and line.strip()]
    found = [each for each in headings if each in ("Boards", "Arm cores", "Levels of x86-64", "GPUs")]
    assert found == ["Boards", "Arm cores", "Levels of x86-64", "GPUs"]
    boards = shown[shown.index("Boards") : shown.index("Arm cores")]
    assert all(name in boards for name in known.cores())
    cores = {entry["name"]: entry.get("core") for entry in json.loads(run(targets, "--json").out)}
    assert {name: core for name, core in cores.items() if core} == known.cores()
    one = run(targets, "raspberry_pi_4").out
    assert "arm64_cortex_a72" in one
    assert "4 GB" in one
    assert_one_line(run(targets, "rasberry_pi4"), "did you mean 'raspberry_pi_4'? see 'mbench targets'")


def test_targets_of_a_folder_come_beside_the_others(run: Mbench, tmp_path: Path) -> None:
    listed = json.loads(run(targets, "--targets", write(tmp_path / "own"), "--json").out)
    assert "board" in [entry["name"] for entry in listed]
    assert_one_line(run(targets, "borad", "--targets", tmp_path / "own"), "did you mean 'board'?")


def test_a_broken_package_is_named_and_hides_no_target(run: Mbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "broken_packages", lambda: ("package acme 1.0: it is broken",))
    listed = run(targets)
    assert listed.code == 0
    assert listed.err == "mbench: package acme 1.0: it is broken\n"
    assert run(targets, "arm64").err == ""
