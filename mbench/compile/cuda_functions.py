"""LLVM's intrinsics that kernels call, as CUDA C has them: what quantised networks compute, rounded as it is defined.

`__fmaf_rn` rounds once, and nvcc neither splits nor merges it. `__float2int_rn` rounds halves to even. Whatever else is
multiplied there has a clamp behind it, so that nvcc, which contracts `x * y + z` by itself, finds nothing to contract
(`compile/integer_elements.py`). Numbers below 1.2e-38 count as 0, since TVM compiles with `--use_fast_math`.

Source: CUDA Math API, single precision and type casting intrinsics.
"""

from __future__ import annotations

from typing import Any

from tvm import tirx
from tvm.target import codegen

_OPERATION, _TARGET = "tirx.call_llvm_pure_intrin", "cuda"
_LEVEL = 99
"""Before TVM's own, which are registered at 10."""
_NAMES = {"llvm.fma": "__fmaf_rn", "llvm.lrint": "__float2int_rn"}


def register() -> None:
    """Let TVM write them into every kernel for CUDA from now on."""
    if not _known:
        _known.update({int(codegen.llvm_lookup_intrinsic_id(name)): own for name, own in _NAMES.items()})
        tirx.op.register_intrin_lowering(_OPERATION, _TARGET, f=_lowered, level=_LEVEL)


_known: dict[int, str] = {}
"""CUDA's functions by the numbers that LLVM has for its intrinsics."""


def _lowered(call: Any) -> Any:
    """Return a call of CUDA's function; an intrinsic that has none stays, and code generation refuses it."""
    number, *operands = call.args
    name = _known.get(int(number.value))
    return call if name is None else tirx.call_pure_extern(str(call.ty), name, *operands)
