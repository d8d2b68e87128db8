"""The scripts in benchmarks/: none imports itself by way of another."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def imports(folder: Path) -> dict[str, set[str]]:
    """Return which scripts of a folder each imports, wherever in the file."""
    names = {file.stem for file in folder.glob("*.py")}
    found: dict[str, set[str]] = {}
    for name in names:
        nodes = list(ast.walk(ast.parse((folder / f"{name}.py").read_text())))
        whole = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        parts = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
        found[name] = (whole | parts) & names
    return found


def test_no_script_imports_itself_by_way_of_another() -> None:
    graph = imports(BENCHMARKS)
    assert "cases" in graph["gpu_runtimes"]
    graphlib.TopologicalSorter(graph).prepare()


def test_the_check_can_fail(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("def late():\n    import two\n")
    (tmp_path / "two.py").write_text("from one import late\n")
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter(imports(tmp_path)).prepare()
