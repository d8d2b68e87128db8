"""The LiteRT files that a peer loads, run by LiteRT and compared with PyTorch; XNNPACK takes all of each."""

from __future__ import annotations

import dataclasses
import math
from types import ModuleType
from typing import Any

import graph_cases
import numpy as np
import pytest
from benchmark_scripts import needs, script
from conftest import require

from mbench.networks import architectures, layout, variants, weights
from mbench.networks.graph import Graph

TOLERANCE = 1e-4
"""Of the largest value."""
WITHOUT = ("batch_norm", "rows", "slice")
"""Cases of operations that have no form: folded graphs have no BatchNorm, and no MobileNet the others."""
CASES = tuple(name for name in graph_cases.CASES if name not in WITHOUT)
NETWORKS = (
    *("mobilenet_v1_0.25_64", "mobilenet_v2_0.35_64", "mobilenet_v2_0.35_64_standard", "mobilenet_v2_0.35_64_b3"),
    *("mobilenet_v3_small_1.0_64", "mobilenet_v3_small_0.75_64_standard", "mobilenet_v4_conv_small_1.0_64"),
    *("mobilenet_v4_hybrid_medium_1.0_64", "efficientnet_lite0_1.0_64", "mnasnet_a1_1.0_64"),
)
LAST = (0, 2, 3, 1)


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    require(*needs("ai_edge_litert", "flatbuffers"))
    return script("tflite_writer")


def loaded(content: bytes, **options: Any) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1, **options)
    interpreter.allocate_tensors()
    return interpreter


def computed(interpreter: Any, image: np.ndarray) -> np.ndarray:
    """Return the output for an image (N, C, H, W), as LiteRT has it."""
    [given], [output] = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(given["index"], np.ascontiguousarray(image.transpose(LAST)))
    interpreter.invoke()
    found = interpreter.get_tensor(output["index"])
    assert isinstance(found, np.ndarray)
    return found


def error(output: np.ndarray, expected: np.ndarray) -> float:
    assert output.shape == expected.shape
    assert np.ptp(expected) > 0
    return float(np.abs(output - expected).max() / np.abs(expected).max())


def lying(graph: Graph, output: np.ndarray) -> np.ndarray:
    """Return PyTorch's output as the file has it: images channels last."""
    return output.transpose(LAST) if graph.outputs[0] in layout.channels_last(graph) else output


def operators(writer: ModuleType, graph: Graph, parameters: dict[str, np.ndarray]) -> list[str]:
    """Return the operators of a graph's file as LiteRT reads them."""
    from ai_edge_litert.interpreter import OpResolverType

    alone = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = loaded(writer.model(graph, parameters), experimental_op_resolver_type=alone)
    return [operation["op_name"] for operation in interpreter._get_ops_details()]


@pytest.mark.parametrize("name", CASES)
def test_every_operation_computes_what_pytorch_does_and_xnnpack_takes_it(writer: ModuleType, name: str) -> None:
    graph = graph_cases.graph(name)
    parameters, image, expected = graph_cases.answers(graph)
    interpreter = loaded(writer.model(graph, parameters))
    assert error(computed(interpreter, image), lying(graph, expected)) < TOLERANCE
    assert script("cpu_runtimes").left_to_litert(interpreter) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_computes_what_pytorch_does_in_one_delegate(writer: ModuleType, name: str) -> None:
    variant = variants.parse(name)
    drawn = weights.draw(variant)
    [image], [expected] = drawn.examples.values(), drawn.expected
    interpreter = loaded(writer.model(architectures.folded(variant).graph, drawn.parameters))
    assert error(computed(interpreter, image), expected) < TOLERANCE
    assert script("cpu_runtimes").left_to_litert(interpreter) is None


def test_another_weight_is_seen(writer: ModuleType) -> None:
    graph = graph_cases.graph("classifier")
    parameters, image, expected = graph_cases.answers(graph)
    [last] = [name for name in graph.parameters if name.startswith("fc")]
    changed = {**parameters, last: parameters[last] * np.float32(1.01)}
    assert error(computed(loaded(writer.model(graph, changed)), image), expected) > TOLERANCE


def test_what_xnnpack_does_not_take_is_said(writer: ModuleType) -> None:
    from ai_edge_litert.interpreter import OpResolverType

    graph = graph_cases.graph("classifier")
    content = writer.model(graph, graph_cases.answers(graph)[0])
    alone = loaded(content, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    said = script("cpu_runtimes").left_to_litert(alone)
    assert said.startswith("XNNPACK computes the network in 0 parts, expected 1")
    assert "FULLY_CONNECTED" in said


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("conv 3x3", ["CONV_2D"]),
        ("conv 3x3 stride 2", ["CONV_2D"]),  # a side of 9: SAME pads 1 on both sides
        ("conv 3x3 stride 2, no padding", ["CONV_2D"]),
        ("conv stride 2 padded below", ["PAD", "CONV_2D"]),
        ("conv relu6", ["CONV_2D"]),
        ("conv clip to 6", ["CONV_2D"]),
        ("conv hard_sigmoid", ["CONV_2D", "MUL"]),
        ("activation of a value read twice", ["CONV_2D", "RELU6", "ADD"]),
        ("gate of a value read twice", ["CONV_2D", "ADD", "MUL", "MUL"]),
        ("depthwise, two a channel", ["DEPTHWISE_CONV_2D"]),
        ("classifier", ["CONV_2D", "MEAN", "RESHAPE", "FULLY_CONNECTED", "HARD_SWISH", "FULLY_CONNECTED"]),
        ("channels last", ["CONV_2D", "RESHAPE"]),
        ("squeeze-excite", ["DEPTHWISE_CONV_2D", "HARD_SWISH", "MEAN", "CONV_2D", "CONV_2D", "MUL", "MUL"]),
    ],
)
def test_no_operator_more_than_needed(writer: ModuleType, name: str, expected: list[str]) -> None:
    graph = graph_cases.graph(name)
    assert operators(writer, graph, graph_cases.answers(graph)[0]) == expected


@pytest.mark.parametrize("name", WITHOUT)
def test_what_has_no_form_is_named(writer: ModuleType, name: str) -> None:
    graph = graph_cases.graph(name)
    with pytest.raises(writer.TfliteError, match=r"operation '\w+' of node '\w+' has no form"):
        writer.model(graph, graph_cases.answers(graph)[0])


def changed(name: str, op: str, **attributes: Any) -> tuple[Graph, dict[str, np.ndarray]]:
    graph = graph_cases.graph(name)
    nodes = [
        dataclasses.replace(node, attributes={**node.attributes, **attributes}) if node.op == op else node
        for node in graph.nodes
    ]
    return dataclasses.replace(graph, nodes=tuple(nodes)), graph_cases.answers(graph)[0]


def test_padding_that_a_pool_cannot_have_is_named(writer: ModuleType) -> None:
    with pytest.raises(writer.TfliteError, match="node 'max_pool2d' pools with padding"):
        writer.model(*changed("max_pool2d", "max_pool2d", padding=(1, 1, 0, 0)))


def test_softmax_over_another_axis_is_named(writer: ModuleType) -> None:
    with pytest.raises(writer.TfliteError, match="node 'weights': LiteRT's softmax is over the last axis"):
        writer.model(*changed("attention", "softmax", axis=1))


def test_bounds_that_no_operator_has_become_a_maximum_and_a_minimum(writer: ModuleType) -> None:
    for low, high, expected in ((-1, 6, ["MAXIMUM", "MINIMUM"]), (-1, math.inf, ["MAXIMUM"])):
        assert operators(writer, *changed("clip", "clip", low=low, high=high)) == ["TRANSPOSE", *expected]
