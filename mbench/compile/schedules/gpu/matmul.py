"""Matrix products of many rows: 1x1 convolutions over all pixels, and fully connected layers of a batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tvm import tirx

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Matmul
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.gpu import product, tiles
from mbench.compile.schedules.gpu import threads as gpu
from mbench.compile.schedules.rule import KernelPlan, Parameters


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles, quickest first by a model of the GPU."""
    if kernel.matmul is not None and kernel.epilogue_of_sum is not None:
        yield from product.candidates(kernel.matmul, machine, _vector(kernel.matmul))


def _vector(matmul: Matmul) -> int:
    """Return how many elements of a row are read at once: 16 bytes, where all rows begin at a multiple of that."""
    widest = gpu.widest(matmul.dtype)
    return widest if matmul.reduction % widest == 0 else 1


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    if kernel.matmul is None or kernel.epilogue_of_sum is None:
        return None
    return product.plan(kernel, machine, kernel.matmul, parameters, lambda source, tile: _Matrix(source, kernel, tile))


class _Matrix:
    """Rows that lie one after another in memory."""

    def __init__(self, source: Any, kernel: Kernel, tile: tiles.Tile) -> None:
        assert kernel.matmul is not None
        self._source, self._matmul, self._tile = source, kernel.matmul, tile
        self.vector = _vector(kernel.matmul)

    def begin(self, column: Any) -> None:
        """Do nothing: all columns read the same rows."""

    def place(self, row: Any) -> Any:
        """Return where a row starts; one beyond the last is read as the last, and not written."""
        matmul: Matmul = self._matmul
        if matmul.rows % self._tile.rows:
            row = tirx.min(row, matmul.rows - 1)
        return emit.named(row * matmul.reduction)

    def load(self, place: Any, step: Any) -> Any:
        """Load from the matrix."""
        value = emit.vector(self._source, place + step, self.vector)
        whole = self._matmul.reduction % self._tile.depth == 0
        there = None if whole else step < self._matmul.reduction
        return gpu.guarded(there, value, self.vector, self._matmul.dtype)
