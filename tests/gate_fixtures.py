"""Fixtures of the tests that judge two runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from gate_records import (
    Put,
    changed,
    counted,
    keep,
    timed,
)

from mbench.core import record_files
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
