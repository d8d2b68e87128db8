"""The version: one string, for people and for packages."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from conftest import Mbench

import mbench
from mbench.core import version

ROOT = Path(__file__).parents[2]


def test_version(run: Mbench) -> None:
    assert run("--version").out == f"mbench, version {version.VERSION}\n"
    assert mbench.__version__ == version.VERSION


def test_the_build_finds_it_where_it_stands() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    source = pyproject["tool"]["hatch"]["version"]
    [found] = re.findall(source["pattern"], (ROOT / source["path"]).read_text(encoding="utf-8"))
    assert found == version.VERSION
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", found)
