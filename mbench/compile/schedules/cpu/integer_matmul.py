"""Matrix products of 8-bit values on processors with dot products of bytes: pointwise convolutions, linear layers.

A tile of `rows` pixels x `vectors` registers of channels is summed over the whole reduction, four bytes a step: a word
of each row, in all lanes, meets a vector with four weights of each channel. Tasks are as those of `matmul`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Matmul
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import dots, tiling
from mbench.compile.schedules.cpu.byte_output import ByteOutput
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive

_UNROLL = 4
_GRIDS = 4
_L2_BYTES_A_CYCLE = 64


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles and task grids, quickest first."""
    matmul = kernel.matmul if dots.takes(kernel, machine) else None
    if matmul is not None:
        for _, parameters in _ranked(matmul, machine):
            yield parameters


def _ranked(matmul: Matmul, machine: KernelMachine) -> list[tuple[float, Parameters]]:
    """Return (cycles of the busiest core, parameters), quickest first."""
    found: list[tuple[float, Parameters]] = []
    lanes = dots.lanes_of(matmul.columns, machine)
    for rows, vectors in dots.tiles(machine) if lanes else ():
        if vectors * lanes > matmul.columns or rows > matmul.rows:
            continue
        cut, panels = tiling.Cut.of(matmul.rows, rows), -(-matmul.columns // (vectors * lanes))
        cycles = _cycles(matmul, cut, vectors, lanes, machine)
        moved = float(matmul.rows * (matmul.reduction + matmul.columns))
        for grid in itertools.islice(tiling.grids([1] * cut.count, panels, cycles, moved, machine), _GRIDS):
            parameters = {"rows": rows, "vectors": vectors, "row_parts": grid.outer, "panel_parts": grid.inner}
            found.append((grid.cycles(cycles, moved), parameters))
    return sorted(found, key=lambda pair: pair[0])


def _cycles(matmul: Matmul, cut: tiling.Cut, vectors: int, lanes: int, machine: KernelMachine) -> float:
    """Model of the whole product on one core."""
    steps, panels = dots.words(matmul.reduction), -(-matmul.columns // (vectors * lanes))
    compute = sum((part.end - part.begin) * dots.tile_cycles(part.size, vectors, steps) for part in cut.parts)
    panel_bytes = steps * dots.WORD * vectors * lanes
    far = cut.count * panel_bytes if panel_bytes > machine.l1_bytes / 2 else 0
    return panels * (compute + far / _L2_BYTES_A_CYCLE)


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    matmul, epilogue = kernel.matmul, kernel.epilogue_of_sum
    if matmul is None or epilogue is None:
        return None
    rows, vectors, row_parts, panel_parts = positive(parameters, "rows", "vectors", "row_parts", "panel_parts")
    lanes = dots.lanes_of(matmul.columns, machine)
    width = vectors * lanes
    if not lanes or width > matmul.columns or rows > matmul.rows:
        raise ValueError(f"a tile of {rows} rows x {width} columns is larger than {matmul.rows} x {matmul.columns}")
    starts, cut = tiling.panel_starts(matmul.columns, width), tiling.Cut.of(matmul.rows, rows)
    writer = emit.Writer(kernel, packed_elements=len(starts) * dots.words(matmul.reduction) * dots.WORD * width)
    with writer.function() as arrays:
        shape = kernel.parameter_shapes[-1]
        output = ByteOutput.of(kernel, epilogue, writer, arrays[-1], machine)
        tile = _ByteTile(matmul, output, shape, arrays, vectors, lanes)
        with emit.tasks(cut.count, row_parts, len(starts), panel_parts) as shares:
            (first_tile, tiles), (first_panel, panels) = shares
            with emit.loop(panels) as step:
                for part in cut.parts:
                    low, count = emit.overlap(first_tile, tiles, part.begin, part.end, cut.count)
                    with emit.loop(count) as number:
                        tile.write(first_panel + step, part.at(low + number), part.size)
    return KernelPlan(
        function=writer.result(),
        tile=f"{rows}x{vectors}x{lanes}",
        pack=partial(_packed, matmul, starts, width),
        lanes=lanes,
    )


def _packed(matmul: Matmul, starts: Sequence[int], width: int, weights: np.ndarray) -> np.ndarray:
    return dots.pack(weights.reshape(matmul.reduction, matmul.columns), starts, width)


class _ByteTile:
    """Writes the code of one tile."""

    def __init__(
        self, matmul: Matmul, output: ByteOutput, shape: Sequence[int], arrays: Sequence[Any], vectors: int, lanes: int
    ) -> None:
        self._matmul, self._output, self._shape = matmul, output, shape
        self._source, self._weights = arrays[:2]
        self._vectors, self._lanes = vectors, lanes

    def write(self, panel: Any, row: Any, rows: int) -> None:
        """Write the tile of `rows` rows from `row` on, and of panel `panel`."""
        matmul, lanes = self._matmul, self._lanes
        width, whole = self._vectors * lanes, matmul.reduction // dots.WORD
        row, column = emit.named(row), emit.named(emit.panel_start(panel, width, matmul.columns))

        def indices(r: int, v: int, lane: Any) -> list[Any]:
            return emit.indices(self._shape, row + r, column + (v * lanes + lane))

        sums = self._output.begun(rows, self._vectors, lanes, indices)
        source = emit.named(row * matmul.reduction)
        packed = emit.named(panel * (dots.words(matmul.reduction) * dots.WORD * width))
        unroll = next(step for step in (_UNROLL, 2, 1) if whole % step == 0)
        if whole:
            with emit.loop(whole // unroll) as step:
                for number in range(unroll):
                    self._step(sums, source, packed, step * unroll + number, dots.WORD)
        if matmul.reduction % dots.WORD:
            self._step(sums, source, packed, whole, matmul.reduction % dots.WORD)
        target = emit.named(row * matmul.columns + column)
        for r in range(rows):
            self._output.finish(sums, r, indices, target + r * matmul.columns)

    def _step(self, sums: emit.Accumulators, source: Any, packed: Any, number: Any, count: int) -> None:
        """Add what a word of each row, of so many bytes, gives with its weights."""
        size = dots.WORD * self._lanes
        line = packed + number * (self._vectors * size)
        weights = [emit.vector(self._weights, line + v * size, size) for v in range(self._vectors)]
        for r in range(sums.rows):
            word = dots.word(self._source, source + (number * dots.WORD + r * self._matmul.reduction), count)
            values = T.bind(dots.everywhere(word, self._lanes))
            for v in range(self._vectors):
                dots.add(sums, r, v, values, weights[v])
