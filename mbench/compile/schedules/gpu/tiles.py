"""Tilings of a matrix product: what each needs of a GPU, and a model of how long it takes."""

from __future__ import annotations

import dataclasses
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar, NamedTuple, Self

from mbench.compile.kernel_kinds import Matmul
from mbench.compile.machine import GpuLimits, KernelMachine
from mbench.compile.schedules.gpu import threads as gpu
from mbench.compile.schedules.rule import Parameters, positive

_LEAST_THREADS, _MOST_THREADS = 64, 512
_MOST_LOADS = 8
"""Of rows, by one thread in a turn: 16 single ones were seen to make nvcc spill (sm_89 and sm_90)."""
SHARED_BYTES_A_CYCLE = 128
"""Of an SM: 32 banks of 4 bytes (CUDA C++ Programming Guide)."""
_HINDERED = 0.25
"""Of the time that the less busy parts of an SM take: how much does not pass behind the busiest one. A guess."""
TURN_INSTRUCTIONS = 30
"""Of a thread in each turn, beside loads, stores and multiply-adds: addresses, the loop, the barrier. A guess."""
NEAR_CYCLES = 30
BARRIER_CYCLES = 40
"""Latency of shared memory, and of a barrier: guesses, of the order that Jia et al. measured on Volta (Dissecting the
NVIDIA Volta GPU Architecture via Microbenchmarking, arXiv:1804.06826)."""


class Turn(NamedTuple):
    """What the parts of an SM need for one block's turn, each by itself, in cycles."""

    multiply: float
    instructions: float
    shared: float
    """Shared memory."""
    moved: float
    """From the second cache."""
    alone: float
    """What the block takes with the SM to itself, waiting for its own data."""


class Sizes(NamedTuple):
    """What tiles are made of, each the least first: the fields of a `Tile`, then the rows and columns of its parts."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    depths: tuple[int, ...]
    slices: tuple[int, ...]
    parts: tuple[tuple[int, int], ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tile(ABC):
    """The tiling of a matrix product; `turns` explains the words."""

    SIZES: ClassVar[Sizes]
    OPERAND: ClassVar[str]
    """Type of an element of both operands."""
    NUMBERS: ClassVar[int] = 1
    """Numbers of a row in an element."""

    rows: int
    columns: int
    depth: int
    slices: int

    @classmethod
    def of(cls, parameters: Parameters) -> Self:
        """Read it from a rule's parameters.

        Raises:
            ValueError: a parameter is not positive, or they do not divide each other.
        """
        names = tuple(field.name for field in dataclasses.fields(cls))
        tile = cls(**dict(zip(names, positive(parameters, *names), strict=True)))
        tile.check()
        return tile

    @classmethod
    def all(cls, product: Matmul) -> Iterator[Self]:
        """Yield the tiles that suit a product."""
        names = [field.name for field in dataclasses.fields(cls)]
        for *own, part in itertools.product(*cls.SIZES):
            tile = cls(**dict(zip(names, (*own, *part), strict=True)))
            if tile.divides and not tile.wasteful(product):
                yield tile

    @property
    @abstractmethod
    def divides(self) -> bool:
        """Whether its parts divide it."""

    @abstractmethod
    def check(self) -> None:
        """See that the parts divide each other.

        Raises:
            ValueError: they do not.
        """

    @property
    @abstractmethod
    def slice_threads(self) -> int:
        """Threads of a slice."""

    @property
    @abstractmethod
    def shared_bytes(self) -> int:
        """Shared memory of a block."""

    @property
    @abstractmethod
    def registers(self) -> int:
        """Registers of a thread, about."""

    @abstractmethod
    def turn(self, limits: GpuLimits) -> Turn:
        """Return what a turn takes of an SM, part by part."""

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.slice_threads * self.slices

    @property
    def sums_bytes(self) -> int:
        """Shared memory in which the slices' sums meet."""
        return gpu.FLOAT * self.slices * self.rows * self.columns if self.slices > 1 else 0

    def fits(self, limits: GpuLimits) -> bool:
        """Whether a GPU takes a block of it."""
        return self.slice_threads % gpu.WARP == 0 and bool(self.resident(limits))

    def resident(self, limits: GpuLimits) -> int:
        """Return how many blocks of it an SM holds."""
        return limits.resident(threads=self.threads, registers=self.registers, shared_bytes=self.shared_bytes)

    def wasteful(self, product: Matmul) -> bool:
        """Whether it is twice as long as the product, or longer, though not the shortest that there is."""
        own = (self.rows, self.columns, self.depth)
        wanted = (product.rows, product.columns, product.reduction)
        least = (self.SIZES.rows[0], self.SIZES.columns[0], self.SIZES.depths[0])
        return any(
            mine >= 2 * extent and mine > shortest for mine, extent, shortest in zip(own, wanted, least, strict=True)
        )


# ----------------------------------------------------------------------------------------------------------- the model
def ranked(kind: type[Tile], product: Matmul, machine: KernelMachine, vector: float) -> list[Tile]:
    """Return the tiles of a kind that a GPU takes, quickest first. Rows are read `vector` elements at once."""
    if machine.limits is None:
        return []
    limits, found = machine.limits, []
    for tile in kind.all(product):
        loads = tile.rows * tile.depth / vector / tile.threads
        if _LEAST_THREADS <= tile.threads <= _MOST_THREADS and loads <= _MOST_LOADS and tile.fits(limits):
            found.append((cycles(product, tile, machine, limits), dataclasses.astuple(tile), tile))
    return [tile for _, _, tile in sorted(found)]


def cycles(product: Matmul, tile: Tile, machine: KernelMachine, limits: GpuLimits) -> float:
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
    *parts, alone = tile.turn(limits)
    together = held * (max(parts) + _HINDERED * (sum(parts) - max(parts)))
    turn = max(together, alone, gpu.FAR_CYCLES / min(2, held))
    ends = 2 * gpu.FAR_CYCLES + (tile.slices > 1) * (tile.slices * tile.rows * tile.columns / tile.threads * 4 + 100)
    return -(-share // held) * (turns * turn + ends)
