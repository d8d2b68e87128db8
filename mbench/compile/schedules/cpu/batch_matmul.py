"""Matrix products whose operands are computed, as in attention: register tiles as in `matmul`, operands as they lie.

Nothing is packed: the right operand is read line by line where it is. A panel of its columns goes by all the row tiles
of a matrix before the next one is begun.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import BatchMatmul, Epilogue
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import matmul, tiling
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive

_UNROLL = 4
_GRIDS = 2


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles and task grids, quickest first by the model of `matmul`."""
    product = kernel.batch_matmul
    if product is None or kernel.epilogue_of_sum is None:
        return
    found = []
    lanes = tiling.vector_lanes(product.columns, machine)
    for rows, vectors in matmul.register_tiles(machine):
        if vectors * lanes > product.columns or rows > product.rows:
            continue
        panels = -(-product.columns // (vectors * lanes))
        sizes = tiling.even_parts(product.rows, rows)
        cycles = panels * product.batch * sum(
            matmul.tile_cycles(size, vectors, product.reduction, machine) for size in sizes
        )  # fmt: skip
        grids = tiling.grids([1] * (product.batch * len(sizes)), panels, cycles, product.moved_bytes, machine)
        for grid in grids[:_GRIDS]:
            parameters = {"rows": rows, "vectors": vectors, "row_parts": grid.outer, "panel_parts": grid.inner}
            found.append((grid.cycles(cycles, product.moved_bytes), parameters))
    for _, parameters in sorted(found, key=lambda pair: pair[0]):
        yield parameters


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    product, epilogue = kernel.batch_matmul, kernel.epilogue_of_sum
    if product is None or epilogue is None:
        return None
    rows, vectors, *grid = positive(parameters, "rows", "vectors", "row_parts", "panel_parts")
    lanes = tiling.vector_lanes(product.columns, machine)
    width = vectors * lanes
    if width > product.columns or rows > product.rows:
        raise ValueError(f"a tile of {rows} rows x {width} columns is larger than {product.rows} x {product.columns}")
    panels, cut = -(-product.columns // width), tiling.Cut.of(product.rows, rows)
    by_lane = not machine.broadcasts_from_memory and lanes == machine.lanes()
    writer = emit.Writer(kernel)
    with (
        writer.function() as arrays,
        emit.tasks(product.batch * cut.count, grid[0], panels, grid[1]) as ((first, count), (panel, many)),
        emit.loop(many) as across,
        emit.loop(count) as down,
    ):
        tile = _BatchTile(writer, kernel, epilogue, product, arrays, vectors, lanes, by_lane=by_lane)
        column = emit.named(emit.panel_start(panel + across, width, product.columns))
        number, own = (emit.named(first + down), 0) if cut.count == 1 else emit.divided(first + down, cut.count)
        for part in cut.parts:
            with emit.inside(own, (part.begin, part.end), always=len(cut.parts) == 1):
                tile.write(number, emit.named(part.at(own)), column, part.size)
    return KernelPlan(function=writer.result(), tile=f"{rows}x{vectors}x{lanes}", lanes=lanes)


class _BatchTile:
    """Writes the code of one tile."""

    def __init__(
        self,
        writer: emit.Writer,
        kernel: Kernel,
        epilogue: Epilogue,
        product: BatchMatmul,
        arrays: list[Any],
        vectors: int,
        lanes: int,
        *,
        by_lane: bool,
    ) -> None:
        self._load, self._epilogue, self._product = writer.load, epilogue, product
        self._left, self._right, self._target = arrays[0], arrays[1], arrays[-1]
        self._shape = kernel.parameter_shapes[-1]
        self._vectors, self._lanes, self._by_lane = vectors, lanes, by_lane

    def write(self, number: Any, row: Any, column: Any, rows: int) -> None:
        """Write the tile of `rows` rows from `row` on, and of the columns from `column` on, of a matrix."""
        product, lanes, start = self._product, self._lanes, self._epilogue.start
        lead = emit.unraveled(number, product.lead)
        sums = emit.Accumulators(rows, self._vectors, lanes)

        def indices(r: int, v: int, lane: Any) -> list[Any]:
            own = lead[len(lead) - (len(self._shape) - 2) :]
            return [*own, row + r, column + (v * lanes + lane)]

        sums.each(lambda r, v, lane: start(indices(r, v, lane), self._load) if start else tirx.const(0, "float32"))
        left = emit.named((emit.matrix_of(lead, product.left) * product.rows + row) * product.reduction)
        right = emit.named(emit.matrix_of(lead, product.right) * (product.reduction * product.columns) + column)
        turns, rest = divmod(product.reduction, _UNROLL)
        if turns:
            with emit.loop(turns) as turn:
                self._add(sums, left + turn * _UNROLL, right + turn * (_UNROLL * product.columns), _UNROLL)
        if rest:
            done = product.reduction - rest
            self._add(sums, left + done, right + done * product.columns, rest)
        target = emit.named((number * product.rows + row) * product.columns + column)
        for r in range(rows):
            for v in range(self._vectors):
                with emit.lanes_of(lanes) as lane:
                    value = self._epilogue.finish(sums.element(r, v, lane), indices(r, v, lane), self._load)
                    T.buffer_store(self._target, value, [target + (r * product.columns + v * lanes + lane)])

    def _add(self, sums: emit.Accumulators, left: Any, right: Any, steps: int) -> None:
        """Add `steps` steps of the reduction."""
        product, lanes = self._product, self._lanes
        elements = [self._elements(left + r * product.reduction, steps) for r in range(sums.rows)]
        for step in range(steps):
            line = right + step * product.columns
            vectors = [emit.vector(self._right, line + v * lanes, lanes) for v in range(self._vectors)]
            for r in range(sums.rows):
                for v in range(self._vectors):
                    sums.add(r, v, elements[r][step] * vectors[v])

    def _elements(self, start: Any, count: int) -> list[Any]:
        """Return `count` elements of the left operand, each in all lanes of a vector."""
        if self._by_lane and count == self._lanes:
            loaded = emit.vector(self._left, start, self._lanes)
            return [emit.lane(loaded, number, self._lanes) for number in range(count)]
        return [emit.broadcast(self._left[start + number], self._lanes) for number in range(count)]
