"""Fixtures of the tests of whole runs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import fake_devices as fakes
import pytest
from run_world import World

from mbench import devices
from mbench.build import build as builder
from mbench.build import builders
from mbench.devices.protocols import DeviceRunner


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(builders, "children", fakes.no_children)
    monkeypatch.setattr(builder, "build", made.build)
    opener: Callable[..., DeviceRunner] = lambda *_, **__: made.device  # noqa: E731
    monkeypatch.setitem(devices.OPENERS, "local", opener)
    return made


@pytest.fixture
def refuge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder for temporary files, where a record goes that its own folder does not take."""
    folder = tmp_path / "refuge"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder
