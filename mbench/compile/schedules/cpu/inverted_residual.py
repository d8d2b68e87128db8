"""Expand, depthwise and project in one kernel, so that what is between them stays in the caches of a core.

A few lines of output are made at a time. The expanded lines that they need are in a ring, and the next ones reuse those
that they share. What the depthwise convolution makes of them is projected at once. Expand or project may be missing.
Each thread has a ring of its own and takes lines in a row: only where two threads meet are lines expanded twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from mbench.compile import fused_kernel
from mbench.compile.fused_kernel import FusedStage
from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Convolution, Matmul
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import columns, matmul, tiling
from mbench.compile.schedules.cpu.inverted_residual_writer import FusedBlock, FusedBlockWriter, Pointwise
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive

_MANY_REGISTERS = 32
_TILES = {True: ((14, 1), (7, 2), (4, 3), (3, 4)), False: ((4, 3), (6, 2), (3, 3), (12, 1))}
"""Pixels x vectors of the pointwise tiles, with 32 registers and with 16: the quickest on Zen 4 of all that fit."""
_FEWEST_SUMS = 8
"""Sums in flight that hide the latency of a multiply-add: two units x four cycles."""
_TILE_CYCLES = 4
_LINES = (2, 1)
_DEPTHWISE_SUMS = {True: 8, False: 7}
"""Of a depthwise tile of one line; one of two lines has that many too, or nearly."""
_STEPS_A_CORE = 4
"""Steps of lines for each core, so that no core waits long for another."""


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield the tiles of each stage, and how many shares of lines there are for the threads."""
    block = _block(kernel)
    if block is None or not machine.broadcasts_from_memory:
        return
    conv, many = block.conv, machine.registers >= _MANY_REGISTERS
    for lines in _lines(conv, machine):
        steps = conv.batch * conv.height // lines
        found = {
            "lines": lines,
            "rows": tiling.even_parts(conv.width, -(-_DEPTHWISE_SUMS[many] // lines))[0],
            "vectors": 1,
            "line_parts": steps if _cycles(block, machine) >= 2 * tiling.MIN_TASK_CYCLES else 1,
        }
        if block.expand:
            found["expand_rows"], found["expand_vectors"] = _tile(block.expand.product, conv.input_width, machine)
        if block.project:
            found["project_rows"], found["project_vectors"] = _tile(block.project.product, lines * conv.width, machine)
        yield found


def _block(kernel: Kernel) -> FusedBlock | None:
    """Return the stages of a fused kernel as what they are; None for any other kernel."""
    stages = list(fused_kernel.stages(kernel.function))
    if any(stage.kernel.anchor is None or stage.kernel.epilogue_of_sum is None for stage in stages):
        return None
    place = next((number for number, stage in enumerate(stages) if _depthwise(stage)), None)
    if place is None or len(stages) != len(stages[:place][:1]) + 1 + len(stages[place + 1 :][:1]):
        return None
    around = [None if not each else _pointwise(each[0]) for each in (stages[:place], stages[place + 1 :])]
    expand, project = around
    if (expand is None) != (place == 0) or (project is None) != (place + 1 == len(stages)):
        return None
    conv = _depthwise(stages[place])
    return None if conv is None else FusedBlock(expand=expand, depthwise=stages[place], conv=conv, project=project)


def _depthwise(stage: FusedStage) -> Convolution | None:
    conv = stage.kernel.convolution
    if conv is None or not (conv.depthwise and conv.channels_last):
        return None
    return conv if conv.group_channels == 1 and conv.dilation == (1, 1) else None


def _pointwise(stage: FusedStage) -> Pointwise | None:
    product = stage.kernel.matmul
    return None if product is None else Pointwise(stage=stage, product=product)


def _lines(conv: Convolution, machine: KernelMachine) -> list[int]:
    """Return how many lines to make at a time, best first: two, where they share little of their input anyway."""
    fitting = [
        lines
        for lines in _LINES
        if conv.height % lines == 0 and conv.batch * conv.height >= lines * _STEPS_A_CORE * machine.cores
    ]
    return sorted(fitting or [1], reverse=conv.strides[0] > 1)


def _tile(product: Matmul, pixels: int, machine: KernelMachine) -> tuple[int, int]:
    """Return the register tile for a pointwise stage that makes so many pixels at a time."""

    def cycles(tile: tuple[int, int]) -> float:
        sizes = tiling.even_parts(pixels, tile[0])
        split = columns.panels(product.columns, tile[1], machine)
        sums = (max(size * len(panel.lanes), _FEWEST_SUMS) for size in sizes for panel in split)
        return sum(product.reduction * many / matmul.FMA_A_CYCLE + _TILE_CYCLES for many in sums)

    return min(_TILES[machine.registers >= _MANY_REGISTERS], key=cycles)


def _cycles(block: FusedBlock, machine: KernelMachine) -> float:
    """Model of the whole kernel on one core: its multiply-adds."""
    conv = block.conv
    macs = conv.pixels * conv.channels * conv.reduction
    for each in (block.expand, block.project):
        macs += each.product.rows * each.product.reduction * each.product.columns if each else 0
    return macs / (matmul.FMA_A_CYCLE * machine.lanes())


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    block = _block(kernel)
    if block is None:
        return None
    conv = block.conv
    lines, rows, vectors, parts = positive(parameters, "lines", "rows", "vectors", "line_parts")
    lanes = tiling.vector_lanes(conv.channels, machine)
    if conv.height % lines or rows > conv.width or vectors * lanes > conv.channels:
        shape = f"{conv.height} x {conv.width} x {conv.channels}"
        raise ValueError(f"a tile of {lines} lines x {rows} outputs x {vectors * lanes} channels does not fit {shape}")
    if parts > conv.batch * conv.height // lines:
        raise ValueError(f"{parts} parts are more than {conv.batch * conv.height // lines} steps")
    words = [f"{lines}x{rows}x{vectors}x{lanes}"]
    split = {}
    for name, each in (("expand", block.expand), ("project", block.project)):
        if each:
            tile = positive(parameters, f"{name}_rows", f"{name}_vectors")
            split[name] = _split(each, tile, machine)
            words.append(f"{name} {tile[0]}x{tile[1]}")
    block = dataclasses.replace(block, expand=split.get("expand"), project=split.get("project"))
    writer = FusedBlockWriter(kernel, block, lines=lines, rows=rows, vectors=vectors, lanes=lanes)
    return KernelPlan(function=writer.write(parts), tile=", ".join(words), packs=writer.packers, lanes=lanes)


def _split(pointwise: Pointwise, tile: tuple[int, ...], machine: KernelMachine) -> Pointwise:
    rows, vectors = tile
    return dataclasses.replace(
        pointwise, rows=rows, panels=tuple(columns.panels(pointwise.product.columns, vectors, machine))
    )
