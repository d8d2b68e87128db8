"""Global pooling: (n, 1, 1, c) from (n, y, x, c). A block adds up `channels` of one image, a thread some pixels.

The threads of a warp read neighbouring channels, 128 bytes a load; `parts` groups of threads take the pixels in turn,
so that many loads are under way, and meet in shared memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.machine import GpuLimits, KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.gpu import threads as gpu
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive
from mbench.core import dtypes

_CHANNELS = (32, 64, 128)
_PARTS = (1, 2, 4, 8, 16, 32)
_MOST_THREADS = 512
_REGISTERS = 32


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield channels and parts, quickest first by the model of `_cycles`."""
    limits = machine.limits
    if limits is None or not kernel.sums_pixels or kernel.epilogue_of_sum is None:
        return
    found = [
        (_cycles(kernel, channels, parts, machine, limits), channels, parts)
        for channels, parts in itertools.product(_CHANNELS, _PARTS)
        if channels * parts <= _MOST_THREADS and _fits(channels, parts, limits)
    ]
    for _, channels, parts in sorted(found):
        yield {"channels": channels, "parts": parts}


def _fits(channels: int, parts: int, limits: GpuLimits) -> bool:
    threads = channels * parts
    return bool(limits.resident(threads=threads, registers=_REGISTERS, shared_bytes=threads * gpu.FLOAT))


def _cycles(kernel: Kernel, channels: int, parts: int, machine: KernelMachine, limits: GpuLimits) -> float:
    """Return the cycles of the busiest SM: waves of blocks, each as long as its loads (four at a time) and its tree."""
    batch, height, width, total = kernel.parameter_shapes[0]
    share = -(-batch * -(-total // channels) // machine.cores)
    threads = channels * parts
    held = min(share, limits.resident(threads=threads, registers=_REGISTERS, shared_bytes=threads * gpu.FLOAT))
    loads = -(-height * width // parts)
    read = held * threads / limits.warp * loads
    return -(-share // held) * (max(-(-loads // 4) * gpu.FAR_CYCLES, read) + parts.bit_length() * 100)


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    epilogue, limits = kernel.epilogue_of_sum, machine.limits
    if epilogue is None or limits is None or not kernel.sums_pixels:
        return None
    batch, height, width, total = kernel.parameter_shapes[0]
    channels, parts = positive(parameters, "channels", "parts")
    if not _fits(channels, parts, limits):
        raise ValueError(f"{channels} channels in {parts} parts are over the GPU's limits")
    pixels = height * width
    writer = emit.Writer(kernel)
    with (
        writer.function() as (source, *_, target),
        gpu.launch((-(-total // channels), batch), channels * parts) as ((group, image), thread),
    ):
        part, own = emit.named(tirx.floordiv(thread, channels)), emit.named(tirx.floormod(thread, channels))
        channel = emit.named(group * channels + own)
        inside: Any = None if total % channels == 0 else channel < total
        zero, dtype, kind = kernel.reduced_zero_point, str(kernel.dtype), dtypes.sums(str(kernel.dtype))
        shared, sums = gpu.shared(channels * parts, kind), gpu.registers(1, kind)
        gpu.zero(sums, 1)
        with T.serial(-(-pixels // parts)) as turn:
            pixel = turn * parts + part
            there = gpu.both(inside, None if pixels % parts == 0 else pixel < pixels)
            read = source[(image * pixels + pixel) * total + channel]
            value = gpu.wide(gpu.guarded(there, read, 1, tirx.const(zero, dtype)))
            T.buffer_store(sums, sums[0] + (value - tirx.const(zero, kind) if zero else value), [0])
        T.buffer_store(shared, sums[0], [part * channels + own])
        gpu.add_up(shared, part, parts, channels, [own])
        with gpu.where(gpu.both(part < 1, inside)):
            indices = [image, 0, 0, channel]
            value = shared[own]
            if epilogue.start is not None:
                value = value + epilogue.start(indices, writer.load)
            T.buffer_store(target, epilogue.finish(value, indices, writer.load), [image * total + channel])
    return KernelPlan(function=writer.result(), tile=f"{channels}x{parts}")
