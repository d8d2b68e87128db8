"""The shape of the package: what a newcomer relies on when they look for a thing by its name."""

from __future__ import annotations

import ast
import collections
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
    "api/listing.py": ("unit/test_api.py", "the functions of the API are tested in one place"),
    "api/tune.py": ("unit/test_api.py", "the functions of the API are tested in one place"),
    "build/artifact_store.py": ("unit/test_builders.py", "a builder and its store"),
    "build/local_executor.py": ("unit/test_builders.py", "a builder and its executor"),
    "core/newer_minor.py": ("unit/test_record_migrations.py", "records of other versions"),
    "devices/protocols.py": ("unit/test_platforms.py", "which device has which protocol"),
    "gating/outputs/files.py": ("unit/test_gate_command.py", "the files that the gate writes"),
    "gating/outputs/forms.py": ("unit/test_plugins.py", "forms that packages add"),
    "hardware/device_kinds.py": ("unit/test_platforms.py", "what differs by platform and by device"),
    "pipeline/layer_results.py": ("unit/test_results.py", "parts of a result"),
    "pipeline/missing_fields.py": ("unit/test_results.py", "parts of a result"),
    "pipeline/time_balance.py": ("unit/test_results.py", "parts of a result"),
    "cli/": ("unit/test_cli.py", "a command is tested by running it, all commands in one place"),
    "compile/schedules/gpu/": ("unit/test_gpu_rules.py", "one list of cases runs every rule against PyTorch"),
    "compile/schedules/cpu/sliding.py": ("unit/test_cpu_depthwise.py", "what depthwise convolution and pooling share"),
    "compile/kernel_kinds.py": ("unit/test_kernel.py", "what a kernel is read to be"),
    "compile/rows.py": ("unit/test_cpu_rows.py", "how a kernel along rows is read off its blocks"),
    "compile/windows.py": ("unit/test_kernel.py", "how a kernel's windows are read off its blocks"),
    "compile/schedules/cpu/winograd_layout.py": ("unit/test_winograd.py", "a part of Winograd"),
    "compile/winograd_transforms.py": ("unit/test_winograd.py", "a part of Winograd"),
    "compile/schedules/rule.py": ("unit/test_dispatch.py", "the type of a rule; the rules in their order"),
    "compile/schedules/metaschedule.py": ("integration/test_tune_command.py", "takes a search's database"),
    "compile/codegen.py": ("unit/test_cuda_graph.py", "the functions of a library; integration/test_build.py runs it"),
    "compile/machine.py": (
        "unit/test_gpu_limits.py",
        "what a GPU holds; the tests of rules read a CPU's",
    ),
    "build/compilers.py": ("unit/test_tuner.py", "candidates are compiled as a search asks for them"),
    "core/bounds.py": ("unit/test_toml_files.py", "each bound, at and beyond it"),
    "core/field_types.py": ("unit/test_records.py", "types of fields, no code"),
    "core/machine_types.py": ("unit/test_targets.py", "types of a target and a machine, no code"),
    "core/record_files.py": ("unit/test_records.py", "a record's file and its rules are tested as one"),
    "core/record_rules.py": ("unit/test_records.py", "a record's file and its rules are tested as one"),
    "core/processes.py": ("unit/test_runner.py", "children hear no Ctrl-C; integration/test_interrupt.py"),
    "core/version.py": ("unit/test_cli.py", "one string, printed by --version"),
    "devices/counting.py": ("integration/test_counters.py", "counts in emulation"),
    "devices/emulated.py": ("integration/test_counters.py", "counts in emulation"),
    "devices/emulation.py": ("integration/test_counters.py", "counts in emulation"),
    "devices/local.py": ("integration/test_worker.py", "the worker process of this machine"),
    "devices/process.py": ("integration/test_worker.py", "the worker process of this machine"),
    "devices/remote_session.py": ("integration/test_rpc_failures.py", "a session on a board, and how it ends"),
    "devices/rpc_jobs.py": ("integration/test_rpc.py", "jobs on a board"),
    "devices/tvm_runtime.py": ("unit/test_toolchain.py", "TVM's runtime for boards, fetched and checked"),
    "gating/baseline.py": ("unit/test_gate_command.py", "renewed by `gate --update-baseline`"),
    "gating/comparison.py": ("unit/test_verdict.py", "types of a comparison; judged there"),
    "gating/coverage.py": ("unit/test_asked.py", "every way in which a network can be left out"),
    "hardware/target_file.py": ("unit/test_targets.py", "reads a target"),
    "measure/observation.py": ("unit/test_results.py", "types of what a device saw"),
    "measure/session.py": ("unit/test_latency.py", "the loaded network that latency times"),
    "networks/families/": ("unit/test_architectures.py", "networks as strings"),
    "page/charts.py": ("unit/test_report.py", "read on the page"),
    "page/drawing.py": ("unit/test_figures.py", "colours and marks of all figures"),
    "page/figures_history.py": ("unit/test_record_history.py", "drawn from that table"),
    "page/view_types.py": ("unit/test_report.py", "read on the page"),
    "page/views.py": ("unit/test_report.py", "read on the page"),
    "pipeline/job.py": ("unit/test_options.py", "made of options"),
    "pipeline/keeping.py": ("unit/test_runner.py", "what a run keeps"),
    "pipeline/observe.py": ("unit/test_runner.py", "how a run asks a device"),
    "terminal/count_tables.py": ("unit/test_layer_counts.py", "printed for records with counts"),
    "terminal/listings.py": ("unit/test_cli.py", "printed by variants, targets and doctor"),
    "terminal/tuning_tables.py": ("unit/test_tuner.py", "printed of a search"),
    "tuning/candidates.py": ("integration/test_tune_command.py", "kernels as a search makes them"),
    "tuning/jobs.py": ("integration/test_tune_command.py", "the tasks of a search"),
    "tuning/metaschedule_search.py": ("integration/test_tune_command.py", "`tune --deep`"),
    "tuning/search.py": ("unit/test_tuner.py", "decides among made-up times"),
    "tuning/timer.py": ("integration/test_tune_command.py", "times kernels in a worker"),
    "tuning/tuning_result.py": ("unit/test_tuner.py", "what a tuner gives"),
    "tuning/timing.py": ("integration/test_tune_command.py", "times kernels in a worker"),
}
"""Modules and folders whose tests bear another name: where these are, and why."""


def named_after(module: str, tests: Collection[str]) -> list[str]:
    """Return the tests that are found by a module's name, with its package before it where two modules share one."""
    path = PurePosixPath(module)
    names = {f"test_{path.stem}.py", f"test_{path.parent.name}_{path.stem}.py"}
    return [test for test in tests if PurePosixPath(test).name in names]


def untested(modules: Collection[str], tests: Collection[str]) -> list[str]:
    """Return the modules whose tests are neither found by name nor listed."""
    listed = tuple(TESTED_ELSEWHERE)
    return [each for each in modules if not named_after(each, tests) and not each.startswith(listed)]


TESTS = [path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("test_*.py")]
TESTED = [path.relative_to(PACKAGE).as_posix() for path in MODULES if path.stem not in ("__init__", "__main__")]


def test_the_tests_of_a_module_are_found_by_its_name() -> None:
    assert untested(TESTED, TESTS) == []


def test_a_module_without_tests_is_noticed() -> None:
    assert untested(["core/new.py", "measure/gpu_new.py"], TESTS) == ["core/new.py", "measure/gpu_new.py"]
    assert untested(["core/new.py", "measure/new.py"], ["unit/test_measure_new.py"]) == ["core/new.py"]


@pytest.mark.parametrize("module", TESTED_ELSEWHERE)
def test_what_is_listed_is_there_and_is_not_found_by_name(module: str) -> None:
    test, reason = TESTED_ELSEWHERE[module]
    assert test in TESTS
    assert reason
    inside = [each for each in TESTED if each.startswith(module)]
    assert inside
    if not module.endswith("/"):
        assert named_after(module, TESTS) == [], "leave it out of the list"


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
