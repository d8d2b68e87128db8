"""A small network that is trained on scikit-learn's digits, which a package ships."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from mbench.networks import torch_network
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder

BATCH, CLASSES, EPOCHS, TESTED = 100, 10, 9, 500


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


def trained() -> Trained:
    """Return the network, fitted to all digits but the first, in an order that is drawn."""
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
