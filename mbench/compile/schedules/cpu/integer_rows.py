"""Sums of rows of 8-bit values on Arm without dot products of bytes: convolutions without groups, linear layers.

Sixteen values of a row meet sixteen weights of a channel; a register of sums has four parts of one sum, and four such
registers become one of four channels at the end. What is read is first laid out anew: without the sign, with its
padding, and with some room behind it, since the last values of a row are read together with what follows, which meets
weights of 0. A tile is `rows` outputs x 4 or 8 channels.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Convolution, Matmul
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import arm_dots, byte_images, byte_rows, dots, tile_loops, tiling
from mbench.compile.schedules.cpu.arm_dots import RowPairs
from mbench.compile.schedules.cpu.byte_output import ByteOutput, Indices
from mbench.compile.schedules.cpu.dots import WeightPanels
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive

_BLOCK, _BLOCK_WORDS = 16, 4
_TILES = ((4, 1), (5, 1), (3, 1), (2, 2), (2, 1), (1, 2), (1, 1))
"""(rows, vectors), each vector of four channels."""
_GRIDS = 2
_FINISH, _TILE = 9.0, 20.0
"""Instructions to finish four sums, and of a tile beside its sums."""


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles and task grids, quickest first."""
    dot, layer = arm_dots.of_rows(kernel, machine), _RowLayer.of(kernel)
    if dot is None or layer is None or layer.channels < arm_dots.LANES:
        return
    found = []
    for rows, vectors in _TILES:
        if rows > layer.width or vectors * arm_dots.LANES > layer.channels:
            continue
        parts = tiling.even_parts(layer.width, rows)
        panels = -(-layer.channels // (vectors * arm_dots.LANES))
        work = layer.lines * panels * sum(_instructions(size, vectors, layer.blocks, dot) for size in parts)
        outer = [1] * (layer.lines if layer.lines > 1 else len(parts))
        for grid in tiling.grids(outer, panels, work, float(layer.moved), machine)[:_GRIDS]:
            parameters = {"rows": rows, "vectors": vectors, "row_parts": grid.outer, "panel_parts": grid.inner}
            found.append((grid.cycles(work, float(layer.moved)), parameters))
    for _, parameters in sorted(found, key=lambda pair: pair[0]):
        yield parameters


def _instructions(rows: int, vectors: int, blocks: int, dot: RowPairs) -> float:
    """Return how many a tile takes."""
    channels = vectors * arm_dots.LANES
    each = 3 if dot.symmetric else 4
    return blocks * (each * rows * channels + rows + channels + 2) + _FINISH * rows * vectors + _TILE


@dataclasses.dataclass(frozen=True, kw_only=True)
class _RowLayer:
    """A layer as lines of outputs, each of which reads runs of bytes, one for each line of taps."""

    conv: Convolution | None
    matmul: Matmul | None
    lines: int
    width: int
    channels: int
    runs: int
    """Of an output."""
    run_bytes: int

    @classmethod
    def of(cls, kernel: Kernel) -> _RowLayer | None:
        """Return that of a kernel; None for others than linear layers and convolutions without groups."""
        if kernel.matmul is not None:
            known = kernel.matmul
            return cls(
                conv=None, matmul=known, lines=1, width=known.rows, channels=known.columns, runs=1,
                run_bytes=known.reduction,
            )  # fmt: skip
        conv = kernel.convolution
        if conv is None or conv.groups > 1:
            return None
        apart = conv.kernel_width if conv.dilation[1] > 1 else 1
        pixel = dots.words(conv.input_channels) * dots.WORD
        return cls(
            conv=conv, matmul=None, lines=conv.batch * conv.height, width=conv.width, channels=conv.channels,
            runs=conv.kernel_height * apart, run_bytes=conv.kernel_width // apart * pixel,
        )  # fmt: skip

    @property
    def run_blocks(self) -> int:
        """Blocks of 16 bytes of a run, the last of which may reach beyond it."""
        return -(-self.run_bytes // _BLOCK)

    @property
    def blocks(self) -> int:
        """Of an output."""
        return self.runs * self.run_blocks

    @property
    def moved(self) -> int:
        """Bytes that are read and written."""
        if self.conv is not None:
            return self.conv.moved_bytes // 4
        return self.width * (self.run_bytes + self.channels)

    def in_words(self, weights: np.ndarray) -> np.ndarray:
        """Return weights (…, reduction, channels) as (words, 4, channels), each run filled up to blocks with 0."""
        channels = weights.shape[-1]
        split = dots.in_words(weights).reshape(self.runs, -1, dots.WORD, channels)
        whole = np.zeros((self.runs, self.run_blocks * _BLOCK_WORDS, dots.WORD, channels), weights.dtype)
        whole[:, : split.shape[1]] = split
        return whole.reshape(-1, dots.WORD, channels)


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    dot, layer, epilogue = arm_dots.of_rows(kernel, machine), _RowLayer.of(kernel), kernel.epilogue_of_sum
    if dot is None or layer is None or epilogue is None:
        return None
    rows, vectors, *grid = positive(parameters, "rows", "vectors", "row_parts", "panel_parts")
    if rows > layer.width:
        raise ValueError(f"a tile of {rows} rows is larger than {layer.width}")
    panels = WeightPanels.of(
        kernel, dot, channels=layer.channels, lanes=arm_dots.LANES, vectors=vectors,
        words=layer.blocks * _BLOCK_WORDS,
    )  # fmt: skip
    writer = emit.Writer(kernel, packed_elements=panels.elements)
    with writer.function() as arrays:
        output = ByteOutput.of(kernel, epilogue, writer, arrays[-1], machine)
        tile = _RowTile(layer, panels, dataclasses.replace(dot, shift=0), output, arrays[1])
        if layer.conv is not None:
            _write_convolution(layer.conv, kernel.outside, arrays[0], tile, (rows, *grid), dot)
        elif layer.matmul is not None:
            source = byte_rows.copied(arrays[0], layer.matmul, grid[0], flipped=dot.shift != 0, room=_BLOCK)
            _write_product(layer.matmul, kernel.parameter_shapes[-1], source, tile, (rows, *grid))
    return KernelPlan(
        function=writer.result(), tile=f"{rows}x{vectors * arm_dots.LANES}x{_BLOCK}",
        pack=functools.partial(panels.packed, words=layer.in_words), lanes=arm_dots.LANES,
    )  # fmt: skip


def _write_product(matmul: Matmul, shape: Sequence[int], source: Any, tile: _RowTile, sizes: Sequence[int]) -> None:
    """Write the loops over panels and rows."""
    rows, row_parts, panel_parts = sizes
    cut = tiling.Cut.of(matmul.rows, rows)
    with (
        emit.tasks(cut.count, row_parts, tile.panels, panel_parts) as ((first, tiles), (panel, count)),
        emit.loop(count) as number,
    ):
        here = emit.named(panel + number)
        column = emit.named(tile.channel(here))
        for start, size, _ in tile_loops.shared(cut, first, tiles):
            row = emit.named(start)

            def indices(r: int, v: int, lane: Any, row: Any = row) -> list[Any]:
                return emit.indices(shape, row + r, column + (v * arm_dots.LANES + lane))

            def load(r: int, run: int, block: Any, row: Any = row) -> Any:
                return emit.vector(source, (row + r) * matmul.reduction + run + block * _BLOCK, _BLOCK)

            tile.write(here, size, load, indices, row * matmul.columns + column, matmul.columns)


def _write_convolution(
    conv: Convolution, outside: int, source: Any, tile: _RowTile, sizes: Sequence[int], dot: RowPairs
) -> None:
    """Write the image anew, and the loops over panels, lines, and tiles of a line."""
    rows, line_parts, panel_parts = sizes
    image = byte_images.of(conv, dot, source, outside, slack=_BLOCK_WORDS, anew=True)
    image.write(line_parts)
    apart = conv.kernel_width if conv.dilation[1] > 1 else 1
    with (
        emit.tasks(conv.batch * conv.height, line_parts, tile.panels, panel_parts) as ((first, lines), (panel, count)),
        emit.loop(count) as number,
        emit.loop(lines) as down,
    ):
        line, here = emit.named(first + down), emit.named(panel + number)
        batch, y = (0, line) if conv.batch == 1 else emit.divided(line, conv.height)
        channel = emit.named(tile.channel(here))
        for x, size in tile_loops.every(conv.width, rows):
            corner = emit.named(image.pixel(batch, y, x) * image.words)

            def indices(r: int, v: int, lane: Any, x: Any = x) -> list[Any]:
                return [batch, y, x + r, channel + (v * arm_dots.LANES + lane)]

            def load(r: int, run: int, block: Any, corner: Any = corner) -> Any:
                ky, kx = divmod(run, apart)
                down, across = conv.dilation[0] * image.width * image.words, conv.dilation[1] * image.words
                at = corner + (r * conv.strides[1] * image.words + ky * down + kx * across)
                return image.vector(at + block * _BLOCK_WORDS, _BLOCK_WORDS)

            target = ((batch * conv.height + y) * conv.width + x) * conv.channels + channel
            tile.write(here, size, load, indices, target, conv.channels)


class _RowTile:
    """Writes the code of one tile."""

    def __init__(self, layer: _RowLayer, panels: WeightPanels, dot: RowPairs, output: ByteOutput, weights: Any) -> None:
        self._layer, self._panels, self._dot, self._output, self._weights = layer, panels, dot, output, weights

    @property
    def panels(self) -> int:
        """How many there are."""
        return len(self._panels.starts)

    def channel(self, panel: Any) -> Any:
        """Return the first channel of a panel."""
        return emit.panel_start(panel, self._panels.width, self._layer.channels)

    def write(self, panel: Any, rows: int, load: Any, indices: Indices, target: Any, apart: int) -> None:
        """Write a tile of so many rows, which are `apart` in the output, from `target` on.

        `load(row, run, block)` reads 16 bytes.
        """
        layer, panels, lanes = self._layer, self._panels, arm_dots.LANES
        parts = emit.Accumulators(rows, panels.width, lanes, "int32")
        packed, target = emit.named(panel * panels.panel_bytes), emit.named(target)
        line_bytes = _BLOCK * panels.width
        self._add_block(parts, functools.partial(load, run=0, block=0), packed, begins=True)
        for run in range(layer.runs):
            first = 1 if run == 0 else 0
            if layer.run_blocks == first:
                continue
            with emit.loop(layer.run_blocks - first) as turn:
                block = emit.named(turn + first)
                line = packed + run * layer.run_blocks * line_bytes + block * line_bytes
                self._add_block(parts, functools.partial(load, run=run, block=block), line, begins=False)
        sums = self._output.begun(rows, panels.vectors, lanes, indices)
        panels.begin(sums, self._weights, panel)
        for r in range(rows):
            for v in range(panels.vectors):
                sums.add(r, v, _joined([parts.vector(r, v * lanes + number) for number in range(lanes)]))
            self._output.finish(sums, r, indices, target + r * apart)

    def _add_block(self, parts: emit.Accumulators, load: Callable[[int], Any], line: Any, *, begins: bool) -> None:
        """Add 16 values of each row, with the weights from byte `line` on; the first begin the sums."""
        dot, lanes = self._dot, arm_dots.LANES
        values = [dot.operand(load(r), lanes) for r in range(parts.rows)]
        for channel in range(parts.vectors):
            weights = T.bind(emit.vector(self._weights, line + channel * _BLOCK, _BLOCK))
            for r in range(parts.rows):

                def added(total: Any, operand: Any, weights: Any = weights) -> Any:
                    return dot.summed(None if begins else total, operand, weights, lanes)

                parts.combine(r, channel, values[r], added)


def _joined(parts: Sequence[Any]) -> Any:
    """Return four registers, each with parts of one sum, as one of four sums."""
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=True)
        parts = [tirx.call_llvm_pure_intrin("int32x4", "llvm.aarch64.neon.addp", *pair) for pair in pairs]
    return parts[0]
