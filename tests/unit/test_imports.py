"""What reads, plans and shows must not load the compiler: it takes seconds, and its crashes are for child processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import mbench

HEAVY = ("tvm", "torch")


def loaded(module: str, names: tuple[str, ...]) -> list[str]:
    code = f"import sys, {module}\nprint(*(name for name in {names!r} if name in sys.modules))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


PACKAGE = Path(mbench.__file__).parent
LIGHT = (
    *("analysis", "api", "build", "cli", "core", "gating", "hardware", "history", "page", "pipeline", "terminal"),
    *("devices.doctor", "devices.emulated", "devices.local", "devices.package", "devices.registry", "devices.rpc"),
    *("devices.toolchain", "devices.tvm_runtime", "devices.worker"),
)
"""Packages of which every module is light, and single modules."""


def modules(name: str) -> list[str]:
    """Return a module, or all that lie in a package."""
    place = PACKAGE.joinpath(*name.split("."))
    files = place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]
    return [
        "mbench." + ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        for file in files
    ]


@pytest.fixture(scope="module")
def heavy_after() -> dict[str, list[str]]:
    """Return, for each of `LIGHT`, what of `HEAVY` is there once it is imported: one after the other in one process."""
    steps = {name: modules(name) for name in LIGHT}
    code = (
        f"import importlib, json, sys\nfound = {{}}\nfor name, inside in {steps!r}.items():\n"
        f"    for module in inside: importlib.import_module(module)\n"
        f"    found[name] = [heavy for heavy in {HEAVY!r} if heavy in sys.modules]\n"
        "print(json.dumps(found))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("module", LIGHT)
def test_neither_tvm_nor_torch(heavy_after: dict[str, list[str]], module: str) -> None:
    assert heavy_after[module] == []


def test_the_check_can_fail() -> None:
    assert loaded("mbench.measure.program", HEAVY) == ["tvm", "torch"]


def test_the_commands_that_answer_at_once() -> None:
    heavy = ("pandas", "plotly", "scipy", "rich", "numpy", "msgspec", "hashlib")
    assert loaded("mbench.cli.main", heavy) == []
    assert loaded("mbench.terminal.record_tables", ("pandas", "plotly", "scipy")) == []
    assert loaded("mbench.gating.outputs.page", ("pandas", "plotly", "scipy", "numpy")) == []
