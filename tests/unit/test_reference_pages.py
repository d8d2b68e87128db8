"""The generated reference names every command, option, public name and field, and the site's links are checked."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import msgspec
import pytest

import mbench
from mbench.cli import main
from mbench.core import record_files

DOCS = Path(__file__).parents[2] / "docs"


def module(name: str) -> ModuleType:
    """Import a module of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


reference, links = module("reference_pages"), module("check_links")


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return dict(reference.pages())


# --------------------------------------------------------------------------------------------------------- command line
def commands(group: click.Group, before: str) -> list[tuple[str, click.Command]]:
    found = []
    for name, command in group.commands.items():
        found.append((f"{before} {name}", command))
        if isinstance(command, click.Group):
            found += commands(command, f"{before} {name}")
    return found


def test_every_command_and_option_is_there(pages: dict[str, str]) -> None:
    sections = re.split(r"^#+ ", pages["command-line"], flags=re.MULTILINE)
    by_name = {section.partition("\n")[0]: section for section in sections}
    for name, command in commands(main.main, "mbench"):
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert max(parameter.opts, key=len) in by_name[name], (name, parameter.opts)


def test_a_help_text_has_no_marks_of_markdown() -> None:
    command = click.Command("x", help="Takes 'a_{b,c}*'.\n\n\b\nas it\n  stands\n\nLast.")
    assert reference._help(command.help) == "Takes 'a\\_\\{b,c\\}\\*'.\n\n```text\nas it\n  stands\n```\n\nLast."


# --------------------------------------------------------------------------------------------------------------- Python
def test_every_public_name_is_there(pages: dict[str, str]) -> None:
    headings = re.findall(r"^### (\w+)$", pages["python"], re.MULTILINE)
    assert set(headings) == set(mbench.__all__) - {"__version__"}


def test_a_function_is_shown_as_it_is_called() -> None:
    def call(first: int, *, second: str = "x") -> None:
        """Do it.

        Args:
            first: a number
                that goes on.

        Example:
            ```python
            if True:
                call(1)
            ```
        """

    assert reference.signature("m.call", call) == ("```python\nm.call(first: int, *, second: str = 'x') -> None\n```")
    assert reference.docstring(call).splitlines() == [
        "Do it.", "", "**Args**", "", "- `first`: a number", "  that goes on.", "", "**Example**", "", "```python",
        "if True:", "    call(1)", "```",
    ]  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------- files
def test_every_field_of_a_record_is_there(pages: dict[str, str]) -> None:
    schema = record_files.json_schema()
    for name, struct in schema["$defs"].items():
        for field in struct.get("properties", {}):
            assert f"| `{field}` |" in pages["record-fields"], (name, field)


def test_every_table_of_the_projects_file_is_there(pages: dict[str, str]) -> None:
    from mbench.core.project_file import ProjectFile

    for field in msgspec.structs.fields(ProjectFile):
        assert f"| `{field.name}` |" in pages["project-file"]


class Inner(msgspec.Struct):
    """What lies inside."""

    size: int
    """Bytes | more."""


class Outer(msgspec.Struct):
    """A file."""

    inner: dict[str, Inner]
    """By name."""
    name: str | None = None


def test_a_type_becomes_a_table_for_each_table_in_it() -> None:
    text = reference.structs(Outer, "Title", "About.")
    assert "| `inner` | table of [Inner](#inner) | required | By name. |" in text
    assert "| `name` | text or null | `null` |  |" in text
    assert "## Inner\n\nWhat lies inside." in text
    assert "| `size` | whole number | required | Bytes \\| more. |" in text


def test_a_type_without_words_is_an_error() -> None:
    with pytest.raises(TypeError, match="no words for this type"):
        reference._type(msgspec.inspect.type_info(set[int]), False)


def test_pages_are_written_once(tmp_path: Path) -> None:
    reference.write(tmp_path / "new")
    file = tmp_path / "new" / "python.md"
    before = file.stat().st_mtime_ns
    reference.write(tmp_path / "new")
    assert file.stat().st_mtime_ns == before


# ---------------------------------------------------------------------------------------------------------------- links
def site(folder: Path, **pages: str) -> list[str]:
    for name, text in pages.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return list(links.problems(folder))


def test_a_whole_site_has_no_problems(tmp_path: Path) -> None:
    one = '<h1 id="top">x</h1><a href="two.html#part">y</a><a href="#top">z</a><a href="https://example.org">w</a>'
    assert site(tmp_path, one=one, two='<p id="part"><img src="data:image/png;base64,AA"></p>') == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('<a href="gone.html">', "gone.html: there is no such file"),
        ('<a href="#gone">', "#gone: there is no such place on that page"),
        ('<a href="one.html#gone">', "one.html#gone: there is no such place"),
        ('<script src="https://example.org/x.js"></script>', "loads https://example.org/x.js"),
        ('<img src="gone.png">', "gone.png: there is no such file"),
    ],
)
def test_a_planted_fault_is_found(tmp_path: Path, text: str, problem: str) -> None:
    [found] = site(tmp_path, one=text)
    assert problem in found


def test_an_empty_folder_is_no_site(tmp_path: Path) -> None:
    assert site(tmp_path) == [f"{tmp_path}: no pages"]


# ----------------------------------------------------------------------------------------------------------------- tree
def test_every_document_is_on_the_site() -> None:
    source = (DOCS / "conf.py").read_text(encoding="utf-8")
    [indexes] = re.findall(r"^INDEXES = \((.*)\)$", source, re.MULTILINE)
    names = re.findall(r'"([\w-]+)"', indexes)
    texts = "".join((DOCS / f"{name}.md").read_text(encoding="utf-8") for name in names)
    rows = "".join(line for line in texts.splitlines() if line.startswith("|"))
    linked = set(re.findall(r"\]\(([\w-]+)\.(?:md|ipynb)\)", rows))
    there = {path.stem for path in DOCS.iterdir() if path.suffix in (".md", ".ipynb")}
    assert there - linked == {"index"}, "name it in how-to.md, reference.md or explanation.md"


def test_the_generated_pages_are_all_linked(pages: dict[str, Any]) -> None:
    text = (DOCS / "reference.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\(generated/([\w-]+)\.md\)", text)) == set(pages)


def test_the_notebook_has_no_outputs_and_is_short() -> None:
    notebook = json.loads((DOCS / "notebook.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    assert len(cells) < 10


def test_every_default_is_listed_with_its_variable(pages: dict[str, str]) -> None:
    assert "| `networks` | `MBENCH_RUN_NETWORKS` | `NETWORK` |" in pages["project-file"]
    assert "### `[history.list]`" in pages["project-file"]
    for each in main.main.commands["run"].params:
        if isinstance(each, click.Option) and not each.is_eager:
            assert f"| `{max(each.opts, key=len)}` |" in pages["project-file"]
