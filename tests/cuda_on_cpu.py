"""Kernels for GPUs, run on a CPU: the CUDA C that TVM makes of them, compiled as C++ with `cuda_on_cpu.h`.

Threads are fibers that meet at barriers, so that this runs what a GPU runs, but for the order of threads, which is
given here, and the units that do the arithmetic.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import math
import platform
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import kernel_cases as kernels
import numpy as np
import tvm
from kernel_cases import Layer
from tvm import tirx
from tvm.tirx.build import codegen_build, split_host_device_mods
from tvm.tirx.compilation_pipeline import get_tir_pipeline

from mbench.compile import codegen, tvm_passes
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import gpu
from mbench.compile.schedules.rule import KernelPlan
from mbench.hardware import linker, targets

ARCHITECTURES = ("cuda_sm80", "cuda_sm87", "cuda_sm89", "cuda_sm90")
_CALL_KERNEL = tvm.ir.Op.get("tirx.call_ffi_kernel")
_AXES = ("blockIdx.x", "blockIdx.y", "blockIdx.z", "threadIdx.x")
_PRODUCTS = {
    "m16n8k16.row.col.f32.f16.f16.f32": "half, half, float",
    "m16n8k32.row.col.s32.u8.s8.s32": "uint8_t, int8_t, int",
    "m16n8k32.row.col.s32.s8.s8.s32": "int8_t, int8_t, int",
}
"""Instructions for tensor cores, and the types of rows, columns and sums."""
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


def lowered(functions: Mapping[str, tirx.PrimFunc], target: str = "cuda_sm80") -> tuple[tvm.IRModule, tvm.IRModule]:
    """Return what functions, each under its name, become on the host and on the GPU, as the project makes them."""
    tvm_passes.register()
    tvm_target = _tvm_target(target)
    module = tvm.IRModule({name: function.with_attr("global_symbol", name) for name, function in functions.items()})
    lower, _, finalize = get_tir_pipeline(tvm_passes.GPU_PIPELINE)
    with tvm_target:
        host, devices = split_host_device_mods(lower(tirx.transform.BindTarget(tvm_target)(module)))
        [device] = devices.values()
        return host, finalize()(device)


def _cuda_of(device: tvm.IRModule, target: str = "cuda_sm80") -> str:
    return str(codegen_build(device, _tvm_target(target)).inspect_source())


def source_of(functions: Mapping[str, tirx.PrimFunc], target: str = "cuda_sm80") -> str:
    """Return the CUDA C of functions, each under its name, as the project makes it."""
    return _cuda_of(lowered(functions, target)[1], target)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Launch:
    """A call of one kernel: the arrays that it takes, by name; how many blocks in each direction, threads in one."""

    kernel: str
    arrays: tuple[str, ...]
    grid: tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Host:
    """What a function does on the host: it allocates arrays of its own (size and type), and calls its kernels."""

    parameters: tuple[str, ...]
    own: Mapping[str, tuple[int, str]]
    launches: tuple[Launch, ...]


def host_of(function: tirx.PrimFunc, host: tirx.PrimFunc) -> Host:
    """Read a function's host part, which `lowered` made of it."""
    statements = list(_inside(host.body))
    allocated = [statement.buffer for statement in statements if isinstance(statement, tirx.AllocBuffer)]
    parameters = [str(parameter.name) for parameter in function.params]
    names = [*parameters, *(str(buffer.name) for buffer in allocated)]
    assert len(set(names)) == len(names), f"two arrays have one name: {names}"
    calls = [statement.value for statement in statements if isinstance(statement, tirx.Evaluate)]
    return Host(
        parameters=tuple(parameters),
        own={str(buffer.name): (math.prod(map(int, buffer.shape)), str(buffer.dtype)) for buffer in allocated},
        launches=tuple(_launch(call) for call in calls if getattr(call, "op", None) == _CALL_KERNEL),
    )


def _launch(call: Any) -> Launch:
    axes = [str(axis) for axis in call.attrs.launch_params]
    kernel, *arrays = call.args[: -len(axes)]
    extents = dict(zip(axes, map(int, call.args[-len(axes) :]), strict=True))
    assert extents.keys() <= set(_AXES), axes
    return Launch(
        kernel=str(kernel.value),
        arrays=tuple(str(array.args[0].name) for array in arrays),
        grid=tuple(extents.get(axis, 1) for axis in _AXES),
    )


def _inside(statement: Any) -> Iterator[Any]:
    yield statement
    for inner in tvm_passes.inner(statement):
        yield from _inside(inner)


def as_cpp(source: str) -> str:
    """Turn CUDA C into C++ with one entry a kernel: `run_KERNEL(pointers, grid, order)` returns faults."""
    kernels_only = source[source.index('extern "C" __global__') :].replace('extern "C" ', "")
    kernels_only = re.sub(
        r"__shared__ alignas\(\d+\) (\w+) (\w+)\[(\d+)\];", r"\1* \2 = shared_array<\1>(\3);", kernels_only
    )
    kernels_only = re.sub(r"\*\((\w+\d|u?int)\*\)\(", r"at<\1>(", kernels_only)
    kernels_only = re.sub(r"__asm__ __volatile__\((.*?)\);\n", _mma, kernels_only, flags=re.DOTALL)
    entries = []
    for name, signature in re.findall(r"^__global__ .*\b(\w+)\((.*)\);$", kernels_only, flags=re.MULTILINE):
        kinds = [re.sub(r"(.*)\* __restrict__ \w+", r"\1*", parameter) for parameter in signature.split(", ")]
        passed = ", ".join(f"({kind})given[{number}]" for number, kind in enumerate(kinds))
        entries.append(
            f'extern "C" int run_{name}(void** pointers, const int* grid, int order) {{ static void** given; '
            f"given = pointers; return run_grid(grid, order, [] {{ {name}({passed}); }}); }}"
        )
    header = (Path(__file__).parent / "cuda_on_cpu.h").read_text()
    return "\n".join([header, kernels_only, *entries])


def _mma(assembly: re.Match[str]) -> str:
    """Return a call in place of an instruction for tensor cores."""
    [types] = [types for name, types in _PRODUCTS.items() if f"mma.sync.aligned.{name}" in assembly[1]]
    [*left, _, _, _, right, _] = re.findall(r'"r"\(\(\(unsigned \*\)\((.*?)\)\)\[\d\]\)', assembly[1])
    [sums] = set(re.findall(r'"=[fr]"\(\(\((?:float|int) \*\)\((.*?)\)\)\[\d\]\)', assembly[1]))
    return f"mma<{types}>({left[0]}, {right}, {sums});\n"


class Library:
    """A function, called as TVM's libraries are: its kernels run in the order in which its host part calls them."""

    def __init__(self, host: Host, code: ctypes.CDLL, order: int) -> None:
        self._host, self._code, self._order = host, code, order

    def __getitem__(self, _name: str) -> Callable[..., None]:
        return self._call

    def _call(self, *tensors: Any) -> None:
        arrays = dict(zip(self._host.parameters, map(np.from_dlpack, tensors), strict=True))
        own = {name: kernels.unwritten((size,), dtype) for name, (size, dtype) in self._host.own.items()}
        arrays.update((name, array.values) for name, array in own.items())
        for launch in self._host.launches:
            pointers = (ctypes.c_void_p * len(launch.arrays))(*(arrays[name].ctypes.data for name in launch.arrays))
            faults = self._code[f"run_{launch.kernel}"](pointers, (ctypes.c_int * 4)(*launch.grid), self._order)
            if faults:
                raise FaultError("; ".join(text for bit, text in _FAULTS.items() if faults & bit))
        for name, array in own.items():
            if not array.untouched():
                raise FaultError(f"a kernel wrote outside of {name}")


def compiled(
    functions: Mapping[str, tirx.PrimFunc], *, plant: Callable[[str], str] = lambda source: source
) -> dict[str, tuple[Library, Library]]:
    """Compile functions; return each twice, with the threads upwards and downwards. `plant` may spoil the code."""
    command = linker.find(f"{platform.machine()}-linux-gnu")
    host, device = lowered(functions)
    with tempfile.TemporaryDirectory() as folder:
        code, library = Path(folder) / "kernels.cpp", Path(folder) / "kernels.so"
        code.write_text(as_cpp(plant(_cuda_of(device))))
        words = [*command, "-std=gnu++14", "-O0", "-w", "-shared", "-fPIC", "-o", str(library), str(code)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[:3000]
        loaded = ctypes.CDLL(str(library))
    hosts = {name: host_of(function, host[name]) for name, function in functions.items()}
    return {name: (Library(own, loaded, 0), Library(own, loaded, 1)) for name, own in hosts.items()}


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
