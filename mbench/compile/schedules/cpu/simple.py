"""Rules for CPUs with vector registers: x86 (SSE, AVX2, AVX-512) and Arm (NEON).

Convolutions compute a tile of output in registers: `rows` pixels of one line times `vectors` registers of channels,
over the whole reduction, with bias and ReLU applied as the tile is written. Weights are packed so that each reduction
step reads one contiguous line.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from tvm import tirx

from mbench.compile.kernel import Kernel
from mbench.compile.schedules import Machine, Plan, Rule

_MAX_VECTORS = 4
_MAX_VECTORS_ARM = 2  # three and more were seen to spill on Cortex-A72
_DENSE_VECTORS = 4
_MAX_ROWS = 14
_DEPTHWISE_ROWS = 8
_ARM_UNROLL = 4


def largest_divisor(number: int, limit: int) -> int:
    """Return the largest divisor of `number` that is at most `limit`."""
    return max(divisor for divisor in range(1, min(number, limit) + 1) if number % divisor == 0)


def channel_vector(channels: int, lanes: int) -> int:
    """Return how many channels one vector holds: the lanes, halved until they divide the channels."""
    while channels % lanes:
        lanes //= 2
    return lanes


def register_tile(width: int, channels: int, machine: Machine) -> tuple[int, int, int]:
    """Return (rows, vectors, lanes) of the tile that does most multiply-adds a load and still fits the registers.

    Each step needs rows x vectors accumulators, the vectors of weights, and one broadcast input; on Arm an input of
    each row.
    """
    lanes = channel_vector(channels, machine.lanes)
    best, best_score = (1, 1, lanes), 0.0
    most = _MAX_VECTORS if machine.broadcasts_from_memory else _MAX_VECTORS_ARM
    for vectors in range(1, most + 1):
        if channels % (vectors * lanes):
            continue
        for rows in (divisor for divisor in range(1, _MAX_ROWS + 1) if width % divisor == 0):
            inputs = 1 if machine.broadcasts_from_memory else rows
            if rows * vectors + vectors + inputs > machine.registers:
                continue
            score = rows * vectors / (rows + vectors)
            if score > best_score:
                best, best_score = (rows, vectors, lanes), score
    return best


@dataclasses.dataclass(frozen=True)
class _Tiled:
    """The loops of a convolution after tiling its output: rows x vectors x lanes accumulators inside `tile`."""

    conv: Any
    line: Any
    channel: Any
    tile: Any
    reduction: tuple[Any, Any, Any]
    row: Any
    vector: Any
    lane: Any
    lanes: int


def _tile_convolution(kernel: Kernel, rows: int, vectors: int, lanes: int) -> _Tiled:
    """Inline the epilogue and split the output (n, y, x, c) into tiles of (rows) x (vectors, lanes)."""
    schedule = kernel.schedule
    conv = kernel.block(kernel.anchor)
    for name in kernel.epilogue[:-1]:
        schedule.compute_inline(kernel.block(name))
    batch, y, x, channel, ky, kx, ci = schedule.get_loops(conv)
    tile, row = schedule.split(x, [None, rows])
    channel, vector, lane = schedule.split(channel, [None, vectors, lanes])
    line = schedule.fuse(batch, y)
    return _Tiled(conv, line, channel, tile, (ky, kx, ci), row, vector, lane, lanes)


def _accumulate_in_registers(kernel: Kernel, tiled: _Tiled) -> None:
    """Unroll the tile, keep it in a local buffer, start it from zero and write it back through bias and activation."""
    schedule = kernel.schedule
    schedule.unroll(tiled.row)
    schedule.unroll(tiled.vector)
    schedule.vectorize(tiled.lane)
    write = schedule.cache_write(tiled.conv, 0, "local")
    if kernel.epilogue:
        schedule.reverse_compute_inline(kernel.block(kernel.epilogue[-1]))
    schedule.reverse_compute_at(write, tiled.tile, preserve_unit_loops=True)
    row, channel = schedule.get_loops(write)[-2:]
    vector, lane = schedule.split(channel, [None, tiled.lanes])
    schedule.unroll(row)
    schedule.unroll(vector)
    schedule.vectorize(lane)
    schedule.decompose_reduction(tiled.conv, tiled.reduction[0])


def depthwise(kernel: Kernel, machine: Machine) -> Plan | None:
    """Depthwise convolution, padding computed on the fly."""
    if kernel.anchor is None or not kernel.anchor.startswith("group_conv2d_nhwc") or kernel.extents[-1] != 1:
        return None
    schedule = kernel.schedule
    if "pad_temp" in kernel.blocks:
        schedule.compute_inline(kernel.block("pad_temp"))
    width, channels = kernel.extents[2:4]
    lanes = channel_vector(channels, machine.lanes)
    vectors = 2 if channels % (2 * lanes) == 0 else 1
    rows = largest_divisor(width, min(_DEPTHWISE_ROWS, (machine.registers - vectors - 1) // vectors))
    tiled = _tile_convolution(kernel, rows, vectors, lanes)
    ky, kx, _ = tiled.reduction
    schedule.reorder(tiled.line, tiled.channel, tiled.tile, *tiled.reduction, tiled.row, tiled.vector, tiled.lane)
    schedule.parallel(schedule.fuse(tiled.line, tiled.channel))
    schedule.unroll(ky)
    schedule.unroll(kx)
    _accumulate_in_registers(kernel, tiled)
    return Plan(function=kernel.result(), tile=f"{rows}x{vectors}x{lanes}", lanes=lanes)


def _convolve(kernel: Kernel, machine: Machine, *, channels_outside: bool) -> Plan:
    """Schedule a convolution, but for its padding; with more than one tile of channels the weights are packed."""
    schedule = kernel.schedule
    width, channels = kernel.extents[2:4]
    rows, vectors, lanes = register_tile(width, channels, machine)
    packed = vectors * lanes if channels > vectors * lanes else None
    if packed:  # (ky, kx, ci, c) → (c/tile, ky, kx, ci, tile): each reduction step reads one contiguous line
        schedule.transform_layout(
            kernel.block(kernel.anchor),
            ("read", 1),
            lambda ky, kx, ci, c: (c // packed, ky, kx, ci, c % packed),
        )
    tiled = _tile_convolution(kernel, rows, vectors, lanes)
    outer = (tiled.channel, tiled.line) if channels_outside else (tiled.line, tiled.channel)
    schedule.reorder(*outer, tiled.tile, *tiled.reduction, tiled.row, tiled.vector, tiled.lane)
    schedule.parallel(schedule.fuse(*outer))
    if not machine.broadcasts_from_memory and kernel.extents[-1] % _ARM_UNROLL == 0:
        _, step = schedule.split(tiled.reduction[2], [None, _ARM_UNROLL])
        schedule.unroll(step)
    _accumulate_in_registers(kernel, tiled)
    return Plan(function=kernel.result(), tile=f"{rows}x{vectors}x{lanes}", weight_tile=packed, lanes=lanes)


def pointwise(kernel: Kernel, machine: Machine) -> Plan | None:
    """1x1 convolution: a matrix matmul over the pixels of a line.

    Of input and weights the larger is read once and the smaller stays in cache: lines outside, or channels outside.
    """
    if kernel.anchor is None or not kernel.anchor.startswith("conv2d_nhwc") or kernel.extents[4:6] != (1, 1):
        return None
    if "pad_temp" in kernel.blocks:
        kernel.schedule.compute_inline(kernel.block("pad_temp"))
    batch, height, width, channels, _, _, inputs = kernel.extents
    return _convolve(kernel, machine, channels_outside=inputs * channels > batch * height * width * inputs)


def standard(kernel: Kernel, machine: Machine) -> Plan | None:
    """Convolution k x k: the input is padded once; the weights of a tile of channels stay in cache over the lines."""
    if kernel.anchor is None or not kernel.anchor.startswith("conv2d_nhwc"):
        return None
    plan = _convolve(kernel, machine, channels_outside=True)
    if "pad_temp" in kernel.blocks:
        schedule = kernel.schedule
        batch, y, _, channel = schedule.get_loops(kernel.block("pad_temp"))
        schedule.parallel(schedule.fuse(batch, y))
        _vectorize(kernel, channel, machine.lanes)
    return dataclasses.replace(plan, function=kernel.result())


def _vectorize(kernel: Kernel, loop: Any, lanes: int) -> None:
    """Vectorize a loop by the lanes that divide it, if more than one does."""
    lanes = channel_vector(int(kernel.schedule.get(loop).extent), lanes)
    if lanes > 1:
        _, lane = kernel.schedule.split(loop, [None, lanes])
        kernel.schedule.vectorize(lane)


def dense(kernel: Kernel, machine: Machine) -> Plan | None:
    """Fully connected layer: a few vectors of outputs in registers over the whole reduction."""
    if kernel.anchor is None or not kernel.anchor.startswith("matmul") or len(kernel.extents) != 3:
        return None
    schedule = kernel.schedule
    batch, output, reduction = schedule.get_loops(kernel.block(kernel.anchor))
    lanes = channel_vector(kernel.extents[1], machine.lanes)
    vectors = largest_divisor(kernel.extents[1] // lanes, _DENSE_VECTORS)
    tile, lane = schedule.split(output, [None, lanes * vectors])
    schedule.reorder(batch, tile, reduction, lane)
    return _reduce_in_registers(kernel, schedule.fuse(batch, tile), reduction, lane)


def pool(kernel: Kernel, machine: Machine) -> Plan | None:
    """Global average over NHWC: (n, 1, 1, c) from (n, y, x, c), one vector of channels at a time."""
    if kernel.anchor is None or len(kernel.extents) != 6 or kernel.extents[1:3] != (1, 1):
        return None
    schedule = kernel.schedule
    batch, one, also_one, channel, ky, kx = schedule.get_loops(kernel.block(kernel.anchor))
    tile, lane = schedule.split(channel, [None, channel_vector(kernel.extents[3], machine.lanes)])
    schedule.reorder(batch, one, also_one, tile, ky, kx, lane)
    return _reduce_in_registers(kernel, schedule.fuse(batch, one, also_one, tile), ky, lane)


def _reduce_in_registers(kernel: Kernel, outer: Any, reduction: Any, lane: Any) -> Plan:
    """Share out `outer` to the threads; reduce into a local vector of `lane` and write it through the epilogue."""
    schedule = kernel.schedule
    reduce = kernel.block(kernel.anchor)
    for name in kernel.epilogue[:-1]:
        schedule.compute_inline(kernel.block(name))
    write = schedule.cache_write(reduce, 0, "local")
    if kernel.epilogue:
        schedule.reverse_compute_inline(kernel.block(kernel.epilogue[-1]))
    schedule.reverse_compute_at(write, outer, preserve_unit_loops=True)
    schedule.parallel(outer)
    schedule.vectorize(lane)
    for block in (write, schedule.decompose_reduction(reduce, reduction)):
        schedule.vectorize(schedule.get_loops(block)[-1])
    return Plan(function=kernel.result())


def elementwise(kernel: Kernel, machine: Machine) -> Plan | None:
    """Transposes, reshapes, activations left over: one pass over the output, lines shared out to the threads."""
    if kernel.anchor is not None:
        return None
    schedule = kernel.schedule
    for name in kernel.blocks[:-1]:
        schedule.compute_inline(kernel.block(name))
    loops = schedule.get_loops(kernel.block(kernel.blocks[-1]))
    _vectorize(kernel, loops[-1], machine.lanes)
    if len(loops) > 1:
        schedule.parallel(schedule.fuse(*loops[: max(1, len(loops) - 2)]))
    return Plan(function=kernel.result())


def fallback(kernel: Kernel, _machine: Machine) -> tirx.PrimFunc:
    """Correct and slow: as TVM made it."""
    return kernel.function


def _rule(schedule: Callable[[Kernel, Machine], Plan | None]) -> Rule:
    return Rule(
        candidates=lambda _kernel, _machine: [{}],
        build=lambda kernel, machine, _parameters: schedule(kernel, machine),
    )


RULES: dict[str, Rule] = {
    "cpu.pool": _rule(pool),
    "cpu.elementwise": _rule(elementwise),
}
