"""Numbers of 8 bits multiplied as float32, by rules that are written for floats: operands without their zero points.

float32 has all whole numbers up to 2^24; `float_sums` adds them up in parts that stay below.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.schedules import emit
from mbench.compile.schedules.rule import Packer
from mbench.core import dtypes


def reach(kernel: Kernel) -> int | None:
    """Return the largest magnitude of two numbers multiplied, both of 8 bits; None for other kernels."""
    if kernel.dtype not in dtypes.EIGHT_BITS:
        return None
    found = 1
    for dtype, zero in zip(kernel.parameter_dtypes[:2], kernel.zero_points, strict=True):
        known = np.iinfo(dtype)
        found *= max(zero - int(known.min), int(known.max) - zero)
    return found


def copied(kernel: Kernel, arrays: list[Any], place: int, parts: int) -> Any:
    """Write the pass that makes a parameter's numbers float32, in so many parts; return the array of them."""
    size, zero = math.prod(kernel.parameter_shapes[place]), kernel.zero_points[place]
    copy = T.alloc_buffer((size,), dtypes.DEFAULT)

    def centred(given: Any, lanes: int) -> Any:
        found = given.astype("float32" if lanes == 1 else f"float32x{lanes}")
        return found - emit.broadcast(tirx.const(float(zero), "float32"), lanes)

    emit.mapped(arrays[place], copy, size, parts, centred)
    return copy


def packing(kernel: Kernel, pack: Packer) -> Packer:
    """Return what packs a kernel's weights as float32, given what packs floats."""
    zero = np.float32(kernel.zero_points[1])
    return lambda weights: pack(weights.astype(np.float32) - zero)
