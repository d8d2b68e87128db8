"""What people read has the field's words: no text of the package, its templates or documents has the private ones."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

WORDS = {
    r"ceilings?": "measured peak, bandwidth, bound",
    r"promis(?:e|es|ed|ing)": "the cost model predicts",
    r"likes? best": "predicts to be best",
    r"walk(?:s|ed)?": "waterfall",
    r"books": "time balance",
    r"counterparts?": "standard twin",
    r"(?<!standard )twins?": "standard twin; of the same program: A/A copy",
    r"in place": "in the network; instead of",
    r"virtual processors?": "vCPU",
    r"one a core": "pinned to a core",
    r"(?<!matrix )(?<!dot )products": "multiply-adds",
    r"cuts?|cutting": "tiling, split; of a file: truncated",
    r"tells?|told": "reports, prints",
    r"(?:nvml|cuda|tvm|qemu|llvm) says": "reports",
    r"winograd's (?:minimal )?filtering": "Winograd",
    r"faster than (?:the|its) (?:\w+ )?(?:roofline|peak|bound)": "exceeds the measured peak",
}
"""What is not written, each with what is."""

NAMES = {
    "mbench/core/record_migrations.py": {"books", r"^books(?=\.|$)"},
    "mbench/measure/duel.py": {"twin"},
    "mbench/networks/importers/export_archive.py": {"ceiling"},
}
"""Strings that are names in data or in the gate's algorithm, and no text."""

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
SOURCES = sorted((ROOT / "mbench").rglob("*.py"))
TEMPLATES = sorted(file for file in (ROOT / "reports").iterdir() if file.suffix in (".j2", ".js", ".css"))
NATIVE = sorted(file for file in (ROOT / "mbench" / "native").iterdir() if file.suffix in (".c", ".cc", ".h"))

_CODE = re.compile(r"```.*?```|``[^`]+``|`[^`]+`", re.DOTALL)


def found(text: str) -> list[str]:
    """Return the words in a text that are not written, each with what is; names in backticks do not count."""
    plain = " ".join(_CODE.sub("` `", text).split())
    return [
        f"{match.group()!r}: write {instead}"
        for word, instead in WORDS.items()
        for match in re.finditer(rf"(?<![\w-])(?:{word})(?![\w-])", plain, re.IGNORECASE)
    ]


def of_python(source: str) -> Iterator[tuple[int, str]]:
    """Yield the strings, docstrings and comments of a module, each with its line; an f-string as one."""
    parts: set[ast.AST] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            parts.update(node.values)
            constants = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
            yield node.lineno, "".join(map(str, constants))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in parts:
            yield node.lineno, node.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def of_text(text: str) -> Iterator[tuple[int, str]]:
    """Yield the paragraphs of a document, each with the line at which it begins."""
    line = 1
    for paragraph in re.split(r"(\n\s*\n)", _CODE.sub(lambda code: "` `" + "\n" * code.group().count("\n"), text)):
        yield line, paragraph
        line += paragraph.count("\n")


def problems(path: Path, root: Path = ROOT) -> list[str]:
    """Return the words of a file that are not written, each with its line and what is."""
    text, name = path.read_text(encoding="utf-8"), path.relative_to(root).as_posix()
    texts = of_python(text) if path.suffix == ".py" else of_text(text)
    return [
        f"{name}:{line}: {problem}"
        for line, each in texts
        if each not in NAMES.get(name, ())
        for problem in found(each)
    ]


@pytest.mark.parametrize(
    "path", [*DOCUMENTS, *SOURCES, *TEMPLATES, *NATIVE], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_texts_have_the_words_of_the_field(path: Path) -> None:
    assert problems(path) == []


def test_every_exception_is_needed() -> None:
    for name, strings in NAMES.items():
        used = {text for _, text in of_python((ROOT / name).read_text(encoding="utf-8"))}
        assert strings <= used
        assert all(found(text) for text in strings)


PLANTED = {
    "a.py": '"""How a layer is cut."""\n',
    "b.py": 'raise ValueError(f"{1} is faster than the ceiling")\n',
    "c.py": "x = 1  # as the model promises\n",
    "d.py": 'def f():\n    """Return nothing; `ceiling` is a name."""\n    return "timed\\n in place"\n',
    "page.html.j2": "<p>Its twin\nwas not measured.</p>\n",
    "page.md": "One line.\n\n```\nbooks\n```\n\nThe books add up.\n",
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.py", "a.py:1: 'cut': write tiling"),
        ("b.py", "b.py:1: 'ceiling': write measured peak"),
        ("c.py", "c.py:1: 'promises': write the cost model predicts"),
        ("d.py", "d.py:3: 'in place': write in the network"),
        ("page.html.j2", "page.html.j2:1: 'twin': write standard twin"),
        ("page.md", "page.md:7: 'books': write time balance"),
    ],
)
def test_a_planted_word_is_found(tmp_path: Path, name: str, expected: str) -> None:
    path = tmp_path / name
    path.write_text(PLANTED[name], encoding="utf-8")
    [problem] = problems(path, tmp_path)
    assert problem.startswith(expected)


def test_every_word_of_the_list_can_be_found() -> None:
    text = """A ceiling promises what the model likes best. We walk through the books. Its counterpart, a twin, is timed
        in place on a virtual processor, one a core. The products are cut, as it tells. NVML says no. By Winograd's
        filtering it is faster than the measured peak."""
    assert [problem.rpartition(": write ")[2] for problem in found(text)] == list(WORDS.values())


def test_the_words_to_write_are_free_of_the_others() -> None:
    assert [problem for instead in WORDS.values() for problem in found(f"the {instead}")] == []


def test_a_standard_twin_and_a_matrix_product_may_be_written() -> None:
    assert found("the standard\ntwin, matrix products, `COPIES` has `twin`, cut-off") == []
