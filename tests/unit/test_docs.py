"""What the documents say of the code is so: the paths that they name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mbench.core.version import VERSION

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
