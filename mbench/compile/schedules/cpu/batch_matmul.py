"""Matrix products whose operands are computed, as in attention: register tiles as in `matmul`, operands as they lie.

Nothing is packed: the right operand is read line by line where it is. A panel of its columns goes by all the row tiles
of a matrix before the next one is begun. Operands of 8 bits are first laid out anew as float32, without their zero
points; float32 sums them in parts that are exact, which int32 adds up. So are matrix products with 8-bit weights that
have fewer columns than a vector of theirs has.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import BatchMatmul, Epilogue
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import exact_floats, float_sums, matmul, tile_loops, tiling
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive
from mbench.core import dtypes

_GRIDS = 2


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles and task grids, quickest first by the model of `matmul`."""
    product = _product(kernel)
    if product is None or kernel.epilogue_of_sum is None:
        return
    found = []
    lanes = tiling.vector_lanes(product.columns, machine, product.dtype)
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
    product, epilogue = _product(kernel), kernel.epilogue_of_sum
    if product is None or epilogue is None:
        return None
    rows, vectors, *grid = positive(parameters, "rows", "vectors", "row_parts", "panel_parts")
    lanes = tiling.vector_lanes(product.columns, machine, product.dtype)
    width = vectors * lanes
    if width > product.columns or rows > product.rows:
        raise ValueError(f"a tile of {rows} rows x {width} columns is larger than {product.rows} x {product.columns}")
    panels, cut = -(-product.columns // width), tiling.Cut.of(product.rows, rows)
    writer = emit.Writer(kernel)
    with writer.function() as arrays:
        if kernel.dtype in dtypes.EIGHT_BITS:
            arrays[:2] = [exact_floats.copied(kernel, arrays, place, grid[0] * grid[1]) for place in range(2)]
        tile = _BatchTile(writer, kernel, epilogue, product, arrays, vectors, lanes, machine)
        with (
            emit.tasks(product.batch * cut.count, grid[0], panels, grid[1]) as ((first, count), (panel, many)),
            emit.loop(many) as across,
            emit.loop(count) as down,
        ):
            column = emit.named(emit.panel_start(panel + across, width, product.columns))
            number, own = (emit.named(first + down), 0) if cut.count == 1 else emit.divided(first + down, cut.count)
            for start, size in tile_loops.one(cut, own):
                tile.write(number, start, column, size)
    return KernelPlan(function=writer.result(), tile=f"{rows}x{vectors}x{lanes}", lanes=lanes)


def _product(kernel: Kernel) -> BatchMatmul | None:
    """Return what is multiplied, in the type that it is multiplied in."""
    product, one = kernel.batch_matmul, kernel.matmul
    if kernel.dtype not in dtypes.EIGHT_BITS:
        return product
    if one is not None:
        return BatchMatmul(lead=(), left=(), right=(), rows=one.rows, reduction=one.reduction, columns=one.columns)
    return product if product is None else dataclasses.replace(product, dtype=dtypes.DEFAULT)


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
        machine: KernelMachine,
    ) -> None:
        self._load, self._epilogue, self._product = writer.load, epilogue, product
        self._left, self._right, self._target = arrays[0], arrays[1], arrays[-1]
        self._shape = kernel.parameter_shapes[-1]
        self._vectors, self._lanes, self._machine = vectors, lanes, machine
        self._reach = exact_floats.reach(kernel)
        self._by_lane = not machine.broadcasts_from_memory and lanes == machine.sum_lanes(product.dtype)

    def write(self, number: Any, row: Any, column: Any, rows: int) -> None:
        """Write the tile of `rows` rows from `row` on, and of the columns from `column` on, of a matrix."""
        product, lanes, start = self._product, self._lanes, self._epilogue.start
        lead = emit.unraveled(number, product.lead)
        tile = (rows, self._vectors, lanes)
        sums = float_sums.new(product.dtype, self._machine, tile, product.reduction, reach=self._reach)

        def indices(r: int, v: int, lane: Any) -> list[Any]:
            if not lead:
                return emit.indices(self._shape, row + r, column + (v * lanes + lane))
            own = lead[len(lead) - (len(self._shape) - 2) :]
            return [*own, row + r, column + (v * lanes + lane)]

        sums.begin((lambda r, v, lane: start(indices(r, v, lane), self._load)) if start else None)
        left = emit.named((emit.matrix_of(lead, product.left) * product.rows + row) * product.reduction)
        right = emit.named(emit.matrix_of(lead, product.right) * (product.reduction * product.columns) + column)
        for span in sums.spans(product.reduction):
            with emit.loop(span.count) as turn, sums.part(span.size):
                done = span.start + turn * span.size
                self._multiply(sums, left + done, right + done * product.columns, span.size)
        target = emit.named((number * product.rows + row) * product.columns + column)
        for r in range(rows):
            for v in range(self._vectors):
                with emit.lanes_of(lanes) as lane:
                    total = self._epilogue.finish(sums.total(r, v, lane), indices(r, v, lane), self._load)
                    value = float_sums.stored(total)
                    T.buffer_store(self._target, value, [target + (r * product.columns + v * lanes + lane)])

    def _multiply(self, sums: emit.Accumulators, left: Any, right: Any, steps: int) -> None:
        """Add so many steps of the reduction: as many at once as a vector of Arm has lanes, then the rest."""
        product = self._product
        once = float_sums.unrolled(product.dtype)
        turns, rest = divmod(steps, once)
        if turns:
            with emit.loop(turns) as turn:
                self._add(sums, left + turn * once, right + turn * (once * product.columns), once)
        if rest:
            done = steps - rest
            self._add(sums, left + done, right + done * product.columns, rest)

    def _add(self, sums: emit.Accumulators, left: Any, right: Any, steps: int) -> None:
        """Add `steps` steps of the reduction."""
        product, lanes = self._product, self._lanes
        elements = [self._elements(left + r * product.reduction, steps) for r in range(sums.rows)]
        for step in range(steps):
            line = right + step * product.columns
            vectors = [emit.floats(self._right, line + v * lanes, lanes) for v in range(self._vectors)]
            for r in range(sums.rows):
                for v in range(self._vectors):
                    sums.add(r, v, elements[r][step] * vectors[v])

    def _elements(self, start: Any, count: int) -> list[Any]:
        """Return `count` elements of the left operand, each in all lanes of a vector."""
        if self._by_lane and count == self._lanes:
            loaded = emit.floats(self._left, start, self._lanes)
            return [emit.lane(loaded, number, self._lanes) for number in range(count)]
        return [emit.broadcast(emit.floats(self._left, start + number, 1), self._lanes) for number in range(count)]
