"""Arithmetic of tiles: how a line of pixels, a row of channels and a grid of tasks are cut. No TVM."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from mbench.compile.schedules import Machine

MIN_TASK_CYCLES = 4_000
"""Work worth a task of its own: starting a thread's share takes one or two microseconds."""
_MAX_TASKS = 64
_PARTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


def vector_lanes(channels: int, machine: Machine) -> int:
    """Return the lanes of the widest vector that the channels fill: the machine's, or a smaller power of two."""
    lanes = machine.lanes
    while lanes > channels:
        lanes //= 2
    return lanes


def panel_starts(channels: int, width: int) -> list[int]:
    """Return where each panel of `width` channels starts. The last ends at the last channel; it may overlap.

    Channels in an overlap are computed twice, with equal results, so that no panel needs a tail.
    """
    return [min(start, channels - width) for start in range(0, channels, width)]


def pack(weights: np.ndarray, starts: Sequence[int], width: int) -> np.ndarray:
    """Return (reduction, channels) weights panel by panel, flat: (panels, reduction, width)."""
    return np.concatenate([weights[:, start : start + width].ravel() for start in starts])


def even_parts(extent: int, limit: int) -> list[int]:
    """Cut `extent` into as few parts of at most `limit` as do, whose sizes differ by one at most; larger ones first."""
    count = -(-extent // limit)
    size, larger = divmod(extent, count)
    return [size + 1] * larger + [size] * (count - larger)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """Tiles `begin` to `end` of a cut, all of `size`; the first starts at `start`."""

    begin: int
    end: int
    start: int
    size: int

    def at(self, tile: Any) -> Any:
        """Return where a tile starts."""
        return self.start + (tile - self.begin) * self.size


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cut:
    """An extent cut into `count` tiles of one size or two."""

    count: int
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, extent: int, limit: int) -> Cut:
        """Cut `extent` by `even_parts`."""
        sizes = even_parts(extent, limit)
        larger = sizes.count(sizes[0])
        parts = [Part(begin=0, end=larger, start=0, size=sizes[0])]
        if larger < len(sizes):
            parts.append(Part(begin=larger, end=len(sizes), start=larger * sizes[0], size=sizes[-1]))
        return cls(count=len(sizes), parts=tuple(parts))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """`count` tiles of `size` outputs in a row, from output `start`; `inside[kx][i]`: tap kx of output i is no padding.

    All the tiles of a run share one body of code.
    """

    start: int
    size: int
    count: int
    inside: tuple[tuple[bool, ...], ...]


def runs(*, outputs: int, inputs: int, kernel: int, stride: int, padding: int, limit: int) -> list[Run]:
    """Cut a line of outputs into tiles of at most `limit`, and tell those that meet the padding from those inside."""
    tiles: list[Run] = []
    start = 0
    for size in even_parts(outputs, limit):
        inside = tuple(
            tuple(0 <= (start + i) * stride + kx - padding < inputs for i in range(size)) for kx in range(kernel)
        )
        last = tiles[-1] if tiles else None
        if last and (last.size, last.inside) == (size, inside):
            tiles[-1] = dataclasses.replace(last, count=last.count + 1)
        else:
            tiles.append(Run(start=start, size=size, count=1, inside=inside))
        start += size
    return tiles


def makespan(tasks: Sequence[float], threads: int) -> float:
    """Return the work of the busiest thread; the runtime gives each thread an equal number of tasks in a row."""
    share = -(-len(tasks) // threads)
    return max(sum(tasks[start : start + share]) for start in range(0, len(tasks), share))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grid:
    """Tasks: `outer` x `inner` parts of two loops; the busiest thread has the share `busiest` of all the work."""

    outer: int
    inner: int
    busiest: float


def grids(outer: int, inner: int, cycles: float, machine: Machine) -> tuple[Grid, ...]:
    """Return ways to cut outer x inner steps of equal work into tasks, the best balanced first, few parts before many.

    A kernel too small to share is one task.
    """
    most = min(_MAX_TASKS, max(1, int(cycles / MIN_TASK_CYCLES)))
    return _grids(outer, inner, most, machine.cores)


@functools.lru_cache(maxsize=4096)
def _grids(outer: int, inner: int, most: int, cores: int) -> tuple[Grid, ...]:
    counts = sorted({*_PARTS, cores, 2 * cores, 4 * cores})
    found = []
    for outer_parts, inner_parts in itertools.product(counts, counts):
        if outer_parts <= outer and inner_parts <= inner and outer_parts * inner_parts <= most:
            tasks = [o * i for o in _shares(outer, outer_parts) for i in _shares(inner, inner_parts)]
            busiest = makespan(tasks, min(cores, len(tasks))) / (outer * inner)
            found.append(Grid(outer=outer_parts, inner=inner_parts, busiest=busiest))
    return tuple(sorted(found, key=lambda grid: (round(grid.busiest, 2), grid.inner, grid.outer)))


@functools.lru_cache(maxsize=4096)
def _shares(extent: int, parts: int) -> tuple[int, ...]:
    return tuple(extent * (part + 1) // parts - extent * part // parts for part in range(parts))
