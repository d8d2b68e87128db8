"""Stores with a run a day of small networks, some of them slower from a day on: for tests of commands."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import store_records as records

from mbench.core.records import Record
from mbench.history.store import open_store

FIRST = datetime.datetime(2026, 3, 1, 4, tzinfo=datetime.UTC)
NAME = records.SMALL
OTHER = records.OTHER
COUNTED = "mobilenet_v1_0.25_128"


def nights(factors: list[float], name: str = NAME) -> Iterator[Record]:
    """Yield a run a night, each slower by a factor and by a little noise, with its commit."""
    noise = np.random.default_rng(4).normal(0, 0.004, len(factors))
    for index, factor in enumerate(factors):
        made = records.timed(f"{name}-{index}", names=(name,), factor=factor * float(np.exp(noise[index])))
        at = (FIRST + datetime.timedelta(days=index)).isoformat(timespec="seconds")
        yield msgspec.structs.replace(made, created_at_utc=at, labels={"commit": f"{index:02d}" + "c" * 38})


def store(folder: Path, *found: Iterator[Record]) -> Path:
    """Return the file of a store of these records."""
    file = folder / "history.db"
    with open_store(file, create=True) as opened:
        opened.add(record for each in found for record in each)
    return file
