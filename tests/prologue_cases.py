"""Pointwise convolutions with a prologue for tests: as one kernel, built as `codegen` does, checked with PyTorch.

As a program (`python prologue_cases.py`) it prints the bits of some kernels' outputs at several numbers of threads.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import kernel_cases as kernels
import numpy as np
import torch
import tvm
from kernel_cases import AVX2
from torch.nn import functional as torch_functions
from tvm import tirx

from mbench.compile import to_relax
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import cpu
from mbench.compile.schedules.cpu import prologue
from mbench.compile.schedules.rule import KernelPlan
from mbench.networks import folding, operations
from mbench.networks import kernels as groups
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder
from mbench.networks.kernels import Group

RULE = "cpu.matmul"

Tensors = Mapping[str, torch.Tensor]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Form:
    """A prologue: how it is written after `x`, what torch makes of it, and whether weights can be changed instead."""

    write: Callable[[GraphBuilder, str], str]
    value: Callable[[Tensors], torch.Tensor]
    by_channel: bool = False


def _gate(builder: GraphBuilder, x: str) -> str:
    pooled = builder.add("global_avg_pool", "pool", x)
    return builder.convolution("gate", pooled, builder.shape(x)[1], norm=None)


def _map(builder: GraphBuilder, x: str) -> str:
    return builder.convolution("map", x, 1, kernel=3, norm=None)


def _scaled(builder: GraphBuilder, x: str) -> str:
    return builder.channel_scale("before", x)


FORMS = {
    "gate": Form(
        write=lambda builder, x: builder.add("multiply", "before", x, _gate(builder, x)),
        value=lambda of: of["stem"] * of["gate"],
        by_channel=True,
    ),
    "gate first": Form(
        write=lambda builder, x: builder.add("multiply", "before", _gate(builder, x), x),
        value=lambda of: of["gate"] * of["stem"],
        by_channel=True,
    ),
    "gate, then relu": Form(
        write=lambda builder, x: builder.add("relu", "rest", builder.add("multiply", "before", x, _gate(builder, x))),
        value=lambda of: torch_functions.relu(of["stem"] * of["gate"]),
    ),
    "a factor for each pixel": Form(
        write=lambda builder, x: builder.add("multiply", "before", x, _map(builder, x)),
        value=lambda of: of["stem"] * of["map"],
    ),
    "a constant for each channel": Form(
        write=_scaled, value=lambda of: of["stem"] * of["before.weight"], by_channel=True
    ),
    "hard-swish and a sum": Form(
        write=lambda builder, x: builder.add("add", "before", builder.add("hard_swish", "half", x), _gate(builder, x)),
        value=lambda of: torch_functions.hardswish(of["stem"]) + of["gate"],
    ),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gated:
    """A pointwise convolution of what a prologue makes; `adds`: with the sum of what both read, where that fits."""

    batch: int = 1
    height: int = 7
    width: int = 7
    inputs: int = 24
    outputs: int = 16
    form: str = "gate"
    activation: str | None = None
    adds: bool = False

    def graph(self) -> Graph:
        """Return a network with it, the convolution named `project`."""
        builder = GraphBuilder()
        x = builder.input("image", (self.batch, 3, self.height, self.width))
        x = builder.convolution("stem", x, self.inputs, norm=None)
        y = FORMS[self.form].write(builder, x)
        y = builder.convolution("project", y, self.outputs, norm=None, bias=True, activation=self.activation)
        y = builder.add("add", "sum", y, x) if self.adds else y
        kept = builder.add("global_avg_pool", "kept", x)
        ends = [builder.add("global_avg_pool", "end", y), kept]
        flat = [builder.add("reshape", f"{each}.flat", each, shape=builder.shape(each)[:2]) for each in ends]
        return folding.fold(builder.graph(*flat)).graph

    @functools.cached_property
    def _groups(self) -> tuple[list[Group], Group]:
        graph = self.graph()
        found = list(groups.groups(graph))
        before, project = (
            next(group for group in found if name in {node.name for node in group.nodes})
            for name in ("before", "project")
        )
        one = groups.with_prologue(before, project)
        return [one if group is project else group for group in found if group is not before], one

    @property
    def has_prologue(self) -> bool:
        """Whether the convolution of a gate that is as large as the image does not multiply itself."""
        return operations.is_elementwise(self._groups[1].stages[0].anchor.op)

    def function(self) -> tirx.PrimFunc:
        """Return it as one PrimFunc, of two stages."""
        found, one = self._groups
        lowered = to_relax.lower(self.graph(), found)
        return lowered.module[next(call.kernel for call in lowered.calls if call.layer == one.name)]

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """(n, y, x, c)."""
        return self.batch, self.height, self.width, self.outputs

    def drawn(self) -> list[np.ndarray]:
        """Return the kernel's inputs: of mean 0 and variance 1."""
        generator = np.random.default_rng(0)
        shapes = Kernel(self.function()).parameter_shapes[:-1]
        return [generator.standard_normal(shape, dtype=np.float32) for shape in shapes]

    def expected(self, arrays: Sequence[np.ndarray], *, absolute: bool = False) -> np.ndarray:
        """Return what PyTorch computes, in float64. `absolute`: without what could make a sum smaller."""
        names = self._groups[1].reads
        tensors = {
            name: torch.from_numpy(np.abs(array) if absolute else array).double()
            for name, array in zip(names, arrays, strict=True)
        }
        images = {name: each.permute(0, 3, 1, 2) for name, each in tensors.items() if each.dim() > 1}
        images |= {name: each for name, each in tensors.items() if each.dim() == 1}
        y = FORMS[self.form].value(images)
        weight = tensors["project.weight"].permute(3, 2, 0, 1)
        y = torch_functions.conv2d(y, weight, images["project.bias"].flatten())
        if self.activation and not absolute:
            y = {"relu": torch_functions.relu, "hard_swish": torch_functions.hardswish}[self.activation](y)
        y = y + images["stem"] if self.adds else y
        found: np.ndarray = y.permute(0, 2, 3, 1).numpy()
        return found

    def allowed(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Return by how much each element may differ: as `kernel_cases.tolerance`, with what a prologue rounds."""
        slope = 1.5  # of hard-swish
        return slope**2 * 2 * math.sqrt(self.inputs + 12) * 2.0**-24 * (self.expected(arrays, absolute=True) + 1)


def candidates(case: Gated, machine: KernelMachine) -> list[Mapping[str, int]]:
    """Return all that the rule offers."""
    return list(cpu.RULES[RULE].candidates(Kernel(case.function()), machine))


def built(case: Gated, machine: KernelMachine, parameters: Mapping[str, int]) -> KernelPlan:
    """Make a kernel with given parameters."""
    plan = cpu.RULES[RULE].build(Kernel(case.function()), machine, parameters)
    assert plan is not None
    return plan


def packed(plan: KernelPlan, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return what the kernel reads, weights as it has them."""
    return [plan.packers[place](each) if place in plan.packers else each for place, each in enumerate(arrays)]


def check(case: Gated, machine: KernelMachine, parameters: Mapping[str, int]) -> None:
    """Make a kernel, run it, and compare it with PyTorch.

    Raises:
        AssertionError: it is wrong somewhere.
    """
    check_plan(built(case, machine, parameters), case)


def check_plan(plan: KernelPlan, case: Gated) -> None:
    """Run a plan, and compare it with PyTorch.

    Raises:
        AssertionError: it is wrong somewhere.
    """
    arrays = case.drawn()
    output = kernels.run(kernels.compiled(plan.function), packed(plan, arrays), case.output_shape)
    assert np.isfinite(output).all(), "elements not written, or of data beyond the inputs"
    excess = np.abs(output - case.expected(arrays)) - case.allowed(arrays)
    assert excess.max() <= 0, f"{np.count_nonzero(excess > 0)} of {output.size} are wrong, {plan.tile}"


SHARED = Gated(batch=1, height=21, width=13, inputs=89, outputs=44, adds=False)


def shared(way: int) -> KernelPlan:
    """Return a kernel of many tasks, so that each thread has several."""
    return built(SHARED, AVX2, {"rows": 4, "vectors": 2, "row_parts": 6, "panel_parts": 2, "prologue": way})


def fingerprints(counts: Sequence[int]) -> Iterator[str]:
    """Yield for each number of threads and each way: both, whether the output is right, a hash of it."""
    arrays = SHARED.drawn()
    expected, allowed = SHARED.expected(arrays), SHARED.allowed(arrays)
    plans = {way: shared(way) for way in (prologue.ROWS, prologue.WEIGHTS)}
    libraries = {way: kernels.compiled(plan.function) for way, plan in plans.items()}
    for count in counts:
        tvm.get_global_func("runtime.config_threadpool")(1, count)
        used = tvm.get_global_func("runtime.NumThreads")()
        for way, plan in plans.items():
            output = kernels.run(libraries[way], packed(plan, arrays), SHARED.output_shape)
            right = bool((np.abs(output - expected) <= allowed).all())
            yield f"{used} {way} {right} {hashlib.sha256(output.tobytes()).hexdigest()}"


if __name__ == "__main__":
    print("\n".join(fingerprints([3, 2, 1])))  # noqa: T201 - the program's output
