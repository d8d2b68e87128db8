"""Loops over the tiles of a split extent: one body of code for each size of tile, of which there are at most two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu.tiling import Cut


def shared(cut: Cut, first: Any, count: Any) -> Iterator[tuple[Any, int, Any]]:
    """Yield inside of loops over the tiles of a task, `count` from `first` on: (start, size, number of the tile)."""
    for part in cut.parts:
        low, many = emit.overlap(first, count, part.begin, part.end, cut.count)
        with emit.loop(many) as turn:
            number = low + turn
            yield part.at(number), part.size, number


def every(extent: int, limit: int) -> Iterator[tuple[Any, int]]:
    """Yield inside of loops over all tiles of an extent that are at most so large: (start, size)."""
    for part in Cut.of(extent, limit).parts:
        with emit.loop(part.end - part.begin) as turn:
            yield emit.named(part.start + turn * part.size), part.size


def one(cut: Cut, number: Any) -> Iterator[tuple[Any, int]]:
    """Yield where the tile of that number has the size, inside of a test for it: (start, size)."""
    for part in cut.parts:
        with emit.inside(number, (part.begin, part.end), always=len(cut.parts) == 1):
            yield emit.named(part.at(number)), part.size
