"""One operation at a time: what it gives as mbench means it, and as ONNX Runtime computes its own of that name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from mbench.networks import operations, torch_operations
from mbench.networks.graph import Node


def value(op: str, *read: np.ndarray, **attributes: Any) -> np.ndarray:
    """Return what a node gives, as `operations` says that it is shaped and typed."""
    known = operations.of(op)
    shape = known.shape(tuple(each.shape for each in read), attributes)
    dtype = known.dtype(tuple(str(each.dtype) for each in read), attributes)
    node = Node(name="node", op=op, inputs=(), shape=shape, dtype=dtype, attributes=attributes)
    found: np.ndarray = torch_operations.OPERATIONS[op](node, *map(torch.from_numpy, read)).numpy()
    assert found.shape == shape
    assert str(found.dtype) == dtype
    return found


def onnx(kind: str, *read: np.ndarray, **attributes: Any) -> np.ndarray:
    """Return what ONNX Runtime's operator of that name gives."""
    import onnxruntime

    model = one_node(kind, read, attributes).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    [found] = session.run(None, {f"x{place}": each for place, each in enumerate(read)})
    assert isinstance(found, np.ndarray)
    return found


def one_node(kind: str, read: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> Any:
    """Return a model of ONNX with one operator."""
    from onnx import helper

    names = [f"x{place}" for place in range(len(read))]
    read_types = [helper.np_dtype_to_tensor_dtype(each.dtype) for each in read]
    described = zip(names, read_types, [each.shape for each in read], strict=True)
    graph = helper.make_graph(
        [helper.make_node(kind, names, ["y"], **attributes)],
        "one",
        [helper.make_tensor_value_info(*each) for each in described],
        [helper.make_empty_tensor_value_info("y")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
