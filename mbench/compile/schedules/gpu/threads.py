"""Writing kernels for blocks of threads: the grid, shared memory, registers, barriers. nvcc unrolls the loops.

All threads of a block meet at each barrier: it stands in the body of the kernel, or in loops that all of them go
through equally often, never under a condition that depends on the thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel_kinds import Matmul
from mbench.core import dtypes

_AXES = ("blockIdx.x", "blockIdx.y", "blockIdx.z")
WARP = 32
"""Threads."""
FLOAT = dtypes.of("float32").bytes
"""Bytes of a float."""
QUAD = 4
"""Columns of weights that a thread has together."""
_WIDEST_BYTES = 16
FAR_CYCLES = 600
"""From a load to its data in the second cache or DRAM: a guess between the two."""
SCHEDULERS = 4
"""Of an SM; each starts one warp's instruction a cycle (Volta and all later ones)."""


@contextlib.contextmanager
def launch(blocks: Sequence[int], threads: int) -> Iterator[tuple[list[Any], Any]]:
    """Start a grid of blocks of threads; yields a block's numbers and a thread's."""
    with contextlib.ExitStack() as stack:
        numbers = [
            stack.enter_context(T.launch_thread(axis, count)) for axis, count in zip(_AXES, blocks, strict=False)
        ]
        yield numbers, stack.enter_context(T.launch_thread("threadIdx.x", threads))


def widest(dtype: str) -> int:
    """Return how many elements the widest load brings, 16 bytes."""
    return _WIDEST_BYTES // dtypes.width(dtype)


def shared(elements: int, dtype: str = "float32") -> Any:
    """Return an array that the threads of a block share."""
    return IRBuilder.name("shared", T.alloc_buffer((elements,), dtype, scope="shared"))


def registers(elements: int, dtype: str = "float32") -> Any:
    """Return an array of a thread's own; in registers as long as nvcc knows each index."""
    return T.alloc_buffer((elements,), dtype, scope="local")


def barrier() -> None:
    """Wait for all threads of the block, and see what they wrote to shared memory."""
    T.evaluate(T.tvm_storage_sync("shared"))


@contextlib.contextmanager
def each(count: int) -> Iterator[Any]:
    """Repeat, unrolled by nvcc; yields the number of the turn, and writes no loop for a single one."""
    if count == 1:
        yield 0
        return
    with T.unroll(count) as turn:
        yield turn


@contextlib.contextmanager
def some(count: int, at_once: int) -> Iterator[Any]:
    """Repeat; nvcc unrolls `at_once` turns. All of a long loop's loads in advance would be more than registers hold."""
    with T.serial(count, unroll=at_once) as turn:
        yield turn


@contextlib.contextmanager
def where(condition: Any) -> Iterator[None]:
    """Do what follows where `condition` holds; None always does."""
    if condition is None:
        yield
        return
    with T.If(condition), T.Then():
        yield


def both(one: Any, other: Any) -> Any:
    """Return whether both conditions hold; None always does."""
    if one is None or other is None:
        return other if one is None else one
    return tirx.And(one, other)


def guarded(condition: Any, value: Any, lanes: int, otherwise: Any) -> Any:
    """Return `value`, loaded only where `condition` holds, else `otherwise` in all lanes; None always does.

    Args:
        condition: that may not hold.
        value: of so many lanes.
        lanes: of the value.
        otherwise: one element, or a dtype: zeros of it.
    """
    if condition is None:
        return value
    other = tirx.const(0, otherwise) if isinstance(otherwise, str) else otherwise
    return tirx.if_then_else(condition, value, other if lanes == 1 else tirx.Broadcast(other, lanes))


def wide(value: Any) -> Any:
    """Return an element as a float32, as all arithmetic on floats is; one of 8 bits as an int32."""
    return value.astype(dtypes.sums(str(value.ty)))


def zero(array: Any, elements: int) -> None:
    """Set a thread's registers to zero."""
    with each(elements) as index:
        T.buffer_store(array, tirx.const(0, str(array.dtype)), [index])


def packed_elements(product: Matmul, depth: int, width: int) -> int:
    """Return how many elements weights are that are packed in panels of `width` columns, in turns of `depth` steps.

    Steps are padded with zeros to a multiple of `depth`, columns to one of `width`.
    """
    return _up(product.reduction, depth) * _up(product.columns, width)


def pack(product: Matmul, depth: int, width: int, weights: np.ndarray) -> np.ndarray:
    """Return weights (reduction, columns) as (panel, step, column), of `packed_elements`."""
    steps, columns = _up(product.reduction, depth), _up(product.columns, width)
    whole = np.zeros((steps, columns), weights.dtype)
    whole[: product.reduction, : product.columns] = weights.reshape(product.reduction, product.columns)
    return np.ascontiguousarray(whole.reshape(steps, -1, width).transpose(1, 0, 2)).ravel()


def _up(extent: int, unit: int) -> int:
    return -(-extent // unit) * unit


def add_up(array: Any, part: Any, parts: int, width: int, places: Sequence[Any]) -> None:
    """Add elements `places` of parts 1, 2, … of `width` floats of shared memory to those of part 0, in a tree.

    Each thread has one part and its places. Threads of part 0 see their own places' sums; others, after a barrier.
    """
    count = parts
    while count > 1:
        half = -(-count // 2)
        barrier()
        with where(part < count - half):
            for place in places:
                own = part * width + place
                T.buffer_store(array, array[own] + array[own + half * width], [own])
        count = half
