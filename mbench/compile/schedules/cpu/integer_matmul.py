"""Matrix products of 8-bit values on processors with dot products of bytes: pointwise convolutions, linear layers.

A tile of `rows` pixels x `vectors` registers of channels is summed over the whole reduction, four bytes a step: a word
of each row, in all lanes, meets a vector with four weights of each channel. Tasks are as those of `matmul`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import byte_bias, byte_dots, byte_output, byte_rows, dots, tile_loops, tiling
from mbench.compile.schedules.cpu.byte_bias import SpreadBias
from mbench.compile.schedules.cpu.byte_output import ByteOutput
from mbench.compile.schedules.cpu.byte_products import ByteProduct
from mbench.compile.schedules.cpu.byte_rows import ByteRows
from mbench.compile.schedules.cpu.dots import WeightPanels
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive

_NAMES = ("rows", "vectors", "row_parts", "panel_parts")
_FEW_PANELS = 3
"""So many flip the bits of values as they read them."""


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles and task grids, quickest first."""
    for _, parameters in ranked(kernel, machine):
        yield parameters


def ranked(kernel: Kernel, machine: KernelMachine) -> list[tuple[float, Parameters]]:
    """Return (cycles of the busiest core, parameters) in the order in which they are tried; empty for other kernels."""
    matmul, dot = kernel.matmul, byte_dots.of(kernel, machine)
    if matmul is None or dot is None:
        return []
    product = ByteProduct(
        matmul=matmul, dot=dot, lanes=dot.lanes_of(matmul.columns), units=matmul.rows,
        steps=dots.words(matmul.reduction), names=_NAMES,
    )  # fmt: skip
    return byte_output.with_tables(kernel, machine, product.lanes, product.ranked(machine))


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    matmul, epilogue, dot = kernel.matmul, kernel.epilogue_of_sum, byte_dots.of(kernel, machine)
    if matmul is None or epilogue is None or dot is None:
        return None
    rows, vectors, row_parts, panel_parts = positive(parameters, *_NAMES)
    lanes = dot.lanes_of(matmul.columns)
    panels = WeightPanels.of(
        kernel, dot, channels=matmul.columns, lanes=lanes, vectors=vectors, words=dots.words(matmul.reduction)
    )  # fmt: skip
    if rows > matmul.rows:
        raise ValueError(f"a tile of {rows} rows is larger than {matmul.rows}")
    count, cut = len(panels.starts), tiling.Cut.of(matmul.rows, rows)
    spread = SpreadBias.of(kernel, epilogue, panels, rows)
    writer = emit.Writer(kernel, packed_elements=byte_bias.packed_elements(panels, spread))
    with writer.function() as arrays:
        output = ByteOutput.of(kernel, epilogue, writer, arrays[-1], machine)
        if dot.group > 1 and dot.shift and count > _FEW_PANELS:
            arrays[0] = byte_rows.copied(arrays[0], matmul, row_parts, flipped=True)
            dot = dataclasses.replace(dot, shift=0)
        source = ByteRows.of(matmul, dot, arrays[0], count)
        source.write(row_parts)
        tile = _ByteTile(source, panels, output, kernel.parameter_shapes[-1], arrays, spread)
        with emit.tasks(cut.count, row_parts, count, panel_parts) as shares:
            (first_tile, tiles), (first_panel, here) = shares
            with emit.loop(here) as step:
                for start, size, _ in tile_loops.shared(cut, first_tile, tiles):
                    tile.write(first_panel + step, start, size)
    return KernelPlan(
        function=writer.result(), tile=f"{rows}x{vectors}x{lanes}", pack=panels.packed, lanes=lanes,
        packs=byte_bias.packs(spread),
    )  # fmt: skip


class _ByteTile:
    """Writes the code of one tile."""

    def __init__(
        self, source: ByteRows, panels: WeightPanels, output: ByteOutput, shape: Sequence[int], arrays: Sequence[Any],
        spread: SpreadBias | None,
    ) -> None:  # fmt: skip
        self._source, self._panels, self._output, self._shape = source, panels, output, shape
        self._weights, self._arrays, self._spread = arrays[1], arrays, spread

    def write(self, panel: Any, row: Any, rows: int) -> None:
        """Write the tile of `rows` rows from `row` on, and of panel `panel`."""
        matmul, panels, lanes = self._source.matmul, self._panels, self._panels.lanes
        whole = matmul.reduction // dots.WORD
        row, (_, column) = emit.named(row), panels.start(panel)

        def indices(r: int, v: int, lane: Any) -> list[Any]:
            return emit.indices(self._shape, row + r, column + (v * lanes + lane))

        if self._spread is not None:
            sums = self._spread.begun(self._arrays[self._spread.place], panel, rows)
        else:
            sums = self._output.begun(rows, panels.vectors, lanes, indices)
        panels.begin(sums, self._weights, panel)
        packed = emit.named(panel * panels.panel_bytes)
        group = panels.dot.group
        for first, turns, words in _turns(whole, group, rows * panels.vectors):
            with emit.loop(turns) as step:
                for number in range(0, words, group):
                    at = first + step * words + number
                    if group > 1:
                        self._group(sums, row, packed, at, min(group, words - number))
                    else:
                        self._step(sums, row, packed, at, dots.WORD)
        if matmul.reduction % dots.WORD:
            self._step(sums, row, packed, whole, matmul.reduction % dots.WORD)
        target = emit.named(row * matmul.columns + column)
        self._output.finish_all(sums, indices, target, matmul.columns)

    def _step(self, sums: emit.Accumulators, row: Any, packed: Any, number: Any, count: int) -> None:
        """Add what a word of each row from `row` on, of so many bytes, gives with its weights."""
        dot = self._source.dot
        weights = self._panels.read(self._weights, packed + number * self._panels.line_bytes)
        for r in range(sums.rows):
            operand = self._source.read(row + r, number, count, self._panels.lanes)
            for v in range(sums.vectors):
                dot.add(sums, r, v, operand, weights[v])

    def _group(self, sums: emit.Accumulators, row: Any, packed: Any, number: Any, count: int) -> None:
        """Add what so many words of each row, read at once, give with their weights."""
        dot, matmul = self._source.dot, self._source.matmul

        def load(r: int, first: int, words: int) -> Any:
            at = (row + r) * matmul.reduction + (number + first) * dots.WORD
            return emit.vector(self._arrays[0], at, dots.WORD * words)

        operands = [dot.operands(functools.partial(load, r), count, self._panels.lanes) for r in range(sums.rows)]
        for word in range(count):
            weights = self._panels.read(self._weights, packed + (number + word) * self._panels.line_bytes)
            for r in range(sums.rows):
                for v in range(sums.vectors):
                    dot.add(sums, r, v, operands[r][word], weights[v])


def _turns(words: int, group: int, sums: int) -> list[tuple[int, int, int]]:
    """Return how words are gone through: the first word, how many turns, and the words of a turn."""
    if group == 1:
        unroll = dots.unrolled(words, sums)
        return [(0, words // unroll, unroll)] if words else []
    groups = words // group
    unroll = 2 if groups % 2 == 0 else 1
    parts = [(0, groups // unroll, unroll * group), (groups * group, 1, words - groups * group)]
    return [part for part in parts if part[1] * part[2]]
