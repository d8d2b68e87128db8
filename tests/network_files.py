"""Networks of users, made in tests: ONNX files node by node, and an imported graph beside its reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from mbench.networks import torch_network
from mbench.networks.graph import Graph
from mbench.networks.importers import front_ends
from mbench.networks.importers.imported import Imported

Extents = Sequence[int | str | None]


def node(op: str, inputs: str, output: str = "y", **attributes: Any) -> onnx.NodeProto:
    """Return a node; its inputs and outputs are words of a text, `_` for one that is left out."""
    given = ["" if word == "_" else word for word in inputs.split()]
    made = ["" if word == "_" else word for word in output.split()]
    return helper.make_node(op, given, made, **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    *,
    inputs: Mapping[str, Extents] | None = None,
    outputs: Sequence[str] = ("y",),
    constants: Mapping[str, Any] | None = None,
    opset: int = 17,
    types: Mapping[str, int] | None = None,
) -> onnx.ModelProto:
    """Return a model; its outputs say nothing of their shapes, and constants are float32 where they are lists."""
    known = types or {}
    given = {"x": (1, 4, 6, 8)} if inputs is None else inputs
    graph = helper.make_graph(
        list(nodes),
        "network",
        [
            helper.make_tensor_value_info(name, known.get(name, TensorProto.FLOAT), sides)
            for name, sides in given.items()
        ],
        [helper.make_tensor_value_info(name, known.get(name, TensorProto.FLOAT), None) for name in outputs],
        [numpy_helper.from_array(_array(value), name) for name, value in (constants or {}).items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="tests")
    made.ir_version = min(made.ir_version, 10)
    return made


def _array(value: Any) -> np.ndarray:
    return value if isinstance(value, np.ndarray) else np.asarray(value, np.float32)


def written(folder: Path, made: onnx.ModelProto, name: str = "network.onnx") -> Path:
    """Write a model, and return its file."""
    path = folder / name
    path.write_bytes(made.SerializeToString())
    return path


def read(source: Path | str, *, batch: int | None = None, **shapes: tuple[int, ...]) -> Imported:
    """Read a user's network; shapes of inputs are given by their names."""
    return front_ends.read(str(source), shapes=shapes, batch=batch, examples={})


def imported(folder: Path, made: onnx.ModelProto, **shapes: tuple[int, ...]) -> Imported:
    """Write a model and read it."""
    return read(written(folder, made), batch=None, **shapes)


def computed(graph: Graph, parameters: Mapping[str, np.ndarray], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return the outputs of a graph, as torch computes its operations."""
    given = {name: torch.from_numpy(np.array(array)) for name, array in inputs.items() if name in graph.inputs}
    return [each.numpy() for each in torch_network.run(graph, parameters, given)]


def error(found: Imported) -> float:
    """Return the largest error of an imported graph's outputs, over the largest number of its reference's."""
    expected, got = found.run(found.examples), computed(found.graph, found.parameters, found.examples)
    assert len(expected) == len(got)
    worst = 0.0
    for want, have in zip(expected, got, strict=True):
        assert want.shape == have.shape
        assert want.dtype == have.dtype
        assert np.isfinite(want).all()
        scale = max(float(np.abs(want.astype(np.float64)).max(initial=0)), 1e-6)
        worst = max(worst, float(np.abs(want.astype(np.float64) - have.astype(np.float64)).max(initial=0)) / scale)
    return worst


def operations(found: Imported) -> list[str]:
    """Return the operations of an imported graph, in order."""
    return [each.op for each in found.graph.nodes]
