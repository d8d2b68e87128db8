"""Small networks as a front end gives them, whose own runtime is PyTorch on the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from mbench.core.records import Variant
from mbench.networks import importing, torch_network
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder
from mbench.networks.importers.imported import Imported


def separable() -> Graph:
    """Return a network of one input and one output, with two depthwise-separable blocks."""
    builder = GraphBuilder()
    x = builder.input("image", (1, 3, 16, 16))
    x = builder.convolution("stem", x, 8, kernel=3, stride=2, activation="relu")
    for block in ("one", "two"):
        with builder.block(block):
            x = builder.convolution("dw", x, 8, kernel=3, groups=8, activation="relu6")
            x = builder.convolution("pw", x, 8, activation="relu")
    x = builder.add("reshape", "flat", builder.add("global_avg_pool", "pool", x), shape=(1, 8))
    return builder.graph(builder.linear("fc", x, 10))


def two_by_two() -> Graph:
    """Return a network that reads an image and a vector, and gives scores and a sum."""
    builder = GraphBuilder()
    image, hint = builder.input("image", (1, 3, 8, 8)), builder.input("hint/0.npy", (1, 4))
    x = builder.convolution("conv", image, 4, kernel=3, activation="relu")
    x = builder.add("reshape", "flat", builder.add("global_avg_pool", "pool", x), shape=(1, 4))
    both = builder.add("add", "both", x, hint)
    return builder.graph(builder.linear("fc", both, 10), builder.add("clip", "<clipped>", both, low=-np.inf, high=0.75))


def imported(graph: Graph | None = None, **changes: Any) -> Imported:
    """Return a network as a front end gives it; its outputs are PyTorch's on the graph."""
    made = graph or separable()
    parameters = torch_network.draw(made)

    def run(inputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        given = {name: torch.from_numpy(value) for name, value in inputs.items()}
        return tuple(output.numpy() for output in torch_network.run(made, parameters, given))

    told: dict[str, Any] = {
        "graph": made, "parameters": parameters, "source": "onnx", "name": "my net", "producer": "a tool 1.0",
        "opset": 18, "reference": "a runtime 2.0 on the same file", "run": run,
    }  # fmt: skip
    return Imported(**{**told, **changes})


def kept(graph: Graph | None = None, **changes: Any) -> Variant:
    """Return a network that lies in the cache."""
    return importing.kept(imported(graph, **{"file_sha256": "f" * 64, **changes}), "net.onnx")
