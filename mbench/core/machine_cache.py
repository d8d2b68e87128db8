"""Facts about this machine that take seconds to find out, kept in the cache folder until what they rest on changes."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import msgspec

from mbench.core import atomic_files, regular_files, resources
from mbench.core.errors import OutputError

_T = TypeVar("_T")


def file(kind: str, parts: object, sources: Iterable[Path]) -> Path:
    """Return where a fact is kept: named by its kind, by what it depends on, and by the code that found it out."""
    hashed = hashlib.sha256(msgspec.json.encode(parts, order="deterministic"))
    for source in sources:
        hashed.update(source.read_bytes())
    return resources.cache_dir() / kind / f"{hashed.hexdigest()[:16]}.json"


def read(path: Path, kind: type[_T]) -> _T | None:
    """Return a kept fact; None if there is none, or if it was damaged."""
    try:
        return msgspec.json.decode(regular_files.read(path), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def write(path: Path, fact: object) -> None:
    """Keep a fact, if there is room; else the next run finds it out again."""
    with contextlib.suppress(OSError, OutputError):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_files.write_atomically(path, msgspec.json.encode(fact))
