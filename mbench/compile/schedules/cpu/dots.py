"""Dot products of bytes on x86 (VNNI): four 8-bit values times four 8-bit weights, added to an int32, in each lane.

A word is four bytes in a row, of one pixel or row; weights are packed so that a vector has four of each channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import tirx

from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit

WORD = 4
"""Bytes of a word: what one lane multiplies."""
_LEAST_LANES = 4
_MOST_ROWS = 14
_VECTORS = (4, 3, 2, 1)
_LOADS_A_CYCLE = 1.5
_LATENCY = 4
"""Of a dot product, of which a core begins one in a cycle where vectors are of 512 bits."""
_FINISH_CYCLES, _APART_CYCLES = 3.0, 5.0
"""To turn a register of sums into bytes: where four become one, and where each is stored alone."""
_TILE_CYCLES = 8


def takes(kernel: Kernel, machine: KernelMachine) -> bool:
    """Return whether a kernel multiplies uint8 by weights and sums in int32, and the machine has dot products."""
    return machine.dot_bits > 0 and kernel.dtype == "uint8" and kernel.epilogue_of_sum is not None


def lanes_of(channels: int, machine: KernelMachine) -> int:
    """Return the int32 lanes of the widest vector that the channels fill; 0 where they fill none."""
    lanes = machine.dot_bits // 32
    while lanes > channels:
        lanes //= 2
    return lanes if lanes >= _LEAST_LANES else 0


def tiles(machine: KernelMachine) -> list[tuple[int, int]]:
    """Return the (rows, vectors) whose sums, weights and one broadcast word fit the registers."""
    return [
        (rows, vectors)
        for vectors in _VECTORS
        for rows in range(1, _MOST_ROWS + 1)
        if rows * vectors + vectors + 1 <= machine.registers
    ]


def tile_cycles(rows: int, vectors: int, steps: int) -> float:
    """Return the cycles of a tile of so many words whose data are in the first cache."""
    step = max(rows * vectors, (rows + vectors) / _LOADS_A_CYCLE, _LATENCY)
    finish = _FINISH_CYCLES if vectors == _VECTORS[0] else _APART_CYCLES
    return steps * step + finish * rows * vectors + _TILE_CYCLES


def add(sums: emit.Accumulators, row: int, column: int, values: Any, weights: Any) -> None:
    """Add the dot products of a vector of uint8 values and one of int8 weights to a register of sums."""
    lanes = sums.lanes
    name = f"llvm.x86.avx512.vpdpbusd.{32 * lanes}"
    sums.combine(
        row, column, values,
        lambda total, read: tirx.call_llvm_pure_intrin(f"int32x{lanes}", name, total, read, weights),
    )  # fmt: skip


def everywhere(word: Any, lanes: int) -> Any:
    """Return a word, an int32, in all lanes, as a vector of uint8."""
    return tirx.reinterpret(f"uint8x{WORD * lanes}", emit.broadcast(word, lanes))


def word(array: Any, start: Any, count: int = WORD) -> Any:
    """Load a word of the bytes from `start` on; of fewer than four, the rest are 0."""
    if count == WORD:
        return tirx.reinterpret("int32", array[tirx.Ramp(start, 1, WORD)])
    whole: Any = tirx.const(0, "uint32")
    for place in range(count):
        whole = whole + array[start + place].astype("uint32") * tirx.const(1 << 8 * place, "uint32")
    return tirx.reinterpret("int32", whole)


def words(reduction: int) -> int:
    """Return how many words so many bytes take."""
    return -(-reduction // WORD)


def pack(weights: np.ndarray, starts: Sequence[int], width: int) -> np.ndarray:
    """Return (…, reduction, channels) weights panel by panel, flat: (panels, …, words, width, 4); the rest are 0."""
    *taps, reduction, channels = weights.shape
    whole = np.zeros((*taps, words(reduction) * WORD, channels), np.int8)
    whole[..., :reduction, :] = weights
    split = whole.reshape(-1, WORD, channels).swapaxes(1, 2)
    return np.concatenate([split[:, start : start + width].ravel() for start in starts])
