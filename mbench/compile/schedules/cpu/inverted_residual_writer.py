"""Writes the kernel of `inverted_residual`: the loops over lines, and the tiles of each stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile import tvm_passes
from mbench.compile.fused_kernel import FusedStage
from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Convolution, Epilogue, Matmul
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import columns, sliding, tile_loops, tiling
from mbench.compile.schedules.cpu.columns import Panel

_UNROLL = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pointwise:
    """A stage that is a matrix product, and how it is split: pixels of a tile, panels of columns."""

    stage: FusedStage
    product: Matmul
    rows: int = 1
    panels: tuple[Panel, ...] = ()

    def pack(self, weights: np.ndarray) -> np.ndarray:
        """Return the weights as the kernel reads them."""
        return columns.pack(weights.reshape(self.product.reduction, self.product.columns), self.panels)

    @property
    def packed_elements(self) -> int:
        """How many numbers the packed weights are."""
        return sum(panel.width for panel in self.panels) * self.product.reduction


@dataclasses.dataclass(frozen=True, kw_only=True)
class FusedBlock:
    """The stages of a fused kernel."""

    expand: Pointwise | None
    depthwise: FusedStage
    conv: Convolution
    """The depthwise convolution."""
    project: Pointwise | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class _PointwiseTile:
    """A tile of a pointwise stage: where it reads and writes, and the output's indices of (row, column) in it."""

    rows: int
    panel: Panel
    source: Any
    at: Any
    packed: Any
    target: Any
    to: Any
    indices: Callable[[int, Any], list[Any]]


class FusedBlockWriter:
    """Writes one kernel."""

    def __init__(self, kernel: Kernel, block: FusedBlock, *, lines: int, rows: int, vectors: int, lanes: int) -> None:
        self._block, self._conv = block, block.conv
        self._lines, self._rows, self._vectors, self._lanes = lines, rows, vectors, lanes
        self._width = vectors * lanes
        conv = block.conv
        self._taps = conv.kernel_height * conv.kernel_width
        self._starts = tiling.panel_starts(conv.channels, self._width)
        self._ring_lines = (lines - 1) * conv.strides[0] + conv.kernel_height
        self._line_elements = conv.input_width * conv.channels
        pointwise = [each for each in (block.expand, block.project) if each]
        place = _weights_of(block.depthwise)
        self.packers = {place: self._pack_taps, **{_weights_of(each.stage): each.pack for each in pointwise}}
        elements = {place: len(self._starts) * self._taps * self._width}
        elements.update({_weights_of(each.stage): each.packed_elements for each in pointwise})
        self._writer = emit.Writer(kernel, packed_elements=elements)
        self._arrays: list[Any] = []

    def _pack_taps(self, weights: np.ndarray) -> np.ndarray:
        return tiling.pack(weights.reshape(self._taps, self._conv.channels), self._starts, self._width)

    def write(self, parts: int) -> tirx.PrimFunc:
        """Write the kernel; its lines are split into so many parts, which the threads share."""
        block, conv = self._block, self._conv
        steps = conv.height // self._lines
        with self._writer.function() as self._arrays, emit.threads(parts):
            ring = made = None
            if block.expand:
                ring = T.alloc_buffer((self._ring_lines * self._line_elements,), "float32")
                made = T.alloc_buffer((1,), "int32")
                T.buffer_store(made, 0, [0])
            middle = T.alloc_buffer((self._lines * conv.width * conv.channels,), "float32") if block.project else None
            with emit.shared(parts) as share:
                first, count = emit.part(share, parts, conv.batch * steps)
                with emit.loop(count) as number:
                    step = emit.named(first + number)
                    batch = 0 if conv.batch == 1 else emit.named(tirx.floordiv(step, steps))
                    y = emit.named((step if conv.batch == 1 else tirx.floormod(step, steps)) * self._lines)
                    if block.expand:
                        self._expand(block.expand, batch, y, ring, made)
                    self._depthwise(batch, y, ring, middle)
                    if block.project:
                        self._project(block.project, batch, y, middle)
        return self._writer.result().with_attr(tvm_passes.OWN_ARRAYS, True)

    # --------------------------------------------------------------------------------------------------------- expand
    def _expand(self, expand: Pointwise, batch: Any, y: Any, ring: Any, made: Any) -> None:
        """Expand the lines that the step needs and the ring does not have; `made` is the first that it never had."""
        conv = self._conv
        above = batch * conv.input_height
        reach = (self._lines - 1) * conv.strides[0] + conv.kernel_height - conv.padding[0]
        end = emit.named(above + tirx.min(y * conv.strides[0] + reach, conv.input_height))
        begin = emit.named(tirx.max(made[0], above + tirx.max(y * conv.strides[0] - conv.padding[0], 0)))
        T.buffer_store(made, end, [0])
        count = emit.named(tirx.max(end - begin, 0))
        for run in columns.runs(expand.panels):
            with emit.loop(run.count) as turn, T.serial(count) as number:
                line = emit.named(begin + number)
                self._expand_line(expand, run, turn, line, ring)

    def _expand_line(self, expand: Pointwise, run: columns.PanelRun, turn: Any, line: Any, ring: Any) -> None:
        """Expand a line, counted over all images, to the channels of one panel."""
        conv, product = self._conv, expand.product
        slot = emit.named(tirx.floormod(line, self._ring_lines) * self._line_elements)
        image, y = (0, line) if conv.batch == 1 else emit.divided(line, conv.input_height)
        column = emit.named(run.first.start + turn * run.first.width)
        packed = emit.named((run.packed + turn * run.first.width) * product.reduction)
        for x, rows in tile_loops.every(conv.input_width, expand.rows):
            tile = _PointwiseTile(
                rows=rows,
                panel=run.first,
                source=self._arrays[_source_of(expand.stage)],
                at=emit.named((line * conv.input_width + x) * product.reduction),
                packed=packed,
                target=ring,
                to=emit.named(slot + x * conv.channels + column),
                indices=partial(_place_in_line, image, y, x, column),
            )
            self._product(expand, tile)

    # ------------------------------------------------------------------------------------------------------ depthwise
    def _depthwise(self, batch: Any, y: Any, ring: Any, middle: Any) -> None:
        conv = self._conv
        lines = []
        for below in range(self._ring_lines):
            line = emit.named(y * conv.strides[0] + (below - conv.padding[0]))
            whole = batch * conv.input_height + line
            kept = whole if ring is None else tirx.floormod(whole, self._ring_lines)
            lines.append((line, emit.named(kept * self._line_elements)))
        source = self._arrays[_source_of(self._block.depthwise)] if ring is None else ring
        target, to = middle, 0
        if middle is None:
            target, to = self._arrays[-1], emit.named((batch * conv.height + y) * (conv.width * conv.channels))
        for run in sliding.runs(conv, self._rows):
            with emit.loop(run.count) as across, emit.loop(len(self._starts)) as panel:
                x = emit.named(run.start + across * run.size)
                self._depthwise_tile(run, (batch, y, x), panel, lines, source, target, to)

    def _depthwise_tile(
        self,
        run: tiling.Run,
        place: tuple[Any, Any, Any],
        panel: Any,
        lines: list[tuple[Any, Any]],
        source: Any,
        target: Any,
        to: Any,
    ) -> None:
        """Write one tile. `lines`: for each line of input below the first, its number in the image, and where it is."""
        conv, lanes, stage = self._conv, self._lanes, self._block.depthwise
        batch, y, x = place
        channel = emit.named(emit.panel_start(panel, self._width, conv.channels))

        def indices(row: int, v: int, lane: Any) -> list[Any]:
            return [batch, y + row // run.size, x + row % run.size, channel + (v * lanes + lane)]

        epilogue, load = _epilogue(stage), self._load(stage)
        sums = emit.Accumulators(self._lines * run.size, self._vectors, lanes)
        start = epilogue.start
        sums.each(lambda r, v, lane: start(indices(r, v, lane), load) if start else tirx.const(0, "float32"))
        corner = emit.named((x * conv.strides[1] - conv.padding[1]) * conv.channels + channel)
        taps = emit.named(panel * (self._taps * self._width))
        for below, (line, base) in enumerate(lines):
            last = (conv.height - self._lines) * conv.strides[0] + below - conv.padding[0]
            always = below >= conv.padding[0] and last < conv.input_height
            with emit.inside(line, (0, conv.input_height), always=always):
                for down in range(self._lines):
                    ky = below - down * conv.strides[0]
                    if 0 <= ky < conv.kernel_height:
                        weights = taps + ky * conv.kernel_width * self._width
                        self._add_line(sums, run, down, source, base + corner, weights)
        first = emit.named(to + x * conv.channels + channel)
        for r in range(sums.rows):
            for v in range(self._vectors):
                offset = (r // run.size * conv.width + r % run.size) * conv.channels + v * lanes
                with emit.lanes_of(lanes) as lane:
                    value = epilogue.finish(sums.element(r, v, lane), indices(r, v, lane), load)
                    T.buffer_store(target, value, [first + (offset + lane)])

    def _add_line(
        self, sums: emit.Accumulators, run: tiling.Run, down: int, source: Any, start: Any, taps: Any
    ) -> None:
        """Add the line of input at `start`, times the line of the kernel at `taps`, to line `down` of the tile."""
        conv, lanes = self._conv, self._lanes
        weights = self._arrays[_weights_of(self._block.depthwise)]
        for kx in range(conv.kernel_width):
            for v in range(self._vectors):
                tap = emit.vector(weights, taps + (kx * self._width + v * lanes), lanes)
                for r in range(run.size):
                    if run.inside[kx][r]:
                        offset = (r * conv.strides[1] + kx) * conv.channels + v * lanes
                        sums.add(down * run.size + r, v, emit.vector(source, start + offset, lanes) * tap)

    # -------------------------------------------------------------------------------------------------------- project
    def _project(self, project: Pointwise, batch: Any, y: Any, middle: Any) -> None:
        conv, product = self._conv, project.product
        shape = project.stage.kernel.parameter_shapes[-1]
        first = emit.named((batch * conv.height + y) * conv.width)
        for run in columns.runs(project.panels):
            with emit.loop(run.count) as turn:
                column = emit.named(run.first.start + turn * run.first.width)
                packed = emit.named((run.packed + turn * run.first.width) * product.reduction)
                for row, rows in tile_loops.every(self._lines * conv.width, project.rows):
                    pixel = emit.named(first + row)
                    tile = _PointwiseTile(
                        rows=rows,
                        panel=run.first,
                        source=middle,
                        at=emit.named(row * product.reduction),
                        packed=packed,
                        target=self._arrays[-1],
                        to=emit.named(pixel * product.columns + column),
                        indices=partial(_place_of_pixel, shape, pixel, column),
                    )
                    self._product(project, tile)

    def _product(self, pointwise: Pointwise, tile: _PointwiseTile) -> None:
        """Write a tile of a matrix product: sums in registers over the whole reduction."""
        panel, product = tile.panel, pointwise.product
        epilogue, load = _epilogue(pointwise.stage), self._load(pointwise.stage)
        sums = emit.Accumulators(tile.rows, len(panel.lanes), panel.lanes)

        def indices(row: int, v: int, lane: Any) -> list[Any]:
            return tile.indices(row, panel.offsets[v] + lane)

        start = epilogue.start
        sums.each(lambda r, v, lane: start(indices(r, v, lane), load) if start else tirx.const(0, "float32"))
        weights = self._arrays[_weights_of(pointwise.stage)]
        unroll = next(step for step in (_UNROLL, 2, 1) if product.reduction % step == 0)
        with emit.loop(product.reduction // unroll) as step:
            for number in range(unroll):
                k = step * unroll + number
                line = tile.packed + k * panel.width
                vectors = [emit.vector(weights, line + panel.offsets[v], lanes) for v, lanes in enumerate(panel.lanes)]
                for r in range(tile.rows):
                    element = tile.source[tile.at + r * product.reduction + k]
                    for v, lanes in enumerate(panel.lanes):
                        sums.add(r, v, emit.broadcast(element, lanes) * vectors[v])
        for r in range(tile.rows):
            for v, lanes in enumerate(panel.lanes):
                with emit.lanes_of(lanes) as lane:
                    value = epilogue.finish(sums.element(r, v, lane), indices(r, v, lane), load)
                    T.buffer_store(tile.target, value, [tile.to + (r * product.columns + panel.offsets[v] + lane)])

    def _load(self, stage: FusedStage) -> Callable[[Any, Sequence[Any]], Any]:
        """Return what loads an element of one of a stage's parameters, by its indices."""

        def load(parameter: Any, at: Sequence[Any]) -> Any:
            params = stage.kernel.function.params
            place = next(place for place, each in zip(stage.places, params, strict=False) if each.same_as(parameter))
            return self._arrays[_known(place)][emit.raveled(at, parameter.shape)]

        return load


def _epilogue(stage: FusedStage) -> Epilogue:
    epilogue = stage.kernel.epilogue_of_sum
    if epilogue is None:
        raise ValueError("the stage reads something in a way that is not known here")
    return epilogue


def _source_of(stage: FusedStage) -> int:
    """Return where the fused kernel has a stage's input.

    Raises:
        ValueError: it is made by the stage before.
    """
    return _known(stage.places[0])


def _weights_of(stage: FusedStage) -> int:
    return _known(stage.places[1])


def _known(place: int | None) -> int:
    if place is None:
        raise ValueError("what a stage reads is made inside of the kernel")
    return place


def _place_in_line(image: Any, y: Any, x: Any, column: Any, row: int, offset: Any) -> list[Any]:
    return [image, y, x + row, column + offset]


def _place_of_pixel(shape: Sequence[int], pixel: Any, column: Any, row: int, offset: Any) -> list[Any]:
    return emit.indices(shape, pixel + row, column + offset)
