"""How the product of `product.py` may be cut, what a cut takes of a GPU, and a model of how long it takes."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

from mbench.compile.kernel import Matmul
from mbench.compile.schedules import Machine, Parameters, positive
from mbench.compile.schedules.gpu import threads as gpu
from mbench.compile.schedules.limits import Limits

_PAD = 4
"""Floats between the rows of the transposed operand in shared memory."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tile:
    """How a product is cut; `product` has the words."""

    rows: int
    columns: int
    thread_rows: int
    thread_columns: int
    depth: int
    slices: int

    @classmethod
    def of(cls, parameters: Parameters) -> Tile:
        """Read it from a rule's parameters.

        Raises:
            ValueError: a parameter is not positive, or they do not divide each other.
        """
        names = tuple(field.name for field in dataclasses.fields(cls))
        tile = cls(**dict(zip(names, positive(parameters, *names), strict=True)))
        if tile.rows % tile.thread_rows or tile.columns % tile.thread_columns or tile.depth % tile.slices:
            raise ValueError(f"{tile} has parts that do not divide it")
        if tile.depth % gpu.QUAD or tile.columns % gpu.QUAD or tile.rows % gpu.QUAD:
            raise ValueError(f"{tile} is not made of quads of steps, rows and columns")
        if any(own not in (1, 2) and own % gpu.QUAD for own in (tile.thread_rows, tile.thread_columns)):
            raise ValueError(f"{tile} has threads' parts that are not 1, 2, or quads")
        return tile

    @property
    def down(self) -> int:
        """Threads of a slice, from row to row."""
        return self.rows // self.thread_rows

    @property
    def across(self) -> int:
        """Threads of a slice, from column to column."""
        return self.columns // self.thread_columns

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.down * self.across * self.slices

    @property
    def lanes(self) -> tuple[int, int]:
        """How the threads of a warp lie: so many down, so many across.

        Raises:
            ValueError: no whole warps make a slice.
        """
        for across in (8, 4, 16, 2, 32, 1):
            if self.across % across == 0 and self.down % (gpu.WARP // across) == 0:
                return gpu.WARP // across, across
        raise ValueError(f"{self} has {self.down} x {self.across} threads in a slice: no whole warps")

    @property
    def pitch(self) -> int:
        """Floats from one step of the rows' operand to the next, in shared memory."""
        return self.rows + _PAD

    @property
    def shared_bytes(self) -> int:
        """Shared memory of a block: two buffers of both operands, or the slices' sums, whichever is more."""
        buffers = 2 * self.depth * (self.pitch + self.columns)
        return gpu.FLOAT * max(buffers, self.slices * self.rows * self.columns if self.slices > 1 else 0)

    @property
    def registers(self) -> int:
        """Registers of a thread, about: sums, two steps' operands, what is under way, and addresses."""
        sums = self.thread_rows * self.thread_columns
        under_way = self.depth * (self.rows + self.columns) / self.threads
        return int(sums + 2 * (self.thread_rows + self.thread_columns) + 1.5 * under_way + 40)

    def fits(self, limits: Limits) -> bool:
        """Whether a GPU takes a block of it."""
        return self.down * self.across % gpu.WARP == 0 and bool(self.resident(limits))

    def resident(self, limits: Limits) -> int:
        """Return how many blocks of it an SM holds."""
        return limits.resident(threads=self.threads, registers=self.registers, shared_bytes=self.shared_bytes)


# ----------------------------------------------------------------------------------------------------------- the model
_ROWS = _COLUMNS = (16, 32, 64, 128)
_THREAD_TILES = ((2, 2), (2, 4), (4, 4), (4, 8), (8, 4), (8, 8))
_DEPTHS = (8, 16, 32, 64)
_SLICES = (1, 2, 4, 8)
_LEAST_THREADS, _MOST_THREADS = 64, 512
_MOST_LOADS = 8
"""Of rows, by one thread in a turn: 16 single ones were seen to make nvcc spill (sm_89 and sm_90)."""
_SHARED_BYTES_A_CYCLE = 128
"""Of an SM: 32 banks of 4 bytes (CUDA C++ Programming Guide)."""
_HINDERED = 0.25
"""Of the time that the less busy parts of an SM take: how much does not pass behind the busiest one. A guess."""
_TURN_INSTRUCTIONS = 30
"""Of a thread in each turn, beside loads, stores and multiply-adds: addresses, the loop, the barrier. A guess."""
_NEAR_CYCLES = 30
_BARRIER_CYCLES = 40
"""Latency of shared memory, and of a barrier: guesses, of the order that Jia et al. measured on Volta (Dissecting the
NVIDIA Volta GPU Architecture via Microbenchmarking, arXiv:1804.06826)."""


def candidates(product: Matmul, machine: Machine, vector: int) -> Iterator[Parameters]:
    """Yield tiles, quickest first by the model of `cycles`. Rows are read `vector` floats at once."""
    if machine.limits is None:
        return
    limits, found = machine.limits, []
    sizes = itertools.product(_ROWS, _COLUMNS, _THREAD_TILES, _DEPTHS, _SLICES)
    for rows, columns, (thread_rows, thread_columns), depth, slices in sizes:
        if rows % thread_rows or columns % thread_columns or depth % slices or _wasteful(rows, columns, depth, product):
            continue
        tile = Tile(
            rows=rows,
            columns=columns,
            thread_rows=thread_rows,
            thread_columns=thread_columns,
            depth=depth,
            slices=slices,
        )
        loads = tile.rows * tile.depth / vector / tile.threads
        if _LEAST_THREADS <= tile.threads <= _MOST_THREADS and loads <= _MOST_LOADS and tile.fits(limits):
            found.append((cycles(product, tile, machine, limits), dataclasses.astuple(tile), tile))
    for _, _, tile in sorted(found):
        yield dataclasses.asdict(tile)


def _wasteful(rows: int, columns: int, depth: int, product: Matmul) -> bool:
    """Whether a tile is twice as long as the product, or longer, where a shorter one is to be had."""
    return (
        (rows >= 2 * product.rows and rows > _ROWS[0])
        or (columns >= 2 * product.columns and columns > _COLUMNS[0])
        or (depth >= 2 * product.reduction and depth > _DEPTHS[0])
    )


def cycles(product: Matmul, tile: Tile, machine: Machine, limits: Limits) -> float:
    """Return the cycles that the busiest SM takes.

    The blocks are dealt out evenly; an SM takes as many at once as it holds. What they do in a turn takes as long as
    the busiest of its parts (multiply-adds, instructions, shared memory, the second cache) and some of the others; but
    no less than one block needs by itself, waiting for memory, for shared memory and for its own multiply-adds, one
    warp after another.
    """
    blocks = -(-product.rows // tile.rows) * -(-product.columns // tile.columns)
    turns = -(-product.reduction // tile.depth)
    share = -(-blocks // machine.cores)
    held = min(share, tile.resident(limits))
    warps = tile.threads / limits.warp
    steps = tile.depth // tile.slices
    sums = tile.thread_rows * tile.thread_columns
    multiply = tile.rows * tile.columns * tile.depth / limits.multiply_adds
    shared = warps * steps * _wavefronts(tile) + 2 * tile.depth * (tile.rows + tile.columns) / limits.warp
    moved = tile.depth * (tile.rows + tile.columns) * gpu.FLOAT / limits.l2_bytes
    staged = tile.depth * (tile.rows * 1.25 + tile.columns * 0.5) / tile.threads
    brought = sum(-(-own // gpu.QUAD) for own in (tile.thread_rows, tile.thread_columns))
    instructions = warps * (steps * (sums + brought) + 2 * staged + _TURN_INSTRUCTIONS) / gpu.SCHEDULERS
    issue = limits.warp * gpu.SCHEDULERS / limits.multiply_adds  # cycles between a scheduler's multiply-adds
    alone = steps * max(sums * issue * max(1.0, warps / gpu.SCHEDULERS), _NEAR_CYCLES / 2) + _BARRIER_CYCLES
    parts = (multiply, instructions, shared, moved)
    together = held * (max(parts) + _HINDERED * (sum(parts) - max(parts)))
    turn = max(together, alone, gpu.FAR_CYCLES / min(2, held))
    ends = 2 * gpu.FAR_CYCLES + (tile.slices > 1) * (tile.slices * tile.rows * tile.columns / tile.threads * 4 + 100)
    return -(-share // held) * (turns * turn + ends)


def _wavefronts(tile: Tile) -> float:
    """Return the cycles that shared memory is busy with one warp's loads of one step."""
    lanes_down, lanes_across = tile.lanes
    return sum(
        max(1.0, lanes * min(gpu.QUAD, own) * gpu.FLOAT / _SHARED_BYTES_A_CYCLE) * -(-own // gpu.QUAD)
        for lanes, own in ((lanes_down, tile.thread_rows), (lanes_across, tile.thread_columns))
    )
