"""What the documents say of the code is so: paths and names that they name exist, and figures are the code's."""

from __future__ import annotations

import re
import statistics
import tomllib
from pathlib import Path

import msgspec
import pytest

from mbench import api
from mbench.analysis import latency_model_error
from mbench.api import sweep
from mbench.build import builders, dask_cluster
from mbench.core.field_types import ROLES
from mbench.core.records import FORMAT_MINOR
from mbench.core.run_options import RunOptions
from mbench.core.sustained import MOST_POINTS
from mbench.core.sweep_definition import SweepDefinition
from mbench.core.version import VERSION
from mbench.devices.farm_file import FarmFile
from mbench.fitting import search
from mbench.gating import limits
from mbench.gating.matching import LayerKind
from mbench.history import check, database, publish, store
from mbench.history.quantities import QUANTITIES
from mbench.networks import sizes

ROOT = Path(__file__).parents[2]
ARCHITECTURE = ROOT / "docs" / "architecture.md"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
_PATH = re.compile(r"`((?:mbench|targets|reports|tests|benchmarks|docs|\.ci)/[\w./-]*)`")


def missing(document: Path, root: Path = ROOT) -> list[str]:
    """Return the paths that a document names in backticks and that are not there."""
    named = _PATH.findall(document.read_text(encoding="utf-8"))
    return [path for path in named if not (root / path).exists()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_that_is_named_exists(document: Path) -> None:
    assert missing(document) == []


def test_a_path_that_does_not_exist_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("see `mbench/core/units.py` and `mbench/core/gone.py`", encoding="utf-8")
    assert missing(page) == ["mbench/core/gone.py"]


def rows() -> dict[str, list[str]]:
    """Return the table of packages: its folder, and the files named in its last column."""
    table = re.findall(
        r"^\| `(mbench/\w+/)` \|[^|]*\|([^|]*)\|$", ARCHITECTURE.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {folder: re.findall(r"`([\w./]+)`", files) for folder, files in table}


def test_every_package_is_in_the_table_of_the_architecture_with_files_that_exist() -> None:
    packages = {f"mbench/{folder.parent.name}/" for folder in (ROOT / "mbench").glob("*/__init__.py")}
    assert set(rows()) == packages
    assert [
        (folder, file) for folder, files in rows().items() for file in files if not (ROOT / folder / file).exists()
    ] == []


def test_the_picture_of_the_architecture_shows_packages() -> None:
    [picture] = re.findall(r"```mermaid\n(.*?)```", ARCHITECTURE.read_text(encoding="utf-8"), re.DOTALL)
    drawn = set(re.findall(r"\b[a-z]+\b", re.sub(r"\(\[.*?\]\)", "", picture))) - {"flowchart", "record"}
    assert {f"mbench/{name}/" for name in drawn} <= set(rows())


def changelog() -> dict[str, list[str]]:
    """Return the kinds of entries of each version, newest first."""
    _, *sections = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {section.partition("\n")[0]: re.findall(r"^### (.+)$", section, re.MULTILINE) for section in sections}


def test_the_changelog_begins_with_this_version_and_is_by_kind() -> None:
    newest = next(iter(changelog()))
    assert re.fullmatch(rf"{re.escape(VERSION)} \(\d{{4}}-\d\d-\d\d\)", newest)
    order = ["Added", "Changed", "Fixed", "Security"]
    assert all(kinds == [kind for kind in order if kind in kinds] for kinds in changelog().values())


# ------------------------------------------------------------------------------------------------------------- figures
def words(document: str) -> str:
    """Return a document in one line, since a sentence may go on in the next one."""
    return " ".join((ROOT / document).read_text(encoding="utf-8").split())


def rows_of(document: str, heading: str) -> dict[str, list[str]]:
    """Return the rows of the table below a heading row: the first cell, without backticks, and the others."""
    _, found, below = (ROOT / document).read_text(encoding="utf-8").partition(f"{heading}\n")
    assert found, heading
    table = below.partition("\n\n")[0].splitlines()[1:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {first.strip("`"): others for first, *others in cells}


SAID = (
    ("README.md", f"width multiplier from {sizes.MIN_WIDTH} to {sizes.MAX_WIDTH} and"),
    ("README.md", f"a resolution from {sizes.MIN_RESOLUTION} to {sizes.MAX_RESOLUTION}"),
    ("docs/cluster.md", f"| no worker for {dask_cluster.NO_WORKER_S / 60:g} minutes |"),
    ("docs/devices.md", f"`--timeout` seconds ({RunOptions().timeout_s:g})"),
    ("docs/fit.md", f"no better known than {search._NEAR_POINTS} points"),
    ("docs/history.md", f"those within the last {check.RUNS} runs"),
    ("docs/history.md", f"last run is {check.ENDED.days} days older than the newest"),
    ("docs/history.md", f"more than is tolerated within {check.LONG_AGO} runs"),
    ("docs/history.md", f"transactions of up to {store._BATCH}."),
    ("docs/history.md", f"({publish.RECORD_PAGES} by default, `all` for all)"),
    ("docs/history.md", f"waits up to {database.WAIT_S:g} s for others"),
    ("docs/numbers.md", f"`--build-timeout` seconds ({builders.TIMEOUT_S:g})"),
    ("docs/record.md", f"up to {MOST_POINTS} slices"),
    ("docs/sweeps.md", f"by default {SweepDefinition(networks=('x',)).networks_per_record}."),
    ("docs/sweeps.md", f"if the sweep has at most {sweep.MOST_PAGED} cells"),
)
"""Sentences with a figure of the code."""


@pytest.mark.parametrize(("document", "said"), SAID, ids=lambda text: text[:40])
def test_a_figure_in_a_sentence_is_the_codes(document: str, said: str) -> None:
    assert said in words(document)


def test_the_defaults_of_a_farm_are_those_of_its_file() -> None:
    shown = {"from the spread": "None", "`true`": "True"}
    table = rows_of("docs/farm.md", "| of the farm | default | is |")
    defaults = {field.name: field.default for field in msgspec.structs.fields(FarmFile) if not field.required}
    del defaults["labgrid"]
    said = {name: shown.get(default, default.strip("`")) for name, (default, _) in table.items()}
    assert said == {name: f"{each:g}" if isinstance(each, float) else str(each) for name, each in defaults.items()}


def test_the_limits_of_a_boards_server_are_those_of_its_source() -> None:
    table = rows_of("docs/devices.md", "| option | default | limits |")
    source = (ROOT / "mbench" / "native" / "server.cc").read_text(encoding="utf-8")
    [numbers] = re.findall(r"double hello_s = (\d+), idle_s = (\d+), upload_mib = (\d+);", source)
    assert tuple(default for default, _ in table.values()) == numbers


def test_what_is_tolerated_is_what_the_gate_tolerates() -> None:
    table = rows_of("docs/ci.md", "| tolerated by default | of a layer | of a network |")
    metrics = {
        "counts": "instructions", "time": "latency", "time under load (`sustained_latency`)": "sustained_latency",
        "size of the library": "library_bytes", "memory, weights, multiply-adds": "weight_bytes",
    }  # fmt: skip
    known, layer = limits.Limits(), LayerKind("conv2d", "standard", None)
    for name, (of_layer, of_network) in table.items():
        for said, kind in ((of_layer, layer), (of_network, None)):
            expected = 100 * known.threshold("x", kind, metrics[name])
            assert said in ("", f"{expected:g}{' %' if expected else ''}"), name


def test_the_roles_and_the_newest_minor_version_are_those_of_records() -> None:
    [roles] = rows_of("docs/record.md", "### A layer\n\n| field | what it holds |")["results[].layers[].role"]
    assert tuple(re.findall(r"`(\w+)`", roles)) == ROLES
    assert max(map(int, rows_of("docs/record.md", "| minor version of 2 | adds |"))) == FORMAT_MINOR


def test_every_quantity_of_a_history_is_named() -> None:
    page = words("docs/history.md")
    assert [name for name in QUANTITIES if f"`{name}`" not in page] == []


def test_the_page_of_the_set_up_names_every_extra_and_every_python() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(rows_of("docs/setup.md", "| extra | for |")) == {*project["optional-dependencies"]} - {
        "dev", "lint", "test",
    }  # fmt: skip
    pythons = [f"Python {each.rpartition(' ')[2]}" for each in project["classifiers"] if "Python :: 3." in each]
    assert [row for row in rows_of("docs/setup.md", "| | state |") if row.startswith("Python")] == pythons


def test_the_errors_of_the_latency_model_are_those_that_ship() -> None:
    table = rows_of("docs/models.md", "| against | median error | worst |")
    errors: dict[int, dict[tuple[str, str], list[float]]] = {}
    for each in latency_model_error.known():
        if each.kind == latency_model_error.PUBLISHED:
            errors.setdefault(each.threads, {}).setdefault((each.core, each.runtime), []).append(100 * abs(each.error))
    for name, threads in (("published for Raspberry Pi boards, one thread", 1), ("the same, four threads", 4)):
        medians = [statistics.median(found) for found in errors[threads].values()]
        worst = max(error for found in errors[threads].values() for error in found)
        assert table[name] == [f"{min(medians):.0f} to {max(medians):.0f} %", f"{worst:.0f} %"]


# --------------------------------------------------------------------------------------------------------------- names
def test_the_abilities_of_a_device_are_methods_of_the_protocols() -> None:
    [paragraph] = re.findall(r"The opener gets the target.*?says so\.", words("docs/extending.md"))
    named = set(re.findall(r"`(\w+)`", paragraph)) - {"MeasureError", "name"}
    source = (ROOT / "mbench" / "devices" / "protocols.py").read_text(encoding="utf-8")
    assert {"calibrate", "sustain"} < named <= set(re.findall(r"def (\w+)\(", source))


def test_the_rules_for_gpus_are_those_that_there_are() -> None:
    source = (ROOT / "mbench" / "compile" / "schedules" / "gpu" / "__init__.py").read_text(encoding="utf-8")
    assert set(rows_of("docs/gpu-kernels.md", "| rule | takes | how |")) == set(re.findall(r'"(gpu\.\w+)": ', source))


def test_every_rule_that_is_named_exists() -> None:
    folder = ROOT / "mbench" / "compile" / "schedules"
    source = "".join((folder / kind / "__init__.py").read_text(encoding="utf-8") for kind in ("cpu", "gpu"))
    named = {rule for each in DOCUMENTS for rule in re.findall(r"`([cg]pu\.\w+)`", each.read_text(encoding="utf-8"))}
    assert named <= set(re.findall(r'"([cg]pu\.\w+)": ', source))


def test_the_api_names_each_of_its_modules() -> None:
    listed = re.findall(r"^(\w+) {2,}\S", api.__doc__ or "", re.MULTILINE)
    assert set(listed) == {file.stem for file in Path(api.__file__).parent.glob("*.py")} - {"__init__"}


def test_every_variable_of_the_environment_is_explained() -> None:
    source = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "mbench").rglob("*.py"))
    table = rows_of("docs/command-line.md", "| variable | names | without it |")
    assert set(table) == set(re.findall(r'"(MBENCH_[A-Z_]+[A-Z])"', source))
