"""The file `mbench.toml` of a project: what it may hold, and reading it. Who uses an entry knows what it means."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from mbench.core import toml_files

CONFIG = "mbench.toml"
"""Looked for in the folder in which a command is given."""
STORE_VARIABLE = "MBENCH_STORE"
"""Names the store of records that is used where none is given."""
_Value = str | int | float
"""What a file may say where a percentage is wanted; who reads it refuses a number, and says what is missing."""


class GateTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[gate]`."""

    thresholds: dict[str, _Value] = {}
    sensitivity: dict[str, _Value] = {}


class HistoryTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[history]`."""

    store: str | None = None
    """Where the records are: a file, or the URL of a database."""


class ProjectFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All tables of the file."""

    gate: GateTable = GateTable()
    history: HistoryTable = HistoryTable()


def read(file: Path | None = None) -> ProjectFile:
    """Return what a file says; without one, `mbench.toml` in this folder, which need not be there.

    Raises:
        UsageError: it cannot be read, or holds what it may not.
    """
    look_up = toml_files.read if file else toml_files.find
    return look_up(toml_files.Source(file or Path(CONFIG)), ProjectFile) or ProjectFile()


def store() -> str | None:
    """Return the store that `MBENCH_STORE` names, or `[history] store` in `mbench.toml`; None: neither does.

    Raises:
        UsageError: `mbench.toml` cannot be read.
    """
    return os.environ.get(STORE_VARIABLE) or read().history.store or None
