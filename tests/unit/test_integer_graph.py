"""From a graph with roundings to one on whole numbers, in forms that users' files have and mbench does not write."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from quantized_cases import computed

from mbench.networks import costs, integer_graph, kernels, layers, quantization
from mbench.networks.graph_builder import GraphBuilder
from mbench.networks.integer_graph import IntegerNetwork, QdqNetwork
from mbench.networks.quantization import Quantization

X = Quantization(scale=0.25, zero_point=10)
Y = Quantization(scale=0.5, zero_point=-3, dtype="int8")
IMAGE = (1, 4, 6, 6)


class Roundings:
    """Writes a network with roundings."""

    def __init__(self) -> None:
        self.builder = GraphBuilder()
        self.parameters: dict[str, np.ndarray] = {}
        self.scales: dict[str, np.ndarray] = {}

    def rounded(self, name: str, x: str, known: Quantization = X) -> str:
        return self.real(name, self.builder.add("quantize", f"{name}.q", x, **known.attributes), known)

    def real(self, name: str, x: str, known: Quantization = X) -> str:
        return self.builder.add("dequantize", name, x, scale=known.scale, zero_point=known.zero_point)

    def convolution(self, name: str, x: str, channels: int, *, step: float = 2**-6, whole: int = 100) -> str:
        value = self.builder.convolution(name, x, channels, norm=None, bias=True)
        shape = (channels, self.builder.shape(x)[1], 1, 1)
        numbers = np.random.default_rng(channels).integers(-whole, whole, shape, endpoint=True)
        self.scales[f"{name}.weight"] = np.full(channels, step, np.float32)
        self.parameters[f"{name}.weight"] = (numbers * step).astype(np.float32)
        self.parameters[f"{name}.bias"] = np.linspace(-2, 2, channels).astype(np.float32)
        return value

    def network(self, *outputs: str, **known: Any) -> QdqNetwork:
        return QdqNetwork(
            graph=self.builder.graph(*outputs), parameters=self.parameters, scales=self.scales, **known
        )  # fmt: skip


def lowered(network: QdqNetwork) -> IntegerNetwork:
    """Return a network on whole numbers, which gives the outputs of the one with roundings, up to a step."""
    whole = integer_graph.lowered(network)
    generator = np.random.default_rng(0)
    image = {
        name: generator.integers(0, 256, given.shape).astype("uint8") if given.dtype == "uint8"
        else generator.normal(0, 8, given.shape).astype(np.float32)
        for name, given in network.graph.inputs.items()
    }  # fmt: skip
    expected, _ = computed(network.graph, network.parameters, image)
    outputs, _ = computed(whole.graph, whole.parameters, image)
    for found, wanted in zip(outputs, expected, strict=True):
        assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
        assert np.abs(found.astype(float) - wanted.astype(float)).max() <= 1.01 * max(X.scale, Y.scale, 1)
        assert np.mean(found != wanted) < 0.01 or "int" not in str(found.dtype)
    return whole


def operations(whole: IntegerNetwork) -> list[str]:
    return [node.op for node in whole.graph.nodes]


def test_whole_numbers_in_and_out() -> None:
    """A file whose input and output are of 8 bits."""
    written = Roundings()
    x = written.real("x.real", written.builder.input("x", IMAGE, dtype="uint8"))
    y = written.builder.add("quantize", "y", written.convolution("conv", x, 3), **Y.attributes)
    whole = lowered(written.network(y))
    assert operations(whole) == ["conv2d", "requantize"]
    assert whole.graph.type_of(whole.graph.outputs[0]).dtype == "int8"
    assert whole.values == {"y": "conv.requantize"}


@pytest.mark.parametrize("residual", [False, True])
def test_what_fits_into_16_bits_before_its_limits_says_so(residual: bool) -> None:
    """The images with which sums are largest and smallest, channel by channel, are tried."""
    said = []
    for scale in (2.0**-9, 2.0**-7, 2.0**-1, 2.0**3):
        written, known = Roundings(), Quantization(scale=scale, zero_point=-3, dtype="int8")
        x = written.real("x.real", written.builder.input("x", IMAGE, dtype="uint8"))
        y = written.convolution("conv", x, 4)
        y = written.builder.add("add", "sum", y, x) if residual else y
        whole = integer_graph.lowered(written.network(written.builder.add("quantize", "y", y, **known.attributes)))
        [node] = [node for node in whole.graph.nodes if node.op == "requantize"]
        said.append(node.attributes.get("short", False))
        weight, bias = (whole.parameters[f"conv.{name}"].astype(np.int64) for name in ("weight", "bias"))
        ends = [
            ((np.where(sign * weight > 0, 255, 0) - X.zero_point) * weight).sum((1, 2, 3)) + bias for sign in (1, -1)
        ]
        largest = np.abs(np.stack(ends) * whole.parameters[node.inputs[1]].reshape(-1)).max()
        largest += residual * 245 * X.scale / scale
        assert not said[-1] or largest < 2**15
    assert set(said) == {False, True}


def test_what_is_rounded_again_is_rescaled_once() -> None:
    written = Roundings()
    x = written.rounded("x.real", written.builder.input("x", IMAGE))
    first, second = written.rounded("one", x, Y), written.rounded("two", x, Y)
    whole = lowered(written.network(written.builder.add("add", "sum", first, second)))
    assert operations(whole).count("lookup") == 1


def test_the_same_rounding_again_is_nothing() -> None:
    written = Roundings()
    x = written.rounded("x.real", written.builder.input("x", IMAGE))
    whole = lowered(written.network(written.rounded("again", written.rounded("twice", x))))
    assert operations(whole) == ["quantize", "dequantize"]


def test_operations_on_the_whole_numbers_themselves() -> None:
    """A reshape and a pool between `quantize` and `dequantize`."""
    written = Roundings()
    q = written.builder.add("quantize", "q", written.builder.input("x", IMAGE), **X.attributes)
    pooled = written.builder.add("max_pool2d", "pool", q, kernel=(2, 2), strides=(2, 2), padding=(0,) * 4)
    flat = written.builder.add("reshape", "flat", pooled, shape=(1, 36))
    whole = lowered(written.network(written.real("y", flat)))
    assert operations(whole) == ["quantize", "max_pool2d", "reshape", "dequantize"]
    assert quantization.of_value(whole.graph, "flat") == X


def test_sums_that_a_file_does_not_round() -> None:
    """They are rounded for one reader and become floats for another."""
    written = Roundings()
    x = written.rounded("x.real", written.builder.input("x", IMAGE))
    y = written.convolution("conv", x, 3)
    whole = lowered(written.network(written.rounded("y", y), written.builder.add("softmax", "shares", y, axis=1)))
    assert sorted(operations(whole)) == sorted(
        ["quantize", "conv2d", "requantize", "dequantize", "dequantize", "softmax"]
    )
    assert [each.op for each in whole.left_float] == ["softmax"]


def test_two_sums_that_are_not_rounded_are_added_as_floats() -> None:
    written = Roundings()
    x = written.rounded("x.real", written.builder.input("x", IMAGE))
    total = written.builder.add("add", "sum", written.convolution("one", x, 3), written.convolution("two", x, 3))
    whole = lowered(written.network(written.rounded("y", total)))
    assert [(each.name, each.op) for each in whole.left_float] == [("sum", "add")]
    assert operations(whole).count("conv2d") == 2


def test_weights_without_a_scale_are_floats() -> None:
    written = Roundings()
    x = written.rounded("x.real", written.builder.input("x", IMAGE))
    y = written.convolution("conv", x, 3)
    del written.scales["conv.weight"]
    whole = lowered(written.network(written.rounded("y", y)))
    assert [each.reason for each in whole.left_float] == ["its weights are no whole numbers of 8 bits times a scale"]


@pytest.mark.parametrize(("most", "ops"), [(128, ["conv2d"]), (300, [])])
def test_weights_of_more_than_8_bits_are_floats(most: int, ops: list[str]) -> None:
    written = Roundings()
    x = written.rounded("x.real", written.builder.input("x", IMAGE))
    y = written.convolution("conv", x, 3, whole=100)
    written.parameters["conv.weight"][0, 0] = -most * 2**-6
    whole = lowered(written.network(written.rounded("y", y)))
    assert [node.op for node in whole.graph.nodes if node.dtype == "int32"] == ops


@pytest.mark.parametrize(("side", "left"), [(2960, {}), (2961, {"pool": "its sums could exceed 32 bits"})])
def test_means_whose_sums_do_not_fit_stay_float(side: int, left: dict[str, str]) -> None:
    """A number is up to 245 from its zero point, and 2961 x 2961 x 245 is more than 2^31 - 1."""
    written = Roundings()
    x = written.rounded("x.real", written.builder.input("x", (1, 1, side, side)))
    network = written.network(written.rounded("y", written.builder.add("global_avg_pool", "pool", x)))
    whole = integer_graph.lowered(network)
    assert {each.name: each.reason for each in whole.left_float} == left


def test_what_is_read_as_floats_alone_stays_float() -> None:
    written = Roundings()
    x = written.rounded("x.real", written.builder.input("x", IMAGE))
    y = written.builder.add("sigmoid", "gate", written.builder.add("scale", "more", x, factor=2.0))
    whole = lowered(written.network(y))
    assert {each.name: each.reason for each in whole.left_float} == dict.fromkeys(
        ("more", "gate"), "it is read or made as floats alone"
    )


def test_what_is_asked_for_stays_float() -> None:
    written = Roundings()
    x = written.rounded("x.real", written.builder.input("x", IMAGE))
    y = written.rounded("y", written.convolution("conv", x, 3))
    whole = lowered(written.network(y, kept={"conv": "why not"}))
    assert [(each.name, each.reason) for each in whole.left_float] == [("conv", "why not")]


def test_two_scales_beside_each_other_take_the_scale_that_is_asked_for() -> None:
    written = Roundings()
    x = written.builder.input("x", IMAGE)
    one, two = written.rounded("one", x), written.rounded("two", x, Y)
    both = written.builder.add("concat", "both", one, two, axis=1)
    whole = lowered(written.network(written.rounded("y", both, Y)))
    assert operations(whole).count("lookup") == 1
    assert quantization.of_value(whole.graph, "both") == Y


def test_two_scales_beside_each_other_that_are_not_rounded() -> None:
    written = Roundings()
    x = written.builder.input("x", IMAGE)
    one, two = written.rounded("one", x), written.rounded("two", x, Y)
    whole = lowered(written.network(written.builder.add("concat", "both", one, two, axis=1)))
    assert [each.op for each in whole.left_float] == ["concat"]


def test_a_deep_network_of_floats_needs_no_deep_stack() -> None:
    written = Roundings()
    x = written.rounded("x.real", written.builder.input("x", (1, 2)))
    for place in range(3000):
        x = written.builder.add("scale", f"s{place}", x, factor=1.0)
    assert len(integer_graph.lowered(written.network(x)).graph.nodes) == 3002


def network() -> IntegerNetwork:
    written = Roundings()
    x = written.rounded("x.real", written.builder.input("x", IMAGE))
    y = written.rounded("y", written.builder.add("relu", "act", written.convolution("conv", x, 16)), Y)
    y = written.rounded("z", written.builder.add("hard_swish", "swish", y))
    return lowered(written.network(written.convolution("last", y, 8)))


def test_layers_are_those_of_the_float_network() -> None:
    found = layers.of_graph(network().graph)
    assert [(each.name, each.op) for each in found] == [
        ("x.real.q", "elementwise"), ("conv", "pointwise_conv2d"), ("last", "pointwise_conv2d"),
    ]  # fmt: skip
    assert found[1].operations == ("conv2d", "requantize", "lookup")
    assert [each.macs for each in found] == [0, 36 * 4 * 16, 36 * 16 * 8]
    assert [each.params for each in found] == [0, 64, 128]


def test_costs_are_of_the_types_that_there_are() -> None:
    image, conv, last = map(costs.of_layer, layers.of_graph(network().graph))
    pixels = 36
    assert image.activation_bytes == pixels * 4 * (4 + 1)
    assert conv.activation_bytes == pixels * (4 + 16)
    assert conv.weight_bytes == 64 + 16 * (4 + 4) + 256  # weights; bias and multiplier of a channel; a table
    assert last.activation_bytes == pixels * (16 + 8 * 4)
    assert last.weight_bytes == 128 + 8 * (4 + 4)


def test_a_residual_is_part_of_the_convolutions_kernel() -> None:
    written = Roundings()
    x = written.rounded("x.real", written.builder.input("x", IMAGE))
    total = written.builder.add("add", "sum", written.convolution("conv", x, 4), x)
    groups = kernels.groups(lowered(written.network(written.rounded("y", total, Y))).graph)
    assert [[node.op for node in group.nodes] for group in groups] == [
        ["quantize"], ["conv2d", "requantize", "dequantize"],
    ]  # fmt: skip
