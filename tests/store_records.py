"""Small records for tests of stores."""

from __future__ import annotations

import record_factory as factory

from mbench.core import record_files
from mbench.core.records import Record

SMALL, OTHER = "mobilenet_v1_0.25_32", "mobilenet_v1_0.25_64"


def timed(run_id: str = "run-1", *, names: tuple[str, ...] = (SMALL,), factor: float = 1.0) -> Record:
    """Return a record of few layers, measured in five sessions, as it is read from a file."""
    made = factory.short(factory.in_sessions(factory.record(names, repeat=10)))
    return read(factory.again(made, run_id, factor))


def read(record: Record) -> Record:
    """Return a record as it is read from a file: numbers at nine digits, whole ones where they are fractions too."""
    return record_files.decode(record_files.encode(record), source="a test")
