"""Bytes that the compiler planned: the arena for activations, constants, and workspace inside kernels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import tvm
from tvm import relax, tirx

from mbench.compile import tvm_passes

_ON_THE_STACK_BELOW = 1024


def arena_bytes(planned: tvm.IRModule) -> int:
    """Return the bytes of all storages that `main` allocates, after StaticPlanBlockMemory.

    Storages are reused over the layers and live until the end of the run, so their sum is the peak.
    """
    alloc = tvm.ir.Op.get("relax.memory.alloc_storage")
    loose = tvm.ir.Op.get("relax.builtin.alloc_tensor")
    total = 0
    for block in planned["main"].body.blocks:
        for binding in block.bindings:
            operator = getattr(binding.value, "op", None)
            if operator == alloc:
                total += math.prod(int(extent) for extent in binding.value.args[0])
            elif operator == loose:
                total += _tensor_bytes(binding.var.ty)
    return total


def constant_bytes(module: tvm.IRModule) -> int:
    """Return the bytes of all constants in `main`: weights and biases."""
    total = 0

    def visit(expression: Any) -> None:
        nonlocal total
        if isinstance(expression, tvm.ir.Constant) and hasattr(expression.value, "numpy"):
            total += expression.value.numpy().nbytes

    relax.analysis.post_order_visit(module["main"], visit)
    return total


def workspace_bytes(function: tirx.PrimFunc) -> int:
    """Return the bytes that one scheduled kernel allocates for itself outside of registers, such as a padded input.

    Of one thread, where each thread has arrays of its own, as in a fused inverted residual.
    Arrays below 1 KiB are left out: LLVM's code generator puts them on the stack, and most of them into registers.
    """
    sizes = [
        _tensor_bytes(buffer) for buffer in _allocated(tvm_passes.flat(function).body) if buffer.scope() == "global"
    ]
    return sum(size for size in sizes if size >= _ON_THE_STACK_BELOW)


def _allocated(statement: Any) -> Iterator[Any]:
    """Yield the buffers that a statement without blocks allocates."""
    if isinstance(statement, tirx.AllocBuffer):
        yield statement.buffer
    for part in tvm_passes.inner(statement):
        yield from _allocated(part)


def _tensor_bytes(tensor: Any) -> int:
    return math.prod(int(extent) for extent in tensor.shape) * int(tvm.DataType(str(tensor.dtype)).itemsize)
