"""Graphs as programs for GPUs: lowered, scheduled, their weights packed, and run on a CPU by `cuda_on_cpu`."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from unittest import mock

import byte_layers as layers
import cuda_on_cpu
import kernel_cases as kernels
import numpy as np
import tvm
from tvm import relax, tirx

from mbench.compile import codegen, pack, to_relax
from mbench.compile.schedules import gpu
from mbench.compile.schedules.dispatch import schedule_all
from mbench.compile.schedules.rule import Scheduled
from mbench.hardware import targets
from mbench.networks import folding
from mbench.networks.graph import Graph

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class GpuProgram:
    """A graph that was made for a GPU: its kernels by name, and the module with its weights in place."""

    graph: Graph
    parameters: Arrays
    kernels: Mapping[str, Scheduled]
    module: tvm.IRModule

    @property
    def rules(self) -> set[str]:
        return {kernel.rule for kernel in self.kernels.values()}

    @property
    def functions(self) -> dict[str, tirx.PrimFunc]:
        named = ((str(variable.name_hint), function) for variable, function in self.module.functions.items())
        return {name: function for name, function in named if isinstance(function, tirx.PrimFunc)}


def installed(module: tvm.IRModule, target: str) -> tuple[tvm.IRModule, dict[str, Scheduled]]:
    """Return a lowered module with its kernels as the rules make them for a target, and these by name."""
    with codegen.tvm_target(targets.load(target), f"{platform.machine()}-linux-gnu"):
        made = schedule_all(to_relax.kernel_calls(module), cuda_on_cpu.machine(target))
        return pack.install(module, made), made


def program(
    graph: Graph, parameters: Arrays, target: str = "cuda_sm80", choice: tuple[str, int] | None = None
) -> GpuProgram:
    """Make a graph for a GPU. `choice`: a rule, and which of its candidates it takes; by default the first."""
    folded = folding.as_compiled(graph)
    bound = to_relax.bind(to_relax.lower(folded.graph), folded.parameters(parameters))
    with mock.patch.dict(gpu.RULES, {} if choice is None else {choice[0]: _chosen(*choice)}):
        module, made = installed(bound, target)
    return GpuProgram(graph=graph, parameters=parameters, kernels=made, module=module)


def _chosen(rule: str, number: int) -> Any:
    own = gpu.RULES[rule]

    def one_of(*given: Any) -> list[Any]:
        found = list(own.candidates(*given))
        return [found[number % len(found)]] if found else []

    return dataclasses.replace(own, candidates=one_of)


Call = Callable[[str, Sequence[np.ndarray], tuple[int, ...], str], np.ndarray]
"""(kernel, arguments, shape and type of the output) → output."""


def run(module: tvm.IRModule, images: Sequence[np.ndarray], call: Call) -> list[np.ndarray]:
    """Run `main`, kernel by kernel; return its outputs."""
    main = module["main"]
    values: list[tuple[Any, np.ndarray]] = list(zip(main.params, images, strict=True))

    def array_of(expression: Any) -> np.ndarray:
        if isinstance(expression, tvm.ir.Constant):
            return np.asarray(expression.value.numpy())
        return next(value for variable, value in values if variable.same_as(expression))

    for binding in (binding for block in main.body.blocks for binding in block.bindings):
        given = binding.value
        if isinstance(given, relax.Var):
            values.append((binding.var, array_of(given)))
        elif not isinstance(given, relax.Tuple):
            shape = tuple(int(extent) for extent in given.ty.shape)
            if given.op == tvm.ir.Op.get("relax.reshape"):
                values.append((binding.var, array_of(given.args[0]).reshape(shape)))
                continue
            assert given.op == tvm.ir.Op.get("relax.call_tir")
            arrays = [array_of(argument) for argument in given.args[1].fields]
            found = call(str(given.args[0].name_hint), arrays, shape, str(given.ty.dtype))
            values.append((binding.var, found))
    ends = main.body.body
    return [array_of(each) for each in (ends.fields if isinstance(ends, relax.Tuple) else [ends])]


def output(module: tvm.IRModule, image: np.ndarray, **options: Any) -> np.ndarray:
    """Run `main` of one input and one output, compiled with options of `cuda_on_cpu.compiled`."""
    named = ((str(variable.name_hint), function) for variable, function in module.functions.items())
    functions = {name: function for name, function in named if isinstance(function, tirx.PrimFunc)}
    libraries = cuda_on_cpu.compiled(functions, **options)
    [found] = run(module, [image], lambda name, *given: kernels.run(libraries[name][0], *given))
    return found


def differing(
    programs: Mapping[str, GpuProgram], inputs: Mapping[str, Arrays], **options: Any
) -> Iterator[tuple[str, str]]:
    """Compile programs of whole numbers at once and run each, with the threads upwards and downwards.

    Yields what is not the exact reference's very bytes.
    """
    functions = {
        f"{name}_{kernel}": function for name, each in programs.items() for kernel, function in each.functions.items()
    }
    libraries = cuda_on_cpu.compiled(functions, **options)
    for name, each in programs.items():
        given = inputs[name]
        for order in (0, 1):

            def call(kernel: str, *arguments: Any, name: str = name, order: int = order) -> np.ndarray:
                return kernels.run(libraries[f"{name}_{kernel}"][order], *arguments)

            try:
                found = run(each.module, [given[one] for one in each.graph.inputs], call)
                layers.same_bytes(each.graph, each.parameters, given, found)
            except AssertionError as error:
                yield name, str(error)
                break


def wrong(
    graphs: Mapping[str, Graph], *, target: str = "cuda_sm80", rule: str | None = None, number: int = 0, **options: Any
) -> dict[str, str]:
    """Return what is wrong with graphs of whole numbers with drawn weights and inputs, by their names.

    Args:
        graphs: by name.
        target: of a GPU.
        rule: that each has to have a kernel of.
        number: of the rule's candidate.
        **options: of `cuda_on_cpu.compiled`.
    """
    programs, inputs, found = {}, {}, {}
    for name, graph in graphs.items():
        parameters, inputs[name] = layers.drawn(graph)
        programs[name] = program(graph, parameters, target, None if rule is None else (rule, number))
        if rule is not None and rule not in programs[name].rules:
            found[name] = f"{rule} does not take it, but {sorted(programs[name].rules)}"
    return {**dict(differing(programs, inputs, **options)), **found}
