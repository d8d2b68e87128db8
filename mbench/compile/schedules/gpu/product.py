"""A matrix product, as pointwise, dense and standard convolutions share it: FMA units, or tensor cores.

`turns` has what both have in common, `fma` and `mma` have the arithmetic, `tiles` has the model that ranks tiles.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Matmul
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.gpu import byte_words, fma, mma, tiles
from mbench.compile.schedules.gpu import threads as gpu
from mbench.compile.schedules.gpu.tiles import Tile
from mbench.compile.schedules.gpu.turns import Rows, ThreadBlock
from mbench.compile.schedules.rule import KernelPlan, Parameters
from mbench.core import dtypes

_WAYS: dict[str, tuple[type[Tile], type[ThreadBlock[Any]]]] = {
    "float32": (fma.FmaTile, fma.FmaBlock),
    "float16": (mma.MmaTile, mma.MmaBlock),
    **dict.fromkeys(dtypes.EIGHT_BITS, (mma.ByteMmaTile, mma.ByteMmaBlock)),
}
"""By the dtype of the operands."""


_SINGLE_BYTES = 0.5
"""Of a word that is put together of four loads: what ranks tiles by their loads takes it for two."""


def at_once(numbers: int, dtype: str) -> int:
    """Return how many elements of a row are read at once: 16 bytes, where its runs of so many numbers allow that.

    Of bytes, elements are words: four, two or one; 0: one that is put together.
    """
    if byte_words.takes(dtype):
        return byte_words.at_once(numbers)
    widest = gpu.widest(dtype)
    return widest if numbers % widest == 0 else 1


def candidates(product: Matmul, machine: KernelMachine, vector: int) -> Iterator[Parameters]:
    """Yield tiles, quickest first by the model of `tiles.cycles`. Rows are read `vector` elements at once."""
    kind, _ = _WAYS[product.dtype]
    product = dataclasses.replace(product, reduction=-(-product.reduction // kind.NUMBERS))
    for tile in tiles.ranked(kind, product, machine, vector or _SINGLE_BYTES):
        yield dataclasses.asdict(tile)


def plan(
    kernel: Kernel,
    machine: KernelMachine,
    product: Matmul,
    parameters: Parameters,
    rows: Callable[[Any, Tile], Rows],
) -> KernelPlan:
    """Write the kernel of a product; `rows` says how to read the left operand, given the flat array that it is in.

    Raises:
        ValueError: the parameters make no tile, or one that the GPU does not take.
    """
    kind, way = _WAYS[product.dtype]
    tile = kind.of(parameters)
    if machine.limits is None or not tile.fits(machine.limits):
        raise ValueError(f"{tile} is over the GPU's limits, or no whole warps make a slice of it")
    block = way(kernel, product, tile)
    writer = emit.Writer(kernel, packed_elements=block.packed_elements)
    with writer.function() as arrays:
        block.write(rows(arrays[0], tile), writer, arrays[1], arrays[-1])
    words = [tile.rows, tile.columns, tile.depth, *([tile.slices] if tile.slices > 1 else [])]
    return KernelPlan(function=writer.result(), tile="x".join(map(str, words)), pack=block.pack)
