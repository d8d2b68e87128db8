"""The whole of it on a network that is trained here, on scikit-learn's digits: the accuracy that is left in 8 bits."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmark_scripts import needs, script
from conftest import require
from network_files import computed, imported
from quantized_cases import by_onnx_runtime

from mbench.networks import calibration, quality, quantize, torch_network
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder
from mbench.networks.quantize import QuantizedNetwork, QuantizeOptions

BATCH, CLASSES, EPOCHS, TESTED = 100, 10, 9, 500
ACCURATE = 0.92
"""Of digits that were not trained on; chance is 0.1."""


def network() -> Graph:
    """Return a small network with the parts of MobileNetV3: depthwise convolution, squeeze-excite and a residual."""
    builder = GraphBuilder()
    x = builder.input("image", (BATCH, 1, 8, 8))
    x = builder.convolution("stem", x, 12, kernel=3, stride=2, norm=None, bias=True, activation="relu6")
    y = builder.convolution("expand", x, 24, norm=None, bias=True, activation="hard_swish")
    y = builder.convolution("dw", y, 24, kernel=3, groups=24, norm=None, bias=True, activation="hard_swish")
    gate = builder.add("global_avg_pool", "squeeze", y)
    gate = builder.convolution("reduce", gate, 8, norm=None, bias=True, activation="relu")
    gate = builder.convolution("excite", gate, 24, norm=None, bias=True, activation="hard_sigmoid")
    y = builder.convolution("project", builder.add("multiply", "gated", y, gate), 12, norm=None, bias=True)
    x = builder.add("add", "sum", x, y)
    x = builder.convolution("head", x, 32, kernel=3, norm=None, bias=True, activation="relu")
    pooled = builder.add("reshape", "flat", builder.add("global_avg_pool", "pool", x), shape=(BATCH, 32))
    return builder.graph(builder.linear("fc", pooled, CLASSES))


@dataclasses.dataclass(frozen=True)
class Trained:
    graph: Graph
    parameters: dict[str, np.ndarray]
    images: np.ndarray
    """Digits that were not trained on."""
    labels: np.ndarray
    calibration: list[dict[str, np.ndarray]]

    def batches(self) -> list[dict[str, np.ndarray]]:
        return [{"image": each} for each in self.images.reshape(-1, BATCH, 1, 8, 8)]

    def accuracy(self, logits: list[np.ndarray]) -> float:
        return float(np.mean(np.concatenate(logits).argmax(-1) == self.labels))


@pytest.fixture(scope="module")
def trained() -> Trained:
    require(*needs("sklearn", "onnx", "onnxruntime"))
    import sklearn.datasets

    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    images = ((images.reshape(-1, 1, 8, 8) - 8) / 8).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], labels[order].astype(np.int64)
    graph = network()
    with torch_network.one_thread():
        parameters = fitted(graph, torch.from_numpy(images[TESTED:]), torch.from_numpy(labels[TESTED:]))
    first = images[TESTED : TESTED + 2 * BATCH].reshape(2, BATCH, 1, 8, 8)
    return Trained(graph, parameters, images[:TESTED], labels[:TESTED], [{"image": each} for each in first])


def fitted(graph: Graph, images: torch.Tensor, labels: torch.Tensor) -> dict[str, np.ndarray]:
    """Return parameters that a graph classifies images with."""
    generator = torch.Generator().manual_seed(0)
    network = torch_network.TorchNetwork(graph, torch_network.draw(graph))
    weights = [each.requires_grad_() for each in network.buffers()]
    optimizer = torch.optim.Adam(weights, lr=1e-2)
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(images), generator=generator).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(images[chosen]), labels[chosen]).backward()
            optimizer.step()
    return {name: each.detach().numpy().copy() for name, each in zip(graph.parameters, weights, strict=True)}


def quantized(trained: Trained, **options: Any) -> QuantizedNetwork:
    ranges = calibration.ranges(trained.graph, trained.parameters, trained.calibration)
    return quantize.quantized(trained.graph, trained.parameters, ranges, QuantizeOptions(**options))


def logits(trained: Trained, found: QuantizedNetwork) -> list[np.ndarray]:
    return [computed(found.graph, found.parameters, batch)[0] for batch in trained.batches()]


@pytest.mark.parametrize(
    "options", [{}, {"activations": "int8", "residual": "rounded"}, {"largest_weight": 63}], ids=["u8", "s8", "7 bits"]
)
def test_accuracy_in_8_bits_is_that_in_float32_and_that_of_onnx_runtime(
    trained: Trained, options: dict[str, Any]
) -> None:
    floats = [computed(trained.graph, trained.parameters, batch)[0] for batch in trained.batches()]
    assert trained.accuracy(floats) > ACCURATE
    found = quantized(trained, **options)
    mine = logits(trained, found)
    theirs = [by_onnx_runtime(found.qdq, batch)["fc"] for batch in trained.batches()]
    assert found.left_float == ()
    assert trained.accuracy(mine) == trained.accuracy(theirs)
    assert trained.accuracy(mine) >= trained.accuracy(floats) - 0.01


def test_the_file_of_it_has_the_same_accuracy(trained: Trained, tmp_path: Path) -> None:
    found = quantized(trained)
    read = imported(tmp_path, script("qdq_writer").model(found.qdq))
    again = [computed(read.graph, read.parameters, batch)[0] for batch in trained.batches()]
    assert trained.accuracy(again) == trained.accuracy(logits(trained, found))


def test_quality_on_a_trained_network(trained: Trained) -> None:
    found = quality.compared(trained.graph, trained.parameters, quantized(trained), trained.batches()[:2])
    assert found.agreement is not None
    assert found.agreement >= 0.98
    assert found.outputs[0].sqnr_db > 25


def test_a_wrong_zero_point_costs_the_accuracy(trained: Trained) -> None:
    """These tests can fail: one zero point that is off."""
    found = quantized(trained)
    nodes = tuple(
        dataclasses.replace(node, attributes={**node.attributes, "zero_point": node.attributes["zero_point"] ^ 64})
        if node.name == "project"
        else node
        for node in found.graph.nodes
    )
    wrong = dataclasses.replace(found, graph=dataclasses.replace(found.graph, nodes=nodes))
    assert trained.accuracy(logits(trained, wrong)) < trained.accuracy(logits(trained, found)) - 0.02
