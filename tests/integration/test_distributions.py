"""The wheel and the source archive: what is in them, and that the package index would take them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from conftest import require
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder
from ruamel.yaml import YAML

from mbench.core.version import VERSION

ROOT = Path(__file__).parents[2]
RELEASE = ROOT / ".github" / "workflows" / "release.yml"
DATA = {"targets": "*/target.toml", "reports": "*.j2", "published": "*.csv"}
MOST_BYTES = {"wheel": 3_000_000, "sdist": 8_000_000}
"""What the package may weigh: a file that nobody meant to ship is seen."""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of what is under version control: what lies about beside it is no part of a release."""
    require((ROOT / ".git").exists() and shutil.which("git"), "the project's git repository beside the tests")
    folder = tmp_path_factory.mktemp("source")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(next(WheelBuilder(str(source)).build(directory=str(tmp_path_factory.mktemp("wheel")))))


@pytest.fixture(scope="module")
def sdist(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(next(SdistBuilder(str(source)).build(directory=str(tmp_path_factory.mktemp("sdist")))))


def in_wheel(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def in_sdist(sdist: Path) -> set[str]:
    with tarfile.open(sdist) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def files(folder: Path, pattern: str) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.glob(pattern) if path.is_file()}


def strangers(names: Iterable[str]) -> list[str]:
    """Return what no release has: compiled Python, caches, hidden files, and what a run leaves behind."""
    wrong = re.compile(
        r"__pycache__|\.pyc$|(?:^|/)\.(?!ci/)|mbench-results|docs/(?:_build|generated)|^(?!tests/data/).*\.so$|\.log$"
    )
    return [name for name in names if wrong.search(name)]


def test_the_wheel_is_named_by_the_version_and_is_of_every_machine(wheel: Path) -> None:
    assert wheel.name == f"mobilenet_bench-{VERSION}-py3-none-any.whl"


def test_the_wheel_has_the_package_its_data_and_nothing_else(wheel: Path, source: Path) -> None:
    names = in_wheel(wheel)
    about = f"mobilenet_bench-{VERSION}.dist-info"
    assert {name.partition("/")[0] for name in names} == {"mbench", about}
    assert {name for name in names if name.startswith("mbench/") and not name.startswith("mbench/_data/")} == {
        f"mbench/{name}" for name in files(source / "mbench", "**/*")
    }
    assert "mbench/py.typed" in names
    for folder in DATA:
        assert {name for name in names if name.startswith(f"mbench/_data/{folder}/")} == {
            f"mbench/_data/{folder}/{name}" for name in files(source / folder, "**/*")
        }
    assert {name for name in names if name.startswith(about)} == {
        f"{about}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    }


@pytest.mark.parametrize("folder", DATA)
def test_the_data_are_where_the_code_looks_for_them(wheel: Path, source: Path, folder: str) -> None:
    there = {f"mbench/_data/{folder}/{name}" for name in files(source / folder, DATA[folder])}
    assert there
    assert there <= in_wheel(wheel)


def test_the_source_archive_has_what_building_and_testing_take(sdist: Path, source: Path) -> None:
    names = in_sdist(sdist)
    kept = {"mbench", "targets", "reports", "published", "docs", "tests", "benchmarks", ".ci"}
    assert {name for name in names if "/" in name and name.partition("/")[0] not in kept} == set()
    assert {name for name in names if "/" not in name} == {
        *("PKG-INFO", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "pyproject.toml", "tox.ini"),
        ".gitignore",
    }
    for folder in kept:
        assert {f"{folder}/{name}" for name in files(source / folder, "**/*")} <= names


def test_nothing_lies_about_in_them(wheel: Path, sdist: Path) -> None:
    assert strangers(in_wheel(wheel)) == []
    assert strangers(in_sdist(sdist) - {".gitignore"}) == []
    assert wheel.stat().st_size < MOST_BYTES["wheel"]
    assert sdist.stat().st_size < MOST_BYTES["sdist"]


@pytest.mark.parametrize("name", ["mbench/a.pyc", "mbench/__pycache__/x", "tests/.coverage", "docs/_build/a.html"])
def test_a_stranger_is_seen(name: str) -> None:
    assert strangers([name, ".ci/run", "mbench/cli/run.py"]) == [name]


def test_the_package_index_would_take_them(wheel: Path, sdist: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", str(wheel), str(sdist)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2


@pytest.mark.parametrize(("tag", "code"), [(f"v{VERSION}", 0), ("v9.9.9", 1)])
def test_a_release_refuses_a_tag_that_is_not_the_version(tag: str, code: int) -> None:
    require(RELEASE.is_file(), "the project's files beside the tests")
    steps = YAML(typ="safe", pure=True).load(RELEASE)["jobs"]["build"]["steps"]
    [check] = [step["run"] for step in steps if step.get("name") == "the tag is the version"]
    done = subprocess.run(
        ["bash", "-e", "-c", check], cwd=ROOT, env={"GITHUB_REF_NAME": tag, "PATH": "/usr/bin:/bin"}, check=False
    )
    assert done.returncode == code
