"""Instance norm and group norm of images (n, y, x, c): three passes over some groups of channels of an image.

The sums of channels wait in small arrays; there the groups' means are made of them, then their variances, then what
each channel is multiplied by and what is added to it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.image_computations import NORM
from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import ChannelNorm, Epilogue
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import columns, float_sums, tiling
from mbench.compile.schedules.cpu.columns import Panel
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive
from mbench.core import dtypes

_VECTORS = 4
"""Of a pass over the pixels, at most: each has its sum, or its factor and summand, in registers."""
_ON_THE_STACK = 255
"""Channels whose sums lie on the stack."""
_PASSES_CYCLES = 6
"""Of a vector in all three passes: a guess."""


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield numbers of groups that are done together, and task grids, quickest first."""
    norm = _read(kernel)
    if norm is None:
        return
    lanes, found = machine.lanes(), []
    cycles = _PASSES_CYCLES * norm.batch * norm.pixels * norm.channels / lanes
    moved = 2.0 * dtypes.of(dtypes.DEFAULT).bytes * norm.batch * norm.pixels * norm.channels
    for groups in (count for count in range(1, norm.groups + 1) if norm.groups % count == 0):
        width = groups * norm.own
        if groups > 1 and width > _ON_THE_STACK:
            continue
        taken = cycles * -(-width // lanes) * lanes / width
        grid = tiling.grids([1] * norm.batch, norm.groups // groups, taken, moved, machine)[0]
        parameters = {"groups": groups, "image_parts": grid.outer, "panel_parts": grid.inner}
        found.append((grid.cycles(taken, moved), -groups, parameters))
    yield from (parameters for *_, parameters in sorted(found, key=lambda each: each[:2]))


def _read(kernel: Kernel) -> ChannelNorm | None:
    if kernel.channel_norm is None or not set(kernel.parameter_dtypes) <= {dtypes.DEFAULT, str(kernel.dtype)}:
        return None
    return kernel.channel_norm if kernel.epilogue_after(NORM) is not None else None


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    norm = _read(kernel)
    epilogue = None if norm is None else kernel.epilogue_after(NORM)
    if norm is None or epilogue is None:
        return None
    groups, *grid = positive(parameters, "groups", "image_parts", "panel_parts")
    if norm.groups % groups:
        raise ValueError(f"{groups} groups at a time are no part of {norm.groups}")
    writer, width = emit.Writer(kernel), groups * norm.own
    with (
        writer.function() as arrays,
        emit.tasks(norm.batch, grid[0], norm.groups // groups, grid[1]) as ((first, images), (chunk, count)),
        emit.loop(images) as one,
        emit.loop(count) as number,
    ):
        place = emit.named(first + one), emit.named((chunk + number) * width)
        split = columns.panels(width, _VECTORS, machine, str(kernel.dtype))
        _Chunk(norm=norm, groups=groups, split=split, arrays=arrays, place=place).write(epilogue, writer)
    lanes = tiling.vector_lanes(width, machine, str(kernel.dtype))
    return KernelPlan(function=writer.result(), tile=f"1x{min(_VECTORS, -(-width // lanes))}x{lanes}", lanes=lanes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Chunk:
    """Some groups of one image. `place`: the image, and the first channel."""

    norm: ChannelNorm
    groups: int
    split: list[Panel]
    arrays: list[Any]
    place: tuple[Any, Any]

    def write(self, epilogue: Epilogue, writer: emit.Writer) -> None:
        """Write the three passes."""
        means, others = (T.alloc_buffer((self.groups * self.norm.own,), "float32") for _ in range(2))
        self._sums(means, lambda value, _mean: value)
        self._averaged(means)
        self._sums(others, lambda value, mean: (value - means[mean]) * (value - means[mean]))
        self._averaged(others)
        self._factors(means, others)
        self._outputs(means, others, epilogue, writer)

    def _panels(self, body: Callable[[Panel, Any], None]) -> None:
        """Do something for each panel: it is given the panel, and where that starts among the chunk's channels."""
        for run in columns.runs(self.split):
            with emit.loop(run.count) as turn:
                body(run.first, emit.named(run.first.start + turn * run.first.width))

    def _pixel(self, pixel: Any, start: Any) -> Any:
        """Return where a channel of the chunk lies in the image."""
        image, channel = self.place
        return (image * self.norm.pixels + pixel) * self.norm.channels + channel + start

    def _sums(self, target: Any, value: Callable[[Any, Any], Any]) -> None:
        """Add up a value of each element, which is made of it and of the place of its channel, over all pixels."""

        def body(panel: Panel, start: Any) -> None:
            sums = emit.Accumulators(1, len(panel.lanes), panel.lanes)
            sums.each(lambda _row, _vector, _lane: tirx.const(0, "float32"))
            with T.serial(self.norm.pixels) as pixel:
                at = emit.named(self._pixel(pixel, start))
                for vector, (offset, lanes) in enumerate(zip(panel.offsets, panel.lanes, strict=True)):
                    with emit.lanes_of(lanes) as lane:
                        added = value(self.arrays[0][at + offset + lane].astype("float32"), start + offset + lane)
                        sums.set(0, vector, lane, sums.element(0, vector, lane) + added)
            for vector, (offset, lanes) in enumerate(zip(panel.offsets, panel.lanes, strict=True)):
                with emit.lanes_of(lanes) as lane:
                    T.buffer_store(target, sums.element(0, vector, lane), [start + offset + lane])

        self._panels(body)

    def _averaged(self, sums: Any) -> None:
        """Replace the sum of each channel by the mean over its group."""
        own, share = self.norm.own, tirx.const(1.0 / (self.norm.own * self.norm.pixels), "float32")
        with T.serial(self.groups) as group:
            total = T.alloc_buffer((1,), "float32")
            T.buffer_store(total, tirx.const(0, "float32"), [0])
            with emit.loop(own) as channel:
                T.buffer_store(total, total[0] + sums[group * own + channel], [0])
            with emit.loop(own) as channel:
                T.buffer_store(sums, total[0] * share, [group * own + channel])

    def _factors(self, means: Any, others: Any) -> None:
        """Replace means by what each channel is multiplied by, and variances by what is added to it."""
        _, weight, bias = self.arrays[:3]
        with T.serial(self.groups * self.norm.own) as own:
            channel = self.place[1] + own
            deviation = tirx.sqrt(others[own] + tirx.const(self.norm.epsilon, "float32"))
            T.buffer_store(others, weight[channel] / deviation, [own])
            T.buffer_store(means, bias[channel] - means[own] * others[own], [own])

    def _outputs(self, means: Any, others: Any, epilogue: Epilogue, writer: emit.Writer) -> None:
        """Write the output; `others` has factors by now, and `means` has summands."""
        source, target, width = self.arrays[0], self.arrays[-1], self.norm.width

        def reading(buffer: Any, panel: Panel, start: Any) -> Callable[[int, int, Any], Any]:
            return lambda _row, vector, lane: buffer[start + panel.offsets[vector] + lane]

        def body(panel: Panel, start: Any) -> None:
            kept = [emit.Accumulators(1, len(panel.lanes), panel.lanes) for _ in range(2)]
            for buffer, registers in zip((others, means), kept, strict=True):
                registers.each(reading(buffer, panel, start))
            with T.serial(self.norm.pixels) as pixel:
                at = emit.named(self._pixel(pixel, start))
                y, x = (0, pixel) if width == self.norm.pixels else emit.divided(pixel, width)
                for vector, (offset, lanes) in enumerate(zip(panel.offsets, panel.lanes, strict=True)):
                    with emit.lanes_of(lanes) as lane:
                        factor, summand = (each.element(0, vector, lane) for each in kept)
                        indices = [self.place[0], y, x, self.place[1] + start + offset + lane]
                        value = source[at + offset + lane].astype("float32") * factor + summand
                        if epilogue.start is not None:
                            value = value + epilogue.start(indices, writer.load)
                        value = float_sums.stored(epilogue.finish(value, indices, writer.load))
                        T.buffer_store(target, value, [at + offset + lane])

        self._panels(body)
