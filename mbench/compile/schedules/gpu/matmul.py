"""Matrix products of many rows: 1x1 convolutions over all pixels, and fully connected layers of a batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tvm import tirx

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Matmul
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.gpu import byte_words, product, tiles
from mbench.compile.schedules.gpu import threads as gpu
from mbench.compile.schedules.gpu.byte_words import WordWeights
from mbench.compile.schedules.rule import KernelPlan, Parameters


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles, quickest first by a model of the GPU."""
    if kernel.matmul is not None and kernel.epilogue_of_sum is not None:
        yield from product.candidates(kernel.matmul, machine, _vector(kernel.matmul))


def _vector(matmul: Matmul) -> int:
    """Return how many elements of a row are read at once; see `product.at_once`."""
    return product.at_once(matmul.reduction, matmul.dtype)


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    if kernel.matmul is None or kernel.epilogue_of_sum is None:
        return None
    rows = _MatrixWords if byte_words.takes(kernel.matmul.dtype) else _Matrix
    return product.plan(kernel, machine, kernel.matmul, parameters, lambda source, tile: rows(source, kernel, tile))


class _Matrix:
    """Rows that lie one after another in memory."""

    def __init__(self, source: Any, kernel: Kernel, tile: tiles.Tile) -> None:
        assert kernel.matmul is not None
        self._source, self._matmul, self._tile = source, kernel.matmul, tile
        self.vector = max(1, _vector(kernel.matmul))

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


class _MatrixWords(_Matrix):
    """Rows of bytes."""

    def __init__(self, source: Any, kernel: Kernel, tile: tiles.Tile) -> None:
        super().__init__(source, kernel, tile)
        self._weights = WordWeights.of(kernel, self._matmul)

    def begin(self, column: Any) -> None:
        """See the rows as words."""
        super().begin(column)
        self._view = byte_words.viewed(self._source, self._matmul.rows * self._matmul.reduction)

    def load(self, place: Any, step: Any) -> Any:
        """Load words of the matrix."""
        matmul, whole = self._matmul, self._weights.fills(self._tile.depth)

        def position(number: Any) -> tuple[Any, Any]:
            return place + number, None if whole else number < matmul.reduction

        return byte_words.loaded(self._source, self._view, position, self._weights.own(step), _vector(matmul), 0)
