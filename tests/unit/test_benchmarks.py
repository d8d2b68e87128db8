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


def own_tasks(file: Path) -> set[str]:
    """Return the functions of a script that it hands to another process, which cannot load them from there."""
    tree = ast.parse(file.read_text())
    if not any(isinstance(node, ast.If) and "__main__" in ast.unparse(node.test) for node in tree.body):
        return set()
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    given = [
        node.args[0] for node in calls if ast.unparse(node.func).endswith(("submit", "submit_within", "in_a_child"))
    ]
    return {node.id for node in given if isinstance(node, ast.Name)} & defined


def test_what_other_processes_do_is_in_a_module_that_they_can_load() -> None:
    assert {file.name: own_tasks(file) for file in BENCHMARKS.glob("*.py") if own_tasks(file)} == {}


def test_a_task_in_a_script_is_found(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("def task(): ...\npool.submit(task)\nif __name__ == '__main__':\n    main()\n")
    assert own_tasks(script) == {"task"}


def test_the_check_can_fail(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("def late():\n    import two\n")
    (tmp_path / "two.py").write_text("from one import late\n")
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter(imports(tmp_path)).prepare()
