"""Fixtures of the tests that judge two runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import record_factory as factory
from gate_records import (
    NAME,
    Put,
    changed,
    counted,
    keep,
    timed,
)

from mbench.build.artifact_store import ArtifactStore
from mbench.core import artifact, record_files
from mbench.core.records import Record


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Return a function that writes a record and returns its file."""

    def write(item: Record, name: str) -> Path:
        file = tmp_path / f"{name}.json"
        record_files.write(file, item)
        return file

    return write


@pytest.fixture
def base(put: Put) -> Path:
    return put(counted(), "base")


@pytest.fixture
def pair(put: Put, tmp_path: Path) -> tuple[Path, Path]:
    """Return two records with their artifacts."""
    files = put(timed(), "base"), put(changed(timed(), run_id="head-run"), "head")
    for file, digest in zip(files, ("a" * 32, "b" * 32), strict=True):
        keep(file, digest, tmp_path)
    return files


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    """Return the store of artifacts in the cache that `run` gives to commands."""
    return ArtifactStore(tmp_path / "cache" / "artifacts")


@pytest.fixture
def cached(pair: tuple[Path, Path], store: ArtifactStore) -> tuple[Path, Path]:
    """Return two records as a run without `--keep-artifacts` leaves them: their artifacts are in the cache."""
    store.folder.mkdir(parents=True)
    for file, digest in zip(pair, ("a" * 32, "b" * 32), strict=True):
        (artifact.beside(file) / NAME).rename(store.path(digest))
        artifact.beside(file).rmdir()
    record_files.write(pair[1], factory.again(record_files.read(pair[1]), "head-run"))  # samples of its own
    return pair
