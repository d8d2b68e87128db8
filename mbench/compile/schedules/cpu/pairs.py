"""Pairs of bfloat16 as words of 32 bits: a product of words is one of half the depth, whose rules are those of float32.

A word is two numbers in a row of one pixel; of a row of odd length the last is a number and 0. Each lane of a vector
of weights has the pair that one channel multiplies it by. `vdpbf16ps` multiplies both and adds them to a float32.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile import bfloat16
from mbench.compile.kernel_kinds import Convolution, Matmul
from mbench.compile.schedules import emit
from mbench.core import dtypes

_LANES = 16
"""Pixels that are laid out at once."""


def taken(dtype: str) -> bool:
    """Return whether numbers of a type are multiplied in pairs."""
    return dtype == dtypes.BFLOAT16


def words(count: int) -> int:
    """Return how many words so many numbers in a row take."""
    return -(-count // bfloat16.PAIR)


def of_matmul(matmul: Matmul) -> Matmul:
    """Return a product with words instead of numbers along its reduction; one of another type as it is."""
    return dataclasses.replace(matmul, reduction=words(matmul.reduction)) if taken(matmul.dtype) else matmul


def of_convolution(conv: Convolution) -> Convolution:
    """Return a convolution of words instead of numbers; one of another type as it is."""
    if not taken(conv.dtype):
        return conv
    return dataclasses.replace(conv, input_channels=conv.groups * words(conv.group_inputs))


def packed(weights: np.ndarray, reduction: int, channels: int, dtype: str) -> np.ndarray:
    """Return weights (…, `reduction`, `channels`) as (words, channels), or (numbers, channels) of another type."""
    if not taken(dtype):
        return weights.reshape(-1, channels)
    lines = weights.reshape(-1, reduction, channels)
    whole = np.zeros((len(lines), words(reduction) * bfloat16.PAIR, channels), weights.dtype)
    whole[:, :reduction] = lines
    paired = whole.reshape(-1, bfloat16.PAIR, channels).swapaxes(1, 2)
    return np.ascontiguousarray(paired).view(np.int32)[..., 0]


def add(sums: emit.Accumulators, row: int, column: int, element: Any, weights: Any) -> None:
    """Add the product of an element of a row, in all lanes, and a vector of weights to a register of sums."""
    if str(element.ty).startswith(bfloat16.WORD):
        lanes = sums.lanes
        sums.combine(row, column, element, lambda total, read: bfloat16.dot(total, read, weights, lanes))
    else:
        sums.add(row, column, element * weights)


def in_rows(source: Any, lines: int, length: int, parts: int) -> Any:
    """Write a pass that lays out lines of numbers, one behind the other, as rows of words; return the array of these.

    `parts`: tasks that it is shared out in.
    """
    size, whole = words(length), length // bfloat16.PAIR
    array = T.alloc_buffer((lines * size,), bfloat16.WORD)
    with emit.tasks(lines, min(parts, lines), 1, 1) as ((first, count), _), emit.loop(count) as number:
        line = emit.named(first + number)
        if whole:
            with emit.loop(whole) as word:
                at = line * length + word * bfloat16.PAIR
                emit.store(array, _joined(source, [at, at + 1], 1), line * size + word, 1)
        if length > whole * bfloat16.PAIR:
            emit.store(array, _joined(source, [line * length + (length - 1)], 1), line * size + whole, 1)
    return array


def in_planes(source: Any, images: int, channels: int, pixels: int, parts: int) -> Any:
    """Write a pass that lays out images, channels first, as planes of words; return the array of these."""
    size, pairs = words(channels), channels // bfloat16.PAIR
    array = T.alloc_buffer((images * size * pixels,), bfloat16.WORD)
    whole, rest = divmod(pixels, _LANES)
    for lanes, turns, begin in ((_LANES, whole, 0), (1, rest, whole * _LANES)):
        if not turns:
            continue
        with emit.tasks(turns, min(parts, turns), 1, 1) as ((first, count), _), emit.loop(count) as number:
            pixel = emit.named(begin + (first + number) * lanes)
            with emit.loop(images) as image:
                if pairs:
                    with emit.loop(pairs) as word:
                        at = (image * channels + word * bfloat16.PAIR) * pixels + pixel
                        joined = _joined(source, [at, at + pixels], lanes)
                        emit.store(array, joined, (image * size + word) * pixels + pixel, lanes)
                if channels > pairs * bfloat16.PAIR:
                    last = _joined(source, [(image * channels + (channels - 1)) * pixels + pixel], lanes)
                    emit.store(array, last, (image * size + pairs) * pixels + pixel, lanes)
    return array


def _joined(source: Any, places: Sequence[Any], lanes: int) -> Any:
    """Return the numbers at one place or two, in each lane the next ones, as words."""
    kind = "" if lanes == 1 else f"x{lanes}"
    first, *second = [emit.vector(source, place, lanes).astype(f"uint32{kind}") for place in places]
    for each in second:
        first = first + each * emit.broadcast(tirx.const(1 << bfloat16.BITS, "uint32"), lanes)
    return tirx.reinterpret(f"{bfloat16.WORD}{kind}", first)
