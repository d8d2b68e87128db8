"""What the rules for GPUs write, run on a CPU thread by thread (`cuda_on_cpu`), beside PyTorch."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import platform
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import cuda_on_cpu
import kernel_cases as kernels
import numpy as np
import pytest
import torch
from kernel_cases import Conv, Dense, Layer, Pool, Product, WindowPool
from torch.nn import functional
from tvm import relax, te, topi

from mbench.compile import codegen, computations
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import gpu
from mbench.compile.schedules.dispatch import schedule
from mbench.compile.schedules.gpu import FLOATS as DTYPES
from mbench.compile.schedules.rule import KernelPlan
from mbench.hardware import targets

NONE = (0, 0, 0, 0)
POINTWISE = [
    Conv(height=7, width=7, inputs=8, channels=16, kernel=1, padding=NONE),
    Conv(height=14, width=14, inputs=32, channels=64, kernel=1, padding=NONE),
    Conv(height=10, width=7, inputs=24, channels=40, kernel=1, padding=NONE, epilogue="bias+clip"),
    Conv(batch=3, height=5, width=7, inputs=96, channels=89, kernel=1, padding=NONE, epilogue="residual"),
    Conv(batch=2, height=7, width=7, inputs=129, channels=132, kernel=1, padding=NONE, epilogue="none"),
]
DENSE = [
    Dense(rows=1, reduction=256, columns=100),
    Dense(rows=3, reduction=100, columns=89, epilogue="none"),
    Dense(rows=8, reduction=64, columns=24),
]
LARGE_DENSE = [Dense(rows=20, reduction=96, columns=100)]
DEPTHWISE = [
    Conv(height=14, width=14, inputs=32, channels=32, groups=32),
    Conv(height=14, width=10, inputs=24, channels=24, groups=24, strides=(2, 2)),
    Conv(batch=2, height=7, width=7, inputs=89, channels=89, groups=89, epilogue="bias+clip"),
    Conv(height=10, width=14, inputs=8, channels=8, groups=8, kernel=5, padding=(2, 2, 2, 2)),
    Conv(batch=2, height=7, width=10, inputs=6, channels=6, groups=6, kernel=5, strides=(2, 2), padding=(2, 2, 2, 2)),
    Conv(height=10, width=10, inputs=16, channels=16, groups=16, padding=NONE, epilogue="none"),
    Conv(height=11, width=9, inputs=8, channels=8, groups=8, dilation=(2, 3), strides=(2, 1), padding=(2, 3, 1, 0)),
    Conv(batch=2, inputs=6, channels=18, groups=6, kernel=(1, 5), padding=(0, 2, 0, 2), epilogue="bias+gelu"),
]
STANDARD = [
    Conv(height=14, width=14, inputs=3, channels=16, strides=(2, 2), channels_last=False),
    Conv(batch=2, height=10, width=7, inputs=3, channels=24, strides=(2, 2)),
    Conv(height=14, width=14, inputs=32, channels=40),
    Conv(batch=2, height=7, width=10, inputs=24, channels=44, strides=(2, 2), epilogue="residual"),
    Conv(height=10, width=10, inputs=5, channels=8, kernel=5, padding=(2, 2, 2, 2), epilogue="none"),
    Conv(height=14, width=7, inputs=16, channels=32, kernel=1, strides=(2, 2), padding=NONE),
    Conv(height=9, width=12, channels=24, kernel=(3, 5), strides=(1, 2), padding=(0, 1, 2, 3), epilogue="bias+silu"),
    Conv(inputs=16, dilation=(2, 1), padding=(2, 1, 2, 1), epilogue="bias+residual"),
    Conv(inputs=24, channels=96, groups=3, strides=(2, 1)),
    Conv(batch=2, inputs=32, channels=32, groups=2, kernel=1, padding=NONE),
]
PRODUCTS = [
    Product(left=(1,), right=(1,), rows=49, depth=20, columns=33),
    Product(left=(2, 3), right=(2, 1), rows=5, depth=64, columns=49, epilogue="bias+relu"),
    Product(left=(), right=(3,), rows=70, depth=7, columns=20, epilogue="bias+tanh"),
]
WINDOWS = [
    WindowPool(batch=2, channels=24),
    WindowPool(kind="avg", height=9, width=8, channels=9, count_include_pad=False, epilogue="bias+residual"),
    WindowPool(height=8, channels=12, kernel=(2, 3), strides=(2, 1), ceil_mode=True, epilogue="relu"),
    WindowPool(kind="avg", height=6, width=7, padding=NONE, strides=(1, 1), epilogue="none"),
]
POOLS = [Pool(channels=32), Pool(batch=2, height=10, width=7, channels=89), Pool(height=4, width=4, channels=256)]
LAYERS: dict[str, list[Layer]] = {
    "gpu.matmul": [*POINTWISE, *LARGE_DENSE],
    "gpu.dense": [*DENSE],
    "gpu.depthwise": [*DEPTHWISE],
    "gpu.convolution": [*STANDARD],
    "gpu.pool": [*POOLS],
    "gpu.window_pool": [*WINDOWS],
    "gpu.batch_matmul": [*PRODUCTS],
}


def of(layers: list[Layer], dtype: str) -> list[Layer]:
    return [dataclasses.replace(layer, dtype=dtype) for layer in layers]


def spread(rule: str, layer: Layer, count: int) -> Iterator[dict[str, int]]:
    """Yield a rule's first choice for a layer, and others from among all that it offers, the last one too."""
    offered = cuda_on_cpu.candidates(rule, layer)
    chosen = {0, len(offered) - 1} | {len(offered) * step // count for step in range(count)}
    yield from (dict(offered[number]) for number in sorted(chosen))


# ------------------------------------------------------------------------------------------------------ as PyTorch does
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", LAYERS)
def test_kernels_are_what_torch_computes(rule: str, dtype: str) -> None:
    plans = {}
    for number, layer in enumerate(of(LAYERS[rule], dtype)):
        for other, parameters in enumerate(spread(rule, layer, 2)):
            plans[f"k{number}_{other}"] = (cuda_on_cpu.plan(rule, layer, parameters=parameters), layer)
    assert len(plans) >= 3 * len(LAYERS[rule])
    wrong = cuda_on_cpu.problems(plans)
    assert {f"{plans[name][1]} {plans[name][0].tile}": text for name, text in wrong.items()} == {}


@pytest.mark.parametrize("dtype", DTYPES)
def test_each_architecture_has_a_first_choice_that_is_right(dtype: str) -> None:
    plans = {}
    for (rule, layers), target in itertools.product(LAYERS.items(), cuda_on_cpu.ARCHITECTURES):
        [layer] = of(layers[:1], dtype)
        plans[f"{rule[4:]}_{target}"] = (cuda_on_cpu.plan(rule, layer, target), layer)
    assert cuda_on_cpu.problems(plans) == {}


@pytest.mark.parametrize("rule", ["gpu.matmul", "gpu.dense", "gpu.depthwise", "gpu.convolution", "gpu.pool"])
def test_every_epilogue_is_what_torch_computes(rule: str) -> None:
    layer, plans = TAKEN[rule], {}
    for number, epilogue in enumerate(kernels.EPILOGUES):
        own = dataclasses.replace(layer, epilogue=epilogue)
        plans[f"k{number}"] = (cuda_on_cpu.plan(rule, own), own)
    wrong = cuda_on_cpu.problems(plans)
    assert {plans[name][1].epilogue: text for name, text in wrong.items()} == {}


# --------------------------------------------------------------------------------------------------------- along rows
ROWS: dict[str, tuple[tuple[tuple[int, ...], ...], Callable[..., te.Tensor], Callable[..., torch.Tensor]]] = {
    "softmax": (((3, 49),), lambda x: computations.softmax(x, 1), lambda x: x.softmax(1)),
    "long": (((2, 3, 300),), lambda x: computations.softmax(x, -1), lambda x: x.softmax(-1)),
    "layer_norm": (
        ((5, 64), (64,), (64,)),
        lambda x, weight, bias: computations.layer_norm(x, weight, bias, [1], 1e-5),
        lambda x, weight, bias: functional.layer_norm(x, (64,), weight, bias, 1e-5),
    ),
    "sum": (((7, 90),), lambda x: topi.sum(x, 1), lambda x: x.sum(1)),
}


def row_plans(threads: int | None = None) -> dict[str, KernelPlan]:
    machine, made = cuda_on_cpu.machine("cuda_sm80"), {}
    for name, (shapes, write, _) in ROWS.items():
        read = [te.placeholder(shape, "float32", "x") for shape in shapes]
        kernel = Kernel(te.create_prim_func([*read, write(*read)]))
        parameters = next(iter(gpu.RULES["gpu.rows"].candidates(kernel, machine)))
        plan = gpu.RULES["gpu.rows"].build(kernel, machine, {"threads": threads} if threads else parameters)
        assert plan is not None
        made[name] = plan
    return made


def row_problems(made: Mapping[str, KernelPlan], **options: Any) -> dict[str, str]:
    libraries = cuda_on_cpu.compiled({name: plan.function for name, plan in made.items()}, **options)
    found = {}
    for name, both in libraries.items():
        shapes, _, value = ROWS[name.rstrip("_0123456789")]
        arrays = [np.random.default_rng(1).standard_normal(shape, dtype=np.float32) for shape in shapes]
        expected = value(*(torch.from_numpy(array.astype(np.float64)) for array in arrays)).numpy()
        for library in both:
            try:
                np.testing.assert_allclose(kernels.run(library, arrays, expected.shape), expected, rtol=1e-5, atol=1e-5)
            except AssertionError as error:
                found[name] = str(error)
    return found


@pytest.mark.parametrize("threads", [None, 32, 64, 256])
def test_reductions_along_rows_are_what_torch_computes(threads: int | None) -> None:
    assert row_problems(row_plans(threads)) == {}


BARRIER = r"__syncthreads\(\);"


def spoiled(source: str, kernel: str, change: tuple[str, str, int]) -> str:
    """Replace the `change[2]`th match of a pattern in a kernel."""
    pattern, replacement, number = change
    start = source.rindex(f"{kernel}_kernel(")
    found = list(re.finditer(pattern, source[start:]))[number]
    return source[: start + found.start()] + found.expand(replacement) + source[start + found.end() :]


def without_barriers(source: str) -> str:
    """Leave a barrier out of each kernel, the one whose number ends the kernel's name."""
    for name, number in set(re.findall(r"\b(\w+_(\d+))_kernel\(", source)):
        source = spoiled(source, name, (BARRIER, "", int(number)))
    return source


@functools.cache
def row_problems_without_barriers() -> dict[str, str]:
    plan = row_plans(64)["layer_norm"]
    assert cuda_on_cpu.source_of({"layer_norm": plan.function}).count("__syncthreads();") == 16
    return row_problems({f"layer_norm_{number}": plan for number in range(8)}, plant=without_barriers)


@pytest.mark.parametrize("number", range(8))
def test_a_barrier_left_out_of_a_row_is_noticed(number: int) -> None:
    """Six of the tree of 64 threads, one before all of them read its root, one before the next reduction writes."""
    assert row_problems_without_barriers()[f"layer_norm_{number}"]


def test_halves_are_summed_along_rows_in_float32() -> None:
    x = te.placeholder((4, 40), "float16", "x")
    result = computations.chain((4, 40), lambda *at: computations.softmax(x, 1)(*at).astype("float16"))
    scheduled = schedule(te.create_prim_func([x, result]), cuda_on_cpu.machine("cuda_sm80"))
    assert scheduled.rule == "gpu.rows"
    array = np.random.default_rng(2).standard_normal((4, 40)).astype(np.float16)
    expected = torch.from_numpy(array.astype(np.float64)).softmax(1).numpy()
    for library in cuda_on_cpu.compiled({"halves": scheduled.plan.function})["halves"]:
        output = kernels.run(library, [array], (4, 40), "float16")
        assert (np.abs(output - expected) <= 2.0**-11 * expected + 1e-7).all()


# ------------------------------------------------------------------------------------------------- what sums up nothing
def test_what_is_left_over_is_done_element_by_element() -> None:
    x = np.random.default_rng(1).standard_normal((2, 5, 7, 12), dtype=np.float32)
    [function] = kernels.lowered(
        {"x": x.shape},
        lambda builder, variables: builder.emit(
            relax.op.nn.relu(builder.emit(relax.op.permute_dims(variables["x"], [0, 3, 1, 2])))
        ),
    )
    machine = cuda_on_cpu.machine("cuda_sm80")
    assert len(Kernel(function).blocks) == 2
    assert list(gpu.RULES["gpu.elementwise"].candidates(Kernel(function), machine)) == [{}]
    made = gpu.RULES["gpu.elementwise"].build(Kernel(function), machine, {})
    assert made is not None
    for library in cuda_on_cpu.compiled({"left": made.function})["left"]:
        expected = np.maximum(x.transpose(0, 3, 1, 2), 0)
        np.testing.assert_array_equal(kernels.run(library, [x], expected.shape), expected)


def test_what_no_rule_takes_is_compiled_beside_what_the_rules_wrote() -> None:
    target = codegen.tvm_target(targets.load("cuda_sm80"), f"{platform.machine()}-linux-gnu")
    [function] = kernels.lowered(
        {"x": (4, 64, 10)}, lambda builder, variables: builder.emit(relax.op.max(variables["x"], [1]))
    )
    with target:
        left = schedule(function, cuda_on_cpu.machine("cuda_sm80"))
    assert (left.rule, bool(left.reason)) == ("fallback", True)
    written = cuda_on_cpu.plan("gpu.pool", POOLS[0]).function
    source = cuda_on_cpu.source_of({"left": left.plan.function, "written": written})
    assert sorted(re.findall(r"(\w+)_kernel\([^)]*\) \{", source)) == ["left", "written"]


# ------------------------------------------------------------------------------------------------- checks that can fail
PLANTED: dict[str, tuple[str, Layer, dict[str, int]]] = {
    "product": (
        "gpu.matmul",
        Conv(height=7, width=7, inputs=48, channels=32, kernel=1, padding=NONE),
        {"rows": 32, "columns": 32, "thread_rows": 2, "thread_columns": 4, "depth": 8, "slices": 1},
    ),
    "sliced": (
        "gpu.matmul",
        Conv(height=7, width=7, inputs=48, channels=32, kernel=1, padding=NONE),
        {"rows": 16, "columns": 16, "thread_rows": 2, "thread_columns": 4, "depth": 16, "slices": 4},
    ),
    "dense": ("gpu.dense", Dense(rows=2, reduction=300, columns=40), {"columns": 8, "slices": 32}),
    "pool": ("gpu.pool", Pool(channels=40), {"channels": 32, "parts": 8}),
}
HALVES = Conv(height=7, width=7, inputs=144, channels=32, kernel=1, padding=NONE, dtype="float16")
HALF_TILE = {"rows": 32, "columns": 32, "depth": 64, "warp_rows": 16, "warp_columns": 32}
PLANTED["halves"] = ("gpu.matmul", HALVES, {**HALF_TILE, "slices": 1})
PLANTED["sliced_halves"] = ("gpu.matmul", HALVES, {**HALF_TILE, "slices": 2})
COMPUTED = Product(left=(2,), right=(1,), rows=28, depth=40, columns=28)
PLANTED["computed"] = ("gpu.batch_matmul", COMPUTED, {"rows": 32, "columns": 16})
BARRIERS = {"product": 2, "sliced": 4, "dense": 6, "pool": 3, "halves": 2, "sliced_halves": 3, "computed": 2}


def _planted(name: str) -> tuple[KernelPlan, Layer]:
    rule, layer, parameters = PLANTED[name]
    return cuda_on_cpu.plan(rule, layer, parameters=parameters), layer


def _spoiled(name: str, change: tuple[str, str, int]) -> str:
    """Return what is wrong with a kernel in which the `change[2]`th match of a pattern is replaced."""
    return cuda_on_cpu.problems({name: _planted(name)}, plant=lambda source: spoiled(source, name, change))[name]


@functools.cache
def _without_barriers(name: str) -> dict[str, str]:
    planted = _planted(name)
    plans = {f"{name}_{number}": planted for number in range(BARRIERS[name])}
    return cuda_on_cpu.problems(plans, plant=without_barriers)


@pytest.mark.parametrize(("name", "number"), [(name, n) for name, count in BARRIERS.items() for n in range(count)])
def test_a_barrier_left_out_is_noticed(name: str, number: int) -> None:
    assert _without_barriers(name)[f"{name}_{number}"]


@pytest.mark.parametrize("name", PLANTED)
def test_there_are_no_more_barriers_than_those_left_out(name: str) -> None:
    rule, layer, parameters = PLANTED[name]
    source = cuda_on_cpu.source_of({name: cuda_on_cpu.plan(rule, layer, parameters=parameters).function})
    assert source.count("__syncthreads();") == BARRIERS[name]


FAULTS = {
    "a vector that is not aligned": ((r"\*\(float4\*\)\(p0_ptr \+ \(", r"*(float4*)(p0_ptr + 1 + (", 0), "aligned"),
    "shared memory too small": ((r"(shared\w*)\[\d+\];", r"\1[64];", 0), "shared memory"),
    "a wrong element": ((r"p0_ptr \+ \(", "p0_ptr + 4 + (", 0), "of 1568"),
    "a barrier for some threads alone": ((BARRIER, "if (threadIdx.x < 32) __syncthreads();", 0), "wait"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_gpu_does_not_allow_is_noticed(fault: str) -> None:
    change, said = FAULTS[fault]
    assert said in _spoiled("product", change)


HALVES_READ = r"(= \*\(uint4\*\)\(shared\w* \+ \()"
"""Of the rows, of the eighth row after them, of the weights; the last turn's come after them."""


@pytest.mark.parametrize("number", range(3))
def test_halves_that_are_read_elsewhere_are_noticed(number: int) -> None:
    assert "of 1568" in _spoiled("halves", (HALVES_READ, r"\g<1>8 + ", number))


# ---------------------------------------------------------------------------------------------------- what is not taken
TAKEN: dict[str, Layer] = {
    "gpu.dense": DENSE[0],
    "gpu.matmul": POINTWISE[0],
    "gpu.depthwise": DEPTHWISE[0],
    "gpu.convolution": STANDARD[0],
    "gpu.pool": POOLS[0],
    "gpu.window_pool": WINDOWS[0],
    "gpu.batch_matmul": PRODUCTS[0],
}


@pytest.mark.parametrize(("rule", "kind"), list(itertools.product(TAKEN, TAKEN)))
def test_a_rule_takes_its_own_kind_and_answers_none_for_others(rule: str, kind: str) -> None:
    layer, machine = TAKEN[kind], cuda_on_cpu.machine("cuda_sm90")
    own = rule == kind or (rule, kind) in {("gpu.matmul", "gpu.dense"), ("gpu.convolution", "gpu.matmul")}
    assert bool(list(gpu.RULES[rule].candidates(Kernel(layer.function()), machine))) == own
    if not own:
        parameters = next(iter(gpu.RULES[kind].candidates(Kernel(layer.function()), machine)))
        assert gpu.RULES[rule].build(Kernel(layer.function()), machine, parameters) is None


def test_tiles_lie_within_groups() -> None:
    layer = Conv(inputs=24, channels=96, groups=3)
    offered = cuda_on_cpu.candidates("gpu.convolution", layer)
    assert {parameters["columns"] for parameters in offered} == {16, 32}
    with pytest.raises(ValueError, match="a tile of 64 columns is no part of a group of 32 channels"):
        cuda_on_cpu.plan("gpu.convolution", layer, parameters={**offered[0], "columns": 64})
    assert not cuda_on_cpu.candidates("gpu.convolution", dataclasses.replace(layer, channels=72))


def test_warps_of_an_odd_number_of_instructions() -> None:
    layer = Conv(height=7, width=7, inputs=32, channels=48, kernel=1, padding=NONE, dtype="float16")
    tile = {"rows": 32, "columns": 48, "depth": 32, "slices": 1, "warp_rows": 16, "warp_columns": 24}
    assert cuda_on_cpu.problems({"odd": (cuda_on_cpu.plan("gpu.matmul", layer, parameters=tile), layer)}) == {}


SENSELESS = {
    "a part that does not divide": ("gpu.matmul", {"rows": 16, "columns": 16, "thread_rows": 3}),
    "no whole warp": ("gpu.matmul", {"rows": 16, "columns": 16, "thread_rows": 8, "thread_columns": 8}),
    "too much shared memory": ("gpu.convolution", {"rows": 128, "columns": 128, "depth": 64}),
    "more lines than there are": ("gpu.depthwise", {"lines": 40}),
    "more threads than a block has": ("gpu.pool", {"channels": 128, "parts": 32}),
    "columns that are no quads": ("gpu.dense", {"columns": 6}),
    "none": ("gpu.dense", {"slices": 0}),
    "more lines than a pool has": ("gpu.window_pool", {"lines": 40}),
    "rows that are no sixteens": ("gpu.batch_matmul", {"rows": 24}),
}


@pytest.mark.parametrize("case", SENSELESS)
def test_parameters_that_make_no_sense_are_refused(case: str) -> None:
    rule, changed = SENSELESS[case]
    machine: KernelMachine = cuda_on_cpu.machine("cuda_sm80")
    first = cuda_on_cpu.candidates(rule, TAKEN[rule])[0]
    with pytest.raises(ValueError, match=r"tile|part|positive|limits"):
        gpu.RULES[rule].build(Kernel(TAKEN[rule].function()), machine, {**first, **changed})
