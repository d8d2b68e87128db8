"""Operations of quantised networks, compiled by the rules of machines without dot products, beside the reference."""

from __future__ import annotations

import dataclasses
from typing import Any

import byte_layers as layers
import cuda_programs
import graph_cases
import kernel_cases as kernels
import numpy as np
import pytest
from quantized_cases import images, quantized

from mbench.compile import elements, integer_elements
from mbench.networks import architectures, operations, variants
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder


def test_every_operation_element_by_element_is_written() -> None:
    known = {name for name, operation in operations.ONLY_QUANTIZED.items() if operation.elementwise}
    assert {*integer_elements.EXPRESSIONS, "lookup"} == known
    assert elements.EXPRESSIONS.items() >= integer_elements.EXPRESSIONS.items()


RESULT: dict[str, Any] = {"scale": 0.5, "zero_point": 9, "to": "uint8"}
LIMITS: dict[str, Any] = {"low": 3, "high": 250}


def quantize(builder: GraphBuilder) -> str:
    return builder.add("quantize", "q", builder.input("x", (2, 3, 5, 7)), scale=0.03, zero_point=-5, to="int8")


def dequantize(builder: GraphBuilder) -> str:
    return builder.add("dequantize", "f", whole(builder, "x", "int8"), scale=0.3, zero_point=-128)


def lookup(builder: GraphBuilder) -> str:
    table = builder.parameter("table", (256,), dtype="uint8")
    return builder.add("lookup", "found", whole(builder, "x", "int8"), table, steps=(), **RESULT)


def added(builder: GraphBuilder) -> str:
    x, y = whole(builder, "x"), builder.input("y", (2, 3, 1, 1), dtype="uint8")
    known: dict[str, Any] = {"multipliers": (0.75, -1.1), "zero_points": (3, 200)}
    return builder.add("quantized_add", "sum", x, y, **known, **RESULT, **LIMITS)


def affine(builder: GraphBuilder) -> str:
    read = builder.parameter("factor", (1, 3, 1, 1)), builder.parameter("offset", (1, 3, 1, 1))
    return builder.add("quantized_affine", "affine", whole(builder, "x"), *read, **RESULT, **LIMITS)


def multiplied(builder: GraphBuilder) -> str:
    x, y = whole(builder, "x"), builder.input("y", (2, 3, 1, 1), dtype="uint8")
    return builder.add("quantized_multiply", "product", x, y, zero_point=255, other_zero_point=1)


def global_sums(builder: GraphBuilder) -> str:
    return builder.add("global_sum_pool", "sums", whole(builder, "x"), zero_point=17)


def window_sums(builder: GraphBuilder) -> str:
    known: dict[str, Any] = {"kernel": (3, 2), "strides": (2, 1), "padding": (1, 0, 1, 1), "ceil_mode": False}
    return builder.add("sum_pool2d", "sums", whole(builder, "x"), **known, zero_point=17)


def transposed(builder: GraphBuilder) -> str:
    known: dict[str, Any] = {"strides": (2, 1), "padding": (1, 0, 1, 0), "dilation": (1, 1), "groups": 1}
    weight = builder.parameter("weight", (3, 4, 3, 2), dtype="int8")
    known |= {"output_padding": (1, 0), "zero_point": 7}
    return builder.add("conv2d_transpose", "up", whole(builder, "x"), weight, **known)


def matrices(builder: GraphBuilder) -> str:
    y = builder.input("y", (2, 3, 7, 4), dtype="int8")
    return builder.add("matmul", "product", whole(builder, "x"), y, zero_point=200, other_zero_point=-7)


def weights_with_a_zero_point(builder: GraphBuilder) -> str:
    read = builder.parameter("weight", (4, 3, 3, 3), dtype="int8"), builder.parameter("bias", (4,), dtype="int32")
    known: dict[str, Any] = {"strides": (1, 1), "padding": (1, 1, 1, 1), "dilation": (1, 1), "groups": 1}
    return builder.add("conv2d", "conv", whole(builder, "x"), *read, **known, zero_point=7, other_zero_point=-9)


def without_a_bias(builder: GraphBuilder) -> str:
    known: dict[str, Any] = {"strides": (1, 1), "padding": (1, 1, 1, 1), "dilation": (1, 1), "groups": 1}
    weight = builder.parameter("weight", (4, 3, 3, 3), dtype="int8")
    return builder.add("conv2d", "conv", whole(builder, "x", "int8"), weight, **known, zero_point=-7)


def whole(builder: GraphBuilder, name: str, dtype: str = "uint8") -> str:
    return builder.input(name, (2, 3, 5, 7), dtype=dtype)


OPERATIONS = [
    quantize, dequantize, lookup, added, affine, multiplied, global_sums, window_sums, transposed, matrices,
    weights_with_a_zero_point, without_a_bias,
]  # fmt: skip


def arrays(graph: Graph) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    generator = np.random.default_rng(5)

    def drawn(shape: tuple[int, ...], dtype: str) -> np.ndarray:
        if dtype == "float32":
            return (generator.standard_normal(shape) * 3).astype(np.float32)
        known = np.iinfo(dtype)
        return generator.integers(known.min // 2, known.max // 2 + 1, shape).astype(dtype)

    return tuple({name: drawn(each.shape, each.dtype) for name, each in given.items()}  # type: ignore[return-value]
                 for given in (graph.parameters, graph.inputs))  # fmt: skip


@pytest.mark.parametrize("write", OPERATIONS)
def test_an_operation_is_exact(write: Any) -> None:
    builder = GraphBuilder()
    graph = builder.graph(write(builder))
    layers.exact(graph, *arrays(graph))


def test_operations_are_exact_on_a_gpu() -> None:
    programs, inputs = {}, {}
    for write in OPERATIONS:
        builder = GraphBuilder()
        graph = builder.graph(write(builder))
        parameters, inputs[write.__name__] = arrays(graph)
        programs[write.__name__] = cuda_programs.program(graph, parameters)
    assert dict(cuda_programs.differing(programs, inputs)) == {}


def test_floats_at_their_ends_are_rounded_as_the_definition_says() -> None:
    """NaN gives the smallest number, halves go to the even one."""
    builder = GraphBuilder()
    x = builder.input("x", (1, 16))
    graph = builder.graph(builder.add("quantize", "q", x, scale=0.5, zero_point=128, to="uint8"))
    ends = [np.nan, np.inf, -np.inf, 3e38, -3e38, 0.25, 0.75, -0.25, -0.75, 1.25, 0.0, -0.0, 63.5, 63.75, -64.25, 1e-40]
    layers.exact(graph, {}, {"x": np.array([ends], np.float32)})


def test_a_zero_point_is_added_before_the_rounding_and_not_contracted() -> None:
    """Halves, sums whose product is a half once it is rounded, and sums far beyond the limits."""
    builder = GraphBuilder()
    read = builder.input("x", (3, 4096), dtype="int32"), builder.parameter("factor", (3, 1))
    graph = builder.graph(builder.add("requantize", "y", *read, shifted=True, **RESULT, **LIMITS))
    factor = np.array([[0.5], [0.0172341], [1e30]], np.float32)
    sums = np.random.default_rng(2).integers(-(2**14), 2**14, (3, 4096)).astype(np.int32)
    sums[0] = np.arange(-2048, 2048)
    sums[2, :2] = -(2**31), 2**31 - 1
    layers.exact(graph, {"factor": factor}, {"x": sums})


CASES = [name for name in graph_cases.CASES if "conv" in name or name in (
    "depthwise", "squeeze-excite", "classifier", "flattened", "avg_pool2d", "avg_pool2d of the image alone",
    "add", "subtract", "multiply", "gate of a value read twice",
)]  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_networks_are_made_of_is_exact(name: str) -> None:
    builder = GraphBuilder()
    x = builder.input("image", (graph_cases.BATCH, graph_cases.CHANNELS, graph_cases.SIDE, graph_cases.SIDE))
    x = builder.convolution("first", x, graph_cases.CHANNELS, norm=None)
    y = graph_cases.CASES[name](builder, x)
    if len(builder.shape(y)) == 4:  # else a function at the end would stay float
        y = builder.convolution("last", y, 4, norm=None)
    case = quantized(builder.graph(y), activations="uint8" if len(name) % 2 else "int8")
    assert not case.left_float
    layers.exact(case.network.graph, case.network.parameters, images(case.graph, 1, seed=7)[0])


NETWORKS = (
    *("mobilenet_v1_0.25_32", "mobilenet_v2_0.35_32", "mobilenet_v3_small_0.75_32"),
    *("mobilenet_v4_conv_small_0.5_32", "efficientnet_lite0_1.0_32"),
)


@pytest.mark.slow
@pytest.mark.parametrize("machine", ["without dot products", "vnni and vbmi"])
@pytest.mark.parametrize("name", NETWORKS)
def test_whole_networks_are_exact(name: str, machine: str) -> None:
    if machine in layers.MACHINES:
        layers.needs_dot_products()
    case = quantized(architectures.graph(variants.parse(name)))
    assert not case.left_float
    used = dataclasses.replace(layers.MACHINES.get(machine, kernels.AVX512), cores=2)
    layers.exact(case.network.graph, case.network.parameters, images(case.graph, 1, seed=9)[0], used)
