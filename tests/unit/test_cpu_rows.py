"""Kernels that reduce along rows: softmax, layer norm, and others of their kind."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import kernel_cases as kernels
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import AVX2, MACHINES, Conv, Dense, Pool
from torch.nn import functional
from tvm import te, tirx, topi

from mbench.compile import computations
from mbench.compile import rows as reading
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import cpu
from mbench.compile.schedules.cpu import rows
from mbench.compile.schedules.dispatch import schedule
from mbench.compile.schedules.rule import KernelPlan

RULE = "cpu.rows"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """What is computed of arrays of some shapes, and what torch makes of them."""

    shapes: tuple[tuple[int, ...], ...]
    write: Callable[..., te.Tensor]
    value: Callable[..., torch.Tensor]

    def function(self) -> tirx.PrimFunc:
        given = [te.placeholder(shape, "float32", f"p{number}") for number, shape in enumerate(self.shapes)]
        return te.create_prim_func([*given, self.write(*given)])

    def arrays(self) -> list[np.ndarray]:
        generator = np.random.default_rng(7)
        return [generator.standard_normal(shape, dtype=np.float32) for shape in self.shapes]

    def expected(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        found: np.ndarray = self.value(*(torch.from_numpy(array.astype(np.float64)) for array in arrays)).numpy()
        return found


def softmax(shape: tuple[int, ...], axis: int = -1) -> Case:
    return Case(shapes=(shape,), write=lambda x: computations.softmax(x, axis), value=lambda x: x.softmax(axis))


def layer_norm(shape: tuple[int, ...], axes: int = 1) -> Case:
    own = shape[-axes:]
    last = list(range(len(shape) - axes, len(shape)))
    return Case(
        shapes=(shape, own, own),
        write=lambda x, weight, bias: computations.layer_norm(x, weight, bias, last, 1e-5),
        value=lambda x, weight, bias: functional.layer_norm(x, own, weight, bias, 1e-5),
    )


def largest(shape: tuple[int, ...]) -> Case:
    return Case(shapes=(shape,), write=lambda x: topi.max(x, [len(shape) - 1]), value=lambda x: x.amax(-1))


def smallest(shape: tuple[int, ...]) -> Case:
    return Case(shapes=(shape,), write=lambda x: topi.min(x, [len(shape) - 1]), value=lambda x: x.amin(-1))


def mean(shape: tuple[int, ...]) -> Case:
    """A number a row that is not the reduction itself, and an operand of one number a row."""

    def write(x: te.Tensor, other: te.Tensor) -> te.Tensor:
        total = topi.sum(x, [len(shape) - 1])
        return te.compute(total.shape, lambda *at: total(*at) / tirx.const(shape[-1], "float32") + other(*at), "mean")

    return Case(shapes=(shape, shape[:-1]), write=write, value=lambda x, other: x.mean(-1) + other)


KINDS = {"softmax": softmax, "layer norm": layer_norm, "largest": largest, "smallest": smallest, "mean": mean}
shapes = st.lists(st.integers(1, 5), min_size=1, max_size=2).flatmap(
    lambda lead: (kernels.channels() | st.sampled_from([49, 64, 196, 197])).map(lambda columns: (*lead, columns))
)


def problem(case: Case, plan: KernelPlan) -> str | None:
    arrays = case.arrays()
    expected = case.expected(arrays)
    output = kernels.run(kernels.compiled(plan.function), arrays, expected.shape)
    allowed = 16 * math.sqrt(case.shapes[0][-1]) * 2.0**-24 * (np.abs(expected) + np.abs(expected).mean())
    wrong = ~(np.abs(output - expected) <= allowed)
    return f"{wrong.sum()} of {wrong.size}: {np.abs(output - expected).max()}" if wrong.any() else None


@kernels.repeatable(16)
@given(kind=st.sampled_from(sorted(KINDS)), shape=shapes, machine=kernels.machines())
def test_rows_are_what_torch_computes(kind: str, shape: tuple[int, ...], machine: KernelMachine) -> None:
    case = KINDS[kind](shape)
    function = case.function()
    for parameters in cpu.RULES[RULE].candidates(Kernel(function), machine):
        plan = cpu.RULES[RULE].build(Kernel(function), machine, parameters)
        assert plan is not None
        assert problem(case, plan) is None
    assert schedule(function, machine).rule == RULE


@pytest.mark.parametrize("machine", MACHINES)
def test_a_row_may_be_several_axes(machine: str) -> None:
    case = layer_norm((3, 4, 5, 6), axes=3)
    scheduled = schedule(case.function(), MACHINES[machine])
    assert scheduled.rule == RULE
    assert problem(case, scheduled.plan) is None


@pytest.mark.parametrize("case", [softmax((3, 5, 7), 1), softmax((5, 8), 0)], ids=["middle", "first"])
def test_other_axes_are_left_to_others_and_right(case: Case) -> None:
    scheduled = schedule(case.function(), AVX2)
    assert scheduled.rule == "fallback"
    assert problem(case, scheduled.plan) is None


def test_many_rows_are_shared_out() -> None:
    machine = dataclasses.replace(AVX2, cores=8)
    assert next(iter(rows.candidates(Kernel(softmax((784, 49)).function()), machine)))["row_parts"] >= 8
    assert next(iter(rows.candidates(Kernel(softmax((1, 49)).function()), machine)))["row_parts"] == 1


def test_infinite_and_huge_elements_of_a_softmax() -> None:
    case = softmax((4, 21))
    x = case.arrays()[0]
    x[0, 3], x[1, 5], x[2], x[3, 7] = 3e38, -np.inf, -3e38, 200
    library = kernels.compiled(schedule(case.function(), AVX2).plan.function)
    np.testing.assert_allclose(kernels.run(library, [x], x.shape), case.expected([x]), rtol=1e-5, atol=1e-7)


# ------------------------------------------------------------------------------------------------------------ as it is
def test_exponentials_are_computed_once_each() -> None:
    written = str(schedule(softmax((5, 64)).function(), AVX2).plan.function.script())
    assert written.count("T.exp(") == 4  # vectors of a turn
    assert written.count("T.alloc_buffer") == 8  # sums and maxima: none of a row


def test_steps_are_read_in_their_order() -> None:
    chain = Kernel(layer_norm((4, 9)).function()).rows
    assert chain is not None
    assert (chain.rows, chain.columns) == (4, 9)
    assert [(step.reduces, step.whole, step.calls) for step in chain.steps] == [
        ("sum", False, False),
        (None, False, False),
        ("sum", False, False),
        (None, False, False),
        (None, True, True),
    ]
    assert {read.like for read in chain.steps[-1].reads()} == {"rows", "row", "columns"}


def other(read: Callable[..., Any]) -> te.Tensor:
    x = te.placeholder((4, 6), "float32", "x")
    k = te.reduce_axis((0, 6), "k")
    total = te.compute((4,), lambda i: te.sum(x[i, k], axis=k), "total")
    return te.create_prim_func([x, te.compute((4, 6), lambda i, j: read(x, total, i, j), "y")])


STRANGE: dict[str, Callable[..., Any]] = {
    "the row after": lambda x, total, i, j: x[(i + 1) % 4, j] / total[i],
    "backwards": lambda x, total, i, j: x[i, 5 - j] / total[i],
    "another row's sum": lambda x, total, i, j: x[i, j] / total[3 - i],
    "a function that is not known": lambda x, total, i, j: tirx.atan(x[i, j] / total[i]),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_read_in_another_way_is_no_chain(name: str) -> None:
    assert Kernel(other(STRANGE[name])).rows is None
    assert Kernel(other(lambda x, total, i, j: x[i, j] / total[i])).rows is not None


@pytest.mark.parametrize("layer", [Conv(), Dense(), Pool()], ids=["convolution", "product", "mean over pixels"])
def test_kernels_of_other_kinds_are_no_chain(layer: kernels.Layer) -> None:
    kernel = Kernel(layer.function())
    assert kernel.rows is None
    assert cpu.RULES[RULE].build(kernel, AVX2, {"row_parts": 1}) is None


# ------------------------------------------------------------------------------------------------------- planted faults
def test_a_row_cut_short_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    case = softmax((3, 49))
    assert problem(case, schedule(case.function(), AVX2).plan) is None
    parts = rows._parts
    monkeypatch.setattr(rows, "_parts", lambda columns, lanes: parts(columns, lanes)[:-1])
    assert problem(case, schedule(case.function(), AVX2).plan) is not None


def test_a_sum_taken_for_a_maximum_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    case = layer_norm((3, 49))
    step = reading._step

    def largest_of(*given: Any) -> reading.RowStep | None:
        made = step(*given)
        return made if made is None or made.reduces is None else dataclasses.replace(made, reduces="max")

    monkeypatch.setattr(reading, "_step", largest_of)
    assert problem(case, schedule(case.function(), AVX2).plan) is not None


@pytest.mark.parametrize(("columns", "lanes"), [(1, 1), (49, 8), (48, 8), (197, 16), (7, 4), (15, 8)])
def test_parts_are_the_whole_row_in_order(columns: int, lanes: int) -> None:
    end = 0
    for part in rows._parts(columns, lanes):
        assert part.start == end
        end += part.times * part.vectors * part.lanes
    assert end == columns
