"""Kernels that sum up nothing: what works element by element, and what only moves data."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import kernel_cases as kernels
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import AVX2, AVX512, MACHINES, Conv
from tvm import te, tirx, topi
from tvm.ir.prim import expr as prim

from mbench.compile import computations, elements
from mbench.compile.axis_computations import Laid
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import cpu
from mbench.compile.schedules.cpu import elementwise
from mbench.compile.schedules.dispatch import schedule
from mbench.compile.schedules.rule import KernelPlan

RULE = "cpu.elementwise"
Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Move:
    """What is computed of arrays of some shapes, and what torch makes of them."""

    shapes: Callable[[Shape], Sequence[Shape]]
    write: Callable[..., te.Tensor]
    value: Callable[..., torch.Tensor]


def chained(name: str) -> Callable[..., te.Tensor]:
    def write(x: te.Tensor, *others: te.Tensor) -> te.Tensor:
        def value(*at: Any) -> Any:
            operands = [x(*at), *(computations.broadcast(Laid(other), at) for other in others)]
            return elements.EXPRESSIONS[name]({}, operands, "float32").astype(str(x.dtype))

        return computations.chain(x.shape, value)

    return write


def concatenation(axis: int) -> Move:
    return Move(
        shapes=lambda shape: [shape, (*shape[:axis], shape[axis] + 3, *shape[axis + 1 :]), shape],
        write=lambda *tensors: computations.concatenated(tensors, axis),
        value=lambda *tensors: torch.cat(tensors, axis),
    )


def part(axis: int) -> Move:
    return Move(
        shapes=lambda shape: [shape],
        write=lambda x: computations.part(x, axis, int(x.shape[axis]) // 3, int(x.shape[axis])),
        value=lambda x: x.narrow(axis, x.shape[axis] // 3, x.shape[axis] - x.shape[axis] // 3),
    )


MOVES = {
    "product": Move(shapes=lambda shape: [shape, shape], write=chained("multiply"), value=torch.mul),
    "gate": Move(shapes=lambda shape: [shape, (shape[0], 1, 1, shape[3])], write=chained("multiply"), value=torch.mul),
    "channels": Move(shapes=lambda shape: [shape, shape[3:]], write=chained("add"), value=torch.add),
    "lines": Move(shapes=lambda shape: [shape, (1, *shape[1:3], 1)], write=chained("divide"), value=torch.div),
    "swish": Move(shapes=lambda shape: [shape], write=chained("silu"), value=torch.nn.functional.silu),
    "two blocks": Move(
        shapes=lambda shape: [shape],
        write=lambda x: topi.nn.relu(topi.add(x, x)),
        value=lambda x: torch.relu(x + x),
    ),
    "channels last": Move(
        shapes=lambda shape: [shape],
        write=lambda x: topi.transpose(x, (0, 2, 3, 1)),
        value=lambda x: x.permute(0, 2, 3, 1),
    ),
    "as an image is flattened": Move(
        shapes=lambda shape: [shape],
        write=lambda x: computations.reshaped(
            x, (int(x.shape[0]), int(x.shape[3]), int(x.shape[1] * x.shape[2])), from_last=True, to_last=False
        ),
        value=lambda x: x.permute(0, 3, 1, 2).flatten(2),
    ),
    "flat": Move(
        shapes=lambda shape: [shape],
        write=lambda x: topi.reshape(x, (int(x.shape[0]), math.prod(map(int, x.shape[1:])))),
        value=lambda x: x.flatten(1),
    ),
    **{f"beside each other along {axis}": concatenation(axis) for axis in range(4)},
    **{f"a part along {axis}": part(axis) for axis in range(4)},
    "padded": Move(
        shapes=lambda shape: [shape],
        write=lambda x: topi.nn.pad(x, (0, 1, 2, 0), (0, 0, 1, 3)),
        value=lambda x: torch.nn.functional.pad(x, (0, 3, 2, 1, 1, 0)),
    ),
}


def function_of(name: str, shape: Shape, dtype: str = "float32") -> tirx.PrimFunc:
    given = [te.placeholder(each, dtype, f"p{number}") for number, each in enumerate(MOVES[name].shapes(shape))]
    return te.create_prim_func([*given, MOVES[name].write(*given)])


def problem(name: str, shape: Shape, plan: KernelPlan, dtype: str = "float32") -> str | None:
    generator = np.random.default_rng(3)
    arrays = [generator.standard_normal(each).astype(dtype) for each in MOVES[name].shapes(shape)]
    expected = MOVES[name].value(*(torch.from_numpy(array.astype(np.float64)) for array in arrays)).numpy()
    output = kernels.run(kernels.compiled(plan.function), arrays, expected.shape, dtype)
    error = np.abs(output - expected)
    allowed = 8 * np.finfo(dtype).eps * (np.abs(expected) + np.finfo(dtype).tiny)
    return None if (error <= allowed).all() else f"{(error > allowed).sum()} of {error.size}: {error.max()}"


shapes = st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), kernels.channels())


@kernels.repeatable(40)
@given(name=st.sampled_from(sorted(MOVES)), shape=shapes, machine=kernels.machines())
def test_each_element_is_what_torch_makes_of_it(name: str, shape: Shape, machine: KernelMachine) -> None:
    scheduled = schedule(function_of(name, shape), machine)
    assert (scheduled.rule, scheduled.plan.pack) == (RULE, None)
    assert problem(name, shape, scheduled.plan) is None


@pytest.mark.parametrize("dtype", ["float16", "float64"])
@pytest.mark.parametrize("name", ["product", "gate", "beside each other along 3"])
def test_other_types_are_moved_too(name: str, dtype: str) -> None:
    shape = (2, 3, 4, 21)
    scheduled = schedule(function_of(name, shape, dtype), AVX2)
    assert scheduled.rule == RULE
    assert scheduled.plan.tile == {"float16": "1x1x16", "float64": "1x1x4"}[dtype]
    assert problem(name, shape, scheduled.plan, dtype) is None


@pytest.mark.parametrize("parts", [1, 2, 7, 100])
def test_lines_are_shared_out(parts: int) -> None:
    shape = (2, 5, 3, 45)
    for name in ("gate", "channels last", "product"):
        plan = cpu.RULES[RULE].build(Kernel(function_of(name, shape)), AVX2, {"line_parts": parts})
        assert plan is not None
        assert problem(name, shape, plan) is None
    machine = dataclasses.replace(AVX2, cores=8)
    large, small = (Kernel(function_of("gate", (1, side, side, 480))) for side in (56, 3))
    assert next(iter(elementwise.candidates(large, machine)))["line_parts"] >= 8
    assert next(iter(elementwise.candidates(small, machine)))["line_parts"] == 1


# -------------------------------------------------------------------------------------------------------- as it is done
def vectors(name: str, shape: Shape, machine: KernelMachine) -> list[int]:
    written = schedule(function_of(name, shape), machine).plan.function.script()
    return [int(lanes) for lanes in re.findall(r"T\.vectorized\((\d+)", written)]


@pytest.mark.parametrize("machine", MACHINES)
def test_a_line_is_taken_in_vectors_and_the_rest_in_shorter_ones(machine: str) -> None:
    lanes = MACHINES[machine].lanes()
    assert vectors("gate", (1, 4, 4, 48), MACHINES[machine]) == [lanes]
    rest = [part for part in (8, 4, 2) if part < lanes]
    assert vectors("gate", (1, 4, 4, 4 * lanes - 1), MACHINES[machine]) == [lanes, *rest]


def test_axes_that_all_operands_have_are_one_line() -> None:
    assert vectors("product", (2, 4, 8, 5), AVX2) == [8]  # 160 elements, not 5
    assert vectors("gate", (2, 4, 8, 5), AVX2) == [4]
    assert vectors("flat", (2, 4, 8, 5), AVX2) == [8]


def test_a_transposed_line_is_read_without_a_division() -> None:
    written = schedule(function_of("as an image is flattened", (1, 7, 7, 64)), AVX2).plan.function.script()
    assert not re.search(r"//|%", re.sub(r"#.*", "", written))


def test_each_stretch_of_a_concatenation_is_copied_in_vectors() -> None:
    """No element is chosen when it runs: conditions would take the lanes one by one."""
    written = schedule(function_of("beside each other along 3", (1, 4, 4, 40)), AVX512).plan.function.script()
    assert "if_then_else" not in written
    assert vectors("beside each other along 3", (1, 4, 4, 40), AVX512)[0] == 16


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("kind", [prim.LT, prim.LE, prim.GT, prim.GE, prim.EQ, prim.NE])
def test_where_a_comparison_changes(kind: type, *, mirrored: bool) -> None:
    compare = {prim.LT: "<", prim.LE: "<=", prim.GT: ">", prim.GE: ">=", prim.EQ: "==", prim.NE: "!="}[kind]
    outcomes = [eval(f"5 {compare} {place}" if mirrored else f"{place} {compare} 5") for place in range(12)]
    changes = [place for place in range(1, 12) if outcomes[place] != outcomes[place - 1]]
    assert list(elementwise._changes(kind, 5, mirrored=mirrored)) == changes


# ------------------------------------------------------------------------------------------------- checks that can fail
def test_a_stretch_left_out_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    name, shape = "beside each other along 3", (1, 4, 4, 10)
    assert problem(name, shape, schedule(function_of(name, shape), AVX2).plan) is None
    stretches = elementwise._Pass.stretches
    monkeypatch.setattr(elementwise._Pass, "stretches", lambda only: itertools.islice(stretches(only), 2))
    assert problem(name, shape, schedule(function_of(name, shape), AVX2).plan) is not None


def test_a_condition_decided_wrongly_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    name, shape = "beside each other along 3", (1, 4, 4, 10)
    monkeypatch.setattr(elementwise, "_changes", lambda _kind, number, **_mirrored: (number + 1,))
    assert problem(name, shape, schedule(function_of(name, shape), AVX2).plan) is not None


def test_what_reduces_is_left_to_others() -> None:
    assert not list(elementwise.candidates(Kernel(Conv().function()), AVX2))


def test_what_is_not_understood_is_left_to_the_fallback() -> None:
    x = te.placeholder((3, 20), "float32", "x")
    scheduled = schedule(te.create_prim_func([x, te.compute((3, 20), lambda i, j: tirx.atan(x[i, j]))]), AVX2)
    assert (scheduled.rule, bool(scheduled.reason)) == ("fallback", True)
