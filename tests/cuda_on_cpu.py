"""Kernels for GPUs, run on a CPU: the CUDA C that TVM makes of them, compiled as C++ with `cuda_on_cpu.h`.

Threads are fibers that meet at barriers, so that this runs what a GPU runs, but for the order of threads, which is
given here, and the units that do the arithmetic.
"""

from __future__ import annotations

import ctypes
import functools
import platform
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import kernel_cases as kernels
import numpy as np
import tvm
from kernel_cases import Layer
from tvm import tirx

from mbench.compile import codegen, tvm_passes
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import gpu
from mbench.compile.schedules.rule import KernelPlan
from mbench.hardware import linker, targets

ARCHITECTURES = ("cuda_sm80", "cuda_sm87", "cuda_sm89", "cuda_sm90")
_AXES = ("blockIdx.x", "blockIdx.y", "blockIdx.z", "threadIdx.x")
_FAULTS = {1: "a vector is not aligned", 2: "some threads wait at a barrier that others never reach"}
_FAULTS[4] = "shared memory is written beyond its end, or is too large"


class FaultError(AssertionError):
    """The kernel did what a GPU does not allow."""


@functools.cache
def machine(target: str) -> KernelMachine:
    """Return a GPU target's machine."""
    return KernelMachine.of(targets.load(target))


@functools.cache
def _tvm_target(target: str) -> tvm.target.Target:
    return codegen.tvm_target(targets.load(target), f"{platform.machine()}-linux-gnu")


def source_of(functions: Mapping[str, tirx.PrimFunc], target: str = "cuda_sm80") -> str:
    """Return the CUDA C of kernels, each under its name, as the project makes it."""
    tvm_passes.register()
    tvm_target = _tvm_target(target)
    module = tvm.IRModule({name: function.with_attr("global_symbol", name) for name, function in functions.items()})
    with tvm_target:
        built = tirx.build(module, target=tvm_target, pipeline=tvm_passes.GPU_PIPELINE)
    [cuda] = [part for part in built.imports if part.kind == "cuda"]
    return str(cuda.inspect_source())


def grid_of(function: tirx.PrimFunc) -> list[int]:
    """Return how many blocks there are in each direction, and threads in a block."""
    extents = dict.fromkeys(_AXES, 1)
    body: Any = function.body
    for statement in _outermost(body):
        if isinstance(statement, tirx.AttrStmt) and statement.attr_key == "thread_extent":
            extents[str(statement.node.thread_tag)] = int(statement.value)
    return [extents[axis] for axis in _AXES]


def _outermost(statement: Any) -> Iterator[Any]:
    yield statement
    for inner in (*getattr(statement, "seq", ()), getattr(statement, "body", None)):
        if inner is not None:
            yield from _outermost(inner)


def as_cpp(source: str, names: Sequence[str]) -> str:
    """Turn CUDA C into C++ with one entry a kernel: `run_NAME(pointers, grid, order)` returns faults."""
    kernels_only = source[source.index('extern "C" __global__') :].replace('extern "C" ', "")
    kernels_only = re.sub(
        r"__shared__ alignas\(\d+\) (\w+) (\w+)\[(\d+)\];", r"\1* \2 = shared_array<\1>(\3);", kernels_only
    )
    kernels_only = re.sub(r"\*\((\w+\d)\*\)\(", r"at<\1>(", kernels_only)
    kernels_only = re.sub(r"__asm__ __volatile__\((.*?)\);\n", _mma, kernels_only, flags=re.DOTALL)
    signatures = dict(re.findall(r"\b(\w+)_kernel\(([^)]*)\);", kernels_only))
    entries = []
    for name in names:
        signature = signatures[name]
        numbers = [int(number) for number in re.findall(r"p(\d+)_ptr", signature)]
        kinds = re.findall(r"(\w+)\* __restrict__", signature)
        passed = ", ".join(f"({kind}*)given[{number}]" for kind, number in zip(kinds, numbers, strict=True))
        entries.append(
            f'extern "C" int run_{name}(void** pointers, const int* grid, int order) {{ static void** given; '
            f"given = pointers; return run_grid(grid, order, [] {{ {name}_kernel({passed}); }}); }}"
        )
    header = (Path(__file__).parent / "cuda_on_cpu.h").read_text()
    return "\n".join([header, kernels_only, *entries])


def _mma(assembly: re.Match[str]) -> str:
    """Return a call in place of an instruction for tensor cores."""
    assert "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32" in assembly[1], assembly[1]
    [*left, _, _, _, right, _] = re.findall(r'"r"\(\(\(unsigned \*\)\((.*?)\)\)\[\d\]\)', assembly[1])
    [sums] = set(re.findall(r'"=f"\(\(\(float \*\)\((.*?)\)\)\[\d\]\)', assembly[1]))
    return f"mma({left[0]}, {right}, {sums});\n"


class Library:
    """One kernel, called as TVM's libraries are."""

    def __init__(self, entry: Any, grid: list[int], order: int) -> None:
        self._entry, self._grid, self._order = entry, grid, order

    def __getitem__(self, _name: str) -> Callable[..., None]:
        return self._call

    def _call(self, *tensors: Any) -> None:
        pointers = (ctypes.c_void_p * len(tensors))(*(np.from_dlpack(tensor).ctypes.data for tensor in tensors))
        faults = self._entry(pointers, (ctypes.c_int * 4)(*self._grid), self._order)
        if faults:
            raise FaultError("; ".join(text for bit, text in _FAULTS.items() if faults & bit))


def compiled(
    functions: Mapping[str, tirx.PrimFunc], *, plant: Callable[[str], str] = lambda source: source
) -> dict[str, tuple[Library, Library]]:
    """Compile kernels; return each twice, with the threads upwards and downwards. `plant` may spoil the code."""
    command = linker.find(f"{platform.machine()}-linux-gnu")
    with tempfile.TemporaryDirectory() as folder:
        code, library = Path(folder) / "kernels.cpp", Path(folder) / "kernels.so"
        code.write_text(as_cpp(plant(source_of(functions)), list(functions)))
        words = [*command, "-std=gnu++14", "-O0", "-w", "-shared", "-fPIC", "-o", str(library), str(code)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[:3000]
        loaded = ctypes.CDLL(str(library))
    made = {}
    for name, function in functions.items():
        grid, entry = grid_of(function), getattr(loaded, f"run_{name}")
        made[name] = (Library(entry, grid, 0), Library(entry, grid, 1))
    return made


def problems(plans: Mapping[str, tuple[KernelPlan, Layer]], **options: Any) -> dict[str, str]:
    """Run plans on a CPU and compare them with PyTorch; return what is wrong with which."""
    libraries = compiled({name: plan.function for name, (plan, _) in plans.items()}, **options)
    found = {}
    for name, (plan, layer) in plans.items():
        arrays = kernels.drawn(layer)
        ready = list(arrays)
        if plan.pack is not None:
            ready[1] = plan.pack(ready[1])
        shape = layer.output_shape
        try:
            upwards, downwards = (kernels.run(library, ready, shape, layer.dtype) for library in libraries[name])
            differ = upwards.tobytes() != downwards.tobytes()
            wrong = "the order of threads matters" if differ else kernels.wrong(layer, upwards, arrays)
        except AssertionError as error:
            wrong = str(error)
        if wrong:
            found[name] = wrong
    return found


def plan(rule: str, layer: Layer, target: str = "cuda_sm80", parameters: Mapping[str, int] | None = None) -> KernelPlan:
    """Make a layer by a rule, with its first choice or with given parameters."""
    kernel = Kernel(layer.function())
    chosen = parameters or next(iter(gpu.RULES[rule].candidates(kernel, machine(target))))
    made = gpu.RULES[rule].build(Kernel(layer.function()), machine(target), chosen)
    assert made is not None
    return made


@functools.cache
def candidates(rule: str, layer: Layer, target: str = "cuda_sm80") -> tuple[Mapping[str, int], ...]:
    """Return all that a rule offers for a layer, best first."""
    return tuple(gpu.RULES[rule].candidates(Kernel(layer.function()), machine(target)))
