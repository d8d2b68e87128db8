"""A package that is installed for a test."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mbench.core import plugins

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that installs a package of one module, and says where the module lies."""
    monkeypatch.syspath_prepend(tmp_path)

    def put(package: str, points: str, code: str = "", *, version: str = "1.0") -> Path:
        file = tmp_path / f"{package}_module.py"
        file.write_text(code, encoding="utf-8")
        information = tmp_path / f"{package}-{version}.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        (information / "entry_points.txt").write_text(points, encoding="utf-8")
        plugins._found.cache_clear()
        sys.modules.pop(f"{package}_module", None)
        return file

    return put
