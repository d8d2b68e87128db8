"""Networks quantised in tests, and how their bytes differ from ONNX Runtime's on the QDQ file of the same network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import torch
from benchmark_scripts import script

from mbench.networks import calibration, folding, integer_graph, quantize, torch_network, torch_operations
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder
from mbench.networks.integer_graph import QdqNetwork
from mbench.networks.quantize import QuantizedNetwork, QuantizeOptions

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A network on floats, folded, and the one on whole numbers that was made of it."""

    graph: Graph
    parameters: Arrays
    network: QuantizedNetwork

    @property
    def operations(self) -> list[str]:
        return [node.op for node in self.network.graph.nodes]

    @property
    def left_float(self) -> dict[str, str]:
        return {each.name: each.reason for each in self.network.left_float}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bytes:
    """How many bytes differ, of how many, by how much at most."""

    differing: int
    """Of operations that ONNX Runtime computes in whole numbers."""
    differing_by_floats: int
    """Of those that it computes in float32: sums with a residual, and what is rounded of floats that are computed."""
    compared: int
    largest: int


def images(graph: Graph, count: int, seed: int) -> list[dict[str, np.ndarray]]:
    generator = np.random.default_rng(seed)
    return [
        {name: generator.standard_normal(given.shape).astype(np.float32) for name, given in graph.inputs.items()}
        for _ in range(count)
    ]


def quantized(graph: Graph, *, given: Arrays | None = None, **options: Any) -> Case:
    """Draw the parameters of a graph that is not folded, but for those that are given, and quantise it."""
    folded = folding.fold(graph)
    parameters = folded.parameters({**torch_network.draw(graph), **(given or {})})
    ranges = calibration.ranges(folded.graph, parameters, images(graph, 4, seed=1))
    network = quantize.quantized(folded.graph, parameters, ranges, QuantizeOptions(**options))
    return Case(graph=folded.graph, parameters=parameters, network=network)


def of_one_input(builder: GraphBuilder, *outputs: str, **options: Any) -> Case:
    return quantized(builder.graph(*outputs), **options)


def computed(graph: Graph, parameters: Arrays, inputs: Arrays) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """Return the outputs of a graph, and all values of its nodes."""
    values: dict[str, np.ndarray] = {}
    given = {name: torch.from_numpy(np.array(each)) for name, each in inputs.items()}

    def keep(name: str, value: torch.Tensor) -> None:
        values[name] = value.numpy()

    outputs = torch_network.run(graph, parameters, given, watch=keep)
    return [each.numpy() for each in outputs], values


def by_onnx_runtime(network: QdqNetwork, inputs: Arrays) -> dict[str, np.ndarray]:
    """Return the outputs of the QDQ file, and every value that it rounds, by ONNX Runtime."""
    import onnxruntime

    model = script("qdq_writer").model(network)
    rounded = [node.name for node in network.graph.nodes if node.op == "quantize"]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in rounded)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.qdqisint8allowed", "1")  # else int8 becomes uint8, or float32
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, map(np.asarray, session.run(None, dict(inputs))), strict=True))


def beside_onnx_runtime(network: QdqNetwork, inputs: Arrays) -> Bytes:
    """Compare every byte of a network's rounded values with ONNX Runtime's, and its outputs.

    Each operation reads ONNX Runtime's bytes: one that differs would change thousands in the layers after it.
    """
    whole, expected = integer_graph.lowered(network), by_onnx_runtime(network, inputs)
    rounded = {value: name for name, value in whole.values.items()}
    values = {name: torch.from_numpy(np.array(each)) for name, each in {**whole.parameters, **inputs}.items()}
    differing, compared, largest = {False: 0, True: 0}, 0, 0
    for node in whole.graph.nodes:
        found = torch_operations.OPERATIONS[node.op](node, *(values[name] for name in node.inputs))
        if node.name in rounded:
            theirs = expected[rounded[node.name]]
            steps = np.abs(found.numpy().astype(int) - theirs.astype(int))
            by_floats = len(node.inputs) == len(("sums", "multiplier", "residual")) or (
                node.op == "quantize" and node.inputs[0] not in whole.graph.inputs
            )
            differing[by_floats] += int(np.count_nonzero(steps))
            compared += steps.size
            largest, found = max(largest, int(steps.max())), torch.from_numpy(np.array(theirs))
        values[node.name] = found
    for before, name in zip(network.graph.outputs, whole.graph.outputs, strict=True):
        assert np.abs(values[name].numpy() - expected[before]).max() <= 1e-4 * np.abs(expected[before]).max()
    return Bytes(differing=differing[False], differing_by_floats=differing[True], compared=compared, largest=largest)
