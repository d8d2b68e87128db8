"""Builds found again: beside the record, then in the cache; and whether both can be timed in turns here."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest
from gate_records import NAME, changed

from mbench.build.artifact_store import ArtifactStore
from mbench.core import artifact, record_files
from mbench.core.errors import UsageError
from mbench.core.records import Result
from mbench.gating import builds, sides
from mbench.gating.sides import Given
from mbench.hardware import targets

pytest_plugins = ("gate_fixtures",)
Files = tuple[Path, Path]


def read(files: Files) -> tuple[Given, Given]:
    base, head = map(sides.read, files)
    return base, head


def find(given: Given, store: ArtifactStore, **of_artifact: str) -> artifact.Artifact:
    """Return the build of a record's network, with something else in what the record says of it."""
    [result] = given.record.results
    info = msgspec.structs.replace(result.artifact, **of_artifact)
    return builds.found("base", given, msgspec.structs.replace(result, artifact=info), store.place)


def said(given: Given, store: ArtifactStore, **of_artifact: str) -> str:
    with pytest.raises(UsageError) as caught:
        find(given, store, **of_artifact)
    message = str(caught.value)
    assert "\n" not in message
    return message


# -------------------------------------------------------------------------------------------------------------- where
def test_what_is_kept_beside_the_record_comes_first(pair: Files, store: ArtifactStore) -> None:
    given, _ = read(pair)
    kept = artifact.beside(pair[0]) / NAME
    shutil.copytree(kept, store.path("a" * 32))
    assert find(given, store).folder == kept
    shutil.rmtree(artifact.beside(pair[0]))
    assert find(given, store).folder == store.path("a" * 32)


def test_a_build_in_the_cache_is_found_by_the_digest_in_the_record(cached: Files, store: ArtifactStore) -> None:
    for given, digest in zip(read(cached), ("a" * 32, "b" * 32), strict=True):
        found = find(given, store)
        assert (found.folder, found.manifest.digest) == (store.path(digest), digest)


def test_a_record_in_memory_has_its_build_in_the_cache_alone(
    cached: Files, store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_files.read(cached[0])
    given = Given(sides.IN_MEMORY, (record,))
    monkeypatch.chdir(tmp_path)
    (tmp_path / artifact.beside(sides.IN_MEMORY).name / NAME).mkdir(parents=True)  # which is nobody's
    assert find(given, store).folder == store.path("a" * 32)
    store.discard("a" * 32)
    assert "artifacts/mobilenet" not in said(given, store)


# -------------------------------------------------------------------------------------------------------- what is wrong
def test_a_build_in_neither_place_is_named_with_where_it_was_looked_for(cached: Files, store: ArtifactStore) -> None:
    shutil.rmtree(store.folder)  # a cleaned cache
    given, _ = read(cached)
    message = said(given, store)
    assert message == (
        f"--paired: base {cached[0]}: no artifact of {NAME}, digest '{'a' * 12}': "
        f"not in {artifact.beside(cached[0]) / NAME}, not in the cache, {store.path('a' * 32)}; "
        "run it again with --keep-artifacts, at its commit, or leave out --paired"
    )
    labelled = changed(given.record, labels={"commit": "4f2a9c1"})
    assert "with --keep-artifacts on commit 4f2a9c1, or" in said(given._replace(runs=(labelled,)), store)


@pytest.mark.parametrize("digest", ["", "..", "../../etc", "/", "a" * 64, "A" * 32, "sha256:abc", "x\ny"])
def test_a_digest_of_another_format_is_looked_for_in_no_cache(cached: Files, store: ArtifactStore, digest: str) -> None:
    message = said(read(cached)[0], store, digest=digest)
    assert "not in the cache, where no artifact has a digest such as '" in message


def test_a_digest_of_another_format_is_taken_where_the_build_is_kept(pair: Files, store: ArtifactStore) -> None:
    """It may be of a later version: beside the record the artifact itself says which it is."""
    file = artifact.beside(pair[0]) / NAME / artifact.MANIFEST
    work = file.parent.rename(pair[0].parent / "work")
    later = msgspec.structs.replace(artifact.load(work).manifest, digest="sha256:later")
    file.parent.parent.rmdir()
    file.parent.parent.mkdir()
    artifact.store(later, work, file.parent)
    assert find(read(pair)[0], store, digest="sha256:later").folder == file.parent


PARTS = [*artifact.FILES, "all"]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("place", ["beside", "cache"])
def test_an_artifact_that_is_partly_removed_is_one_line(
    request: pytest.FixtureRequest, store: ArtifactStore, place: str, part: str
) -> None:
    files: Files = request.getfixturevalue("pair" if place == "beside" else "cached")
    folder = artifact.beside(files[0]) / NAME if place == "beside" else store.path("a" * 32)
    for name in artifact.FILES if part == "all" else [part]:
        (folder / name).unlink()
    message = said(read(files)[0], store)
    file = artifact.MANIFEST if part == "all" else part
    assert message == (
        f"artifact {folder}: cannot be read: {file}: No such file or directory; move that folder away, or measure again"
    )


@pytest.mark.parametrize("name", artifact.FILES)
@pytest.mark.parametrize("place", ["beside", "cache"])
def test_a_file_that_was_altered_is_refused(
    request: pytest.FixtureRequest, store: ArtifactStore, place: str, name: str
) -> None:
    files: Files = request.getfixturevalue("pair" if place == "beside" else "cached")
    folder = artifact.beside(files[0]) / NAME if place == "beside" else store.path("a" * 32)
    data = bytearray((folder / name).read_bytes())
    at = data.index(b'"workspace_bytes": 0') + 19 if name == artifact.MANIFEST else -1
    data[at] ^= 1
    (folder / name).write_bytes(data)
    assert f"artifact {folder}: {name} has hash " in said(read(files)[0], store)
    assert folder.is_dir(), "nothing is removed"


def test_an_altered_artifact_beside_the_record_is_not_passed_over_for_the_caches(
    pair: Files, store: ArtifactStore
) -> None:
    kept = artifact.beside(pair[0]) / NAME
    shutil.copytree(kept, store.path("a" * 32))
    (kept / artifact.LIBRARY).write_bytes(b"other")
    assert "it was damaged" in said(read(pair)[0], store)


def test_a_build_of_another_network_or_digest_in_the_caches_place_is_refused(
    cached: Files, store: ArtifactStore
) -> None:
    store.path("a" * 32).rename(store.path("c" * 32))
    assert "it is of another build" in said(read(cached)[0], store, digest="c" * 32)
    [result] = read(cached)[1].record.results
    other: Result = changed(result, variant=changed(result.variant, name="other"))
    with pytest.raises(UsageError, match=f"is of {NAME}, not of other"):
        builds.found("head", read(cached)[1], other, store.place)


# ------------------------------------------------------------------------------------------------------------- at hand
def test_both_builds_of_each_network_are_at_hand(cached: Files, store: ArtifactStore) -> None:
    [found] = builds.at_hand(*read(cached), store.place)
    assert (found.variant, found.base.folder, found.head.folder) == (NAME, store.path("a" * 32), store.path("b" * 32))
    assert (found.ours, found.theirs) == tuple(given.record.results[0] for given in read(cached))


@pytest.mark.parametrize(("digest", "side"), [("a", "base"), ("b", "head")])
def test_the_side_whose_build_is_gone_is_named(cached: Files, store: ArtifactStore, digest: str, side: str) -> None:
    store.discard(digest * 32)
    with pytest.raises(UsageError, match=f"--paired: {side} .*{side}.json: no artifact of {NAME}"):
        builds.at_hand(*read(cached), store.place)


@pytest.mark.parametrize(
    ("target", "threads", "said"),
    [
        ("arm64_cortex_a72", 1, "--paired measures on this machine: target 'arm64_cortex_a72': "),
        ("x86_64_v2", 1024, "--paired: the runs used 1024 threads, this machine has"),
        ("cuda_sm90", 1, "--paired: target 'cuda_sm90': GPUs are not timed in turns in this version"),
    ],
)
def test_what_this_machine_cannot_time_is_not_at_hand(
    cached: Files, store: ArtifactStore, target: str, threads: int, said: str
) -> None:
    for file in cached:
        item = record_files.read(file)
        settings = msgspec.structs.replace(item.settings, threads=threads)
        record_files.write(file, changed(item, target=targets.load(target), settings=settings))
    with pytest.raises(UsageError) as caught:
        builds.at_hand(*read(cached), store.place)
    assert said in str(caught.value)
