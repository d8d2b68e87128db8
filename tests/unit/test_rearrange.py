"""Copies across the source on CPUs: channel shuffles, images that change their layout, and others, beside numpy."""

from __future__ import annotations

import dataclasses
import math

import kernel_cases as kernels
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tvm import te, tirx

from mbench.compile import axis_computations
from mbench.compile.axis_computations import Laid
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import cpu
from mbench.compile.schedules.cpu import rearrange
from mbench.compile.schedules.dispatch import schedule
from mbench.networks import rearranging
from mbench.networks.rearranging import Rearrangement

RULE = "cpu.rearrange"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Copy:
    """An image that is split, put in order, and merged."""

    shape: tuple[int, int, int, int]
    """As people have it, on both sides."""
    groups: int = 1
    """Of channels that are shuffled; 1: the layout alone changes, or nothing."""
    from_last: bool = True
    to_last: bool = True

    @property
    def split(self) -> tuple[int, ...]:
        """The shape with channels in groups."""
        batch, channels, *sides = self.shape
        return (batch, self.groups, channels // self.groups, *sides)

    @property
    def one(self) -> Rearrangement:
        return rearranging.of_parts(self.shape, self.split, (0, 2, 1, 3, 4), self.shape)

    def function(self) -> tirx.PrimFunc:
        batch, channels, height, width = self.shape
        own = (batch, height, width, channels) if self.from_last else self.shape
        x = te.placeholder(own, name="p0")
        return te.create_prim_func(
            [x, axis_computations.rearranged(Laid(x, self.from_last), self.one, last=self.to_last)]
        )

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Return what goes in, and what has to come out."""
        x = np.arange(math.prod(self.shape), dtype=np.float32).reshape(self.shape)
        y = x.reshape(self.split).transpose(0, 2, 1, 3, 4).reshape(self.shape)
        lying = [each.transpose(0, 2, 3, 1) if last else each
                 for each, last in ((x, self.from_last), (y, self.to_last))]  # fmt: skip
        return lying[0].copy(), lying[1].copy()


def check(copy: Copy, machine: KernelMachine, parameters: dict[str, int]) -> bool:
    """Return whether a kernel does what it has to."""
    plan = cpu.RULES[RULE].build(Kernel(copy.function()), machine, parameters)
    assert plan is not None
    given, expected = copy.arrays()
    output = kernels.run(kernels.compiled(plan.function), [given], expected.shape)
    return bool((output == expected).all())


@st.composite
def copies(draw: st.DrawFn) -> Copy:
    """Draw a shuffle, or a change of layout."""
    sides = (draw(st.integers(1, 3)), draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    if draw(st.booleans()):
        groups = draw(st.integers(2, 8))
        return Copy(shape=(sides[0], groups * draw(st.integers(4, 40)), *sides[1:]), groups=groups)
    last = draw(st.booleans())
    return Copy(shape=(sides[0], draw(st.integers(4, 40)), 4, *sides[2:]), from_last=last, to_last=not last)


@kernels.repeatable(40)
@given(copy=copies(), machine=kernels.machines())
def test_what_is_copied_is_what_numpy_copies(copy: Copy, machine: KernelMachine) -> None:
    offered = list(cpu.RULES[RULE].candidates(Kernel(copy.function()), machine))
    assert offered
    for parameters in offered:
        assert check(copy, machine, dict(parameters))


def test_shuffles_are_woven_and_layouts_are_turned() -> None:
    shuffled = schedule(Copy(shape=(1, 48, 7, 7), groups=2).function(), kernels.AVX2)
    turned = schedule(Copy(shape=(1, 48, 7, 7), to_last=False).function(), kernels.AVX2)
    assert (shuffled.rule, shuffled.plan.tile) == (RULE, "2x1x8")
    assert (turned.rule, turned.plan.tile) == (RULE, "8x1x8")
    assert "T.Shuffle(" in shuffled.plan.function.script()


def test_lines_that_are_read_as_they_lie_are_left_to_others() -> None:
    for copy in (Copy(shape=(1, 48, 7, 7)), Copy(shape=(1, 3, 7, 7), to_last=False)):
        assert not list(cpu.RULES[RULE].candidates(Kernel(copy.function()), kernels.AVX2))
        assert schedule(copy.function(), kernels.AVX2).rule == "cpu.elementwise"


def test_parts_that_follow_each_other_on_both_sides_are_one() -> None:
    found = rearrange._together([(1, 700), (5, 42), (7, 6), (3, 1), (2, 3)])
    assert [(part.size, part.target, part.source) for part in found] == [(35, 6, 6), (3, 2, 1), (2, 1, 3)]


@pytest.mark.parametrize("copy", [Copy(shape=(2, 24, 5, 6), groups=3), Copy(shape=(2, 24, 5, 6), to_last=False)])
def test_another_order_is_seen(monkeypatch: pytest.MonkeyPatch, copy: Copy) -> None:
    parameters = {"line_parts": 2, "panel_parts": 1}
    assert check(copy, kernels.AVX2, parameters)
    monkeypatch.setattr(tirx, "Shuffle", lambda vectors, order, shuffle=tirx.Shuffle: shuffle(vectors, order[::-1]))
    assert not check(copy, kernels.AVX2, parameters)
