"""Fixtures of the tests of the API."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import record_factory as factory
from api_fakes import Fake

from mbench.core import record_files
from mbench.core.machine_types import Host
from mbench.hardware import host
from mbench.pipeline import runner


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Host:
    """Return this machine, which is as busy each time that it is described."""
    found = host.describe()
    monkeypatch.setattr(host, "describe", lambda *_, **__: found)
    return found


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake()
    monkeypatch.setattr(runner, "run", made.run)
    return made


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    base, head = tmp_path / "base.json", tmp_path / "head.json"
    record, replace = factory.record(run_id="base"), msgspec.structs.replace
    record_files.write(base, record)
    again = factory.again(record, "head")
    bigger = [replace(each.artifact, library_bytes=2 * each.artifact.library_bytes) for each in again.results]
    results = [replace(each, artifact=artifact) for each, artifact in zip(again.results, bigger, strict=True)]
    record_files.write(head, replace(again, results=tuple(results)))
    return base, head
