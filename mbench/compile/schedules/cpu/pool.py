"""Global pooling, the sum or the largest of all pixels of (n, y, x, c): some vectors of channels in registers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Epilogue
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import float_sums, tiling
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive
from mbench.core import dtypes

_VECTORS = (8, 4, 2, 1)


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield numbers of vectors, many first: the more, the more of each line of memory is used at once."""
    if kernel.reduced_pixels is None or kernel.epilogue_of_sum is None:
        return
    batch, _, _, channels = kernel.parameter_shapes[0]
    lanes = tiling.vector_lanes(channels, machine, str(kernel.dtype))
    for vectors in _VECTORS:
        if vectors * lanes > channels or vectors > machine.registers // 2:
            continue
        panels = -(-channels // (vectors * lanes))
        grid = tiling.grids([1] * batch, panels, _cycles(kernel, lanes), 0.0, machine)[0]
        yield {"vectors": vectors, "image_parts": grid.outer, "panel_parts": grid.inner}


def _cycles(kernel: Kernel, lanes: int) -> float:
    batch, height, width, channels = kernel.parameter_shapes[0]
    return batch * height * width * channels / lanes


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    epilogue, kind = kernel.epilogue_of_sum, kernel.reduced_pixels
    if epilogue is None or kind is None:
        return None
    batch, height, width, channels = kernel.parameter_shapes[0]
    vectors, *grid = positive(parameters, "vectors", "image_parts", "panel_parts")
    lanes = tiling.vector_lanes(channels, machine, str(kernel.dtype))
    if vectors * lanes > channels:
        raise ValueError(f"a tile of {vectors * lanes} channels is larger than {channels}")
    panels = -(-channels // (vectors * lanes))
    writer = emit.Writer(kernel)
    with (
        writer.function() as (source, *_, target),
        emit.tasks(batch, grid[0], panels, grid[1]) as shares,
    ):
        (first_image, images), (first_panel, count) = shares
        with emit.loop(images) as one, emit.loop(count) as number:
            image = emit.named(first_image + one)
            channel = emit.named(emit.panel_start(first_panel + number, vectors * lanes, channels))
            sums = emit.Accumulators(1, vectors, lanes, _type_of_sums(kernel))
            take = sums.add if kind == "sum" else sums.keep_largest
            sums.each(lambda _row, _vector, _lane: _least(kernel, kind, height * width))
            with emit.loop(height * width) as pixel:
                start = (image * (height * width) + pixel) * channels + channel
                for v in range(vectors):
                    take(0, v, _wide(kernel, emit.floats(source, start + v * lanes, lanes), lanes))
            _finish(sums, epilogue, writer, target, (image, channel, channels), len(kernel.parameter_shapes[-1]) - 2)
    return KernelPlan(function=writer.result(), tile=f"1x{vectors}x{lanes}", lanes=lanes)


def _least(kernel: Kernel, kind: Literal["sum", "max"], pixels: int) -> Any:
    """Return what a reduction begins with; sums of bytes with what the zero points of so many pixels take off them."""
    if kind == "max":
        return tirx.min_value(_type_of_sums(kernel))
    if kernel.dtype not in dtypes.EIGHT_BITS:
        return tirx.const(0, _type_of_sums(kernel))
    return tirx.const(-pixels * kernel.reduced_zero_point, dtypes.sums(kernel.dtype))


def _type_of_sums(kernel: Kernel) -> str:
    """Return the type of what is added up, or of the largest."""
    return str(kernel.store(kernel.anchor).buffer.dtype)


def _wide(kernel: Kernel, value: Any, lanes: int) -> Any:
    """Return a vector in the type of sums."""
    sums = _type_of_sums(kernel)
    if kernel.dtype == sums:
        return value
    return value.astype(sums if lanes == 1 else f"{sums}x{lanes}")


def _finish(
    sums: emit.Accumulators,
    epilogue: Epilogue,
    writer: emit.Writer,
    target: Any,
    place: tuple[Any, Any, int],
    between: int,
) -> None:
    """Write the output, which has `between` axes of 1 between images and channels."""
    image, channel, channels = place
    for v in range(sums.vectors):
        with emit.lanes_of(sums.lanes) as lane:
            indices = [image, *[0] * between, channel + (v * sums.lanes + lane)]
            value = sums.element(0, v, lane)
            if epilogue.start is not None:
                value = value + epilogue.start(indices, writer.load)
            value = float_sums.stored(epilogue.finish(value, indices, writer.load))
            T.buffer_store(target, value, [image * channels + channel + (v * sums.lanes + lane)])
