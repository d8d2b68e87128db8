from __future__ import annotations

import dataclasses
import itertools
import platform
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
import tvm
import tvm_ffi
from conftest import require
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import te, tirx, topi

from mbench.analysis import above_peak
from mbench.compile import memory, tvm_passes, winograd_transforms
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import convolution, winograd, winograd_layout
from mbench.compile.schedules.dispatch import rules_for, schedule
from mbench.compile.schedules.rule import KernelPlan, Parameters
from mbench.compile.winograd_transforms import TRANSFORMS, Transform
from mbench.hardware import host

SIZES = pytest.mark.parametrize(("kernel", "stride", "size"), TRANSFORMS)
TOLERANCE = {(3, 2): 1e-6, (3, 4): 4e-6, (5, 2): 3e-6, (5, 4): 1.5e-5}
"""By kernel and size: largest error over the largest magnitude of the output. Seen with up to 89 channels: 3e-7 with
F(2, 3), 1.1e-6 with F(4, 3), 8e-7 with F(2, 5), and 6e-6 with F(4, 5), whose transforms add terms of unlike magnitude;
float32 rounds by 6e-8. A wrong sign shows over 1e-2."""


def machine(lanes: int, *, from_memory: bool = True) -> KernelMachine:
    return KernelMachine(
        kind="cpu",
        vector_bits=32 * lanes,
        registers=32 if lanes == 16 or not from_memory else 16,
        broadcasts_from_memory=from_memory,
        l1_bytes=32 * 2**10,
        l2_bytes=512 * 2**10,
        cores=2,
    )


AVX2 = machine(8)
# all run as AVX2 code: what is computed does not depend on the width of the processor's own registers
MACHINES = {"sse": machine(4), "avx2": AVX2, "avx512": machine(16), "neon": machine(4, from_memory=False)}


@dataclasses.dataclass(frozen=True)
class Layer:
    """A convolution of an image, with bias and ReLU."""

    side: int
    ci: int
    c: int
    padding: int = 1
    batch: int = 1
    kernel: int = 3
    stride: int = 1
    wider: int = 0
    """Pixels that the image is wider than it is high."""
    more: int = 0
    """Padding below and to the right beyond that above and to the left."""

    @property
    def outputs(self) -> tuple[int, int]:
        """Down, across."""
        padded = (side + 2 * self.padding + self.more for side in (self.side, self.side + self.wider))
        down, across = ((side - self.kernel) // self.stride + 1 for side in padded)
        return down, across


@cache
def function(layer: Layer) -> tirx.PrimFunc:
    """Return the kernel as TVM makes it."""
    x = te.placeholder((layer.batch, layer.side, layer.side + layer.wider, layer.ci), name="x")
    weights = te.placeholder((layer.kernel, layer.kernel, layer.ci, layer.c), name="weights")
    bias = te.placeholder((1, 1, 1, layer.c), name="bias")
    padding = [layer.padding] * 2 + [layer.padding + layer.more] * 2
    total = topi.nn.conv2d(x, weights, layer.stride, padding, 1, data_layout="NHWC", kernel_layout="HWIO")
    return te.create_prim_func([x, weights, bias, topi.nn.relu(topi.add(total, bias))])


@cache
def data(layer: Layer, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an input as ReLU leaves it, weights that keep the variance, and a bias."""
    generator = np.random.default_rng(seed)
    x = np.maximum(generator.standard_normal((layer.batch, layer.side, layer.side + layer.wider, layer.ci)), 0)
    taps = layer.kernel**2
    weights = generator.standard_normal((layer.kernel, layer.kernel, layer.ci, layer.c)) / np.sqrt(taps / 2 * layer.ci)
    bias = generator.standard_normal((1, 1, 1, layer.c))
    return x.astype("float32"), weights.astype("float32"), bias.astype("float32")


@cache
def expected(layer: Layer, seed: int = 0) -> np.ndarray:
    """Return PyTorch's convolution in float64."""
    x, weights, bias = data(layer, seed)
    image, taps, more = (torch.tensor(array, dtype=torch.float64) for array in (x, weights, bias.ravel()))
    image, taps = image.permute(0, 3, 1, 2), taps.permute(3, 2, 0, 1)
    image = torch.nn.functional.pad(image, (layer.padding, layer.padding + layer.more) * 2)
    made = torch.nn.functional.conv2d(image, taps, more, layer.stride)
    found: np.ndarray = made.relu().permute(0, 2, 3, 1).numpy()
    return found


@cache
def machine_lacks() -> str:
    """Return what the code that is run here needs and this machine has not."""
    if platform.machine() != "x86_64":
        return "needs an x86-64 processor"
    return "" if {"avx2", "fma"} <= set(host.describe().features) else "needs a processor with AVX2"


BUILT: dict[int, tuple[tirx.PrimFunc, Any]] = {}
"""Kernels that were built, by their structure: those with other weights are the same."""


def built(function: tirx.PrimFunc) -> Any:
    """Build a kernel, unless the same was built."""
    key = tvm_ffi.structural_hash(function)
    before = BUILT.get(key)
    if before is not None and tvm_ffi.structural_equal(before[0], function):
        return before[1]
    tvm_passes.register()
    module = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
    target = tvm.target.Target({"kind": "llvm", "mcpu": "x86-64-v3"})
    kernel = tvm.tirx.build(module, target=target, pipeline=tvm_passes.PIPELINE)["main"]
    BUILT[key] = (function, kernel)
    return kernel


def compiled(layer: Layer, plan: KernelPlan | None, seed: int = 0) -> Callable[[], np.ndarray]:
    """Compile a kernel; return a function that runs it."""
    require(not machine_lacks(), machine_lacks())
    assert plan is not None
    assert plan.pack is not None
    kernel = built(plan.function)
    x, weights, bias = data(layer, seed)
    given = [tvm.runtime.tensor(array) for array in (x, plan.pack(weights), bias)]

    def run() -> np.ndarray:
        output = tvm.runtime.tensor(np.full((layer.batch, *layer.outputs, layer.c), np.nan, "float32"))
        kernel(*given, output)
        found: np.ndarray = output.numpy()
        return found

    return run


def error(layer: Layer, plan: KernelPlan | None, seed: int = 0) -> float:
    wanted = expected(layer, seed)
    return float(abs(compiled(layer, plan, seed)() - wanted).max() / abs(wanted).max())


def like(layer: Layer, kernel: int, stride: int) -> Layer:
    """Return a layer of 3x3 with another kernel, and with the padding and the pixels that give as many outputs."""
    padding = layer.padding * (kernel // 2)
    side = layer.side + (kernel - 3) - 2 * (padding - layer.padding)
    return dataclasses.replace(layer, side=side, padding=padding, kernel=kernel, stride=stride)


def ways(layer: Layer, size: int, on: KernelMachine = AVX2) -> list[Parameters]:
    return [way for way in winograd.candidates(Kernel(function(layer)), on) if way["size"] == size]


def first(layer: Layer, size: int, on: KernelMachine = AVX2) -> Parameters:
    return next(way for way in winograd.candidates(Kernel(function(layer)), on) if way["size"] == size)


def build(layer: Layer, parameters: Parameters, on: KernelMachine = AVX2) -> KernelPlan | None:
    return winograd.build(Kernel(function(layer)), on, parameters)


# ------------------------------------------------------------------------------------------------- it is a convolution
GRID = [
    Layer(14, 16, 24),
    Layer(7, 40, 44, padding=0),
    Layer(10, 24, 8, batch=2),
    Layer(5, 89, 40, padding=0, batch=2),
    Layer(20, 8, 89),
    Layer(12, 3, 5),  # fewer channels than a vector has lanes
    Layer(3, 8, 16, padding=0),  # one output
    Layer(1, 8, 16),
    Layer(9, 16, 24, wider=5),
    Layer(13, 16, 24, wider=-3, more=1),  # as SAME pads
]
PAIRS = [
    (layer, *which, list(MACHINES)[(row // 2 + column) % len(MACHINES)])
    for row, layer in enumerate(GRID)
    for column, which in enumerate(itertools.product((3, 5), (1, 2), (2, 4)))
    if (row + column.bit_count()) % 2 == 0
]
"""Each layer with each kernel, stride and size, and with the code of each machine, but not with all at once."""


@pytest.mark.parametrize(("layer", "kernel", "stride", "size", "name"), PAIRS, ids=str)
def test_it_computes_what_torch_does(layer: Layer, kernel: int, stride: int, size: int, name: str) -> None:
    layer = like(layer, kernel, stride)
    way = first(layer, size, MACHINES[name])
    assert error(layer, build(layer, way, MACHINES[name])) <= TOLERANCE[kernel, size]


def test_each_layer_and_each_transform_meets_each_machine() -> None:
    for part, count in ((1, 2), (2, 2), (3, 2), (4, len(MACHINES))):
        assert len({(pair[0], pair[part]) for pair in PAIRS}) == len(GRID) * count
    assert len({pair[1:] for pair in PAIRS}) == len(TRANSFORMS) * len(MACHINES)


CHANNELS = st.sampled_from([8, 16, 24, 40, 44, 89])


@st.composite
def layers(draw: st.DrawFn, kernel: int, stride: int) -> Layer:
    return Layer(
        side=draw(st.integers(5, 20)),
        ci=draw(CHANNELS),
        c=draw(CHANNELS),
        padding=draw(st.integers(0, kernel // 2)),
        batch=draw(st.integers(1, 2)),
        kernel=kernel,
        stride=stride,
        wider=draw(st.integers(0, 6)),
        more=draw(st.integers(0, 1)),
    )


@pytest.mark.parametrize("kernel", [3, 5])
@settings(max_examples=12)
@given(name=st.sampled_from(list(MACHINES)), choice=st.data())
def test_every_candidate_of_every_layer_is_right(kernel: int, name: str, choice: st.DataObject) -> None:
    known = [(stride, size) for each, stride, size in TRANSFORMS if each == kernel]
    stride, size = choice.draw(st.sampled_from(known))
    layer = choice.draw(layers(kernel, stride))
    way = choice.draw(st.sampled_from(ways(layer, size, MACHINES[name])))
    assert error(layer, build(layer, way, MACHINES[name]), seed=1) <= TOLERANCE[kernel, size]


WAYS = ["one block", "many blocks", "one task"]


@pytest.mark.parametrize(
    ("kernel", "stride", "size", "way"),
    [
        (kernel, stride, size, way)
        for place, way in enumerate(WAYS)
        for kernel, stride, size in TRANSFORMS
        if (kernel // 2 + stride + size // 2 + place) % 2 == 0
    ],
)
def test_threads_change_no_bit(kernel: int, stride: int, size: int, way: str) -> None:
    layer = Layer(18 * stride, 24, 40, padding=kernel // 2, kernel=kernel, stride=stride)
    blocks = {"one block": 0, "many blocks": 3, "one task": 0}[way]
    tile = {"size": size, "rows": 4, "vectors": 2, "block": 1, "groups": 3, "tasks": 1}
    whole = winograd_layout.Layout.of(convolution_of(layer), AVX2, tile)
    tasks = {"one block": 3, "many blocks": 2, "one task": 1}[way]
    plan = build(layer, {**tile, "block": blocks or whole.row_tiles, "tasks": tasks})
    configure = tvm.get_global_func("runtime.config_threadpool")
    before = tvm.get_global_func("runtime.NumThreads")()
    outputs, run = [], compiled(layer, plan)
    try:
        for threads in (1, 2):
            configure(1, threads)
            outputs.append(run())
    finally:
        configure(1, before)
    np.testing.assert_array_equal(outputs[0], outputs[1])
    wanted = expected(layer)
    assert abs(outputs[0] - wanted).max() <= TOLERANCE[kernel, size] * abs(wanted).max()


def convolution_of(layer: Layer) -> Any:
    found = Kernel(function(layer)).convolution
    assert found is not None
    return found


@pytest.mark.parametrize(("kernel", "stride", "times"), [(3, 1, 2), (3, 2, 2), (5, 1, 4), (5, 2, 2)])
def test_its_error_is_near_that_of_the_direct_convolution(kernel: int, stride: int, times: float) -> None:
    """Of 3x3, Lavin's points, +-1 and +-2, give 6 times the error of those used here."""
    layer = like(Layer(14, 512, 64), kernel, stride)
    direct = next(iter(convolution.candidates(Kernel(function(layer)), AVX2)))
    usual = error(layer, convolution.build(Kernel(function(layer)), AVX2, direct))
    two, four = (error(layer, build(layer, first(layer, size))) for size in (2, 4))
    assert usual < 6e-6  # up to 25 x 512 products, summed one after the other
    assert two < usual
    assert four < times * usual


# ------------------------------------------------------------------------------------------------------ faults are seen
def flipped(function_: Callable[..., list[Any]], which: int) -> Callable[..., list[Any]]:
    def turned(values: Sequence[Any], keep: Callable[[Any], Any]) -> list[Any]:
        made = function_(values, keep)
        made[which] = made[which] * -1.0
        return made

    return turned


def faulty(transform: Transform, where: str) -> Transform:
    if where == "weights":
        signs = np.ones_like(transform.weights)
        signs[1, transform.weights[1].nonzero()[0][-1]] = -1
        return dataclasses.replace(transform, weights=transform.weights * signs)
    if where == "input":
        return dataclasses.replace(transform, input=flipped(transform.input, 2))
    return dataclasses.replace(transform, output=flipped(transform.output, 1))


@SIZES
def test_a_wrong_sign_in_a_transform_is_seen(
    monkeypatch: pytest.MonkeyPatch, kernel: int, stride: int, size: int
) -> None:
    which, layer = (kernel, stride, size), like(Layer(14, 16, 24), kernel, stride)
    way, right = first(layer, size), TRANSFORMS[which]
    assert error(layer, build(layer, way)) <= TOLERANCE[kernel, size]
    for where in ("weights", "input", "output"):
        monkeypatch.setitem(winograd_transforms.TRANSFORMS, which, faulty(right, where))
        assert error(layer, build(layer, way)) > 1e-2, where


# ------------------------------------------------------------------------------------------------------- the transforms
def name_of(transform: Transform) -> str:
    return f"kernel {transform.kernel}, stride {transform.stride}, size {transform.size}"


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=name_of)
def test_minimal_filtering_is_a_correlation(transform: Transform) -> None:
    generator = np.random.default_rng(3)
    taps, line = generator.standard_normal(transform.kernel), generator.standard_normal(transform.tile)
    products = (transform.weights @ taps) * np.array(transform.input(line.tolist(), lambda value: value))
    made = transform.output(products.tolist(), lambda value: value)
    np.testing.assert_allclose(made, np.correlate(line, taps)[:: transform.stride], atol=1e-14)


def matrices(transform: Transform) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return A^T, B^T and G."""
    units = np.eye(transform.tile).tolist()
    output, input_ = (
        [each(unit, lambda value: value) for unit in units] for each in (transform.output, transform.input)
    )
    return np.array(output).T, np.array(input_).T, transform.weights.astype("float64")  # a copy


def off(transform: Transform, output: np.ndarray, input_: np.ndarray, weights: np.ndarray) -> float:
    """Return how far the three are from a correlation: output i is the sum of taps t times inputs i * stride + t."""
    made = np.einsum("ip,pk,pt->ikt", output, input_, weights)
    wanted = np.zeros_like(made)
    for i, t in np.ndindex(transform.size, transform.kernel):
        wanted[i, i * transform.stride + t, t] = 1
    return float(abs(made - wanted).max())


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=name_of)
def test_every_coefficient_is_right(transform: Transform) -> None:
    found = matrices(transform)
    assert off(transform, *found) < 1e-14
    for matrix in found:
        for place in np.ndindex(matrix.shape):
            before = matrix[place]
            matrix[place] += 1e-3
            assert off(transform, *found) > 1e-5, (place, before)
            matrix[place] = before


class Counted:
    """A value that counts what is done to it; a product that is then added to something is free."""

    operations = 0

    def __init__(self, *, product: bool = False) -> None:
        self.product = product

    def __add__(self, other: Counted) -> Counted:
        Counted.operations += 2 if self.product and other.product else 1
        return Counted()

    __sub__ = __add__

    def __mul__(self, _factor: float) -> Counted:
        return Counted(product=True)

    def kept(self) -> Counted:
        Counted.operations += self.product
        return Counted()


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=name_of)
@pytest.mark.parametrize("which", ["input", "output"])
def test_the_operations_are_as_many_as_stated(transform: Transform, which: str) -> None:
    Counted.operations = 0
    getattr(transform, which)([Counted() for _ in range(transform.tile)], Counted.kept)
    assert Counted.operations == getattr(transform, f"{which}_operations")


def test_weights_are_transformed_in_float64() -> None:
    generator = np.random.default_rng(4)
    for transform in TRANSFORMS.values():
        weights = generator.standard_normal((transform.kernel, transform.kernel, 2, 5)).astype("float32")
        made = transform.of_weights(weights)
        assert made.dtype == np.float32
        for ci, c in np.ndindex(2, 5):
            wanted = transform.weights @ weights[:, :, ci, c].astype("float64") @ transform.weights.T
            np.testing.assert_array_equal(made[:, ci, c], wanted.astype("float32").ravel())


# ------------------------------------------------------------------------------------------------------------- the rule
@pytest.mark.parametrize(
    "layer",
    [Layer(14, 8, 8, stride=3), Layer(14, 8, 8, kernel=7, padding=3), Layer(14, 8, 8, kernel=1, padding=0),
     Layer(14, 8, 8, padding=2), Layer(14, 8, 8, kernel=5, padding=3)],
    ids=str,
)  # fmt: skip
def test_other_convolutions_are_not_its_kind(layer: Layer) -> None:
    kernel = Kernel(function(layer))
    assert list(winograd.candidates(kernel, AVX2)) == []
    assert winograd.build(kernel, AVX2, {"size": 4}) is None


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_it_is_taken_where_it_pays(monkeypatch: pytest.MonkeyPatch, kernel_size: int) -> None:
    kernel = function(like(Layer(14, 64, 64), kernel_size, 1))
    assert "cpu.winograd" in rules_for(AVX2)[0]
    assert schedule(kernel, AVX2).rule == "cpu.winograd"
    assert schedule(kernel, AVX2).rule in above_peak.FEWER_MACS
    monkeypatch.setattr(winograd, "_ENOUGH", 0.01)
    assert schedule(kernel, AVX2).rule == "cpu.convolution"


@pytest.mark.parametrize(
    "layer",
    [Layer(112, 32, 64), Layer(14, 512, 512), Layer(7, 1024, 1024), Layer(56, 128, 256, stride=2),
     Layer(14, 240, 240, kernel=5, padding=2), Layer(28, 96, 96, kernel=5, padding=2, stride=2)],
    ids=str,
)  # fmt: skip
def test_both_sizes_are_offered_first(layer: Layer) -> None:
    first, second, *_ = winograd.candidates(Kernel(function(layer)), AVX2)
    assert {first["size"], second["size"]} == {2, 4}


def test_with_few_tiles_and_much_weight_the_smaller_size_is_offered_first() -> None:
    first = next(winograd.candidates(Kernel(function(Layer(7, 1024, 1024))), AVX2))
    assert first["size"] == 2


@pytest.mark.parametrize("layer", [Layer(28, 64, 64), Layer(28, 64, 64, kernel=5, padding=2)], ids=str)
def test_what_is_lighter_has_smaller_tiles_and_weights(layer: Layer) -> None:
    kernel = Kernel(function(layer))
    large = next(winograd.candidates(kernel, AVX2))
    small = winograd.lighter(kernel, AVX2, large)
    assert small is not None
    assert (large["size"], small["size"]) == (4, 2)
    weights = data(layer)[1]
    sizes = [plan.pack(weights).size for way in (large, small) if (plan := build(layer, way)) and plan.pack]
    times = [(size + layer.kernel - 1) ** 2 / layer.kernel**2 for size in (4, 2)]
    assert sizes == [round(weights.size * each) for each in times]
    assert winograd.lighter(kernel, AVX2, small) is None


RIGHT = {"size": 4, "rows": 4, "vectors": 2, "block": 2, "groups": 2, "tasks": 2}


@pytest.mark.parametrize(
    ("name", "value"),
    [("size", 3), ("size", 0), ("rows", 0), ("rows", 17), ("vectors", 0), ("vectors", 4), ("block", 0), ("block", 5),
     ("groups", 0), ("groups", 3), ("tasks", 0), ("tasks", 3), ("rows", -1)],
)  # fmt: skip
def test_parameters_that_make_no_sense_are_refused(name: str, value: int) -> None:
    layer = Layer(14, 16, 24)  # 16 tiles, 3 vectors
    build(layer, RIGHT)
    with pytest.raises(ValueError, match="tiles of" if name == "size" else f"{name} is {value}"):
        build(layer, {**RIGHT, name: value})


@pytest.mark.parametrize("block", [2, 4])
def test_its_workspace_is_counted(block: int) -> None:
    layer = Layer(14, 16, 24)
    plan = build(layer, {**RIGHT, "block": block})
    assert plan is not None
    inputs, sums = 36 * block * 4 * 16 * 4, 36 * block * 4 * 16 * 4
    times = 2 if block == 2 else 1  # each task has a block of its own, unless one block is all
    counted = memory.workspace_bytes(plan.function)
    assert times * inputs + 2 * sums <= counted <= 1.2 * (times * inputs + 2 * sums) + 8192
