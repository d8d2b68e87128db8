"""Records of several days and networks, for tests of tables and figures over time."""

from __future__ import annotations

import msgspec
import record_factory as factory

from mbench.core.records import Record

replace = msgspec.structs.replace
GRID = tuple(f"mobilenet_v1_{width}_{side}" for width in ("0.25", "0.5", "1.0") for side in (128, 160, 224))


def emulated() -> Record:
    return replace(factory.emulated(), run_id="emulated")


def at(day: int, factor: float = 1.0, names: tuple[str, ...] = factory.PAIR[:1]) -> Record:
    """Return a record of one day, slower by a factor."""
    record = factory.again(factory.record(names), f"day{day}", factor)
    return replace(record, created_at_utc=f"2025-03-0{day}T12:00:00Z")
