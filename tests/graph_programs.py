"""Graphs as programs: lowered, scheduled and planned as a build does, or as TVM makes kernels, and run here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import kernel_cases as kernels
import numpy as np
import torch
from tvm import relax, runtime

from mbench.compile import codegen, fusing, pack, to_relax
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.dispatch import schedule_all
from mbench.compile.schedules.rule import Scheduled
from mbench.networks import folding, outside, torch_network
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """A graph that was compiled: its kernels by name, and what computes its outputs."""

    graph: Graph
    """As it was compiled."""
    kernels: Mapping[str, Scheduled]
    run: Callable[[Arrays], list[np.ndarray]]

    @property
    def rules(self) -> dict[str, str]:
        """The rule of each kernel, by the kernel's name."""
        return {name: kernel.rule for name, kernel in self.kernels.items()}


def compiled(
    graph: Graph, parameters: Arrays, machine: KernelMachine = kernels.AVX2, *, dtype: str = "float32"
) -> Program:
    """Compile a graph that is not folded, by the rules of a machine; it runs on whatever processor there is."""
    folded = folding.as_compiled(graph)
    folded = dataclasses.replace(folded, graph=outside.cast(folded.graph, dtype))
    target = kernels.host_target()
    lowered = to_relax.lower(folded.graph, fusing.plan(folded.graph, machine))
    with target:
        made = schedule_all(to_relax.kernel_calls(lowered.module), machine)
        module = pack.install(to_relax.bind(lowered, folded.parameters(parameters)), made)
    program = relax.VirtualMachine(codegen.generate(codegen.plan(module, target), target), runtime.cpu())

    def run(inputs: Arrays) -> list[np.ndarray]:
        given = [runtime.tensor(np.ascontiguousarray(inputs[name])) for name in graph.inputs]
        outputs = program["main"](*given)
        return [each.numpy() for each in ([outputs] if len(graph.outputs) == 1 else outputs)]

    return Program(graph=folded.graph, kernels=made, run=run)


def checked(
    graph: Graph, machine: KernelMachine = kernels.AVX2, *, parameters: Arrays | None = None, **inputs: np.ndarray
) -> Program:
    """Compile a graph, and compare each of its outputs with what torch gives; returns the program.

    Args:
        graph: with weights that are drawn.
        machine: whose rules.
        parameters: those that are not drawn, such as indices.
        inputs: those that are not of a normal distribution, such as masks.
    """
    drawn = torch_network.draw(graph, parameters or {})
    given = {name: value.numpy() for name, value in torch_network.example_inputs(graph).items()} | inputs
    program = compiled(graph, drawn, machine)
    expected = torch_network.run(graph, drawn, {name: torch.from_numpy(value) for name, value in given.items()})
    found = program.run(given)
    assert len(found) == len(graph.outputs)
    for name, one, other in zip(graph.outputs, found, expected, strict=True):
        assert one.shape == tuple(other.shape) == graph.shape(name), name
        assert str(one.dtype) == graph.type_of(name).dtype == str(other.numpy().dtype), name
        np.testing.assert_allclose(one, other.numpy(), rtol=1e-4, atol=1e-4, err_msg=name)
    return program


def image(builder: GraphBuilder, shape: tuple[int, ...], *, last: bool = True) -> str:
    """Add an input, and return an image of its shape: one that a kernel made channels last, or the input itself."""
    x = builder.input(f"x{len(builder._inputs)}", shape)
    if not last:
        return x
    name = f"image{len(builder._inputs)}"
    return builder.add("max_pool2d", name, x, kernel=(1, 1), strides=(1, 1), padding=(0, 0, 0, 0))
