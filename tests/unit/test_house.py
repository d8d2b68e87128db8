"""The shape of the package: what a newcomer relies on when they look for a thing by its name."""

from __future__ import annotations

import ast
import collections
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mbench

PACKAGE = Path(mbench.__file__).parent
ROOT = Path(__file__).parents[2]
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FUNCTION, LONGEST_MODULE = 60, 400


def tree(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))


def functions(module: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_few_modules_lie_directly_in_the_package() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 10


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_modules_and_functions_are_short(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE
    assert [name for name, lines in functions(module) if lines > LONGEST_FUNCTION] == []


def test_a_type_has_a_name_of_its_own() -> None:
    homes = collections.defaultdict(list)
    for module in MODULES:
        for node in tree(module).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(module.relative_to(PACKAGE).as_posix())
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


def contracts(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    return subprocess.run([*command, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


def test_imports_follow_the_data_and_one_that_does_not_is_found(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "mbench", ignore=shutil.ignore_patterns("__pycache__", "_data"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    clean = contracts(tmp_path)
    assert clean.returncode == 0, clean.stdout
    planted = tmp_path / "mbench" / "core" / "units.py"
    planted.write_text(planted.read_text(encoding="utf-8") + "\nimport mbench.page.report\n", encoding="utf-8")
    found = contracts(tmp_path)
    assert found.returncode != 0
    assert "mbench.core.units -> mbench.page.report" in found.stdout
