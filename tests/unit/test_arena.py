"""Which activations share memory: never two that are alive at once, in fewer bytes than TVM's plan, or as it was."""

from __future__ import annotations

import functools
import itertools

import network_cases as networks
import numpy as np
import pytest
import tvm
from hypothesis import given
from hypothesis import strategies as st
from tvm import relax

from mbench.compile import arena, codegen, memory, pack, to_relax
from mbench.compile.arena import Lifetime
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.dispatch import schedule_all
from mbench.hardware import linker, targets
from mbench.networks import variants

TARGET = targets.load("x86_64_v2")
values = st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 9), st.integers(0, 5)), min_size=1, max_size=12).map(
    lambda rows: [
        Lifetime(name=f"v{number}", size=size, first=first, last=first + length)
        for number, (size, first, length) in enumerate(rows)
    ]
)


@given(values=values)
def test_no_two_that_are_alive_at_once_share_a_storage(values: list[Lifetime]) -> None:
    storages = arena.shared(values)
    assert sorted(each.name for inside in storages for each in inside) == sorted(each.name for each in values)
    for inside in storages:
        assert max(each.size for each in inside) == inside[0].size
        for one, other in itertools.combinations(inside, 2):
            assert one.last < other.first or other.last < one.first


@given(values=values)
def test_the_bytes_are_between_what_is_alive_at_once_and_all_together(values: list[Lifetime]) -> None:
    total = sum(inside[0].size for inside in arena.shared(values))
    alive = max(sum(each.size for each in values if each.first <= step <= each.last) for step in range(15))
    assert alive <= total <= sum(each.size for each in values)


def test_a_large_value_late_uses_the_place_of_small_ones() -> None:
    """Where the order of execution decides, a storage made for the first, small value is too small for the last."""
    small, middle, large = (
        Lifetime(name=name, size=size, first=first, last=first + 1)
        for name, size, first in (("small", 1, 0), ("middle", 2, 1), ("large", 8, 2))
    )
    assert arena.shared([small, middle, large]) == ((large, small), (middle,))


GROWING = "mobilenet_v2_0.5_64"
"""A network whose values are of many sizes."""


@functools.cache
def planned(name: str, *, replanned: bool) -> tuple[networks.Network, tvm.IRModule]:
    lowered = networks.lowered(variants.parse(name))
    target = codegen.tvm_target(TARGET, linker.HOST_TRIPLE)
    with pytest.MonkeyPatch.context() as patch, target:
        if not replanned:
            patch.setattr(arena, "replanned", lambda program: program)
        kernels = schedule_all(to_relax.kernel_calls(lowered.module), KernelMachine.of(TARGET))
        return lowered, codegen.plan(pack.install(lowered.module, kernels), target)


def test_a_network_that_grows_and_shrinks_takes_fewer_bytes_and_computes_the_same() -> None:
    _, before = planned(GROWING, replanned=False)
    lowered, after = planned(GROWING, replanned=True)
    assert memory.arena_bytes(after) < 0.9 * memory.arena_bytes(before)
    target = codegen.tvm_target(TARGET, linker.HOST_TRIPLE)
    machine = relax.VirtualMachine(codegen.generate(after, target), tvm.cpu())
    seen = machine["main"](tvm.runtime.tensor(lowered.example)).numpy()
    np.testing.assert_allclose(seen, lowered.expected, rtol=1e-3, atol=1e-4)


def test_residuals_live_until_they_are_added() -> None:
    """A value that two layers read is alive up to the second of them."""
    _, program = planned(GROWING, replanned=False)
    spans = [each.last - each.first for each in arena.lifetimes(program["main"])]
    assert max(spans) > 2 * min(spans)


@pytest.mark.parametrize("name", ["mobilenet_v1_0.25_96", "mobilenet_v1_0.25_96_standard"])
def test_a_plan_that_would_hardly_be_smaller_is_left(name: str) -> None:
    _, before = planned(name, replanned=False)
    assert arena.replanned(before) is before
