"""Whole networks in 8 bits: every operation beside ONNX Runtime on the QDQ file of the same network, byte by byte."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import graph_cases
import numpy as np
import pytest
from benchmark_scripts import needs
from conftest import require
from quantized_cases import Case, beside_onnx_runtime, computed, images, of_one_input, quantized

from mbench.core.errors import UsageError
from mbench.networks import architectures, folding, layers, quality, quantization, quantize, torch_network, variants
from mbench.networks.graph import GraphError, retyped
from mbench.networks.graph_builder import GraphBuilder

pytestmark = pytest.mark.filterwarnings("error")
IMAGE = (1, 8, 9, 9)
_Build = Callable[[GraphBuilder, str], str]


@pytest.fixture(autouse=True, scope="module")
def peer() -> None:
    require(*needs("onnx", "onnxruntime"))


def decibels(case: Case) -> float:
    [found] = quality.compared(case.graph, case.parameters, case.network, images(case.graph, 1, seed=2)).outputs
    return found.sqnr_db


def same_bytes(case: Case) -> None:
    """Compare with ONNX Runtime, which computes some of it in float32: there, halves may be rounded the other way."""
    found = beside_onnx_runtime(case.network.qdq, images(case.graph, 1, seed=2)[0])
    assert found.compared > 0
    assert found.differing_by_floats <= 1 + 1e-5 * found.compared
    assert found.differing == 0
    assert found.largest <= 1


CASES = [name for name in graph_cases.CASES if "conv" in name or name in (
    "depthwise", "squeeze-excite", "attention", "classifier", "flattened", "rows", "avg_pool2d",
    "avg_pool2d of the image alone", "add", "subtract", "multiply", "gate of a value read twice",
)]  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_operations_give_onnx_runtimes_bytes(name: str) -> None:
    case = quantized(graph_cases.graph(name), activations="uint8" if len(name) % 2 else "int8")
    same_bytes(case)
    assert decibels(case) > (10 if name == "attention" else 29)


def between(build: _Build, **options: Any) -> Case:
    """Quantise what stands between two convolutions."""
    builder = GraphBuilder()
    x = builder.convolution("first", builder.input("image", IMAGE), 8, kernel=3, norm=None, bias=True)
    return of_one_input(builder, builder.convolution("last", build(builder, x), 4, norm=None), **options)


def op(name: str, **attributes: Any) -> _Build:
    return lambda builder, x: builder.add(name, "middle", x, **attributes)


def constant(name: str, shape: tuple[int, ...]) -> _Build:
    return lambda builder, x: builder.add(name, "middle", x, builder.parameter("constant", shape))


def chained(builder: GraphBuilder, x: str) -> str:
    return builder.add("sigmoid", "gate", builder.add("scale", "scaled", x, factor=2.0))


def normed(builder: GraphBuilder, x: str) -> str:
    pooled = builder.add("max_pool2d", "pool", x, kernel=(2, 2), strides=(2, 2), padding=(0,) * 4)
    return builder.add("relu", "act", builder.batch_norm("norm", pooled))


def transposed(builder: GraphBuilder, x: str) -> str:
    weight, bias = builder.parameter("up.weight", (8, 3, 3, 3)), builder.parameter("up.bias", (6,))
    return builder.add("conv2d_transpose", "up", x, weight, bias, strides=(2, 2), padding=(1, 1, 1, 1),
                       dilation=(1, 1), groups=2, output_padding=(1, 1))  # fmt: skip


MIDDLES: dict[str, tuple[_Build, list[str]]] = {
    "relu": (op("relu"), []),
    "relu6": (op("relu6"), []),
    "clip": (op("clip", low=-0.25, high=1.5), []),
    **{name: (op(name), ["lookup"]) for name in ("hard_swish", "hard_sigmoid", "sigmoid", "silu", "gelu", "tanh")},
    "leaky_relu": (op("leaky_relu", alpha=0.1), ["lookup"]),
    "a chain of functions": (chained, ["lookup"]),
    "constants": (constant("multiply", (1, 8, 9, 9)), ["quantized_affine"]),
    "a norm after a pool": (normed, ["max_pool2d", "quantized_affine"]),
    "slice": (op("slice", axis=1, begin=2, end=6), ["slice"]),
    "pad with 0": (op("pad", widths=((0, 0), (0, 0), (1, 0), (0, 2)), mode="constant", value=0.0), ["pad"]),
    "reflect": (op("pad", widths=((0, 0), (0, 0), (1, 0), (0, 2)), mode="reflect"), ["pad"]),
    "pad with much": (
        op("pad", widths=((0, 0), (0, 0), (1, 1), (1, 1)), mode="constant", value=20.0), ["lookup", "pad"]
    ),
    "nearest": (op("resize2d", size=(18, 18), scales=(2.0, 2.0), mode="nearest", coordinates="asymmetric",
                   rounding="floor"), ["resize2d"]),
    "a transposed convolution": (transposed, ["conv2d_transpose", "requantize"]),
}  # fmt: skip


@pytest.mark.parametrize("name", MIDDLES)
@pytest.mark.parametrize("activations", quantization.DTYPES)
def test_what_stands_between_convolutions(name: str, activations: str) -> None:
    build, middle = MIDDLES[name]
    case = between(build, activations=activations)
    first = ["quantize", "conv2d", "requantize"]
    assert case.operations == [*first, *middle, "conv2d", "dequantize"]
    assert case.network.left_float == ()
    same_bytes(case)
    assert decibels(case) > 25


@pytest.mark.slow
@pytest.mark.parametrize("activations", quantization.DTYPES)
@pytest.mark.parametrize(
    "name",
    [
        *("mobilenet_v1_0.25_128", "mobilenet_v2_0.35_96", "mobilenet_v3_small_1.0_96"),
        *("mobilenet_v4_conv_small_1.0_96", "mobilenet_v4_hybrid_medium_0.5_96", "efficientnet_lite0_1.0_96"),
    ],
)
def test_whole_networks_give_onnx_runtimes_bytes(name: str, activations: str) -> None:
    case = quantized(architectures.graph(variants.parse(name)), activations=activations)
    same_bytes(case)
    kept = {each.op for each in case.network.left_float}
    assert kept == ({"softmax"} if "hybrid" in name else set())
    floats, whole = ({each.name: each.macs for each in layers.of_graph(graph)}
                     for graph in (case.graph, case.network.graph))  # fmt: skip
    assert "hybrid" in name or floats.items() == {name: whole[name] for name in floats}.items()
    assert sum(floats.values()) == sum(whole.values())


# ------------------------------------------------------------------------------------------------------------ residuals
def residual(builder: GraphBuilder, x: str) -> str:
    y = builder.convolution("project", x, 8, norm=None, bias=True)
    return builder.add("relu", "act", builder.add("add", "sum", x, y))


def test_a_residual_is_added_before_the_rounding() -> None:
    case = between(residual)
    assert case.operations.count("quantized_add") == 0
    node = case.network.graph.by_name["act"]
    assert (node.op, node.inputs[0], node.inputs[2]) == ("requantize", "project", "first.requantize")
    assert node.attributes["low"] == node.attributes["zero_point"]
    same_bytes(case)


def test_or_after_it() -> None:
    case = between(residual, residual="rounded")
    assert case.network.graph.by_name["sum"].op == "quantized_add"
    assert "project" in case.network.values
    same_bytes(case)
    assert decibels(between(residual)) > decibels(case) - 0.5


def test_of_two_branches_the_later_gives_its_sums() -> None:
    def build(builder: GraphBuilder, x: str) -> str:
        left, right = (builder.convolution(name, x, 8, norm=None) for name in ("left", "right"))
        return builder.add("add", "sum", right, left)

    case = between(build)
    assert case.network.graph.by_name["sum"].inputs[::2] == ("right", "left.requantize")
    same_bytes(case)


def test_what_is_added_to_itself_is_rounded_first() -> None:
    case = between(lambda builder, x: builder.add("add", "sum", x, x))
    assert case.network.graph.by_name["sum"].op == "quantized_add"
    same_bytes(case)


# -------------------------------------------------------------------------------------------------------------- concat
def concatenation(builder: GraphBuilder, x: str) -> str:
    y = builder.add("scale", "large", builder.convolution("second", x, 6, norm=None), factor=5.0)
    return builder.add("concat", "both", x, y, axis=1)


def test_what_only_a_concat_reads_has_its_scale_and_the_rest_is_rescaled() -> None:
    case = between(concatenation)
    both = case.network.graph.by_name["both"]
    assert both.inputs == ("first.requantize.rescale", "large")
    known = {quantization.of_value(case.network.graph, name) for name in (*both.inputs, "both")}
    assert len(known) == 1
    same_bytes(case)


# -------------------------------------------------------------------------------------------------------------- floats
def islands(builder: GraphBuilder, x: str) -> str:
    y = builder.add("softmax", "shares", x, axis=1)
    return builder.add("multiply", "weighed", x, builder.add("scale", "more", y, factor=8.0))


def test_what_has_no_form_stays_float_and_is_listed() -> None:
    case = between(islands)
    assert list(case.left_float) == ["shares", "more"]
    assert case.left_float["shares"] == "its exponentials have no form of 8 bits here"
    assert case.network.graph.type_of("more").dtype == "float32"
    same_bytes(case)


@pytest.mark.parametrize("pattern", ["last", "la*", "*st", "l?st"])
def test_a_layer_can_be_kept_float(pattern: str) -> None:
    case = between(op("relu"), keep_float=(pattern,))
    kept = {"first"} if pattern == "*st" else set()
    assert {name: reason for name, reason in case.left_float.items() if reason == quantize.KEPT} == dict.fromkeys(
        {"last", *kept}, quantize.KEPT
    )
    node = case.network.graph.by_name["last"]
    assert node.dtype == "float32"
    assert np.array_equal(case.network.parameters["last.weight"], case.parameters["last.weight"])


def test_a_sum_can_be_kept_float() -> None:
    case = between(residual, keep_float=("sum",))
    assert case.network.graph.by_name["sum"].op == "add"
    assert case.network.graph.by_name["sum"].dtype == "float32"


def test_a_pattern_that_fits_nothing() -> None:
    with pytest.raises(UsageError, match=r"'\*\.dw' is to stay float, and no layer has such a name; there are first"):
        between(op("relu"), keep_float=("*.dw",))


def test_a_network_that_is_nothing_but_floats() -> None:
    case = between(op("relu"), keep_float=("*",))
    assert case.operations == ["conv2d", "relu", "conv2d"]
    [image] = images(case.graph, 1, seed=3)
    [expected], _ = computed(case.graph, case.parameters, image)
    [found], _ = computed(case.network.graph, case.network.parameters, image)
    assert np.array_equal(found, expected)


# ------------------------------------------------------------------------------------------------------------ bad input
def test_channels_of_zeros_and_tiny_weights() -> None:
    builder = GraphBuilder()
    x = builder.convolution("conv", builder.input("image", IMAGE), 4, norm=None, bias=True, activation="relu")
    weight, bias = np.ones((4, 8, 1, 1), np.float32), np.array([1, 3, -2, 0.5], np.float32)
    weight[0], weight[1] = 0.0, 1e-20
    case = of_one_input(builder, x, given={"conv.weight": weight, "conv.bias": bias})
    [output], _ = computed(case.network.graph, case.network.parameters, images(case.graph, 1, seed=2)[0])
    assert output[:, 0] == pytest.approx(1.0, rel=1e-6)
    assert output[:, 1] == pytest.approx(3.0, rel=1e-6)


@pytest.mark.parametrize("number", [0.0, 2.5, -2.5])
def test_a_network_calibrated_on_constant_images(number: float) -> None:
    builder = GraphBuilder()
    graph = builder.graph(builder.add("global_avg_pool", "pool", builder.input("image", IMAGE)))
    ranges = dict.fromkeys(("image", "pool"), (number, number))
    network = quantize.quantized(graph, {}, ranges)
    [output], _ = computed(network.graph, network.parameters, {"image": np.full(IMAGE, number, np.float32)})
    assert output == pytest.approx(number, rel=1e-6)


def test_weights_that_are_no_numbers() -> None:
    builder = GraphBuilder()
    graph = builder.graph(builder.linear("fc", builder.input("x", (1, 2)), 2))
    parameters = {"fc.weight": np.array([[1, np.nan], [1, 1]], np.float32), "fc.bias": np.zeros(2, np.float32)}
    with pytest.raises(UsageError, match=r"parameter 'fc.weight' of node 'fc' has NaN or infinite numbers"):
        quantize.quantized(graph, parameters, {"x": (-1.0, 1.0), "fc": (-1.0, 1.0)})


def test_what_is_no_folded_network_of_float32() -> None:
    graph = graph_cases.graph("batch_norm")
    with pytest.raises(GraphError, match=r"'norm' \(batch_norm, float32\): expected a folded graph of float32"):
        quantize.quantized(graph, {}, {})
    with pytest.raises(GraphError, match="float16"):
        quantize.quantized(retyped(graph_cases.graph("relu"), "float16"), {}, {})


def test_a_range_that_is_missing() -> None:
    graph = graph_cases.graph("global_avg_pool")
    with pytest.raises(GraphError, match="the calibration has no range of 'image'"):
        quantize.quantized(graph, {}, {})


def test_sums_that_could_overflow_stay_float() -> None:
    builder, weight = GraphBuilder(), np.ones((2, 140000), np.float32)
    x = builder.linear("fc", builder.input("x", (1, 140000)), 2, bias=False)
    case = of_one_input(builder, x, given={"fc.weight": weight})
    assert case.left_float == {"fc": "its sums could exceed 32 bits"}


def test_matrices_whose_sums_could_overflow_stay_float() -> None:
    builder = GraphBuilder()
    left, right = builder.input("left", (1, 140000)), builder.input("right", (140000, 1))
    graph = builder.graph(builder.add("matmul", "dot", left, right))
    network = quantize.quantized(graph, {}, dict.fromkeys((left, right, "dot"), (-1.0, 1.0)))
    assert [each.reason for each in network.left_float] == ["its sums could exceed 32 bits"]


def test_weights_of_seven_bits() -> None:
    case = between(op("relu"), largest_weight=63)
    weights = [case.network.parameters[f"{name}.weight"] for name in ("first", "last")]
    assert [int(np.abs(each.astype(int)).max()) for each in weights] == [63, 63]
    assert decibels(between(op("relu"))) > decibels(case)
    found = case.network.graph.by_name
    assert [found[name].attributes["largest_weight"] for name in ("first", "last")] == [64, 64]
    wide = between(op("relu")).network.graph.by_name
    assert [wide[name].attributes["largest_weight"] for name in ("first", "last")] == [127, 127]


def test_weights_that_two_layers_share() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (1, 6))
    weight = builder.parameter("weight", (6, 6))
    y = builder.add("relu", "act", builder.add("linear", "one", x, weight))
    case = of_one_input(builder, builder.add("linear", "two", y, weight))
    one, two = (case.network.graph.by_name[name].inputs[1] for name in ("one", "two"))
    assert np.array_equal(case.network.parameters[one], case.network.parameters[two])
    same_bytes(case)


def test_several_outputs_and_values_that_are_read_as_floats_too() -> None:
    builder = GraphBuilder()
    x = builder.convolution("conv", builder.input("image", IMAGE), 8, norm=None, bias=True)
    pooled = builder.add("global_avg_pool", "pool", x)
    best = builder.add("argmax", "best", pooled, axis=1, keepdims=True)
    case = of_one_input(builder, x, pooled, best)
    outputs, _ = computed(case.network.graph, case.network.parameters, images(case.graph, 1, seed=2)[0])
    expected, _ = computed(case.graph, case.parameters, images(case.graph, 1, seed=2)[0])
    for found, wanted in zip(outputs, expected, strict=True):
        assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    assert quality.sqnr_db(expected[0], outputs[0]) > 30


def test_names_blocks_and_roles_are_those_of_the_float_network() -> None:
    builder = GraphBuilder()
    with builder.block("block1"):
        x = builder.convolution("pw", builder.input("image", IMAGE), 8, norm=None, activation="relu", role="expand")
    case = of_one_input(builder, builder.convolution("last", x, 4, norm=None))
    found = {node.name: (node.op, node.block, node.role) for node in case.network.graph.nodes}
    assert found["block1.pw"] == ("conv2d", "block1", "expand")
    assert found["block1.pw.relu"] == ("requantize", "block1", "expand")


def test_folded_as_it_is_compiled_and_drawn_by_torch() -> None:
    """A whole small network: the standard block with an expansion, a depthwise convolution and a residual."""
    builder = GraphBuilder()
    x = builder.convolution("stem", builder.input("image", (1, 3, 16, 16)), 8, kernel=3, stride=2, activation="relu6")
    y = builder.convolution("expand", x, 24, activation="hard_swish")
    y = builder.convolution("dw", y, 24, kernel=3, groups=24, activation="hard_swish")
    x = builder.add("add", "sum", builder.convolution("project", y, 8), x)
    pooled = builder.add("reshape", "flat", builder.add("global_avg_pool", "pool", x), shape=(1, 8))
    graph = builder.graph(builder.linear("fc", pooled, 10))
    folded = folding.as_compiled(graph)
    parameters = folded.parameters(torch_network.draw(graph))
    case = quantized(graph)
    assert case.graph.outputs == folded.graph.outputs
    assert parameters.keys() == case.parameters.keys()
    same_bytes(case)
    assert decibels(case) > 20
