"""What a kernel's anchor does with values of 8 bits, read off what it stores. No scheduling decisions here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tvm
from tvm import tirx
from tvm.ir.prim import expr as prim

from mbench.compile import windows
from mbench.compile.computations import PIXELS
from mbench.compile.image_computations import TRANSPOSED
from mbench.core import dtypes

_REDUCED = (PIXELS, "reduce_max", "pool_sum", "pool_max")
_MULTIPLIED = ("conv2d", "matmul", TRANSPOSED)


def dtype(anchor: str, store: Any, types: Sequence[str]) -> str | None:
    """Return the type of 8-bit values that are reduced, or multiplied by int8 and summed in int32; None for all else.

    Those of two computed operands may be multiplied by uint8 as well. `types` are those of the kernel's parameters.
    """
    first, second, *_ = types
    if anchor in _REDUCED:
        return first
    if not any(word in anchor for word in _MULTIPLIED) or not isinstance(store, tirx.BufferStore):
        return None
    loaded = [isinstance(windows.uncast(windows.less(each)[0]), tvm.ir.TensorLoad) for each in _factors(store)]
    known = second in dtypes.EIGHT_BITS if anchor == "batch_matmul" else second == "int8"
    return first if loaded and all(loaded) and known and str(store.buffer.dtype) == dtypes.sums(first) else None


def zero_points(store: Any) -> tuple[int, int]:
    """Return what is taken off both factors that are multiplied; 0 where nothing is."""
    first, second = (windows.less(each)[1] for each in _factors(store) or (None, None))
    return first, second


def _factors(store: Any) -> tuple[Any, ...]:
    """Return both factors of what is added up, where it is inside of an image; none where nothing is multiplied."""
    value = store.value.b
    value = value.args[1] if isinstance(value, tvm.ir.Call) and len(value.args) > 1 else value
    return (value.a, value.b) if isinstance(value, prim.Mul) else ()
