"""Norms by channel on CPUs: instance norm, group norm, and what follows them, beside PyTorch."""

from __future__ import annotations

import dataclasses

import kernel_cases as kernels
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import AVX2, Conv
from tvm import te, tirx

from mbench.compile import computations, image_computations
from mbench.compile.axis_computations import Laid
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import cpu
from mbench.compile.schedules.cpu import channel_norm
from mbench.compile.schedules.dispatch import schedule

RULE = "cpu.channel_norm"
EPSILON = 1e-3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Norm:
    """A norm of an image (n, y, x, c), a residual, and a ReLU after it."""

    batch: int = 1
    height: int = 5
    width: int = 6
    channels: int = 12
    groups: int = 3
    follows: bool = True
    last: bool = True

    def function(self) -> tirx.PrimFunc:
        shape = (self.batch, self.height, self.width, self.channels)
        own = shape if self.last else (self.batch, self.channels, self.height, self.width)
        x, weight, bias = (te.placeholder(each, name=f"p{place}") for place, each in enumerate((own, *[own[1:2]] * 2)))
        if self.last:
            weight, bias = (te.placeholder((self.channels,), name=name) for name in ("p1", "p2"))
        y = image_computations.normalised(
            Laid(x, self.last), weight, bias, groups=self.groups, epsilon=EPSILON, last=self.last
        )
        if not self.follows:
            return te.create_prim_func([x, weight, bias, y])
        other = te.placeholder(y.shape, name="p3")
        z = computations.chain(y.shape, lambda *at: tirx.max(y(*at) + other(*at), tirx.const(0.0, "float32")))
        return te.create_prim_func([x, weight, bias, other, z])

    def arrays(self) -> list[np.ndarray]:
        generator = np.random.default_rng(3)
        shape = (self.batch, self.height, self.width, self.channels)
        shapes = [shape, (self.channels,), (self.channels,), *([shape] if self.follows else [])]
        return [generator.standard_normal(each, dtype=np.float32) + np.float32(2.0) for each in shapes]

    def expected(self) -> np.ndarray:
        x, weight, bias, *others = (torch.from_numpy(each.astype(np.float64)) for each in self.arrays())
        y = torch.group_norm(x.permute(0, 3, 1, 2), self.groups, weight, bias, EPSILON).permute(0, 2, 3, 1)
        return np.asarray(torch.relu(y + others[0]) if others else y)


@st.composite
def norms(draw: st.DrawFn) -> Norm:
    groups, own = draw(st.integers(1, 20)), draw(st.integers(1, 40))
    if draw(st.booleans()):
        groups, own = groups * own, 1
    return Norm(
        batch=draw(st.integers(1, 3)), height=draw(st.integers(1, 9)), width=draw(st.integers(1, 9)),
        channels=groups * own, groups=groups, follows=draw(st.booleans()),
    )  # fmt: skip


@kernels.repeatable(20)
@given(data=st.data(), norm=norms(), machine=kernels.machines())
def test_norms_are_what_torch_computes(data: st.DataObject, norm: Norm, machine: KernelMachine) -> None:
    offered = list(cpu.RULES[RULE].candidates(Kernel(norm.function()), machine))
    assert offered
    parameters = data.draw(st.sampled_from(offered))
    plan = cpu.RULES[RULE].build(Kernel(norm.function()), machine, parameters)
    assert plan is not None
    expected = norm.expected()
    output = kernels.run(kernels.compiled(plan.function), norm.arrays(), expected.shape)
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=2e-4)


def test_it_is_the_first_choice_and_what_lies_otherwise_is_left() -> None:
    assert schedule(Norm().function(), AVX2).rule == RULE
    assert schedule(Norm(follows=False).function(), AVX2).rule == RULE
    assert Kernel(Norm(last=False, follows=False).function()).channel_norm is None
    assert Kernel(Conv().function()).channel_norm is None
    assert not list(cpu.RULES[RULE].candidates(Kernel(Conv().function()), AVX2))


@pytest.mark.parametrize("follows", [False, True])
def test_one_parameter_that_is_both_scale_and_shift_is_left(*, follows: bool) -> None:
    """A kernel has each array that it reads once, so that the third is none of the norm's."""
    x, both, other = (te.placeholder(each) for each in ((1, 5, 6, 12), (12,), (1, 5, 6, 12)))
    y = image_computations.normalised(Laid(x, last=True), both, both, groups=3, epsilon=EPSILON, last=True)
    z = computations.chain(y.shape, lambda *at: y(*at) + other(*at))
    function = te.create_prim_func([x, both, other, z] if follows else [x, both, y])
    assert Kernel(function).channel_norm is None
    assert schedule(function, AVX2).rule != RULE


def test_groups_that_are_no_part_of_all_are_refused() -> None:
    parameters = {"groups": 2, "image_parts": 1, "panel_parts": 1}
    with pytest.raises(ValueError, match="2 groups at a time are no part of 3"):
        cpu.RULES[RULE].build(Kernel(Norm().function()), AVX2, parameters)


@pytest.mark.parametrize("method", ["_averaged", "_factors"])
def test_a_step_left_out_is_seen(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    norm, parameters = Norm(), {"groups": 3, "image_parts": 1, "panel_parts": 1}

    def wrong() -> bool:
        plan = cpu.RULES[RULE].build(Kernel(norm.function()), AVX2, parameters)
        assert plan is not None
        output = kernels.run(kernels.compiled(plan.function), norm.arrays(), norm.expected().shape)
        return not np.allclose(output, norm.expected(), rtol=1e-4, atol=2e-4)

    assert not wrong()
    monkeypatch.setattr(channel_norm._Chunk, method, lambda *_: None)
    assert wrong()
