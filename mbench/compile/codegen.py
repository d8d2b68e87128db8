"""Relax with scheduled kernels → a planned program → machine code → a shared library."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tvm
from tvm import relax, te, tirx
from tvm.relax.backend.cpu_generic import pipeline as cpu_passes
from tvm.relax.backend.cuda import pipeline as cuda_passes
from tvm.support import nvcc

from mbench.compile import arena, objects, tvm_passes
from mbench.core import scratch
from mbench.core.artifact import (
    CALIBRATION_CALLS,
    CALIBRATION_ELEMENTS,
    CALIBRATION_ENTRY,
    CALIBRATION_GRAPH_ENTRY,
    ENTRY,
    GRAPH_ENTRY,
)
from mbench.core.errors import BuildError
from mbench.core.machine_types import Target
from mbench.hardware import linker

_DONE = ("StaticPlanBlockMemory", "RewriteCUDAGraph")
"""Passes of TVM's list that `plan` and `_with_graph` have run; the first fails on two functions of the same calls."""


def tvm_target(target: Target, host_triple: str) -> tvm.target.Target:
    """Return TVM's own target; code that runs beside a GPU is for `host_triple`."""
    if target.tvm["kind"] == "llvm":
        return tvm.target.Target(target.tvm_options)
    return tvm.target.Target(dict(target.tvm), host={"kind": "llvm", "mtriple": host_triple})


def plan(module: tvm.IRModule, target: tvm.target.Target) -> tvm.IRModule:
    """Add the instrument's calibration, lower calls, and plan which activations share which storage."""
    module = _with_calibration(module, target)
    with target:
        lowered = tvm.transform.Sequential(
            [
                relax.transform.ToNonDataflow(),
                relax.transform.RemovePurityChecking(),
                relax.transform.CallTIRRewrite(),
                relax.transform.StaticPlanBlockMemory(),
            ]
        )
        return arena.replanned(lowered(module))


def called_kernels(planned: tvm.IRModule) -> tuple[str, ...]:
    """Return the kernels that `main` still calls, in order: planning turns reshapes into views, which cost nothing."""
    values = [binding.value for block in planned["main"].body.blocks for binding in block.bindings]
    called = [getattr(value, "op", None) for value in values]
    return tuple(str(operator.name_hint) for operator in called if isinstance(operator, tvm.ir.GlobalVar))


def generate(planned: tvm.IRModule, target: tvm.target.Target) -> Any:
    """Generate machine code and the VM's program, or a single kernel's code.

    CUDA C is compiled too, to see that nvcc takes it. Each entry for CUDA has a second version, a CUDA graph.

    Raises:
        BuildError: TVM or the device's compiler refused.
    """
    tvm_passes.register()
    cuda = target.kind.name == "cuda"
    try:
        if cuda:
            passes = [step for step in cuda_passes.finalize_passes(target) if step.info.name not in _DONE]
            network = any(str(variable.name_hint) == ENTRY for variable in planned.get_global_vars())
            planned = _with_graphs(planned) if network else planned
        else:
            passes = cpu_passes.finalize_passes(target)
        with target:  # else TVM compiles CUDA C for the GPU that it finds
            final = tvm.transform.Sequential(passes)(planned)
            if cuda:
                executable = relax.build(final, target, relax_pipeline=None, tir_pipeline=tvm_passes.GPU_PIPELINE)
            else:
                executable = relax.build(_with_libraries(final, target), target, relax_pipeline=None)
            for source in _cuda_sources(executable.mod):
                nvcc.compile_cuda(source, target_format="cubin", arch=str(target.attrs["arch"]), compiler="nvcc")
        return executable
    except (RuntimeError, ValueError, TypeError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise BuildError(f"code generation for {target.kind.name} failed: {(lines or ['no message'])[-1]}") from error


def _with_graphs(planned: tvm.IRModule) -> tvm.IRModule:
    """Add the network and the instrument's calibration a second time, their kernels captured in CUDA graphs.

    All kernels but those that read the input or write the output, whose memory may be another in each run. Launching
    some 30 kernels takes the host longer than these networks take at batch 1.

    Source: `tvm.relax.transform.RewriteCUDAGraph`.
    """
    names = {ENTRY: GRAPH_ENTRY, CALIBRATION_ENTRY: CALIBRATION_GRAPH_ENTRY}
    kernels = {
        variable: function for variable, function in planned.functions.items() if variable.name_hint not in names
    }
    twins = {tvm.ir.GlobalVar(twin): planned[entry].with_attr("global_symbol", twin) for entry, twin in names.items()}
    with tvm.transform.PassContext(config={"relax.backend.use_cuda_graph": True}):
        captured = relax.transform.RewriteCUDAGraph()(tvm.IRModule({**kernels, **twins}))
    plain = {planned.get_global_var(entry): planned[entry] for entry in names}
    return tvm.IRModule({**dict(captured.functions.items()), **plain}, attrs=planned.attrs)


def _with_libraries(module: tvm.IRModule, target: tvm.target.Target) -> tvm.IRModule:
    """Turn each kernel into a library of its own, side by side, so that what is built does not depend on processors."""
    kernels = {var: function for var, function in module.functions.items() if isinstance(function, tirx.PrimFunc)}

    def library(name: tvm.ir.GlobalVar) -> Any:
        return tirx.build(tvm.IRModule({name: kernels[name]}), target=target, pipeline=tvm_passes.PIPELINE)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        libraries = list(pool.map(library, sorted(kernels, key=lambda name: str(name.name_hint))))
    rest = {var: function for var, function in module.functions.items() if var not in kernels}
    return tvm.IRModule(rest, attrs={**dict(module.attrs or {}), "external_mods": libraries})


def _cuda_sources(module: Any) -> Iterator[str]:
    """Yield the CUDA C of a module. The library carries it as it is, and it is compiled where the library is loaded."""
    return (str(part.inspect_source()) for part in _parts(module, "cuda"))


def _parts(module: Any, kind: str) -> Iterator[Any]:
    """Yield the modules of a kind: this one, and what it imports."""
    if module.kind == kind:
        yield module
    for imported in module.imports:
        yield from _parts(imported, kind)


def export(executable: Any, path: Path, command: Sequence[str]) -> None:
    """Write the machine code, the VM's program and the weights as a shared library, linked by `command`.

    As `export_library` does, but objects are written side by side: LLVM turns what it optimised into code only then.

    Raises:
        BuildError: the linker failed.
        OutputError: there is no room for objects.

    Source: `tvm.runtime.Module.export_library`, and packed function `runtime.ModulePackImportsToLLVM`.
    """
    libraries = list(_parts(executable.mod, "llvm"))
    with scratch.temporary() as folder:  # not in the cache: LLVM ends the process where a disk is full
        files = [f"{folder}/lib{number}.o" for number in range(len(libraries))]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(_write_object, libraries, files))
        if executable.mod.imports:
            pack = tvm.get_global_func("runtime.ModulePackImportsToLLVM")
            data = pack(executable.mod, False, libraries[0]["_get_target_string"](), "")
            files.append(f"{folder}/data.o")
            data.write_to_file(files[-1], "o")
        linker.link(command, files, path)


def _write_object(library: Any, file: str) -> None:
    library.write_to_file(file, "o")
    objects.align_code(Path(file))


def _with_calibration(module: tvm.IRModule, target: tvm.target.Target) -> tvm.IRModule:
    """Add a function that calls a kernel of next to no work many times; it shows what the instrument itself costs.

    The kernel takes as many tensors as a convolution with bias: the cost depends on them.
    """
    shape = (CALIBRATION_ELEMENTS,)
    inputs = [te.placeholder(shape, "float32", name) for name in ("x", "weight", "bias")]
    result = te.compute(shape, lambda i: inputs[0][i] + inputs[1][i] * inputs[2][i], "y")
    kernel = te.create_prim_func([*inputs, result]).with_attr("op_pattern", 8)  # opaque: never fused
    if target.kind.name == "cuda":
        kernel = _on_one_block(kernel)
    builder = relax.BlockBuilder(module)
    called = builder.add_func(kernel, "instrument_null")
    x = relax.Var("x", relax.TensorType(shape, "float32"))
    zeros = relax.const(np.zeros(shape, "float32"))
    with builder.function(CALIBRATION_ENTRY, [x]):
        with builder.dataflow():
            y = x
            for _ in range(CALIBRATION_CALLS):
                y = builder.emit(relax.call_tir(called, [y, zeros, zeros], relax.TensorType(shape, "float32")))
            y = builder.emit_output(y)
        builder.emit_func_output(y)
    return builder.get()


def _on_one_block(kernel: tirx.PrimFunc) -> tirx.PrimFunc:
    """Let each element of a kernel of one loop be computed by a thread of its own, all in one block."""
    schedule = tvm.s_tir.Schedule(kernel)
    (loop,) = schedule.get_loops(schedule.get_sblock("y"))
    schedule.bind(loop, "threadIdx.x")
    return schedule.mod["main"]
