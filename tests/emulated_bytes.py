"""Graphs of whole numbers, compiled for an Arm processor and run under QEMU, kernel by kernel, by a small C program."""

from __future__ import annotations

import dataclasses
import functools
import math
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import byte_layers as layers
import numpy as np
import tvm
from byte_layers import ByteConv
from conftest import require
from graph_programs import Program
from tvm import relax, tirx

from mbench.compile import codegen, fusing, pack, to_relax, tvm_passes
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import cpu
from mbench.compile.schedules.dispatch import schedule_all
from mbench.hardware import targets
from mbench.networks import folding, signed
from mbench.networks.graph import Graph

Arrays = Mapping[str, np.ndarray]
TARGETS = {
    "usmmla": "arm64_neoverse_v2",
    "usdot": "arm64_neoverse_v2",
    "sdot": "arm64_cortex_a76",
    "smull": "arm64_cortex_a72",
}
"""By the instruction that multiplies."""
COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
_PATIENCE_S = 60
_CODES = {"i": 0, "u": 1, "f": 2}
_BASE = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
typedef struct { int32_t device_type, device_id; } Device;
typedef struct { uint8_t code, bits; uint16_t lanes; } Type;
typedef struct {
  void *data;
  Device device;
  int32_t ndim;
  Type dtype;
  int64_t *shape, *strides;
  uint64_t offset;
} Tensor;
typedef struct { int32_t type_index; uint32_t zero; union { int64_t i; void *p; } v; } Any;
typedef struct { void *barrier; int32_t tasks; } Environment;
void TVMFFIErrorSetRaisedFromCStr(const char *kind, const char *message) {
  fprintf(stderr, "%s: %s\n", kind, message);
  exit(2);
}
void TVMFFIErrorSetRaisedFromCStrParts(const char *kind, const char **parts, int32_t count) {
  for (int i = 0; i < count; i++) fprintf(stderr, "%s", parts[i]);
  exit(2);
}
void *TVMBackendAllocWorkspace(int kind, int id, uint64_t size, int code, int bits) {
  return aligned_alloc(64, (size + 127) / 64 * 64);
}
int TVMBackendFreeWorkspace(int kind, int id, void *data) { free(data); return 0; }
int TVMBackendParallelLaunch(int (*run)(int, Environment *, void *), void *data, int tasks) {
  if (tasks == 0) tasks = 2;
  Environment environment = {0, tasks};
  for (int task = 0; task < tasks; task++) if (run(task, &environment, data)) return -1;
  return 0;
}
/* What the runtime sets in a library that it loads; only what is called is there. */
extern __attribute__((weak)) void *__TVMBackendAllocWorkspace, *__TVMBackendFreeWorkspace, *__TVMBackendParallelLaunch;
static void set_functions(void) {
  if (&__TVMBackendAllocWorkspace) __TVMBackendAllocWorkspace = TVMBackendAllocWorkspace;
  if (&__TVMBackendFreeWorkspace) __TVMBackendFreeWorkspace = TVMBackendFreeWorkspace;
  if (&__TVMBackendParallelLaunch) __TVMBackendParallelLaunch = TVMBackendParallelLaunch;
}
static void *read_file(const char *name, long size) {
  char *data = aligned_alloc(4096, (size + 8191) / 4096 * 4096);
  FILE *file = fopen(name, "rb");
  if (!file || fread(data, 1, size, file) != size) exit(3);
  fclose(file);
  return data;
}
static void write_file(const char *name, void *data, long size) {
  FILE *file = fopen(name, "wb");
  if (!file || fwrite(data, 1, size, file) != size) exit(4);
  fclose(file);
}
"""


def needs_emulator() -> None:
    """Skip where Arm code can be neither linked nor run."""
    require(shutil.which(COMPILER), f"{COMPILER} is not on PATH")
    require(shutil.which(EMULATOR), "QEMU's user-mode emulator is not on PATH")


def machine_of(instruction: str, **changes: Any) -> KernelMachine:
    """Return the machine of the target that multiplies by an instruction, and has none that is quicker."""
    machine = KernelMachine.of(targets.load(TARGETS[instruction]))
    dots = machine.dots[machine.dots.index(instruction) :]
    return dataclasses.replace(machine, **{"dots": dots, **changes})


def compiled(
    graph: Graph, parameters: Arrays, instruction: str, machine: KernelMachine, *, as_built: bool = False
) -> Program:
    """Compile a graph for a target; `run` starts the emulator once. `as_built`: with int8 where a build has it."""
    described = targets.load(TARGETS[instruction])
    target = codegen.tvm_target(described, str(described.tvm["mtriple"]))
    folded = folding.as_compiled(graph)
    whole = signed.signed(folded.graph) if as_built and machine.multiplies_signed else folded.graph
    lowered = to_relax.lower(whole, fusing.plan(whole, machine))
    with target:
        made = schedule_all(to_relax.kernel_calls(lowered.module), machine)
        module = pack.install(to_relax.bind(lowered, folded.parameters(parameters)), made)
    cpu_name = described.emulation["qemu_cpu"]
    return Program(graph=folded.graph, kernels=made, run=functools.partial(_run, module, target, cpu_name))


def _run(module: tvm.IRModule, target: tvm.target.Target, processor: str, inputs: Arrays) -> list[np.ndarray]:
    """Run all kernels of a module one after the other, and return what it returns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        calls = _Calls(module, folder, inputs)
        tvm_passes.register()
        kernels_of = {
            var: function for var, function in module.functions.items() if isinstance(function, tirx.PrimFunc)
        }
        named = {var: function.with_attr("global_symbol", str(var.name_hint)) for var, function in kernels_of.items()}
        library = tirx.build(tvm.IRModule(named), target=target, pipeline=tvm_passes.PIPELINE)
        library.write_to_file(str(folder / "kernels.o"), "o")
        (folder / "main.c").write_text(_BASE + calls.program())
        command = [COMPILER, "-O1", "-static", "-w", "-o", "main", "main.c", "kernels.o", "-lm"]
        subprocess.run(command, cwd=folder, check=True)
        done = subprocess.run(
            [EMULATOR, "-cpu", processor, "./main"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_S,
        )
        assert done.returncode == 0, f"status {done.returncode}: {done.stderr[-300:]}"
        return calls.outputs()


class _Calls:
    """The calls of a module's `main`, whose arrays are files."""

    def __init__(self, module: tvm.IRModule, folder: Path, inputs: Arrays) -> None:
        self._folder, self._arrays, self._places = folder, list[tuple[tuple[int, ...], str]](), dict[Any, int]()
        self._given: set[int] = set()
        main = module["main"]
        for variable, array in zip(main.params, inputs.values(), strict=True):
            self._places[variable] = self._add(array)
        self._steps = [step for block in main.body.blocks for binding in block.bindings for step in self._read(binding)]
        result = main.body.body
        fields = list(result.fields) if isinstance(result, relax.Tuple) else [result]
        self._results = [self._places[field] for field in fields]

    def _add(self, array: np.ndarray) -> int:
        place = self._room(array.shape, str(array.dtype))
        np.ascontiguousarray(array).tofile(self._folder / f"{place}.bin")
        self._given.add(place)
        return place

    def _room(self, shape: Sequence[int], dtype: str) -> int:
        self._arrays.append((tuple(map(int, shape)), dtype))
        return len(self._arrays) - 1

    def _read(self, binding: Any) -> Iterator[tuple[str, list[int]]]:
        value = binding.value
        if isinstance(value, (relax.Var, relax.DataflowVar)):
            self._places[binding.var] = self._places[value]
        elif value.op == tvm.ir.Op.get("relax.reshape"):
            own = value.args[1].values
            self._places[binding.var] = self._room([int(extent) for extent in own], str(value.args[0].ty.dtype))
            yield "", [self._places[value.args[0]], self._places[binding.var]]
        else:
            function, arguments = value.args[0], value.args[1].fields
            read = [
                self._places[each] if isinstance(each, relax.Var) else self._add(each.value.numpy())
                for each in arguments
            ]
            own = value.ty_args[0]
            self._places[binding.var] = self._room(own.shape, str(own.dtype))
            yield str(function.name_hint), [*read, self._places[binding.var]]

    def program(self) -> str:
        """Return the C program that makes the calls."""
        names = dict.fromkeys(name for name, _ in self._steps if name)
        declared = [f"extern int32_t __tvm_ffi_{name}(void *, const Any *, int32_t, Any *);" for name in names]
        made = [self._declared(place) for place in range(len(self._arrays))]
        body = [f"t{place}.data = {self._data(place)};" for place in range(len(self._arrays))]
        for name, places in self._steps:
            if not name:  # a reshape is the same array
                body.append(f"t{places[1]}.data = t{places[0]}.data;")
                continue
            words = ", ".join(f"{{7, 0, {{.p = &t{place}}}}}" for place in places)
            body.append(f"{{ Any a[] = {{{words}}}, r = {{0}};")
            body.append(f"if (__tvm_ffi_{name}(0, a, {len(places)}, &r)) return 5; }}")
        body += [f'write_file("{place}.bin", t{place}.data, {self._bytes(place)});' for place in self._results]
        return "\n".join([*declared, *made, "int main(void) {", "set_functions();", *body, "return 0; }", ""])

    def _declared(self, place: int) -> str:
        shape, known = self._arrays[place][0], np.dtype(self._arrays[place][1])
        sides, kind = ", ".join(map(str, shape)) or "1", f"{{{_CODES[known.kind]}, {8 * known.itemsize}, 1}}"
        tensor = f"{{0, {{1, 0}}, {len(shape)}, {kind}, shape{place}, 0, 0}}"
        return f"static int64_t shape{place}[] = {{{sides}}}; static Tensor t{place} = {tensor};"

    def _data(self, place: int) -> str:
        if place in self._given:
            return f'read_file("{place}.bin", {self._bytes(place)})'
        return f"aligned_alloc(4096, {(self._bytes(place) + 8191) // 4096 * 4096})"

    def _bytes(self, place: int) -> int:
        shape, dtype = self._arrays[place]
        return math.prod(shape) * np.dtype(dtype).itemsize

    def outputs(self) -> list[np.ndarray]:
        """Return what the program wrote."""
        found = []
        for place in self._results:
            shape, dtype = self._arrays[place]
            found.append(np.fromfile(self._folder / f"{place}.bin", dtype).reshape(shape))
        return found


def exact(
    graph: Graph, parameters: Arrays, inputs: Arrays, instruction: str, machine: KernelMachine | None = None
) -> Program:
    """Compile a graph of whole numbers for a target, run it there, and compare every byte with the reference."""
    program = compiled(graph, parameters, instruction, machine or machine_of(instruction))
    layers.same_bytes(graph, parameters, inputs, program.run(inputs))
    return program


def check(layer: ByteConv, rule: str, instruction: str, *, number: int = 0, seed: int = 0, **changes: Any) -> None:
    """Compile a layer by one of the candidates of a rule, the first or another, and compare every byte."""
    graph, chosen = layer.graph(), cpu.RULES[rule]

    def one_of(*given: Any) -> list[Any]:
        found = list(chosen.candidates(*given))
        return [found[number % len(found)]] if found else []

    one = dataclasses.replace(chosen, candidates=one_of, by_default=lambda *_: True)
    with mock.patch.dict(cpu.RULES, {rule: one}):
        program = exact(graph, *layers.drawn(graph, seed), instruction, machine_of(instruction, **changes))
    assert rule in program.rules.values(), f"{rule} does not take {layer}"
