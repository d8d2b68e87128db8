"""The ONNX files that peers load, run by ONNX Runtime and compared with PyTorch."""

from __future__ import annotations

import dataclasses
from types import ModuleType

import graph_cases
import numpy as np
import pytest
from benchmark_scripts import needs, script
from conftest import require

from mbench.networks import architectures, operations, variants, weights
from mbench.networks.graph import Graph

TOLERANCE = 1e-4
"""Of the largest value."""
NETWORKS = (
    *("mobilenet_v1_0.25_64", "mobilenet_v2_0.35_64", "mobilenet_v2_0.35_64_standard", "mobilenet_v2_0.35_64_b3"),
    *("mobilenet_v3_small_1.0_64", "mobilenet_v3_small_0.75_64_standard", "mobilenet_v4_conv_small_1.0_64"),
    *("mobilenet_v4_hybrid_medium_1.0_64", "efficientnet_lite0_1.0_64", "mnasnet_a1_1.0_64"),
)


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    require(*needs("onnx", "onnxruntime"))
    return script("onnx_writer")


def computed(writer: ModuleType, graph: Graph, parameters: dict[str, np.ndarray], image: np.ndarray) -> np.ndarray:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    content = writer.model(graph, parameters).SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    assert [given.name for given in session.get_inputs()] == list(graph.inputs)
    [output] = session.run(list(graph.outputs), dict.fromkeys(graph.inputs, image))
    assert isinstance(output, np.ndarray)
    return output


def error(output: np.ndarray, expected: np.ndarray) -> float:
    assert output.shape == expected.shape
    assert np.ptp(expected) > 0
    return float(np.abs(output - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("name", graph_cases.CASES)
def test_every_operation_computes_what_pytorch_does(writer: ModuleType, name: str) -> None:
    graph = graph_cases.graph(name)
    parameters, image, expected = graph_cases.answers(graph)
    assert error(computed(writer, graph, parameters, image), expected) < TOLERANCE


def test_the_cases_have_every_operation_of_a_family(writer: ModuleType) -> None:
    seen = {node.op for name in graph_cases.CASES for node in graph_cases.graph(name).nodes}
    assert (
        seen
        == set(operations.OPERATIONS) - {*operations.ONLY_IN_FILES, *operations.ONLY_QUANTIZED}
        == set(writer.OPERATIONS)
    )


def test_another_weight_is_seen(writer: ModuleType) -> None:
    graph = graph_cases.graph("classifier")
    parameters, image, expected = graph_cases.answers(graph)
    [last] = [name for name in graph.parameters if name.startswith("fc")]
    changed = {**parameters, last: parameters[last] * np.float32(1.01)}
    assert error(computed(writer, graph, changed, image), expected) > TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_computes_what_pytorch_does(writer: ModuleType, name: str) -> None:
    variant = variants.parse(name)
    drawn = weights.draw(variant)
    [image], [expected] = drawn.examples.values(), drawn.expected
    assert error(computed(writer, architectures.folded(variant).graph, drawn.parameters, image), expected) < TOLERANCE


def test_what_has_no_form_is_named(writer: ModuleType) -> None:
    graph = graph_cases.graph("relu")
    [node] = graph.nodes
    strange = dataclasses.replace(graph, nodes=(dataclasses.replace(node, op="erf"),))
    with pytest.raises(writer.OnnxError, match="operation 'erf' of node 'relu' has no form"):
        writer.model(strange, {})
    integer = dataclasses.replace(graph, inputs={"image": dataclasses.replace(graph.inputs["image"], dtype="int4")})
    with pytest.raises(writer.OnnxError, match="type 'int4' of 'image' has no form"):
        writer.model(integer, {})


def test_a_norm_over_inner_axes_has_no_form(writer: ModuleType) -> None:
    graph = graph_cases.graph("rows")
    nodes = [
        dataclasses.replace(node, attributes={**node.attributes, "axes": (1,)}) if node.op == "layer_norm" else node
        for node in graph.nodes
    ]
    with pytest.raises(writer.OnnxError, match="node 'norm' normalises axes"):
        writer.model(dataclasses.replace(graph, nodes=tuple(nodes)), graph_cases.answers(graph)[0])
