"""The table of the keys of `mbench.toml` in `docs/command-line.md`. As a program, it writes the table anew."""

from __future__ import annotations

import re
from pathlib import Path

import click

from mbench.cli import defaults, main

DOCUMENT = Path(__file__).parents[1] / "docs" / "command-line.md"
_TABLE = re.compile(r"\| table \| keys \|\n(\|.*\n)+")


def table() -> str:
    """Return a row for each command: its table in the file, and the keys there."""
    rows = ["| table | keys |", "|---|---|"]
    for words, command in defaults.commands(main.main):
        if not isinstance(command, click.Group) and (keys := list(defaults.options(command))):
            rows.append(f"| `[{'.'.join(words)}]` | {', '.join(f'`{key}`' for key in keys)} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(_TABLE.sub(lambda _: table(), DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
