"""The public names, what README shows of them, and that the command line has no abilities of its own."""

from __future__ import annotations

import ast
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from api_fakes import Fake
from conftest import Mbench

import mbench
from mbench.api import run as run_module
from mbench.api import tune as tune_module

pytest_plugins = ("api_fixtures",)
pytestmark = pytest.mark.usefixtures("machine")

ROOT = Path(mbench.__file__).parent.parent


# ------------------------------------------------------------------------------------------------------------ the names
def test_every_public_name_is_there_and_documented() -> None:
    for name in set(mbench.__all__) - {"__version__"}:
        assert (inspect.getdoc(getattr(mbench, name)) or "").strip(), name
    assert set(mbench.__all__) - {"__version__"} == set(mbench._HOMES)
    assert set(mbench.__all__) <= set(dir(mbench))


def test_type_checkers_see_every_public_name() -> None:
    module = ast.parse(Path(mbench.__file__).read_text(encoding="utf-8"))
    block, _ = [node for node in module.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == {name: f"mbench.{home}" for name, home in mbench._HOMES.items()}


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'mbench' has no attribute 'runs'"):
        mbench.runs  # type: ignore[attr-defined]  # noqa: B018


def test_functions_take_options_by_name_and_say_what_they_raise() -> None:
    for name in ("run", "resume", "fit", "predict", "tune", "report", "compare", "gate"):
        function = getattr(mbench, name)
        kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
        assert kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD) <= 2, name
        assert all(part in inspect.getdoc(function) for part in ("Args:", "Raises:", "Example")), name  # type: ignore[operator]


def test_importing_mbench_imports_nothing_heavy() -> None:
    code = "import sys, mbench\nprint(*sorted(name for name in sys.modules if '.' not in name))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"typing", "click", "msgspec", "pandas", "plotly", "rich", "jinja2", "numpy", "scipy"} & set(
        found.stdout.split()
    )


# ----------------------------------------------------------------------------------- the command line does the same
def test_what_the_readme_says_runs(run: Mbench, fake: Fake, sides: tuple[Path, Path]) -> None:
    """The first Python block, on records in place of a measurement."""
    del run  # in an empty folder
    for side in sides:
        shutil.copy(side, ".")
    [code] = re.findall(
        r"```python\n(.*?)```", (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    assert len(code.splitlines()) <= 12
    names: dict[str, Any] = {}
    exec(code, names)
    assert (Path("page.html").exists(), names["verdict"].conclusion) == (True, "regressed")
    assert set(names["table"]["variant"]) == {"mobilenet_v1_0.25_128"}
    assert fake.jobs[0].settings.threads == 1


# ------------------------------------------------------------------------------------------------------------- reading
def test_the_command_line_asks_the_api() -> None:
    """No command reaches behind `mbench.api` for what the API does."""
    forbidden = (
        *("mbench.pipeline", "mbench.tuning.tuner", "mbench.gating.verdict", "mbench.page", "package.pack"),
        *("registry.add", "registry.remove", "registry.devices", "record_files.json_schema"),
    )
    for file in (ROOT / "mbench" / "cli").glob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert "dict[str, Any]" not in text or file.stem == "device", file
        found = [name for name in forbidden if name in text]
        assert not found or (file.stem, found) == ("completing", ["registry.devices"]), file  # while somebody types
    assert run_module.run is mbench.run
    assert tune_module.tune is mbench.tune
