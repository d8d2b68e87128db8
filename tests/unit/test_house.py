"""The shape of the package: what a newcomer relies on when they look for a thing by its name."""

from __future__ import annotations

import ast
import collections
import functools
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath

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


def types(module: ast.Module) -> Iterator[str]:
    """Yield the classes of a module, and its names for types such as `Seconds = Annotated[float, …]`."""
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            yield node.name.lstrip("_")
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name[:1].isupper() and not name.isupper():
                yield name


def doubled(modules: Mapping[str, ast.Module]) -> dict[str, list[str]]:
    homes = collections.defaultdict(list)
    for where, module in modules.items():
        for name in types(module):
            homes[name].append(where)
    return {name: where for name, where in homes.items() if len(where) > 1}


def test_a_type_has_a_name_of_its_own() -> None:
    assert doubled({module.relative_to(PACKAGE).as_posix(): tree(module) for module in MODULES}) == {}


def test_a_name_that_two_types_have_is_found() -> None:
    one, other = ast.parse("class _Plan: ...\nLIMIT = 1"), ast.parse("Plan = dict[str, int]\nLIMIT = 2")
    assert doubled({"one": one, "other": other}) == {"Plan": ["one", "other"]}


TESTED_ELSEWHERE = {
    "compile/schedules/cpu/inverted_residual": ("unit/test_cpu_inverted_residual.py", "asked by the rule's name"),
    "compile/schedules/gpu/": ("unit/test_gpu_rules.py", "one list of cases runs every rule against PyTorch"),
    "compile/schedules/cpu/batch_matmul.py": ("unit/test_cpu_batch_matmul.py", "asked by the rule's name"),
    "compile/schedules/cpu/depthwise.py": ("unit/test_cpu_depthwise.py", "asked by the rule's name"),
    "compile/schedules/cpu/pool.py": ("unit/test_cpu_pool.py", "asked by the rule's name"),
    "compile/schedules/cpu/window_pool.py": ("unit/test_cpu_window_pool.py", "asked by the rule's name"),
    "compile/schedules/cpu/sliding.py": ("unit/test_cpu_depthwise.py", "what depthwise convolution and pooling share"),
    "core/settings.py": ("unit/test_options.py", "a type: what a job's settings are made of"),
    "compile/kernel_kinds.py": ("unit/test_kernel.py", "what a kernel is read to be"),
    "compile/rows.py": ("unit/test_cpu_rows.py", "how a kernel along rows is read off its blocks"),
    "compile/windows.py": ("unit/test_kernel.py", "how a kernel's windows are read off its blocks"),
    "compile/schedules/cpu/winograd_layout.py": ("unit/test_winograd.py", "a part of Winograd"),
    "compile/schedules/cpu/strassen_layout.py": ("unit/test_cpu_strassen.py", "a part of Strassen's algorithm"),
    "compile/winograd_transforms.py": ("unit/test_winograd.py", "a part of Winograd"),
    "compile/schedules/row_values.py": ("unit/test_cpu_rows.py", "what both kinds of machine write of a row"),
    "compile/schedules/rule.py": ("unit/test_dispatch.py", "the type of a rule; the rules in their order"),
    "compile/schedules/metaschedule.py": ("integration/test_tune_command.py", "takes a search's database"),
    "compile/codegen.py": ("unit/test_cuda_graph.py", "the functions of a library; integration/test_build.py runs it"),
    "compile/machine.py": (
        "unit/test_gpu_limits.py",
        "what a GPU holds; the tests of rules read a CPU's",
    ),
    "core/fit_records.py": ("unit/test_fit_files.py", "types of what a search found, no code"),
    "core/sweep_records.py": ("unit/test_sweep_files.py", "types of where a sweep stands, no code"),
    "sweeping/": ("unit/test_api_sweep.py", "the work of a sweep as a whole, with a pipeline that takes no time"),
    "core/field_types.py": ("unit/test_records.py", "types of fields, no code"),
    "measure/observation.py": ("unit/test_layer_counts.py", "types of what a device saw, no code"),
    **{
        f"networks/importers/{name}.py": ("unit/test_onnx_operations.py", "ONNX's own tests run all of them")
        for name in ("onnx_elements", "onnx_layer", "onnx_shapes", "onnx_types", "onnx_windows", "forms")
    },
    **{
        f"networks/importers/{name}.py": ("unit/test_export_operations.py", "every operation is compared with torch's")
        for name in ("export_elements", "export_layer", "export_shapes", "export_windows")
    },
    "networks/importers/imported.py": ("unit/test_front_ends.py", "a type: what a front end gives"),
    "networks/importers/programs.py": (
        "unit/test_export_file.py",
        "programs of files; of functions: test_module_function.py",
    ),
    "networks/families/": ("unit/test_families.py", "networks as strings, beside timm's and torchvision's"),
    "core/quantized.py": ("unit/test_quantized_weights.py", "types of what quantisation is and costs, no code"),
    "networks/network_weights.py": ("unit/test_weights.py", "a type: what a network is built with"),
    "cli/history_add.py": ("unit/test_cli_history.py", "the commands of the group together"),
    "cli/history_export.py": ("unit/test_cli_history.py", "likewise"),
    "cli/history_list.py": ("unit/test_cli_history.py", "likewise"),
    "cli/completing.py": ("unit/test_cli_completion.py", "asked by shells"),
    "cli/meant.py": ("unit/test_cli_command.py", "what a group says"),
    "cli/examples.py": ("unit/test_cli_command.py", "what help shows"),
    "cli/store_options.py": ("unit/test_cli_history.py", "likewise"),
    "terminal/history_listings.py": ("unit/test_cli_history.py", "likewise"),
    "history/adding.py": ("unit/test_history_store.py", "a part of the store, on both databases"),
    "history/reading.py": ("unit/test_history_store.py", "likewise"),
    "history/series.py": ("unit/test_history_store.py", "types, no code"),
    "history/tables.py": ("unit/test_history_database.py", "compared with what the versions make"),
    "history/versions/": ("unit/test_history_database.py", "likewise"),
    "page/view_types.py": ("unit/test_views.py", "types of what a page is given, no code"),
}
"""Modules and folders whose tests bear another name: where these are, and why."""


def imported(test: ast.Module) -> set[str]:
    """Return the modules of mbench that a test imports: by their names, or by a public name of `mbench`."""
    found = set()
    for node in ast.walk(test):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}", *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "mbench" and node.attr in mbench._HOMES:
            found.add(f"mbench.{mbench._HOMES[node.attr]}")
    return {name.removeprefix("mbench.").replace(".", "/") + ".py" for name in found if name.startswith("mbench.")}


def named_after(module: str, modules: Collection[str], tests: Mapping[str, Collection[str]]) -> list[str]:
    """Return the tests that are found by a module's name, and import it.

    Args:
        module: of `modules`.
        modules: all that there are. Of two with the same name one alone can have the plain name for its tests: the one
            that these import without importing the other. The tests of the other have its package in their name.
        tests: the modules that each test imports.
    """
    path = PurePosixPath(module)
    others = {each for each in modules if PurePosixPath(each).stem == path.stem} - {module}
    found = []
    for test, imports in tests.items():
        plain = PurePosixPath(test).name == f"test_{path.stem}.py" and not others & set(imports)
        full = PurePosixPath(test).name == f"test_{path.parent.name}_{path.stem}.py"
        if (plain or full) and module in imports:
            found.append(test)
    return found


def untested(modules: Collection[str], tests: Mapping[str, Collection[str]]) -> list[str]:
    """Return the modules whose tests are neither found by name nor listed."""
    listed = tuple(TESTED_ELSEWHERE)
    return [each for each in modules if not named_after(each, modules, tests) and not each.startswith(listed)]


@functools.cache
def imports_of_tests() -> dict[str, set[str]]:
    """Return the modules that each test imports: read when it is asked for, not by each worker."""
    folder = ROOT / "tests"
    return {path.relative_to(folder).as_posix(): imported(tree(path)) for path in folder.rglob("test_*.py")}


TESTED = [path.relative_to(PACKAGE).as_posix() for path in MODULES if path.stem not in ("__init__", "__main__")]


def test_the_tests_of_a_module_are_found_by_its_name() -> None:
    assert untested(TESTED, imports_of_tests()) == []


NEW = "core/new.py"


@pytest.mark.parametrize(
    ("modules", "tests", "missing"),
    [
        ([NEW], {}, [NEW]),
        ([NEW], {"unit/test_other.py": {NEW}}, [NEW]),
        ([NEW], {"unit/test_new.py": {"core/other.py"}}, [NEW]),
        ([NEW], {"unit/test_new.py": {NEW}}, []),
        ([NEW], {"unit/test_core_new.py": {NEW}}, []),
        ([NEW, "cli/new.py"], {"unit/test_new.py": {NEW}}, ["cli/new.py"]),
        ([NEW, "cli/new.py"], {"unit/test_new.py": {NEW, "cli/new.py"}}, [NEW, "cli/new.py"]),
        ([NEW, "cli/new.py"], {"unit/test_new.py": {NEW}, "unit/test_cli_new.py": {NEW}}, ["cli/new.py"]),
        ([NEW, "cli/new.py"], {"unit/test_new.py": {NEW}, "unit/test_cli_new.py": {NEW, "cli/new.py"}}, []),
    ],
)
def test_a_module_without_tests_of_its_name_is_noticed(
    modules: list[str], tests: dict[str, set[str]], missing: list[str]
) -> None:
    assert untested(modules, tests) == missing


def test_what_a_test_imports_is_known_by_any_spelling() -> None:
    test = ast.parse(
        """
import mbench.core.units
from mbench.hardware import host as machine
def test():
    from mbench.page.views import of_record
    mbench.compare()
    other.gate()
"""
    )
    assert imported(test) >= {"core/units.py", "hardware/host.py", "page/views.py", "api/gate.py"}
    assert "cli/gate.py" not in imported(test)
    assert imported(ast.parse("other.gate()\nfrom mbench import devices")) == {"devices.py"}


@pytest.mark.parametrize("module", TESTED_ELSEWHERE)
def test_what_is_listed_is_there_and_is_not_found_by_name(module: str) -> None:
    test, reason = TESTED_ELSEWHERE[module]
    assert test in imports_of_tests()
    assert reason
    inside = [each for each in TESTED if each.startswith(module)]
    assert inside
    if not module.endswith("/"):
        assert named_after(module, TESTED, imports_of_tests()) == [], "leave it out of the list"


def contracts(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    return subprocess.run([*command, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


def test_imports_follow_the_data_and_one_that_does_not_is_found(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "mbench", ignore=shutil.ignore_patterns("__pycache__", "_data"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    clean = contracts(tmp_path)
    assert clean.returncode == 0, clean.stdout
    planted = {"core/units.py": "mbench.page.report", "core/bounds.py": "mbench.core.toml_files"}
    planted["gating/limits.py"] = "mbench.pipeline.runner"
    for file, module in planted.items():
        with (tmp_path / "mbench" / file).open("a", encoding="utf-8") as text:
            text.write(f"\nimport {module}\n")
    with (tmp_path / "mbench" / "core" / "toml_files.py").open("a", encoding="utf-8") as text:
        text.write("\nimport mbench.core.bounds\n")  # and so the two are a circle
    found = contracts(tmp_path)
    assert found.returncode != 0
    assert found.stdout.count("BROKEN") == 3
    assert "mbench.core.units -> mbench.page.report" in found.stdout
    assert "mbench.gating.limits -> mbench.pipeline.runner" in found.stdout
