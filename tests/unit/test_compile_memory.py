from __future__ import annotations

import dataclasses
import math
from functools import cache

import network_cases as networks
import pytest
import tvm
from kernel_cases import Conv, Pool

from mbench.compile import codegen, memory, pack, to_relax
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.dispatch import schedule_all
from mbench.compile.schedules.rule import Scheduled
from mbench.hardware import targets
from mbench.networks import architectures, variants

SEPARABLE, STANDARD = NAMES = ("mobilenet_v1_0.25_32", "mobilenet_v1_0.33_41_standard")


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A network on its way: kernels installed, and storage planned."""

    lowered: to_relax.Lowered
    kernels: dict[str, Scheduled]
    installed: tvm.IRModule
    planned: tvm.IRModule


@cache
def compiled(name: str, batch: int = 1) -> Compiled:
    target = targets.load("x86_64_v2")
    tvm_target = codegen.tvm_target(target, "x86_64-linux-gnu")
    lowered = networks.lowered(variants.parse(name, batch=batch))
    with tvm_target:
        kernels = schedule_all(to_relax.kernel_calls(lowered.module), KernelMachine.of(target))
        installed = pack.install(lowered.module, kernels)
    return Compiled(lowered, kernels, installed, codegen.plan(installed, tvm_target))


def tensor_bytes(shape: tuple[int, ...]) -> int:
    product = 4
    for extent in shape:
        product *= extent
    return product


@pytest.mark.parametrize(("name", "batch"), [(SEPARABLE, 1), (STANDARD, 1), (STANDARD, 3)])
def test_the_arena_holds_the_largest_layer_and_shares_storage(name: str, batch: int) -> None:
    specs = architectures.layers(variants.parse(name, batch=batch))
    arena = memory.arena_bytes(compiled(name, batch).planned)
    # The network's input is the caller's.
    pairs = [tensor_bytes(spec.input_shape) + tensor_bytes(spec.output_shape) for spec in specs[1:]]
    assert arena >= max(pairs)
    every = tensor_bytes(specs[0].input_shape) + sum(tensor_bytes(spec.output_shape) for spec in specs)
    assert arena < every / 2  # most storages serve several layers


@pytest.mark.parametrize("name", [SEPARABLE, "mobilenet_v1_0.33_33"])
def test_constants_are_weights_and_biases_and_what_panels_overlap_to_the_byte(name: str) -> None:
    done = compiled(name)
    weighted, expected = weights_and_biases(name)
    tiles = [done.kernels[call.kernel].plan.tile for call in done.lowered.calls if call.anchor]
    tiles = tiles[:-2] + tiles[-1:]  # pooling has no weights
    repeated = 0
    for shape, tile in zip(weighted, tiles, strict=True):
        *_, vectors, lanes = map(int, tile.split("x"))
        channels = shape[0]
        repeated += (-channels % (vectors * lanes)) * (math.prod(shape) // channels)
    assert memory.constant_bytes(done.installed) == 4 * (expected + repeated)
    assert repeated < expected / 10


def test_transformed_weights_are_more_than_the_networks_own() -> None:
    done = compiled(STANDARD)
    assert "cpu.winograd" in {kernel.rule for kernel in done.kernels.values()}
    assert memory.constant_bytes(done.installed) > 4 * weights_and_biases(STANDARD)[1]


def weights_and_biases(name: str) -> tuple[list[tuple[int, ...]], int]:
    """Return the shapes of weights, and how many numbers they are with BatchNorm folded: it becomes a bias."""
    parameters = architectures.graph(variants.parse(name)).parameters
    weighted = [given.shape for given in parameters.values() if len(given.shape) > 1]
    return weighted, sum(math.prod(shape) + shape[0] for shape in weighted)


@pytest.mark.parametrize(("name", "batch"), [(SEPARABLE, 1), (STANDARD, 3)])
def test_kernels_that_rules_wrote_need_no_workspace_but_for_transforms(name: str, batch: int) -> None:
    for called, kernel in compiled(name, batch).kernels.items():
        assert (memory.workspace_bytes(kernel.plan.function) > 0) == (kernel.rule == "cpu.winograd"), called


def test_the_workspace_of_a_kernel_as_tvm_made_it_is_its_padded_input_and_its_sums() -> None:
    layer = Conv(height=7, width=6, inputs=8, channels=16, dilation=2, padding=(2, 2, 2, 2))
    padded, sums = (7 + 4) * (6 + 4) * 8, 7 * 6 * 16
    assert memory.workspace_bytes(layer.function()) == 4 * (padded + 2 * sums)  # with bias, and without
    assert memory.workspace_bytes(Pool(channels=512).function()) == 4 * 512
