"""Transposed convolution: for each of its phases a convolution whose outputs lie apart, by the tiles of `convolution`.

Where the windows of neighbours in a line do not meet, as with a kernel of 2 and a stride of 2, what a pixel gives in a
line lies side by side; with few channels it is taken as the channels of one pixel, so that it fills vectors. Numbers of
8 bits are multiplied as float32, which leaves out what falls on no tap as it does for floats.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from tvm import tirx

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Epilogue
from mbench.compile.machine import KernelMachine
from mbench.compile.phases import Phase, TransposedConvolution, phases
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import convolution, exact_floats, matmul, sliding, tiling
from mbench.compile.schedules.cpu.convolution import ChannelBlocks, ConvolutionLayer, OutputPlaces
from mbench.compile.schedules.rule import KernelPlan, Packer, Parameters, positive
from mbench.core import dtypes

_MOST_PHASES = 16
"""Each is code of its own."""


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield tiles and task grids, quickest first by the model of its phases."""
    whole = _Whole.of(kernel, machine)
    if whole is None:
        return
    found: list[tuple[float, Parameters]] = []
    for rows, vectors in matmul.register_tiles(machine):
        if not whole.takes(rows, vectors):
            continue
        cycles = sum(
            convolution.cycles_of(phase.window, min(rows, phase.window.width), vectors, 1, whole.lanes, machine)
            for phase in whole.phases
        )
        panels = convolution.panel_count(whole.phases[0].window, vectors * whole.lanes)
        grid = tiling.grids([1] * whole.lines, panels, cycles, whole.moved_bytes, machine)[0]
        parameters = {"rows": rows, "vectors": vectors, "line_parts": grid.outer, "panel_parts": grid.inner}
        found.append((grid.cycles(cycles, whole.moved_bytes), parameters))
    yield from (parameters for _, parameters in sorted(found, key=lambda pair: pair[0]))


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    whole, epilogue = _Whole.of(kernel, machine), kernel.epilogue_of_sum
    if whole is None or epilogue is None:
        return None
    rows, vectors = positive(parameters, "rows", "vectors")
    grid = positive(parameters, "line_parts", "panel_parts")
    if not whole.takes(rows, vectors):
        given = whole.given
        raise ValueError(f"a tile of {rows} outputs x {vectors} vectors does not fit {given.sides}, {given.channels}")
    width = vectors * whole.lanes
    panels = len(convolution.panel_starts(whole.phases[0].window, width))
    packed = _Packed.of(whole, width)
    pack: Packer = packed.pack
    known = {} if whole.reach is None else {1: dtypes.DEFAULT}
    writer = emit.Writer(kernel, packed_elements=packed.ends[-1], packed_types=known)
    with writer.function() as arrays:
        if whole.reach is not None:
            arrays[0] = exact_floats.copied(kernel, arrays, 0, grid[0] * grid[1])
            pack = exact_floats.packing(kernel, pack)
        layers = _layers(whole, writer, epilogue, arrays, (rows, vectors), packed.ends, machine)
        _write(whole, layers, panels, grid)
    return KernelPlan(
        function=writer.result(), tile=f"{rows}x{vectors}x{whole.lanes}", pack=pack, lanes=whole.lanes
    )  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Whole:
    """A transposed convolution as it is written: with `together`, what a pixel gives in a line is its channels."""

    given: TransposedConvolution
    together: bool
    phases: tuple[Phase, ...]
    lanes: int
    reach: int | None
    """Of numbers of 8 bits, as `exact_floats` has it."""

    @classmethod
    def of(cls, kernel: Kernel, machine: KernelMachine) -> _Whole | None:
        """Choose how a kernel is written for a machine; None for one that is not written here."""
        given = kernel.transposed
        if given is None or kernel.epilogue_of_sum is None or math.prod(given.strides) > _MOST_PHASES:
            return None
        reach = exact_floats.reach(kernel)
        given = given if reach is None else dataclasses.replace(given, dtype=dtypes.DEFAULT)
        together = given.columns_apart and given.channels % machine.sum_lanes(given.dtype) != 0
        found = phases(given.lines_together if together else given)
        lanes = tiling.vector_lanes(found[0].window.group_channels, machine, given.dtype)
        return cls(given=given, together=together, phases=found, lanes=lanes, reach=reach)

    @property
    def lines(self) -> int:
        """Lines of a phase, over all images; some phases have one less in each."""
        return self.given.batch * self.phases[0].window.height

    @property
    def moved_bytes(self) -> float:
        """Of input and output together."""
        return float(sum(phase.window.moved_bytes for phase in self.phases))

    def takes(self, rows: int, vectors: int) -> bool:
        """Whether a tile fits."""
        window = self.phases[0].window
        return vectors * self.lanes <= window.group_channels and rows <= window.width

    def weights(self, array: np.ndarray) -> np.ndarray:
        """Return weights (ky, kx, ci, c) as they are written."""
        if not self.together:
            return array
        down, across, inputs, channels = array.shape
        return array.transpose(0, 2, 1, 3).reshape(down, 1, inputs, across * channels)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Packed:
    """The weights of all phases, one after the other, panel by panel; `ends`: where each begins, and the last ends."""

    whole: _Whole
    width: int
    ends: tuple[int, ...]

    @classmethod
    def of(cls, whole: _Whole, width: int) -> _Packed:
        """Say where the weights of each phase lie, in panels of so many channels."""
        sizes = [
            len(convolution.panel_starts(phase.window, width)) * phase.window.reduction * width
            for phase in whole.phases
        ]
        return cls(whole=whole, width=width, ends=(0, *itertools.accumulate(sizes)))

    def pack(self, weights: np.ndarray) -> np.ndarray:
        """Return the packed weights."""
        whole, found = self.whole.weights(weights), []
        for phase in self.whole.phases:
            own = whole[list(phase.taps[0])][:, list(phase.taps[1])].reshape(-1, phase.window.channels)
            found.append(tiling.pack(own, convolution.panel_starts(phase.window, self.width), self.width))
        return np.concatenate(found)


class _TransposedLayer(ConvolutionLayer):
    """Writes the tiles of one phase. `across`: how many pixels the channels of one are."""

    across = 1

    def _indices(self, place: tuple[Any, Any, Any], channel: Any, r: int, v: int, lane: Any) -> list[Any]:
        batch, line, column, own = super()._indices(place, channel, r, v, lane)
        if self.across == 1:
            return [batch, line, column, own]
        channels = self._conv.channels // self.across
        if channels == 1:
            return [batch, line, column * self.across + own, 0]
        return [
            batch, line, column * self.across + tirx.floordiv(own, channels), tirx.floormod(own, channels)
        ]  # fmt: skip


_Layers = list[tuple[_TransposedLayer, list[tiling.Run], int]]
"""The layer of each phase, its tiles in a line, and its lines in an image."""


def _layers(
    whole: _Whole,
    writer: emit.Writer,
    epilogue: Epilogue,
    arrays: list[Any],
    tile: tuple[int, int],
    ends: tuple[int, ...],
    machine: KernelMachine,
) -> _Layers:
    """Return what writes the tiles of each phase."""
    rows, vectors = tile
    sides = whole.given.lines_together.sides if whole.together else whole.given.sides
    found: _Layers = []
    for phase, start in zip(whole.phases, ends, strict=False):
        places = OutputPlaces(sides=sides, first=phase.first, steps=phase.steps)
        layer = _TransposedLayer(
            writer, epilogue, phase.window, machine, arrays, vectors, whole.lanes, places, weights_start=start
        )
        layer.across, layer.reach = whole.given.strides[1] if whole.together else 1, whole.reach
        found.append((layer, sliding.runs(phase.window, rows), phase.window.height))
    return found


def _write(whole: _Whole, layers: _Layers, panels: int, grid: tuple[int, ...]) -> None:
    """Write the loops over lines and panels; each line of the input gives one of every phase."""
    window = whole.phases[0].window
    channels = ChannelBlocks(start=0, size=window.group_inputs)
    with (
        emit.tasks(whole.lines, grid[0], panels, grid[1]) as ((first, lines), (panel, count)),
        emit.loop(lines) as down,
        emit.loop(count) as number,
    ):
        batch, y = (0, first + down) if window.batch == 1 else emit.divided(first + down, window.height)
        for layer, runs, height in layers:
            with emit.inside(y, (0, height), always=height == window.height):
                for run in runs:
                    with emit.loop(run.count) as turn:
                        x = run.start + turn * run.size
                        layer.tile(run, (batch, y, x), panel + number, channels, 0)
