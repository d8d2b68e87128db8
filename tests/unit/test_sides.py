from __future__ import annotations

import shutil
from pathlib import Path

import fake_devices as fakes
import msgspec
import pytest
import record_factory as factory

from mbench.core import artifact, record_files
from mbench.core.errors import RecordError, UsageError
from mbench.core.records import Record
from mbench.gating import sides
from mbench.gating.sides import Given

NAME = "mobilenet_v1_0.25_32"


def record(run_id: str = "run-1", *, day: int = 1) -> Record:
    return msgspec.structs.replace(factory.record([NAME], run_id=run_id), created_at_utc=f"2025-03-{day:02}T12:00:00Z")


def write(folder: Path, *items: Record) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for item in items:
        record_files.write(folder / f"{item.run_id}.json", item)
    return folder


@pytest.fixture
def kept(tmp_path: Path) -> Given:
    """Return a record with its artifact kept beside it."""
    scratch = fakes.compiled(tmp_path / "scratch", fakes.variant(NAME))
    (scratch.folder / artifact.REFERENCE).write_bytes(b"numbers")
    built = artifact.store(scratch.manifest, scratch.folder, tmp_path / "built")
    item = record()
    [result] = item.results
    info = msgspec.structs.replace(result.artifact, digest=built.manifest.digest)
    item = msgspec.structs.replace(item, results=(msgspec.structs.replace(result, artifact=info),))
    file = write(tmp_path / "results", item) / "run-1.json"
    folder = artifact.beside(file)
    folder.mkdir()
    artifact.keep(built, folder / NAME)
    return sides.read(file)


# ------------------------------------------------------------------------------------------------------------- records
def test_a_file_is_one_run(tmp_path: Path) -> None:
    given = sides.read(write(tmp_path, record()) / "run-1.json")
    assert given.record.run_id == "run-1"
    assert given.described().runs == 1
    assert given.described().machine == "testhost: Test CPU @ 2.0 GHz"


def test_a_folder_is_all_its_runs_and_the_newest_speaks_for_it(tmp_path: Path) -> None:
    given = sides.read(write(tmp_path, record("b", day=1), record("a", day=3), record("c", day=2)))
    assert [each.run_id for each in given.runs] == ["b", "c", "a"]
    assert (given.path, given.described().runs) == (tmp_path / "a.json", 3)


def test_records_of_several_jobs_in_a_folder_are_refused(tmp_path: Path) -> None:
    other = record("b", day=2)
    other = msgspec.structs.replace(other, settings=msgspec.structs.replace(other.settings, threads=1))
    with pytest.raises(RecordError, match=r"a.json: threads differ from b.json beside it; .* name one record"):
        sides.read(write(tmp_path, record("a"), other))


def test_what_does_not_matter_may_differ_in_a_folder(tmp_path: Path) -> None:
    other = msgspec.structs.replace(record("b", day=2), mbench_version="9.9")
    assert len(sides.read(write(tmp_path, record("a"), other)).runs) == 2


def test_an_empty_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no record there"):
        sides.read(tmp_path)
    with pytest.raises(RecordError, match="cannot be read"):
        sides.read(tmp_path / "none.json")


# ----------------------------------------------------------------------------------------------------------- artifacts
def test_an_artifact_that_is_the_records_is_found(kept: Given) -> None:
    found = sides.kept_artifact(kept, kept.record.results[0])
    assert found.manifest.variant.name == NAME
    assert found.folder == kept.path.with_name("run-1.artifacts") / NAME


def test_an_artifact_that_is_missing_is_refused(kept: Given) -> None:
    shutil.rmtree(artifact.beside(kept.path))
    with pytest.raises(UsageError, match=f"no artifact of {NAME} .*--keep-artifacts"):
        sides.kept_artifact(kept, kept.record.results[0])


@pytest.mark.parametrize("name", [artifact.LIBRARY, artifact.REFERENCE])
def test_an_artifact_with_one_byte_flipped_is_refused(kept: Given, name: str) -> None:
    file = artifact.beside(kept.path) / NAME / name
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(UsageError, match=f"{name} has hash .* it was damaged"):
        sides.kept_artifact(kept, kept.record.results[0])


def test_an_artifact_whose_manifest_was_edited_is_refused(kept: Given) -> None:
    file = artifact.beside(kept.path) / NAME / artifact.MANIFEST
    file.write_text(file.read_text().replace('"workspace_bytes": 0', '"workspace_bytes": 1', 1))
    with pytest.raises(UsageError, match=r"artifact.json has hash .* it was damaged"):
        sides.kept_artifact(kept, kept.record.results[0])


def test_an_artifact_that_lost_a_file_is_refused(kept: Given) -> None:
    (artifact.beside(kept.path) / NAME / artifact.LIBRARY).unlink()
    with pytest.raises(UsageError, match="cannot be read"):
        sides.kept_artifact(kept, kept.record.results[0])


def test_an_artifact_of_another_build_is_refused(kept: Given) -> None:
    [result] = kept.record.results
    other = msgspec.structs.replace(result, artifact=msgspec.structs.replace(result.artifact, digest="f" * 32))
    with pytest.raises(UsageError, match=r"has digest 000000000000, the record .* names ffffffffffff"):
        sides.kept_artifact(kept, other)


def test_keeping_an_artifact_replaces_an_artifact(kept: Given, tmp_path: Path) -> None:
    found = sides.kept_artifact(kept, kept.record.results[0])
    place = tmp_path / "place"
    place.mkdir()
    (place / artifact.MANIFEST).write_text("stale")
    artifact.keep(found, place)
    assert {file.name for file in place.iterdir()} == set(artifact.FILES)
    assert artifact.load(place).manifest == found.manifest


def test_an_artifact_of_another_network_is_refused(kept: Given) -> None:
    [result] = kept.record.results
    variant = msgspec.structs.replace(result.variant, name="other")
    other = msgspec.structs.replace(result, variant=variant)
    artifact.place(kept.path, NAME).rename(artifact.place(kept.path, "other"))
    with pytest.raises(UsageError, match=f"is of {NAME}, not of other"):
        sides.kept_artifact(kept, other)
