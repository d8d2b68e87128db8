"""The int8 files that LiteRT loads, beside the network on whole numbers that they were written from."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from benchmark_scripts import needs, script
from conftest import require
from quantized_cases import Case, computed, images, quantized

from mbench.networks import architectures, calibration, quality, variants
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder

NETWORKS = (
    *("mobilenet_v1_0.25_64", "mobilenet_v2_0.35_96", "mobilenet_v3_small_1.0_64", "mobilenet_v3_large_0.75_96"),
    *("mobilenet_v4_conv_small_1.0_96", "efficientnet_lite0_1.0_64"),
)


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    require(*needs("ai_edge_litert", "flatbuffers"))
    return script("tflite_int8_writer")


def blocks(side: int = 16) -> Graph:
    """Return a network with all that mobile networks have; its strides of 2 are over even and odd sides."""
    builder = GraphBuilder()
    x = builder.convolution(
        "stem", builder.input("image", (1, 3, side, side)), 8, kernel=3, stride=2, activation="relu"
    )
    y = builder.convolution("expand", x, 24, activation="hard_swish")
    y = builder.convolution("dw", y, 24, kernel=5, groups=24, activation="relu6")
    gate = builder.add("global_avg_pool", "squeeze", y)
    gate = builder.convolution("reduce", gate, 8, norm=None, bias=True, activation="relu")
    gate = builder.convolution("excite", gate, 24, norm=None, bias=True, activation="hard_sigmoid")
    x = builder.add("add", "sum", x, builder.convolution("project", builder.add("multiply", "gated", y, gate), 8))
    x = builder.convolution("down", x, 8, kernel=3, stride=2, groups=8, activation="relu6")
    x = builder.add("max_pool2d", "most", x, kernel=(2, 2), strides=(2, 2), padding=(0,) * 4)
    return builder.graph(classified(builder, x))


def classified(builder: GraphBuilder, x: str) -> str:
    pooled = builder.add("global_avg_pool", "pool", x)
    return builder.linear("fc", builder.add("reshape", "flat", pooled, shape=builder.shape(x)[:2]), 10)


def written(writer: ModuleType, case: Case) -> bytes:
    ranges = calibration.ranges(case.graph, case.parameters, images(case.graph, 4, seed=1))
    content = writer.model(case.network.qdq, ranges)
    assert isinstance(content, bytes)
    return content


def run(content: bytes, image: np.ndarray, **options: Any) -> np.ndarray:
    """Return what LiteRT gives for an image as its file takes it."""
    interpreter = loaded(content, **options)
    [given], [output] = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(given["index"], image)
    interpreter.invoke()
    found = interpreter.get_tensor(output["index"])
    assert isinstance(found, np.ndarray)
    return found


def loaded(content: bytes, **options: Any) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1, **options)
    interpreter.allocate_tensors()
    return interpreter


def decibels(writer: ModuleType, case: Case, content: bytes) -> float:
    """Return the signal to noise of LiteRT's output beside the exact one."""
    [inputs] = images(case.graph, 1, seed=2)
    [expected], _ = computed(case.network.graph, case.network.parameters, inputs)
    [image] = inputs.values()
    return quality.sqnr_db(expected, run(content, writer.as_given(image)))


@pytest.mark.parametrize("side", [16, 23])
@pytest.mark.parametrize("activations", ["uint8", "int8"])
def test_litert_computes_the_network_in_one_delegate(writer: ModuleType, side: int, activations: str) -> None:
    case = quantized(blocks(side), residual="rounded", activations=activations)
    content = written(writer, case)
    assert decibels(writer, case, content) > 25
    assert script("cpu_runtimes").left_to_litert(loaded(content)) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_whole_networks(writer: ModuleType, name: str) -> None:
    """A byte that is rounded the other way changes those behind it: noise is below that of the quantisation."""
    case = quantized(architectures.graph(variants.parse(name)), residual="rounded")
    content = written(writer, case)
    assert decibels(writer, case, content) > 15
    assert script("cpu_runtimes").left_to_litert(loaded(content)) is None


def operators(content: bytes) -> list[str]:
    from ai_edge_litert.interpreter import OpResolverType

    alone = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return [each["op_name"] for each in loaded(content, experimental_op_resolver_type=alone)._get_ops_details()]


def test_no_operator_more_than_needed(writer: ModuleType) -> None:
    """A stride of 2 over an even side needs no PAD; a hard sigmoid is a part of its convolution; see the writer."""
    found = operators(written(writer, quantized(blocks(), residual="rounded")))
    assert found == [
        *("QUANTIZE", "CONV_2D", "CONV_2D", "ADD", "MUL", "DEPTHWISE_CONV_2D", "MEAN", "CONV_2D", "CONV_2D", "MUL"),
        *("CONV_2D", "ADD", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "MEAN", "RESHAPE", "FULLY_CONNECTED", "DEQUANTIZE"),
    ]


def test_padding_that_is_not_same_is_written(writer: ModuleType) -> None:
    builder = GraphBuilder()
    x = builder.convolution("conv", builder.input("image", (1, 3, 9, 9)), 8, kernel=3, stride=2, padding=(0, 1, 2, 1))
    case = quantized(builder.graph(classified(builder, x)))
    content = written(writer, case)
    assert "PAD" in operators(content)
    assert decibels(writer, case, content) > 30


def test_lines_that_are_left_unread_are_named(writer: ModuleType) -> None:
    builder = GraphBuilder()
    x = builder.convolution("conv", builder.input("image", (1, 3, 9, 9)), 8, norm=None)
    x = builder.add("max_pool2d", "most", x, kernel=(2, 2), strides=(2, 2), padding=(0,) * 4)
    with pytest.raises(writer.TfliteError, match="node 'most' leaves 1 lines of its image unread"):
        written(writer, quantized(builder.graph(classified(builder, x))))


def test_an_image_that_is_not_mirrored_is_seen(writer: ModuleType) -> None:
    case = quantized(blocks(), residual="rounded")
    [inputs] = images(case.graph, 1, seed=2)
    [expected], _ = computed(case.network.graph, case.network.parameters, inputs)
    image = np.ascontiguousarray(inputs["image"].transpose(0, 2, 3, 1))
    assert quality.sqnr_db(expected, run(written(writer, case), image)) < 20


def test_another_weight_is_seen(writer: ModuleType) -> None:
    case, other = (quantized(blocks(), residual="rounded", largest_weight=most) for most in (127, 7))
    assert decibels(writer, case, written(writer, other)) < 30


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"residual": "fused"}, "value 'project' is read as floats"),
        ({"residual": "rounded", "keep_float": ("excite",)}, "is read as floats"),
    ],
)
def test_what_is_computed_on_floats_is_named(writer: ModuleType, options: dict[str, Any], said: str) -> None:
    with pytest.raises(writer.TfliteError, match=said):
        written(writer, quantized(blocks(), **options))


def test_what_has_no_form_is_named(writer: ModuleType) -> None:
    builder = GraphBuilder()
    x = builder.convolution("first", builder.input("image", (1, 3, 8, 8)), 8, norm=None)
    last = builder.convolution("last", builder.add("tanh", "middle", x), 4, norm=None)
    with pytest.raises(writer.TfliteError, match="operation 'tanh' of node 'middle' has no form"):
        written(writer, quantized(builder.graph(classified(builder, last))))
