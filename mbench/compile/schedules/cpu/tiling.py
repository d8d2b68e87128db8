"""Arithmetic of tiles: how a line of pixels, a row of channels and a grid of tasks are split. No TVM."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mbench.compile.machine import KernelMachine
from mbench.core import dtypes

MIN_TASK_CYCLES = 4_000
"""Work worth a task of its own: starting a thread's share takes one or two microseconds."""
_OTHER_CORE_BYTES_A_CYCLE = 4
"""At which data come that another core's cache holds: seen on Zen 4 (one L3) and on a Xeon; far less where cores do not
share one."""
_MAX_TASKS = 64
_PARTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


def vector_lanes(channels: int, machine: KernelMachine, dtype: str = dtypes.DEFAULT) -> int:
    """Return the lanes of the widest vector that the channels fill: the machine's, or a smaller power of two.

    `dtype`: of what is multiplied, which the type of the sums follows from.
    """
    lanes = machine.sum_lanes(dtype)
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
    """Split `extent` into as few parts of at most `limit` as possible; sizes differ by one at most, larger first."""
    count = -(-extent // limit)
    size, larger = divmod(extent, count)
    return [size + 1] * larger + [size] * (count - larger)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TilePart:
    """Tiles `begin` to `end` of a split, all of `size`; the first starts at `start`."""

    begin: int
    end: int
    start: int
    size: int

    def at(self, tile: Any) -> Any:
        """Return where a tile starts."""
        return self.start + (tile - self.begin) * self.size


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cut:
    """An extent split into `count` tiles of one size or two."""

    count: int
    parts: tuple[TilePart, ...]

    @classmethod
    def of(cls, extent: int, limit: int) -> Cut:
        """Split `extent` by `even_parts`."""
        sizes = even_parts(extent, limit)
        larger = sizes.count(sizes[0])
        parts = [TilePart(begin=0, end=larger, start=0, size=sizes[0])]
        if larger < len(sizes):
            parts.append(TilePart(begin=larger, end=len(sizes), start=larger * sizes[0], size=sizes[-1]))
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


def runs(
    *, outputs: int, inputs: int, kernel: int, stride: int, padding: int, limit: int, dilation: int = 1
) -> list[Run]:
    """Split a line of outputs into tiles of at most `limit`: those that meet the padding, and those inside."""
    tiles: list[Run] = []
    start = 0
    for size in even_parts(outputs, limit):
        inside = tuple(
            tuple(0 <= (start + i) * stride + kx * dilation - padding < inputs for i in range(size))
            for kx in range(kernel)
        )
        last = tiles[-1] if tiles else None
        if last and (last.size, last.inside) == (size, inside):
            tiles[-1] = dataclasses.replace(last, count=last.count + 1)
        else:
            tiles.append(Run(start=start, size=size, count=1, inside=inside))
        start += size
    return tiles


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grid:
    """Tasks: `outer` x `inner` parts of two loops; the busiest thread has the share `busiest` of all the work.

    One thread has to fetch up to the share `fetched` of the data from other cores: the layers before and after this one
    are taken to be split evenly along one of the loops, so that each thread has one piece of its extent in its cache.
    """

    outer: int
    inner: int
    busiest: float
    fetched: float

    def cycles(self, work: float, moved_bytes: float) -> float:
        """Return what the busiest thread takes for its share of so many cycles of work, and of what is moved."""
        return work * self.busiest + moved_bytes * self.fetched / _OTHER_CORE_BYTES_A_CYCLE


def grids(
    outer: Sequence[int],
    inner: int,
    cycles: float,
    moved_bytes: float,
    machine: KernelMachine,
    *,
    along_inner: bool = False,
) -> list[Grid]:
    """Return ways to split outer x inner steps into tasks, quickest first, few parts before many.

    A kernel too small to share is one task.

    Args:
        outer: the work of each step of the outer loop, over pixels, in any unit.
        inner: steps of the inner loop, over channels; all of equal work.
        cycles: of all the work on one core.
        moved_bytes: of the input and the output.
        machine: the target's.
        along_inner: whether the layers before and after are split by channels; else by pixels.
    """
    most = min(_MAX_TASKS, max(1, int(cycles / MIN_TASK_CYCLES)))

    def order(grid: Grid) -> tuple[float, int, int]:
        return round(grid.cycles(cycles, moved_bytes) / cycles, 2), grid.inner, grid.outer

    return sorted(_grids(tuple(outer), inner, most, machine.cores, along_inner), key=order)


@functools.lru_cache(maxsize=4096)
def _grids(outer: tuple[int, ...], inner: int, most: int, cores: int, along_inner: bool) -> tuple[Grid, ...]:
    counts = sorted({*_PARTS, cores, 2 * cores, 4 * cores})
    return tuple(
        _grid(_ends(outer, outer_parts), _ends((1,) * inner, inner_parts), cores, along_inner)
        for outer_parts, inner_parts in itertools.product(counts, counts)
        if outer_parts <= len(outer) and inner_parts <= inner and outer_parts * inner_parts <= most
    )


@functools.lru_cache(maxsize=4096)
def _ends(sizes: tuple[int, ...], parts: int) -> tuple[float, ...]:
    """Return where the parts of steps of these sizes begin and end, as shares of the whole."""
    sums = [0, *itertools.accumulate(sizes)]
    return tuple(sums[len(sizes) * part // parts] / sums[-1] for part in range(parts + 1))


def _grid(outer: Sequence[float], inner: Sequence[float], cores: int, along_inner: bool) -> Grid:
    """Return the grid whose parts begin and end there; the runtime gives threads equal numbers of tasks in a row."""
    outer_parts, inner_parts = len(outer) - 1, len(inner) - 1
    count = outer_parts * inner_parts
    each = -(-count // cores)
    busiest = fetched = 0.0

    def share(tasks: int, down: Callable[[float], float], across: Callable[[float], float]) -> float:
        """Return how much the first so many tasks are, measuring either loop so far by a function."""
        row, column = divmod(tasks, inner_parts)
        begun = (down(outer[row + 1]) - down(outer[row])) * across(inner[column]) if column else 0.0
        return down(outer[row]) * across(1.0) + begun

    for thread, first in enumerate(range(0, count, each)):
        last = min(count, first + each)
        home = functools.partial(_overlap, thread / cores, 1 / cores)
        down, across = (float, home) if along_inner else (home, float)
        work = share(last, float, float) - share(first, float, float)
        own = share(last, down, across) - share(first, down, across)
        busiest, fetched = max(busiest, work), max(fetched, work - own)
    return Grid(outer=outer_parts, inner=inner_parts, busiest=busiest, fetched=fetched)


def _overlap(start: float, length: float, end: float) -> float:
    """Return how much of the piece of `length` from `start` lies before `end`."""
    return min(max(end - start, 0.0), length)
