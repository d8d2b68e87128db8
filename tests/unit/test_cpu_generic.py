"""The fall-back of CPUs: kernels that no rule takes are right, in vectors and shared out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import kernel_cases as kernels
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import AVX2, MACHINES, Conv, Dense, Layer, Pool, Product, WindowPool
from torch.nn import functional
from tvm import te, tirx, topi
from tvm.s_tir.schedule import ScheduleError

from mbench.compile import computations, parallel
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import generic
from mbench.compile.schedules.dispatch import schedule
from mbench.compile.schedules.rule import KernelPlan


def made(function: tirx.PrimFunc, machine: KernelMachine = AVX2) -> tirx.PrimFunc:
    return generic.fallback(Kernel(function), machine)


# ---------------------------------------------------------------------------------------------- kernels that rules take
LAYERS: list[Layer] = [
    Conv(height=6, width=9, inputs=5, channels=20, kernel=(3, 2), strides=(2, 1), padding=(0, 1, 2, 1)),
    Conv(inputs=8, channels=24, groups=8, dilation=2, epilogue="bias+gelu"),
    Conv(inputs=3, channels=16, channels_last=False, epilogue="bias+gate"),
    Conv(kernel=1, padding=(0, 0, 0, 0), channels=19, epilogue="bias+residual"),
    Dense(rows=3, columns=33, epilogue="bias+relu"),
    Product(left=(2, 3), right=(1, 3), columns=20),
    Pool(batch=2, channels=20),
    WindowPool(channels=17),
    WindowPool(kind="avg", channels=16, count_include_pad=False, epilogue="relu"),
    Conv(dtype="float16"),
    Dense(dtype="float16"),
]


@pytest.mark.parametrize("machine", MACHINES)
def test_kernels_of_rules_are_right_without_them(machine: str) -> None:
    for layer in LAYERS:
        arrays = kernels.drawn(layer)
        plan = KernelPlan(function=made(layer.function(), MACHINES[machine]))
        assert kernels.wrong(layer, kernels.executed(plan, layer, arrays), arrays) is None, layer


# ------------------------------------------------------------------------------------------------------ and all others
@dataclasses.dataclass(frozen=True, kw_only=True)
class Other:
    """What is computed of an array, and with torch."""

    write: Callable[[te.Tensor], te.Tensor]
    value: Callable[[torch.Tensor], torch.Tensor]


OTHERS = {
    "sum of lines": Other(write=lambda x: topi.sum(x, 1), value=lambda x: x.sum(1)),
    "sum of everything": Other(write=lambda x: topi.sum(x, keepdims=True), value=lambda x: x.sum().reshape(1, 1, 1)),
    "largest of each": Other(write=lambda x: topi.max(x, [0, 1]), value=lambda x: x.amax((0, 1))),
    "softmax of lines": Other(write=lambda x: computations.softmax(x, 1), value=lambda x: x.softmax(1)),
    "softmax of rows": Other(write=lambda x: computations.softmax(x, 2), value=lambda x: x.softmax(2)),
    "product with itself": Other(write=lambda x: topi.nn.batch_matmul(x, x), value=lambda x: x @ x.transpose(1, 2)),
    "exponentials, summed": Other(write=lambda x: topi.sum(topi.exp(x), 2), value=lambda x: x.exp().sum(2)),
    "moved": Other(write=lambda x: topi.transpose(x, (2, 0, 1)), value=lambda x: x.permute(2, 0, 1)),
    "beside itself": Other(write=lambda x: topi.concatenate([x, x], 2), value=lambda x: torch.cat([x, x], 2)),
    "sine": Other(write=lambda x: topi.sin(topi.nn.relu(x)), value=lambda x: torch.relu(x).sin()),
    "padded and pooled": Other(
        write=lambda x: topi.sum(topi.nn.pad(x, (0, 1, 0), (0, 2, 0)), 1),
        value=lambda x: functional.pad(x, (0, 0, 1, 2)).sum(1),
    ),
    "variance": Other(
        write=lambda x: topi.sum(topi.power(topi.subtract(x, topi.sum(x, 1, keepdims=True)), 2.0), 1),
        value=lambda x: ((x - x.sum(1, keepdim=True)) ** 2).sum(1),
    ),
}


@kernels.repeatable(30)
@given(
    name=st.sampled_from(sorted(OTHERS)),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 9), kernels.channels()),
    machine=kernels.machines(),
)
def test_all_other_kernels_are_right(name: str, shape: tuple[int, ...], machine: KernelMachine) -> None:
    x = te.placeholder(shape, "float32", "x")
    function = te.create_prim_func([x, OTHERS[name].write(x)])
    array = np.random.default_rng(5).standard_normal(shape, dtype=np.float32)
    expected = OTHERS[name].value(torch.from_numpy(array.astype(np.float64))).numpy()
    output = kernels.run(kernels.compiled(made(function, machine)), [array], expected.shape)
    np.testing.assert_allclose(output, expected, rtol=2e-5, atol=2e-5 * np.abs(expected).max())


# -------------------------------------------------------------------------------------------------------- as it is done
def written(compute: Callable[[te.Tensor], te.Tensor], shape: Sequence[int]) -> tirx.PrimFunc:
    x = te.placeholder(tuple(shape), "float32", "x")
    return made(te.create_prim_func([x, compute(x)]))


def test_lines_are_shared_out_where_there_is_work() -> None:
    assert parallel.parallel_loops(written(lambda x: topi.sum(x, 1), (64, 30, 48))) == 1
    assert parallel.parallel_loops(written(lambda x: topi.sum(x, 1), (2, 3, 8))) == 0


def test_what_is_summed_up_is_in_vectors() -> None:
    text = written(lambda x: topi.sum(x, 1), (64, 30, 48)).script()
    assert "T.vectorized(8)" in text
    assert "T.vectorized" not in written(lambda x: topi.sum(x, 1), (64, 30, 49)).script()


def test_nothing_is_computed_again_for_each_element_that_is_summed_up() -> None:
    def convolved(x: te.Tensor) -> te.Tensor:
        weights = te.compute((3, 3, 8, 16), lambda *_at: tirx.const(1.0, "float32"), "weights")
        return topi.nn.conv2d_nhwc(topi.exp(x), weights, 1, 1, 1)

    assert written(convolved, (1, 6, 6, 8)).script().count("T.exp(") == 1
    names = [str(block) for block in Kernel(written(convolved, (1, 6, 6, 8))).blocks]
    assert len(names) > 2


def test_what_lies_between_is_computed_where_it_is_read() -> None:
    text = written(lambda x: topi.nn.relu(topi.add(topi.sum(x, 1), topi.sum(x, 1))), (4, 5, 16)).script()
    assert text.count("T.max(") == 1
    assert "T_add" not in text


def test_the_place_of_a_maximum() -> None:
    """Two numbers are reduced at once: no rule knows such a block."""
    x = te.placeholder((5, 12, 20), "float32", "x")
    scheduled = schedule(te.create_prim_func([x, topi.argmax(x, 1)]), AVX2)
    assert scheduled.rule == "fallback"
    array = np.random.default_rng(9).standard_normal((5, 12, 20), dtype=np.float32)
    library = kernels.compiled(scheduled.plan.function)
    np.testing.assert_array_equal(kernels.run(library, [array], (5, 20), "int32"), array.argmax(1))


def test_what_tvm_refuses_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_given: Any) -> None:
        raise ScheduleError

    x = te.placeholder((4, 16), "float32", "x")
    kernel = Kernel(te.create_prim_func([x, topi.nn.relu(topi.add(x, x))]))
    monkeypatch.setattr(type(kernel.schedule), "compute_inline", refused)
    output = kernels.run(kernels.compiled(generic.fallback(kernel, AVX2)), [np.ones((4, 16), np.float32)], (4, 16))
    assert (output == 2).all()
