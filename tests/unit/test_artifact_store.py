"""What was built, kept whole: put, found, checked and discarded."""

from __future__ import annotations

import concurrent.futures
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from builder_fakes import TARGET, WANTED, compiled

from mbench.build.artifact_store import ArtifactStore
from mbench.core.artifact import MANIFEST, Artifact
from mbench.core.errors import BuildError, OutputError


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def put(store: ArtifactStore) -> Artifact:
    return compiled(WANTED[0], TARGET, store.folder)[0]


def test_put_has_get_discard(store: ArtifactStore) -> None:
    kept = put(store)
    digest = kept.manifest.digest
    assert kept.folder == store.path(digest) == store.folder / digest
    assert store.has(digest)
    assert store.get(digest) == store.sound(digest) == kept
    store.discard(digest)
    store.discard(digest)
    assert not store.has(digest)
    assert store.sound(digest) is None
    with pytest.raises(BuildError):
        store.get(digest)
    assert list(store.folder.iterdir()) == []


def test_a_digest_that_a_file_names_has_a_place_only_if_it_can_be_one(store: ArtifactStore) -> None:
    digest = put(store).manifest.digest
    assert store.place(digest) == store.path(digest)
    assert store.place("0" * 32) == store.folder / ("0" * 32), "whether or not it is there"
    for odd in ("", ".", "..", "/etc", "../" * 3, "0" * 31, "0" * 64, "A" * 32, "0" * 32 + "\n", "sha256:" + "0" * 25):
        assert store.place(odd) is None, odd


def test_what_is_damaged_is_never_taken(store: ArtifactStore) -> None:
    kept = put(store)
    kept.library.write_bytes(b"other")
    assert store.has(kept.manifest.digest)
    with pytest.raises(BuildError, match="damaged"):
        store.get(kept.manifest.digest)
    assert store.sound(kept.manifest.digest) is None
    assert not store.has(kept.manifest.digest), "it is removed"


def test_a_build_that_stops_leaves_nothing(store: ArtifactStore) -> None:
    def stops() -> None:
        with store.work() as work:
            (work / MANIFEST).write_text("{")
            raise RuntimeError("a test")

    with pytest.raises(RuntimeError, match="a test"):
        stops()
    assert list(store.folder.iterdir()) == []


def test_what_is_not_mbenchs_stays(store: ArtifactStore) -> None:
    kept = put(store)
    (kept.folder / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"thesis\.txt is not mbench's"):
        store.discard(kept.manifest.digest)
    assert (kept.folder / "thesis.txt").exists()


def test_two_that_put_the_same_at_once_both_have_it(store: ArtifactStore) -> None:
    with ThreadPoolExecutor(4) as pool:
        done, _ = concurrent.futures.wait([pool.submit(put, store) for _ in range(8)])
    assert len({future.result().manifest.digest for future in done}) == 1
    assert len(list(store.folder.iterdir())) == 1
