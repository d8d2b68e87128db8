"""How the columns of a matrix product are split into panels of vectors, where not all vectors have the same lanes.

24 columns are a vector of 16 lanes and one of 8, not two of 16 that overlap. Where not even a quarter of a vector fits
what is left, a last panel overlaps the one before it. No TVM.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import tiling
from mbench.core import dtypes

_NARROWEST = 4
"""The part of a vector that is still worth one of its own."""


@dataclasses.dataclass(frozen=True)
class Panel:
    """Columns from `start` on, as vectors of so many lanes each."""

    start: int
    lanes: tuple[int, ...]

    @property
    def width(self) -> int:
        """All its columns."""
        return sum(self.lanes)

    @property
    def offsets(self) -> tuple[int, ...]:
        """Where each vector starts within the panel."""
        return (0, *itertools.accumulate(self.lanes[:-1]))


@dataclasses.dataclass(frozen=True)
class PanelRun:
    """`count` panels in a row that are alike; `packed`: how many columns lie packed before them."""

    first: Panel
    count: int
    packed: int


def panels(columns: int, vectors: int, machine: KernelMachine, dtype: str = dtypes.DEFAULT) -> list[Panel]:
    """Split columns into panels of at most so many vectors."""
    lanes = tiling.vector_lanes(columns, machine, dtype)
    least, widths = max(lanes // _NARROWEST, 1), [lanes] * (columns // lanes)
    rest, narrow = columns % lanes, lanes
    while rest and narrow > least:
        narrow //= 2
        if rest >= narrow:
            widths.append(narrow)
            rest -= narrow
    found, start = [], 0
    for first in range(0, len(widths), vectors):
        found.append(Panel(start, tuple(widths[first : first + vectors])))
        start += found[-1].width
    return [*found, Panel(columns - narrow, (narrow,))] if rest else found


def runs(split: Sequence[Panel]) -> list[PanelRun]:
    """Put panels that are alike and follow each other into runs, which share one body of code."""
    found: list[PanelRun] = []
    packed = 0
    for panel in split:
        last = found[-1] if found else None
        if last and panel == Panel(last.first.start + last.count * last.first.width, last.first.lanes):
            found[-1] = dataclasses.replace(last, count=last.count + 1)
        else:
            found.append(PanelRun(panel, 1, packed))
        packed += panel.width
    return found


def pack(weights: np.ndarray, split: Sequence[Panel]) -> np.ndarray:
    """Return (reduction, columns) weights panel by panel, flat: each (reduction, width)."""
    return np.concatenate([weights[:, panel.start : panel.start + panel.width].ravel() for panel in split])
