from __future__ import annotations

import dataclasses
from functools import cache

import pytest
import tvm
from torch import nn

from mbench import models, targets, variants
from mbench.compile import codegen, lower, memory, pack
from mbench.compile.schedules import Machine, Scheduled, schedule_all
from mbench.models import network

SEPARABLE, STANDARD = NAMES = ("mobilenet_v1_0.25_32", "mobilenet_v1_0.33_41_standard")


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A network on its way: kernels installed, and storage planned."""

    lowered: lower.Lowered
    kernels: dict[str, Scheduled]
    installed: tvm.IRModule
    planned: tvm.IRModule


@cache
def compiled(name: str, batch: int = 1) -> Compiled:
    target = targets.load("x86_64_v2")
    tvm_target = codegen.tvm_target(target, "x86_64-linux-gnu")
    lowered = lower.lower(variants.parse(name, batch=batch))
    with tvm_target:
        kernels = schedule_all(lower.kernel_calls(lowered.module), Machine.of(target))
        installed = pack.install(lowered.module, kernels)
    return Compiled(lowered, kernels, installed, codegen.plan(installed, tvm_target))


def tensor_bytes(shape: tuple[int, ...]) -> int:
    product = 4
    for extent in shape:
        product *= extent
    return product


@pytest.mark.parametrize(("name", "batch"), [(SEPARABLE, 1), (STANDARD, 1), (STANDARD, 3)])
def test_the_arena_holds_the_largest_layer_and_shares_storage(name: str, batch: int) -> None:
    specs = models.layers(variants.parse(name, batch=batch))
    arena = memory.arena_bytes(compiled(name, batch).planned)
    # The network's input is the caller's: the first convolution reads its copy in another layout.
    pairs = [tensor_bytes(spec.input_shape) + tensor_bytes(spec.output_shape) for spec in specs]
    assert arena >= max(pairs)
    every = tensor_bytes(specs[0].input_shape) + sum(tensor_bytes(spec.output_shape) for spec in specs)
    assert arena < every / 2  # most storages serve several layers


@pytest.mark.parametrize("name", NAMES)
def test_constants_are_the_weights_and_biases_to_the_byte(name: str) -> None:
    parts = network.build(variants.parse(name)).modules()
    weighted = [part for part in parts if isinstance(part, nn.Conv2d | nn.Linear)]
    expected = sum(part.weight.numel() + part.weight.shape[0] for part in weighted)  # BatchNorm becomes a bias
    assert memory.constant_bytes(compiled(name).installed) == 4 * expected


@pytest.mark.parametrize(("name", "batch"), [(SEPARABLE, 1), (STANDARD, 1), (STANDARD, 3)])
def test_the_workspace_of_a_convolution_is_its_padded_input(name: str, batch: int) -> None:
    done = compiled(name, batch)
    anchors = {call.layer: done.kernels[call.kernel] for call in done.lowered.calls if call.anchor}
    checked = 0
    for spec in models.layers(variants.parse(name, batch=batch)):
        if spec.op != "conv2d":
            continue
        _, channels, height, width = spec.input_shape
        padded = batch * (height + 2) * (width + 2) * channels * 4
        assert memory.workspace_bytes(anchors[spec.name].plan.function) == padded, spec.name
        checked += 1
    assert checked


def test_other_kernels_need_no_workspace() -> None:
    done = compiled(SEPARABLE)
    convolutions = {call.kernel for call in done.lowered.calls if call.layer == "conv0"}
    for name, kernel in done.kernels.items():
        if name not in convolutions:
            assert memory.workspace_bytes(kernel.plan.function) == 0, name
