"""The code in the documents: its blocks, and for each line how a test runs it or why none does.

A block of `sh` is taken line by line. A line is run by what stands for its program here, or left out for a reason that
its program gives (`LEFT_OUT`), so that nobody can leave out a line that could be run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from mbench.cli import main

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
OWN_TESTS = {
    "docs/ci.md": "tests/integration/test_ci_recipes.py",
    "docs/cluster.md": "tests/integration/test_cluster_docs.py",
    "docs/extending.md": "tests/integration/test_extending.py",
}
"""Documents whose code is run as a whole, and by what."""
SHELL = "run as a shell does"
"""The mark of a block that is run as it stands, with nothing in the place of the machine."""
_FILE = re.compile(r"file: (\S+)")
_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]+) -->\n)?^```(?P<language>\S*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)

INSTALLS = "installs packages, from the network"
LEFT_OUT = {
    r"python3 -m venv|\. \.venv|(?:\.venv\S*/)?pip install|(?:sudo )?apt install": INSTALLS,
    r"ssh|scp|\./start\.sh": "needs another machine",
    r"helm|kubectl": "needs Kubernetes",
    r"\.ci/": "is the project's own gate, which tests/integration/test_own_gate.py runs",
    r"python -m tvm\.exec\.rpc_tracker|mbench history serve": "serves until it is stopped",
    r"mbench (?:run|tune) .*--target cuda(?!_)": "needs a GPU; its words are read",
    r"mbench run .*--sweep|.*mbench\.sweep\(": "fills a whole sweep; its words are read",
    r"mbench run .*--device farm": "needs a farm of boards; its words are read",
    r"python benchmarks/": "takes minutes, beside other runtimes; its words are read",
    r"from dask_jobqueue": "needs Slurm; it is parsed",
}
"""Beginnings of lines that no test runs, and why."""


class Block(NamedTuple):
    """A block of code in a document."""

    document: str
    line: int
    language: str
    text: str
    mark: str
    """What the comment above it says of its test; empty without one."""

    @property
    def place(self) -> str:
        """Where it is: what a test is called by."""
        return f"{self.document}:{self.line}"

    @property
    def file(self) -> str | None:
        """Return the name of the file whose content it is."""
        found = _FILE.fullmatch(self.mark)
        return found[1] if found else None

    @property
    def lines(self) -> list[str]:
        """Return the commands of a block of `sh`; a line that ends with a backslash goes on in the next."""
        joined = re.sub(r"\\\n\s*", "", self.text)
        return [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def blocks(document: Path, root: Path = ROOT) -> Iterator[Block]:
    """Yield the blocks of code of a document, in their order."""
    text = document.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("text"))
        yield Block(document.relative_to(root).as_posix(), line, found["language"], found["text"], found["mark"] or "")


def all_blocks(*languages: str) -> list[Block]:
    """Return the blocks of all documents in some languages."""
    found = (block for document in DOCUMENTS for block in blocks(document))
    return [block for block in found if block.language in languages]


def why_left_out(line: str) -> str | None:
    """Return why no test runs a line, or None."""
    return next((reason for start, reason in LEFT_OUT.items() if re.match(start, line)), None)


def words(line: str) -> list[str]:
    """Return the words of a line as a shell does, without its comment and where its output goes."""
    found = shlex.split(line, comments=True)
    return found[: next((at for at, word in enumerate(found) if word in (">", ">>", "|")), None)]


def parse(arguments: list[str]) -> None:
    """Parse a command as click does, without running anything."""
    name, *rest = arguments
    command = main.main.commands[name]
    context = click.Context(main.main, **main.main.context_settings)  # as `mbench` does it
    while isinstance(command, click.Group) and rest:
        context = click.Context(command, parent=context, info_name=name)
        name, *rest = rest
        command = command.commands[name]
    command.make_context(name, rest, parent=context)


def left_out() -> Iterator[tuple[str, str, str]]:
    """Yield each line that no test runs: where it is, the line, and why."""
    for block in all_blocks("sh", "python"):
        for line in block.lines if block.language == "sh" else block.text.splitlines():
            if reason := why_left_out(line):
                yield block.place, line, reason
