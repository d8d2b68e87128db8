"""How far kernels that are quicker may let a network's weights grow."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
import pytest
from kernel_cases import MACHINES

from mbench.build import build
from mbench.compile import to_relax
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import dispatch, weight_limit
from mbench.compile.schedules.rule import Scheduled
from mbench.core.choices import Choice, Choices, Prefer
from mbench.hardware import targets
from mbench.networks import architectures, variants

CORTEX_A72 = KernelMachine.of(targets.load("arm64_cortex_a72"))
STANDARD = "mobilenet_v1_0.5_128_standard"
BY_KERNEL = pytest.mark.parametrize("network", [STANDARD, "mobilenet_v3_small_0.35_224_standard"], ids=["3x3", "5x5"])


@functools.cache
def calls(network: str = STANDARD) -> list[tuple[str, object]]:
    graph = architectures.folded(variants.parse(network)).graph
    return list(to_relax.kernel_calls(to_relax.lower(graph).module))


@functools.cache
def scheduled(prefer: Prefer, network: str = STANDARD) -> dict[str, Scheduled]:
    return dispatch.schedule_all(calls(network), CORTEX_A72, prefer=prefer)


def growth(kernels: dict[str, Scheduled], network: str) -> float:
    """Return how many times the weights of the network grew, by packing arrays as a build does."""
    plain = packed = 0
    for name, function in calls(network):
        pack = kernels[name].plan.pack
        if pack is not None:
            shape = tuple(int(extent) for extent in function.params[1].shape)  # type: ignore[attr-defined]
            plain, packed = plain + math.prod(shape), packed + pack(np.zeros(shape, "float32")).size
    return packed / plain


def winograd(kernels: dict[str, Scheduled]) -> set[str]:
    return {name for name, kernel in kernels.items() if kernel.rule == "cpu.winograd"}


@BY_KERNEL
def test_the_quickest_kernels_let_weights_grow_beyond_the_limit(network: str) -> None:
    """Without this the limit would never be met, and the tests below say nothing."""
    assert growth(scheduled("latency", network), network) > weight_limit.LIMITS[None]


@BY_KERNEL
def test_by_default_all_weights_stay_below_twice_the_parameters(network: str) -> None:
    limited, quickest = scheduled(None, network), scheduled("latency", network)
    assert 1.2 < growth(limited, network) <= 2
    assert sizes(limited) != sizes(quickest)
    assert winograd(limited)


@BY_KERNEL
def test_memory_takes_none_that_grow(network: str) -> None:
    assert winograd(scheduled("memory", network)) == set()
    assert growth(scheduled("memory", network), network) < 1.1  # the last panel may overlap the one before it


def sizes(kernels: dict[str, Scheduled]) -> dict[str, int]:
    """Return the side of each kernel's tiles; 0 for a direct convolution."""
    return {name: kernel.parameters.get("size", 0) for name, kernel in kernels.items()}


def test_those_give_way_first_whose_bytes_serve_the_fewest_outputs_and_to_smaller_tiles_before_none() -> None:
    known = dict(calls())

    def pixels(name: str) -> int:
        *_, output = known[name].params  # type: ignore[attr-defined]
        return int(output.shape[1]) * int(output.shape[2])

    limited, quickest = sizes(scheduled(None)), sizes(scheduled("latency"))
    gave_way = {name for name, size in limited.items() if size < quickest[name]}
    kept = winograd(scheduled("latency")) - gave_way
    assert gave_way
    assert min(map(pixels, kept)) >= max(map(pixels, gave_way))
    assert any(limited[name] for name in gave_way)


@pytest.mark.parametrize("prefer", [None, "memory"])
def test_what_gave_way_says_how_it_would_be_made(prefer: Prefer) -> None:
    limited, quickest = scheduled(prefer), scheduled("latency")
    changed = {name for name, size in sizes(limited).items() if size < sizes(quickest)[name]}
    said = {name: kernel.unlimited for name, kernel in limited.items() if kernel.unlimited}
    assert said == {name: quickest[name].description for name in changed}
    assert not any(kernel.unlimited for kernel in quickest.values())


def test_a_tuned_choice_that_gives_way_says_why() -> None:
    tuned = {
        name: dataclasses.replace(kernel, tuned=True) if kernel.rule == "cpu.winograd" else kernel
        for name, kernel in scheduled("latency").items()
    }
    found = weight_limit.within(calls(), tuned, "memory", functools.partial(dispatch._lighter, CORTEX_A72))
    reasons = {kernel.ignored for name, kernel in found.items() if name in winograd(tuned)}
    assert reasons == {"its weights, with those of other kernels, are over 1 times the network's parameters"}


def test_the_choice_is_part_of_what_is_built() -> None:
    variant, target = variants.parse(STANDARD), targets.load("x86_64_v3")
    digests = [
        build.digest(build.digest_inputs(variant, target, Choices(prefer=prefer))) for prefer in weight_limit.LIMITS
    ]
    assert len(set(digests)) == 3
    kernels = {"k": Choice(rule="cpu.matmul", parameters={})}
    assert build.digest_inputs(variant, target, Choices(kernels=kernels))["tuned"] != "none"


@pytest.mark.parametrize("machine", MACHINES)
def test_whole_vectors_of_few_channels_are_no_growth_that_gives_way(machine: str) -> None:
    """24 channels are two vectors of 16: a third more weights, and the only way that there is."""
    graph = architectures.folded(variants.parse("mobilenet_v2_0.35_64_standard")).graph
    functions = to_relax.kernel_calls(to_relax.lower(graph).module)
    found = dispatch.schedule_all(functions, MACHINES[machine], prefer="memory")
    assert {kernel.rule for kernel in found.values()} & {"cpu.winograd", "fallback"} == set()
