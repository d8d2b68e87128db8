from __future__ import annotations

import importlib.util
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from mbench.core import needs
from mbench.core.errors import UsageError

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
TVM = ["apache-tvm==0.27.0.post1", "apache-tvm-ffi==0.1.14.post1"]
REQUIRED = ["click>=8.1", *TVM, "torch<2.14,>=2.11", "torchaudio>1"]


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that takes modules away."""
    find = importlib.util.find_spec

    def take(*modules: str) -> None:
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name, *more: None if name in modules else find(name, *more)
        )

    monkeypatch.setattr(metadata, "requires", lambda _: REQUIRED)
    return take


def test_nothing_lacks_here() -> None:
    assert needs.message() == ""
    needs.refuse_without()


def test_one_line_names_what_lacks_and_installs_the_versions_that_mbench_is_made_for(without: Any) -> None:
    without("torch")
    with pytest.raises(UsageError, match=r"^torch is not installed; .*; install: pip install 'torch<2\.14,>=2\.11'$"):
        needs.refuse_without()
    without("torch", "tvm", "tvm_ffi")
    assert needs.message().endswith(
        "pip install 'apache-tvm==0.27.0.post1' 'apache-tvm-ffi==0.1.14.post1' 'torch<2.14,>=2.11'"
    )
    assert "\n" not in needs.message()


def test_without_the_packages_own_description_names_alone_are_given(
    without: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: str) -> list[str]:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "requires", gone)
    without("torch")
    assert needs.message().endswith("pip install 'torch'")


def test_they_are_requirements_of_the_package() -> None:
    required = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    assert set(needs.PACKAGES.values()) <= {needs._package(each) for each in required}
