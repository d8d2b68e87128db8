"""TVM's passes from kernels to LLVM, for CPUs: those that TVM's own pipeline runs and that do something here.

Kernels that a rule wrote are flat loops already; they skip the passes for blocks, which would take most of the time of
a compilation. Common subexpressions are left to LLVM.
"""

from __future__ import annotations

import tvm
from tvm import s_tir, tirx
from tvm.s_tir.pipeline import finalize_device_passes, finalize_host_passes
from tvm.tirx.compilation_pipeline import PIPELINE_MAP

PIPELINE = "mbench_cpu"


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


@tvm.transform.module_pass(opt_level=0, name="LowerForCpu")  # type: ignore[untyped-decorator]
def _lower(module: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
    blocks = {var: function for var, function in module.functions.items() if has_blocks(function)}
    lowered = lower_blocks()(tvm.IRModule(blocks, attrs=module.attrs))
    module = tvm.IRModule({**dict(module.functions.items()), **dict(lowered.functions.items())}, attrs=module.attrs)
    return tvm.transform.Sequential(
        [
            tirx.transform.VectorizeLoop(True),
            tirx.transform.StorageRewrite(),
            tirx.transform.UnrollLoop(),
            tirx.transform.StmtSimplify(),
            tirx.transform.RemoveNoOp(),
            tirx.transform.VerifyMemory(),
            tirx.transform.AnnotateEntryFunc(),
            tirx.transform.SplitHostDevice(),
            tirx.transform.MakePackedAPI(),
        ]
    )(module)


def register() -> None:
    """Make the pipeline known to TVM, which takes one by its name alone."""
    PIPELINE_MAP[PIPELINE] = lambda: (_lower, finalize_host_passes, finalize_device_passes)
