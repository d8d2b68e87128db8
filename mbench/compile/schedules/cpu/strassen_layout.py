"""Strassen's algorithm in Winograd's form: which quarters are multiplied, how a product is split, what is quickest.

Source: Winograd, Linear Algebra and its Applications 4 (1971), 381.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from mbench.compile.kernel_kinds import Matmul, float_bytes
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import matmul, tiling
from mbench.compile.schedules.cpu.prologue import RowTasks
from mbench.compile.schedules.rule import Parameters, positive

_PARAMETERS = ("rows", "vectors", "row_parts", "panel_parts")
_GRIDS = 24
_TILE_CYCLES = 4
_VECTOR_CYCLES = 1.0
"""To begin and end a tile; to add up a vector of the rows, or to keep a vector of sums or take it up again."""
_MOST_SCRATCH = 4
"""Second caches that the arrays of a task may fill: those that were timed fill less than two of Haswell's."""
_FLOAT_BYTES = 4
_KEPT = 9
"""Times that each sum of a quarter of the output is kept, taken up, or added to another one."""


@dataclasses.dataclass(frozen=True)
class StrassenStep:
    """A product of quarters (11, 12, 21, 22), each with a sign: what it is added to, and what becomes of that."""

    rows: tuple[int, int, int, int]
    weights: tuple[int, int, int, int]
    begin: tuple[int, ...] = ()
    """The kept sums that it begins with."""
    keep: int | None = None
    output: tuple[int, int] | None = None
    """The quarter of the output that it finishes: the half of the rows, and of the columns."""
    plus: int | None = None
    """Kept sums that are added to that."""

    @property
    def quarter(self) -> int | None:
        """The only quarter of the rows, if it is one as it lies."""
        return self.rows.index(1) if sum(map(abs, self.rows)) == 1 else None


STEPS = (
    StrassenStep((1, 0, 0, 0), (1, 0, 0, 0), keep=0),
    StrassenStep((0, 1, 0, 0), (0, 0, 1, 0), begin=(0,), output=(0, 0)),
    StrassenStep((-1, 0, 1, 1), (1, -1, 0, 1), begin=(0,), keep=0),
    StrassenStep((0, 0, 1, 1), (-1, 1, 0, 0), keep=1),
    StrassenStep((1, 1, -1, -1), (0, 0, 0, 1), begin=(0, 1), output=(0, 1)),
    StrassenStep((1, 0, -1, 0), (0, -1, 0, 1), begin=(0,), keep=0, output=(1, 1), plus=1),
    StrassenStep((0, 0, 0, 1), (-1, 1, 1, -1), begin=(0,), output=(1, 0)),
)
SUMMED = tuple(step for step in STEPS if step.quarter is None)
"""Those whose rows have to be added up."""


def signed_sum(signs: Sequence[int], values: Sequence[Any]) -> Any:
    """Return the sum of values with signs, one of which at least is positive."""
    ordered = sorted(zip(signs, range(len(values)), strict=True), reverse=True)
    (_, first), *others = [(sign, values[number]) for sign, number in ordered if sign]
    for sign, other in others:
        first = first + other if sign > 0 else first - other
    return first


@dataclasses.dataclass(frozen=True, kw_only=True)
class StrassenSplit:
    """How a product is split: pairs of rows, one of each half of a task's, into tiles of `rows` x `vectors`; tasks."""

    product: Matmul
    rows: int
    vectors: int
    row_parts: int
    panel_parts: int
    lanes: int

    @classmethod
    def of(cls, product: Matmul, machine: KernelMachine, parameters: Parameters) -> StrassenSplit:
        """Read it off parameters.

        Raises:
            ValueError: they do not fit the product.
        """
        given = dict(zip(_PARAMETERS, positive(parameters, *_PARAMETERS), strict=True))
        split = cls(product=product, lanes=machine.lanes(), **given)
        if split.rows > split.pairs or split.width > split.columns:
            tile = f"a tile of {split.rows} rows x {split.width} columns"
            raise ValueError(f"{tile} is larger than half of each, {split.pairs} x {split.columns}")
        most = (split.tasks.cut.count, len(split.starts))
        if split.row_parts > most[0] or split.panel_parts > most[1]:
            parts = f"{split.row_parts} x {split.panel_parts} parts"
            raise ValueError(f"{parts} of {most[0]} x {most[1]} tiles and panels, expected at most one of each")
        return split

    @property
    def parameters(self) -> Parameters:
        """What it was made of."""
        return {name: getattr(self, name) for name in _PARAMETERS}

    @property
    def pairs(self) -> int:
        """Half of the rows."""
        return -(-self.product.rows // 2)

    @property
    def depth(self) -> int:
        """Half of the reduction."""
        return self.product.reduction // 2

    @property
    def columns(self) -> int:
        """Half of the columns."""
        return self.product.columns // 2

    @property
    def width(self) -> int:
        """Columns of a panel."""
        return self.vectors * self.lanes

    @property
    def starts(self) -> list[int]:
        """Where each panel starts."""
        return tiling.panel_starts(self.columns, self.width)

    @property
    def most_panels(self) -> int:
        """Panels of the largest task."""
        return -(-len(self.starts) // self.panel_parts)

    @property
    def tasks(self) -> RowTasks:
        """How the pairs are shared out."""
        cut = tiling.Cut.of(self.pairs, self.rows)
        return RowTasks(cut=cut, row_parts=self.row_parts, panel_parts=self.panel_parts)

    @property
    def scratch_bytes(self) -> int:
        """Of the sums of rows, and of those that are kept, of the largest task."""
        return _FLOAT_BYTES * self.tasks.most_rows * (len(SUMMED) * self.depth + 2 * self.most_panels * self.width)

    def pack(self, weights: np.ndarray) -> np.ndarray:
        """Return the weights in the order that they are used: part by part, in each step by step, panel by panel."""
        halves = weights.reshape(2, self.depth, 2, self.columns).astype(np.float64)
        quarters = [halves[down, :, across] for down, across in itertools.product(range(2), repeat=2)]
        sums = [signed_sum(step.weights, quarters).astype(np.float32) for step in STEPS]
        ends = [len(self.starts) * part // self.panel_parts for part in range(self.panel_parts + 1)]
        parts = [self.starts[begin:end] for begin, end in itertools.pairwise(ends)]
        return np.concatenate([tiling.pack(one, part, self.width) for part in parts for one in sums])


@functools.lru_cache(maxsize=64)
def ranked(product: Matmul, machine: KernelMachine) -> list[tuple[float, Parameters]]:
    """Return (cycles of the busiest core, parameters), quickest first, on all cores and on one alike."""
    found: list[tuple[float, float, Parameters]] = []
    for rows, vectors in matmul.register_tiles(machine):
        if 2 * vectors * machine.lanes() > product.columns or 2 * rows > product.rows:
            continue
        whole = StrassenSplit(
            product=product, rows=rows, vectors=vectors, row_parts=1, panel_parts=1, lanes=machine.lanes()
        )  # fmt: skip
        tiles, cycles = whole.tasks.cut.count, _cycles(whole, machine)
        grids = tiling.grids([1] * tiles, len(whole.starts), cycles, product.moved_bytes, machine)
        for grid in itertools.islice(grids, _GRIDS):
            split = dataclasses.replace(whole, row_parts=grid.outer, panel_parts=grid.inner)
            if split.scratch_bytes > _MOST_SCRATCH * machine.l2_bytes:
                continue
            work = _cycles(split, machine)
            found.append((grid.cycles(work, product.moved_bytes), work, split.parameters))
    return [(busiest, each) for busiest, _, each in sorted(found, key=lambda way: way[0] * way[1])]


def _cycles(split: StrassenSplit, machine: KernelMachine) -> float:
    """Model of the whole product on one core: computing, and moving what does not fit the caches."""
    size, steps, cut = float_bytes(split.product.dtype), len(STEPS) * len(split.starts), split.tasks.cut
    tiles = sum((part.end - part.begin) * _tile_cycles(part.size, split, machine) for part in cut.parts)
    moved = _KEPT * split.columns + len(SUMMED) * split.depth
    work = steps * tiles + _VECTOR_CYCLES * split.pairs * moved / split.lanes
    rows_bytes, panel_bytes = split.pairs / split.row_parts * split.depth * size, split.depth * split.width * size
    passes = steps / split.panel_parts
    near = passes * cut.count / split.row_parts * panel_bytes if panel_bytes > machine.l1_bytes / 2 else 0
    near += passes * rows_bytes if rows_bytes > machine.l1_bytes / 2 else 0
    far = passes * panel_bytes + 4 * rows_bytes
    far += passes * rows_bytes if rows_bytes >= machine.l2_bytes / 3 else 0
    return work + split.row_parts * split.panel_parts * matmul.moving_cycles(near, far)


def _tile_cycles(rows: int, split: StrassenSplit, machine: KernelMachine) -> float:
    waiting = matmul.waiting_cycles(rows, split.vectors, split.depth, machine)
    return split.depth * matmul.step_cycles(rows, split.vectors) + waiting + _TILE_CYCLES
