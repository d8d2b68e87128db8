"""The file `mbench.toml` of a project, without the defaults of options, which are the command line's.

Who uses an entry knows what it means.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from mbench.core import toml_files
from mbench.core.errors import UsageError

CONFIG = "mbench.toml"
"""Looked for in the folder in which a command is given."""
COMMANDS = (
    *("run", "fit", "predict", "tune", "show", "report", "compare", "gate", "history", "sweep"),
    *("list", "variants", "targets", "device", "doctor", "schema", "completion"),
)
"""The commands that there are: each may have a table with defaults of its options."""
OWN = {("gate",): ("thresholds", "sensitivity"), ("history",): ("store",)}
"""Keys that are no option's, by their table. All others are defaults of options, which the command line knows."""
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
    """The tables of the file that are no options'."""

    gate: GateTable = GateTable()
    history: HistoryTable = HistoryTable()


def read(file: Path | None = None) -> ProjectFile:
    """Return what a file says; without one, `mbench.toml` in this folder, which need not be there.

    Raises:
        UsageError: it cannot be read, or holds what it may not.
    """
    source = toml_files.Source(file or Path(CONFIG))
    try:
        raw = toml_files.load(source)
    except UsageError as error:
        if file is None and isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            return ProjectFile()
        raise
    return toml_files.convert(_without_defaults(raw), ProjectFile, source)


def _without_defaults(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the tables without the defaults of options: `[gate] paired = true`, `[history.list]`, `[run]`."""
    gate, history = raw.get("gate"), raw.get("history")
    own = {field.name for field in msgspec.structs.fields(ProjectFile)}
    found = {
        name: value for name, value in raw.items()
        if name in own or name not in COMMANDS or not isinstance(value, dict)
    }  # fmt: skip
    if isinstance(gate, dict):
        found["gate"] = {name: value for name, value in gate.items() if name == "thresholds" or isinstance(value, dict)}
    if isinstance(history, dict):
        found["history"] = {name: value for name, value in history.items() if not isinstance(value, dict)}
    return found


def store() -> str | None:
    """Return the store that `MBENCH_STORE` names, or `[history] store` in `mbench.toml`; None: neither does.

    Raises:
        UsageError: `mbench.toml` cannot be read.
    """
    return os.environ.get(STORE_VARIABLE) or read().history.store or None
