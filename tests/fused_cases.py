"""Inverted residuals for tests: as one kernel, built as `codegen` does, checked with PyTorch.

As a program (`python fused_cases.py`) it prints the bits of some kernels' outputs at several numbers of threads.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence

import kernel_cases as kernels
import numpy as np
import torch
import tvm
from kernel_cases import AVX2
from torch.nn import functional
from tvm import tirx

from mbench.compile import to_relax
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import cpu
from mbench.compile.schedules.rule import KernelPlan
from mbench.networks import folding
from mbench.networks import kernels as groups
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder

RULE = "cpu.inverted_residual"
_SLOPE = 1.5
"""The steepest activation (hard-swish), for errors that pass through it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Residual:
    """An inverted residual. `expanded` 0: it does not expand; `outputs` 0: it does not project."""

    batch: int = 1
    height: int = 7
    width: int = 7
    inputs: int = 8
    expanded: int = 24
    outputs: int = 8
    kernel: int = 3
    stride: int = 1
    across: int = 0
    """The stride across; 0: as the one down."""
    sides: tuple[int, int, int, int] | None = None
    """Padding: top, left, bottom, right; None: half of the kernel."""
    activation: str = "relu6"
    adds: bool = False
    """Whether it ends with the sum with its input."""

    @property
    def strides(self) -> tuple[int, int]:
        return self.stride, self.across or self.stride

    @property
    def padding(self) -> tuple[int, int, int, int]:
        return self.sides or (self.kernel // 2,) * 4

    @property
    def middle(self) -> int:
        return self.expanded or self.inputs

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """(n, y, x, c)."""
        top, left, bottom, right = self.padding
        height = (self.height + top + bottom - self.kernel) // self.strides[0] + 1
        width = (self.width + left + right - self.kernel) // self.strides[1] + 1
        return self.batch, height, width, self.outputs or self.middle

    def graph(self) -> Graph:
        """Return a network with this block, named `block`."""
        builder = GraphBuilder()
        x = builder.input("image", (self.batch, 3, self.height, self.width))
        x = builder.convolution("stem", x, self.inputs, norm=None)
        with builder.block("block"):
            y = x
            if self.expanded:
                y = builder.convolution("expand", y, self.expanded, norm=None, bias=True, activation=self.activation)
            y = builder.convolution(
                "dw", y, self.middle, kernel=self.kernel, stride=self.strides, padding=self.padding, groups=self.middle,
                norm=None, bias=True, activation=self.activation,
            )  # fmt: skip
            if self.outputs:
                y = builder.convolution("project", y, self.outputs, norm=None, bias=True)
            if self.adds:
                y = builder.add("add", "add", y, x)
        flat = builder.add("reshape", "flat", y, shape=(math.prod(builder.shape(y)),))
        return folding.fold(builder.graph(flat)).graph

    def function(self) -> tirx.PrimFunc:
        """Return it as one fused PrimFunc."""
        graph = self.graph()
        found = groups.groups(graph)
        mine = [group for group in found if group.anchor.block == "block" and group.anchor.op == "conv2d"]
        one = groups.fused(mine, "block")
        lowered = to_relax.lower(graph, [*found[: found.index(mine[0])], one, *found[found.index(mine[-1]) + 1 :]])
        return lowered.module[next(call.kernel for call in lowered.calls if call.layer == "block")]

    def drawn(self) -> list[np.ndarray]:
        """Return the kernel's inputs, of a variance that is kept from stage to stage."""
        generator = np.random.default_rng(0)

        def draw(*shape: int) -> np.ndarray:
            reduction = math.prod(shape[:-1]) if len(shape) > 1 and shape[0] <= self.kernel else 1
            return (generator.standard_normal(shape) * math.sqrt(2 / reduction)).astype(np.float32)

        arrays = [generator.standard_normal((self.batch, self.height, self.width, self.inputs)).astype(np.float32)]
        channels = [(1, 1, self.inputs, self.expanded)] if self.expanded else []
        channels.append((self.kernel, self.kernel, 1, self.middle))
        channels += [(1, 1, self.middle, self.outputs)] if self.outputs else []
        for shape in channels:
            arrays += [draw(*shape), generator.standard_normal((1, 1, 1, shape[-1])).astype(np.float32)]
        return arrays

    def expected(self, arrays: Sequence[np.ndarray], *, activation: str | None = None) -> np.ndarray:
        """Return what PyTorch computes, in float64. `activation`: another one than its own."""
        top, left, bottom, right = self.padding
        activate = _ACTIVATIONS[activation or self.activation]
        x, *constants = (torch.from_numpy(array.astype(np.float64)) for array in arrays)
        x = y = x.permute(0, 3, 1, 2)
        stages = [(constants[2 * place], constants[2 * place + 1].flatten()) for place in range(len(constants) // 2)]
        for number, (weight, bias) in enumerate(stages):
            weight = weight.permute(3, 2, 0, 1)
            if number == bool(self.expanded):
                y = functional.pad(y, (left, right, top, bottom))
                y = functional.conv2d(y, weight, bias, stride=self.strides, groups=self.middle)
            else:
                y = functional.conv2d(y, weight, bias)
            if not (self.outputs and number == len(stages) - 1):
                y = activate(y)
        found: np.ndarray = (y + x if self.adds else y).permute(0, 2, 3, 1).numpy()
        return found

    def allowed(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Return by how much each element may differ: as `kernel_cases.tolerance`, from stage to stage."""
        reduction = (self.inputs if self.expanded else 0) + self.kernel**2 + (self.middle if self.outputs else 0)
        total = self.expected([np.abs(array) for array in arrays], activation="none")
        return 2 * math.sqrt(reduction + 12) * 2.0**-24 * _SLOPE**2 * total


_ACTIVATIONS = {
    "relu": functional.relu,
    "relu6": functional.relu6,
    "hard_swish": functional.hardswish,
    "none": lambda x: x,
}


def candidates(block: Residual, machine: KernelMachine) -> list[Mapping[str, int]]:
    """Return all that the rule offers."""
    return list(cpu.RULES[RULE].candidates(Kernel(block.function()), machine))


def built(block: Residual, machine: KernelMachine, parameters: Mapping[str, int]) -> KernelPlan:
    """Make a block with given parameters."""
    plan = cpu.RULES[RULE].build(Kernel(block.function()), machine, parameters)
    assert plan is not None
    return plan


def executed(plan: KernelPlan, block: Residual, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Build and run a plan between guards, its weights packed."""
    return kernels.run(kernels.compiled(plan.function), packed(plan, arrays), block.output_shape)


def packed(plan: KernelPlan, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return what the kernel reads, weights as it has them."""
    return [plan.packers[place](each) if place in plan.packers else each for place, each in enumerate(arrays)]


def check(block: Residual, machine: KernelMachine, parameters: Mapping[str, int]) -> None:
    """Make a block, run it, and compare it with PyTorch.

    Raises:
        AssertionError: it is wrong somewhere.
    """
    check_plan(built(block, machine, parameters), block)


def check_plan(plan: KernelPlan, block: Residual) -> None:
    """Run a plan of a block, and compare it with PyTorch.

    Raises:
        AssertionError: it is wrong somewhere.
    """
    arrays = block.drawn()
    output = executed(plan, block, arrays)
    assert np.isfinite(output).all(), "elements not written, or of data beyond the inputs"
    excess = np.abs(output - block.expected(arrays)) - block.allowed(arrays)
    assert excess.max() <= 0, f"{np.count_nonzero(excess > 0)} of {output.size} are wrong, {plan.tile}"


SHARED = Residual(batch=2, height=29, width=28, inputs=24, expanded=144, outputs=24, adds=True)


def fingerprints(counts: Sequence[int]) -> Iterator[str]:
    """Yield for each number of threads: the number in use, whether the output is right, a hash of it."""
    (parameters, *_) = candidates(SHARED, AVX2)
    assert parameters["line_parts"] > max(counts)
    plan, arrays = built(SHARED, AVX2, parameters), SHARED.drawn()
    library, expected, allowed = kernels.compiled(plan.function), SHARED.expected(arrays), SHARED.allowed(arrays)
    for count in counts:
        tvm.get_global_func("runtime.config_threadpool")(1, count)
        used = tvm.get_global_func("runtime.NumThreads")()
        output = kernels.run(library, packed(plan, arrays), SHARED.output_shape)
        right = bool((np.abs(output - expected) <= allowed).all())
        yield f"{used} {right} {hashlib.sha256(output.tobytes()).hexdigest()}"


if __name__ == "__main__":
    print("\n".join(fingerprints([3, 2, 1])))  # noqa: T201 - the program's output
