"""TVM's passes from kernels to LLVM and to CUDA C: those that TVM's own pipeline runs and that do something here.

Kernels that a rule wrote are flat loops already; they skip the passes for blocks, which would take most of the time of
a compilation. Common subexpressions are left to LLVM.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tvm
from tvm import s_tir, tirx
from tvm.s_tir.pipeline import default_s_tir_pipeline, finalize_device_passes, finalize_host_passes
from tvm.tirx.compilation_pipeline import PIPELINE_MAP

from mbench.compile import bfloat16, cuda_functions, math_functions
from mbench.core import dtypes

PIPELINE = "mbench_cpu"
GPU_PIPELINE = "mbench_gpu"
OWN_ARRAYS = "mbench.own_arrays"
"""The attribute of a kernel whose arrays are allocated by each thread, and kept for all of its tasks."""


def has_blocks(function: tirx.PrimFunc) -> bool:
    """Whether a kernel is made of TVM's schedulable blocks."""
    return isinstance(function.body, s_tir.SBlockRealize)


def lower_blocks() -> tvm.transform.Pass:
    """Return the passes that turn schedulable blocks into loops over flat arrays."""
    return tvm.transform.Sequential(
        [
            s_tir.transform.CanonicalizeLoop(),
            s_tir.transform.LowerInitBlock(),
            s_tir.transform.PlanAndUpdateBufferAllocationLocation(),
            s_tir.transform.ConvertBlocksToOpaque(),
            s_tir.transform.CompactBufferAllocation(),
            s_tir.transform.LowerMatchBuffer(),
            s_tir.transform.StmtSimplify(),
            s_tir.transform.LowerOpaqueBlock(),
            tirx.transform.FlattenBuffer(),
            tirx.transform.NarrowDataType(32),
            s_tir.transform.LoopPartition(),
        ]
    )


def flat(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """Return a kernel as loops over flat arrays, whatever it is made of."""
    return lower_blocks()(tvm.IRModule({"main": function}))["main"] if has_blocks(function) else function


def inner(statement: Any) -> Iterator[Any]:
    """Yield the statements directly inside a statement without blocks."""
    parts = [getattr(statement, name, None) for name in ("body", "then_case", "else_case")]
    yield from (part for part in (*parts, *getattr(statement, "seq", ())) if part is not None)


def _split(module: tvm.IRModule) -> tuple[tvm.IRModule, tvm.IRModule]:
    """Return the kernels that are made of blocks, and all the rest."""
    blocks = {var: function for var, function in module.functions.items() if has_blocks(function)}
    rest = {var: function for var, function in module.functions.items() if var not in blocks}
    return tvm.IRModule(blocks, attrs=module.attrs), tvm.IRModule(rest, attrs=module.attrs)


def _joined(one: tvm.IRModule, other: tvm.IRModule) -> tvm.IRModule:
    return tvm.IRModule({**dict(one.functions.items()), **dict(other.functions.items())}, attrs=one.attrs)


def _to_calls() -> tuple[tvm.transform.Pass, ...]:
    """Return the passes that end both ways: from loops to functions that the runtime calls."""
    return (
        tirx.transform.StmtSimplify(),
        tirx.transform.RemoveNoOp(),
        tirx.transform.VerifyMemory(),
        tirx.transform.AnnotateEntryFunc(),
        tirx.transform.SplitHostDevice(),
        tirx.transform.MakePackedAPI(),
        tirx.transform.SkipAssert(),  # 6 kB a kernel, that check what planning has settled
    )


@tvm.transform.module_pass(opt_level=0, name="LowerForCpu")  # type: ignore[untyped-decorator]
def _lower(module: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
    blocks, rest = _split(module)
    halves = any(map(_has_bfloat16, module.functions.values()))
    before, after = ((step(),) if halves else () for step in _LEGALIZED)
    return tvm.transform.Sequential(
        [
            *before,
            tirx.transform.VectorizeLoop(True),
            _plan_storage,
            tirx.transform.UnrollLoop(),
            *_to_calls(),
            *after,
        ]
    )(_joined(rest, lower_blocks()(blocks)))


_LEGALIZED = (tirx.transform.BF16ComputeLegalize, tirx.transform.BF16StorageLegalize)
"""Passes of kernels with bfloat16, of which TVM generates no code: the first of all, and the last."""


def _has_bfloat16(function: tirx.PrimFunc) -> bool:
    return any(str(parameter.dtype) == dtypes.BFLOAT16 for parameter in function.params)


@tvm.transform.module_pass(opt_level=0, name="PlanStorage")  # type: ignore[untyped-decorator]
def _plan_storage(module: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
    """Let arrays share storage; but not in a kernel whose threads have their own, which TVM would make one for all."""
    own = {var: function for var, function in module.functions.items() if OWN_ARRAYS in (function.attrs or {})}
    rest = {var: function for var, function in module.functions.items() if var not in own}
    return _joined(
        tirx.transform.StorageRewrite()(tvm.IRModule(rest, attrs=module.attrs)),
        tirx.transform.PointerValueTypeRewrite()(tvm.IRModule(own, attrs=module.attrs)),
    )


@tvm.transform.module_pass(opt_level=0, name="LowerForGpu")  # type: ignore[untyped-decorator]
def _lower_for_gpu(module: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
    """Lower kernels of blocks as TVM does; written ones have their own barriers, and loops that nvcc unrolls."""
    blocks, rest = _split(module)
    lowered, _, _ = default_s_tir_pipeline()
    written = tvm.transform.Sequential(
        [
            tirx.transform.NarrowDataType(32),
            tirx.transform.VectorizeLoop(True),
            *_to_calls(),
        ]
    )
    return _joined(written(rest), lowered(blocks))


def register() -> None:
    """Make the pipelines known to TVM, which takes one by its name alone, and the functions that kernels may call."""
    math_functions.register()
    bfloat16.register()
    cuda_functions.register()
    PIPELINE_MAP[PIPELINE] = lambda: (_lower, finalize_host_passes, finalize_device_passes)
    PIPELINE_MAP[GPU_PIPELINE] = lambda: (_lower_for_gpu, finalize_host_passes, finalize_device_passes)
