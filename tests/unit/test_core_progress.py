"""Work reports on itself through the types of `core/progress.py`; no other module declares one of its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import mbench
from mbench.core import progress

PACKAGE = Path(mbench.__file__).parent
HOME = Path(progress.__file__)
PLAIN = {"str", "float", "int"}


def callbacks(source: str) -> Iterator[int]:
    """Yield the lines with a `Callable[[…], None]` of texts and numbers alone: what tells someone how far work is."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("Callable"):
            given = node.slice.elts if isinstance(node.slice, ast.Tuple) else []
            if len(given) == 2 and isinstance(given[0], ast.List) and ast.unparse(given[1]) == "None":
                names = {ast.unparse(each) for each in given[0].elts}
                if names and names <= PLAIN:
                    yield node.lineno


def test_no_other_module_declares_a_callback_for_progress() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix(): lines
        for path in PACKAGE.rglob("*.py")
        if path != HOME and (lines := list(callbacks(path.read_text(encoding="utf-8"))))
    }
    assert found == {}
    assert len(list(callbacks(HOME.read_text(encoding="utf-8")))) == 4


@pytest.mark.parametrize(
    "planted",
    [
        "Report = Callable[[str, float], None]",
        "def work(tell: Callable[[int], None]) -> None: ...",
        "waiting: typing.Callable[[str], None] = print",
    ],
)
def test_one_that_does_is_found(planted: str) -> None:
    assert list(callbacks(f"import typing\n{planted}\n")) == [2]


@pytest.mark.parametrize("other", ["Skip = Callable[[Candidate, str], None]", "run: Callable[[], None]"])
def test_other_callbacks_are_left_alone(other: str) -> None:
    assert list(callbacks(other)) == []


def test_programs_are_told_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with progress.silent(("one", "two"), {"compiling": 0.5}) as shown:
        shown.stage("one", "compiling", 0.5)
        shown.note("a line")
    progress.unheard("a line")
    assert capfd.readouterr() == ("", "")
