"""Rules for what only moves data or works element by element: transposes, reshapes, activations left over."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from tvm import target as tvm_target
from tvm import tirx
from tvm.s_tir import dlight
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.expressions import UnknownExpressionError, rebuild
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.gpu import byte_words
from mbench.compile.schedules.gpu import threads as gpu
from mbench.compile.schedules.rule import KernelPlan, Parameters

_THREADS = 256


def candidates(kernel: Kernel, _machine: KernelMachine) -> Iterator[Parameters]:
    """Yield the one way there is, for kernels that reduce nothing."""
    if kernel.anchor is None:
        yield {}


def build(kernel: Kernel, _machine: KernelMachine, _parameters: Parameters) -> KernelPlan | None:
    """Give each thread one element of the output, or four bytes; a warp writes 128 bytes in a row."""
    for name in kernel.blocks[:-1]:
        kernel.schedule.compute_inline(kernel.block(name))
    kernel = Kernel(kernel.result())
    block = kernel.schedule.get(kernel.block(kernel.blocks[0]))
    store, shape = block.body, kernel.parameter_shapes[-1]
    if not isinstance(store, tirx.BufferStore) or len(block.iter_vars) != len(shape):
        return None
    elements, dtype = math.prod(shape), kernel.parameter_dtypes[-1]
    together = byte_words.WORD if byte_words.takes(dtype) and elements % byte_words.WORD == 0 else 1
    count = elements // together
    writer = emit.Writer(kernel)
    try:
        with (
            writer.function() as (*_, target),
            gpu.launch((-(-count // _THREADS),), _THREADS) as ((number,), thread),
        ):
            element = emit.named(number * _THREADS + thread)
            with gpu.where(None if count % _THREADS == 0 else element < count):
                values = [
                    rebuild(store.value, list(zip(store.indices, at, strict=True)), writer.load)
                    for at in _places(element, shape, together)
                ]
                if together == 1:
                    T.buffer_store(target, values[0], [element])
                else:
                    T.buffer_store(byte_words.viewed(target, elements), byte_words.joined(values), [element])
    except UnknownExpressionError:
        return None
    return KernelPlan(function=writer.result())


def _places(element: Any, shape: Sequence[int], together: int) -> list[list[Any]]:
    """Return the indices of so many elements that lie side by side, those of a run with a number."""
    if shape and shape[-1] % together == 0:
        *outer, last = _unraveled(element, (*shape[:-1], shape[-1] // together))
        return [[*outer, last * together + own if together > 1 else last] for own in range(together)]
    return [_unraveled(element * together + own, shape) for own in range(together)]


def _unraveled(element: Any, shape: Sequence[int]) -> list[Any]:
    """Return the indices of an element of an array."""
    indices = []
    for extent in reversed(shape):
        indices.append(tirx.floormod(element, extent))
        element = tirx.floordiv(element, extent)
    return indices[::-1]


def fallback(kernel: Kernel, _machine: KernelMachine) -> tirx.PrimFunc:
    """Correct and slow: the output's elements shared out to threads."""
    schedule = dlight.gpu.Fallback().apply(kernel.function, tvm_target.Target.current(), False)
    return schedule.mod["main"]
