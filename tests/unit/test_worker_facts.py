"""What workers must have, and how they recognise a shared folder."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
from pathlib import Path

import pytest

from mbench.build import worker_facts
from mbench.core import resources
from mbench.core.version import VERSION


def test_facts_are_those_of_the_installed_packages() -> None:
    found = worker_facts.facts()
    assert found["mbench"] == VERSION
    assert found["torch"] == importlib.metadata.version("torch")
    assert found[worker_facts.PYTHON] == ".".join(platform.python_version_tuple()[:2])
    assert worker_facts.difference(found, found) == ""


def test_a_package_that_is_not_installed_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    expected = worker_facts.facts()
    monkeypatch.setattr(importlib.metadata, "version", version)
    seen = worker_facts.facts()
    wanted = expected["apache-tvm"]
    assert worker_facts.difference(seen, expected) == f"apache-tvm absent, expected {wanted}"


def test_other_code_of_the_same_version_differs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    expected = worker_facts.facts()
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "version.py").write_bytes((resources.PACKAGE / "core" / "version.py").read_bytes())
    spec = importlib.util.spec_from_file_location("mbench", tmp_path / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: spec)
    seen = worker_facts.facts()
    assert seen["mbench"] == VERSION
    assert worker_facts.difference(seen, expected).startswith(f"{worker_facts.CODE} ")


def test_a_folder_is_recognised_by_its_token(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    token = worker_facts.write_token(str(tmp_path))
    assert worker_facts.unshared(str(tmp_path), token) == ""
    assert "No such file" in worker_facts.unshared(str(tmp_path / "other"), token)
    (tmp_path / "other" / token).write_text("another", encoding="ascii")
    assert worker_facts.unshared(str(tmp_path / "other"), token) == "another file lies there"
