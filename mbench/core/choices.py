"""How kernels are to be made that were tuned: the words that compiling, building and tuning share. Reads no files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import msgspec

METASCHEDULE = "metaschedule"
"""The rule of a choice that lies in a database of MetaSchedule beside the file."""


Prefer = Literal["latency", "memory"] | None
"""What a kernel that is quicker with more weights is judged by: `latency`: take it; `memory`: never; null: as long as
all weights together stay below twice the network's parameters."""


class _FrozenStruct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base: immutable, and an unknown field is an error."""


class Choice(_FrozenStruct, frozen=True, kw_only=True):
    """How a kernel is to be made. `database` is the folder of MetaSchedule's records, for a choice that lies there."""

    rule: str
    parameters: dict[str, int]
    database: str | None = None


class Choices(_FrozenStruct, frozen=True, kw_only=True):
    """How kernels are to be made: the choices for a target and threads by the kernel's signature, and their files."""

    kernels: dict[str, Choice] = {}
    files: dict[str, str] = {}
    """Name to the hash of the content. A record keeps it."""
    prefer: Prefer = None

    @property
    def digest(self) -> str:
        """A hash of all that can change a build: the choices, and the databases that they refer to."""
        plain = {name: (choice.rule, choice.parameters) for name, choice in self.kernels.items()}
        hashed = hashlib.sha256(msgspec.json.encode(plain, order="deterministic"))
        for folder in sorted({choice.database for choice in self.kernels.values() if choice.database}):
            for file in sorted(Path(folder).glob("*.json")):
                hashed.update(file.read_bytes())
        return hashed.hexdigest()


NO_CHOICES = Choices()
"""Every kernel by rule."""
