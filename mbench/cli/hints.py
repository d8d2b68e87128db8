"""One line after a command that says which one comes next: for people at a terminal, and for nobody else."""

from __future__ import annotations

import sys

from mbench.cli import printing


def after(line: str | None, *, hushed: bool) -> None:
    """Print the command that comes next on standard error, if that is a terminal.

    Args:
        line: the command, or a few words with it; None: nothing comes next.
        hushed: whether the user wants no remarks: `--json`, `--quiet`.
    """
    if line and wanted(hushed=hushed):
        printing.remark(f"next    {line}")


def wanted(*, hushed: bool) -> bool:
    """Return whether somebody reads a hint."""
    return not hushed and sys.stderr.isatty()
