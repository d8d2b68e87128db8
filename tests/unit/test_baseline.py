"""A baseline that moves, with the artifacts beside it, and what keeps it where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import record_factory as factory
import verdict_factory as make
from conftest import Mbench, assert_one_line
from gate_records import (
    NAME,
    Put,
    arena,
    changed,
    counted,
    one_layer,
    timed,
)

from mbench.core import artifact, record_files, scratch
from mbench.gating import baseline, sides

pytest_plugins = ("gate_fixtures",)


def test_a_baseline_that_changes_meanwhile_stays(
    run: Mbench, base: Path, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, newer = put(timed(), "head"), put(changed(timed(), run_id="newer"), "newer").read_bytes()
    locked = scratch.only

    def after_another(path: Path) -> Any:
        path.write_bytes(newer)
        return locked(path)

    monkeypatch.setattr(scratch, "only", after_another)
    assert_one_line(run("gate", base, head, "--update-baseline"), "has changed meanwhile")
    assert base.read_bytes() == newer


def test_a_baseline_that_is_a_link_or_no_file_is_refused(run: Mbench, base: Path, put: Put) -> None:
    head = put(timed(), "head")
    Path("link.json").symlink_to(base)
    assert_one_line(run("gate", "link.json", head, "--update-baseline"), "link.json is a link, and not followed")
    assert Path("link.json").is_symlink()


def test_the_baseline_is_moved_only_by_what_passed(run: Mbench, base: Path, put: Put) -> None:
    before = base.read_bytes()
    worse = put(one_layer(counted(run_id="worse"), instructions=10**6), "worse")
    assert run("gate", base, worse, "--update-baseline").code == 1
    assert base.read_bytes() == before
    unsure = put(factory.record([NAME], run_id="unsure", latency=False), "unsure")
    assert run("gate", base, unsure, "--update-baseline").code == 3
    assert base.read_bytes() == before
    better = put(one_layer(counted(run_id="better"), instructions=-1000), "better")
    outcome = run("gate", base, better, "--update-baseline")
    assert outcome.code == 0
    assert "is now better" in outcome.out
    assert record_files.read(base) == record_files.read(better)


def test_the_baseline_takes_the_artifacts_with_it(
    run: Mbench, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    base, head = pair
    arena(monkeypatch, 1.5)
    assert run("gate", base, head, "--paired", "--update-baseline").code == 1
    assert artifact.load(artifact.beside(base) / NAME).manifest.digest == "a" * 32
    arena(monkeypatch, 0.8)
    assert run("gate", base, head, "--paired", "--update-baseline").code == 0
    assert artifact.load(artifact.beside(base) / NAME).manifest.digest == "b" * 32
    assert record_files.read(base).run_id == "head-run"
    assert run("gate", base, head, "--paired").code == 0
    assert "is HEAD itself" in run("gate", base, base, "--update-baseline", "--paired").out
    assert artifact.load(artifact.beside(base) / NAME).manifest.digest == "b" * 32


def test_a_head_without_artifacts_leaves_no_old_ones_beside_the_new_baseline(run: Mbench, put: Put, base: Path) -> None:
    head = put(one_layer(counted(run_id="better"), instructions=-1000), "better")
    artifact.beside(base).mkdir()
    assert run("gate", base, head, "--update-baseline").code == 0
    assert not artifact.beside(base).exists()


def test_a_plan_is_of_what_lies_there_and_only_what_passed_replaces_it(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    base, head = map(sides.read, pair)
    with baseline.planned(base, head) as renewal:
        [(kept, place)] = renewal.artifacts
        assert kept.manifest.digest == "b" * 32
        assert place == artifact.place(base.path, NAME)
        worse = make.EVERY["regressed"]
        assert baseline.renew(renewal, worse) == f"baseline {base.path} stays as it is: regressed"
        assert record_files.read(base.path) == base.record
        assert "is now head-run" in baseline.renew(renewal, msgspec.structs.replace(worse, conclusion="passed"))
    assert record_files.read(base.path) == head.record
