"""A graph with its parameters as an ONNX model, written node by node; what ONNX Runtime, OpenVINO and MNN load.

Not an exporter of torch modules: names, shapes and order are those of the graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mbench.networks.graph import Graph, Node, TensorType

_OPSET = 17
_IR_VERSION = 8  # of that opset's time, so that older readers take the file
_TYPES = {
    "float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8, "int8": TensorProto.INT8,
}  # fmt: skip
_MATRIX_RANK = 2


class OnnxError(ValueError):
    """ONNX has no form for a node or a type of the graph."""


def model(graph: Graph, parameters: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """Return the model of a graph, folded or not.

    Args:
        graph: the network; its inputs and outputs keep their names and shapes.
        parameters: the numbers of all its parameters, which become the graph's type.

    Raises:
        OnnxError: there is no form for an operation or a type.
    """
    return assembled(OnnxWriter(graph, parameters), OPERATIONS)


def assembled(writer: OnnxWriter, forms: Mapping[str, OnnxForm]) -> onnx.ModelProto:
    """Return the model of a writer's graph.

    Args:
        writer: that nothing was written with yet.
        forms: how each operation is written.

    Raises:
        OnnxError: there is no form for an operation or a type.
    """
    graph = writer.graph
    for node in graph.nodes:
        if node.op not in forms:
            raise OnnxError(f"operation {node.op!r} of node {node.name!r} has no form in ONNX here")
        forms[node.op](writer, node)
    written = helper.make_graph(
        writer.nodes,
        "mbench",
        [_described(name, graph.type_of(name)) for name in graph.inputs],
        [_described(name, graph.type_of(name)) for name in graph.outputs],
        writer.constants,
    )
    made = helper.make_model(written, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    onnx.checker.check_model(made)
    return made


def _described(name: str, given: TensorType) -> onnx.ValueInfoProto:
    if given.dtype not in _TYPES:
        raise OnnxError(f"type {given.dtype!r} of {name!r} has no form in ONNX here; expected {', '.join(_TYPES)}")
    return helper.make_tensor_value_info(name, _TYPES[given.dtype], given.shape)


class OnnxWriter:
    """Collects the nodes and constants of a model."""

    def __init__(self, graph: Graph, parameters: Mapping[str, np.ndarray]) -> None:
        self.graph = graph
        self.parameters = parameters
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._written: set[str] = set()

    def constant(self, name: str, value: np.ndarray) -> str:
        """Add a constant, once for each name; returns the name."""
        if name not in self._written:
            self._written.add(name)
            self.constants.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def number(self, node: Node, role: str, value: float) -> str:
        """Add a constant of one number, of the node's type."""
        return self.constant(f"{node.name}/{role}", np.array(value, node.dtype))

    def read(self, name: str) -> str:
        """Return the name of a value; a parameter is written when it is first read."""
        if name not in self.graph.parameters:
            return name
        return self.constant(name, self.parameters[name].astype(self.graph.type_of(name).dtype))

    def add(self, op: str, node: Node, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node of ONNX; its value is the graph's node's, unless `output` says what part of it."""
        value = f"{node.name}/{output}" if output else node.name
        self.nodes.append(helper.make_node(op, inputs, [value], name=value, **attributes))
        return value


OnnxForm = Callable[[OnnxWriter, Node], Any]


def _plain(op: str, attributes: Callable[[Node], dict[str, Any]] = lambda _node: {}) -> OnnxForm:
    """Return the form of an operation that ONNX has as well, with its inputs in the same order."""
    return lambda writer, node: writer.add(op, node, *map(writer.read, node.inputs), **attributes(node))


def _window(node: Node) -> dict[str, Any]:
    known = node.attributes
    return {
        "kernel_shape": known["kernel"], "strides": known["strides"], "pads": known["padding"],
        "ceil_mode": int(bool(known.get("ceil_mode", False))),
    }  # fmt: skip


def _conv2d(writer: OnnxWriter, node: Node) -> None:
    known = node.attributes
    writer.add(
        "Conv", node, *map(writer.read, node.inputs), kernel_shape=writer.graph.shape(node.inputs[1])[2:],
        strides=known["strides"], pads=known["padding"], dilations=known["dilation"], group=known["groups"],
    )  # fmt: skip


def _linear(writer: OnnxWriter, node: Node) -> None:
    """Write a Gemm for rows of inputs, else a product of matrices and a sum."""
    x, weight, *bias = node.inputs
    if len(node.shape) == _MATRIX_RANK:
        writer.add("Gemm", node, *map(writer.read, node.inputs), transB=1)
        return
    turned = writer.constant(f"{weight}/turned", writer.parameters[weight].T.astype(node.dtype))
    product = writer.add("MatMul", node, writer.read(x), turned, output="product" if bias else "")
    if bias:
        writer.add("Add", node, product, writer.read(bias[0]))


def _layer_norm(writer: OnnxWriter, node: Node) -> None:
    rank = len(node.shape)
    axes = sorted(axis % rank for axis in node.attributes["axes"])
    if axes != list(range(axes[0], rank)):
        raise OnnxError(f"node {node.name!r} normalises axes {axes} of {rank}; ONNX has the last ones only")
    epsilon = node.attributes["epsilon"]
    writer.add("LayerNormalization", node, *map(writer.read, node.inputs), axis=axes[0], epsilon=epsilon)


def _reshape(writer: OnnxWriter, node: Node) -> None:
    shape = writer.constant(f"{node.name}/shape", np.array(node.shape, np.int64))
    writer.add("Reshape", node, writer.read(node.inputs[0]), shape)


def _slice(writer: OnnxWriter, node: Node) -> None:
    parts = [
        writer.constant(f"{node.name}/{part}", np.array([node.attributes[part]], np.int64))
        for part in ("begin", "end", "axis")
    ]
    writer.add("Slice", node, writer.read(node.inputs[0]), *parts)


def _scale(writer: OnnxWriter, node: Node) -> None:
    writer.add("Mul", node, writer.read(node.inputs[0]), writer.number(node, "factor", node.attributes["factor"]))


def _between(writer: OnnxWriter, node: Node, low: float, high: float) -> None:
    bounds = [
        "" if math.isinf(bound) else writer.number(node, role, bound) for role, bound in (("low", low), ("high", high))
    ]
    writer.add("Clip", node, writer.read(node.inputs[0]), *bounds)


def _silu(writer: OnnxWriter, node: Node) -> None:
    x = writer.read(node.inputs[0])
    writer.add("Mul", node, x, writer.add("Sigmoid", node, x, output="sigmoid"))


def _gelu(writer: OnnxWriter, node: Node) -> None:
    """Write x (1 + erf(x / sqrt 2)) / 2 in the order in which PyTorch's exporter does, which runtimes look for."""
    x = writer.read(node.inputs[0])
    scaled = writer.add("Div", node, x, writer.number(node, "root", math.sqrt(2)), output="scaled")
    risen = writer.add(
        "Add", node, writer.add("Erf", node, scaled, output="erf"), writer.number(node, "one", 1.0), output="risen"
    )
    product = writer.add("Mul", node, x, risen, output="product")
    writer.add("Mul", node, product, writer.number(node, "half", 0.5))


def _gelu_tanh(writer: OnnxWriter, node: Node) -> None:
    """Write x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x³))) / 2."""
    x = writer.read(node.inputs[0])

    def of(op: str, left: str, right: float | str, output: str) -> str:
        other = right if isinstance(right, str) else writer.number(node, f"{output}/number", right)
        return writer.add(op, node, left, other, output=output)

    cube = of("Mul", of("Mul", x, x, "square"), x, "cube")
    inner = of("Mul", of("Add", x, of("Mul", cube, 0.044715, "part"), "sum"), math.sqrt(2 / math.pi), "inner")
    risen = of("Add", writer.add("Tanh", node, inner, output="tanh"), 1.0, "risen")
    writer.add("Mul", node, of("Mul", x, risen, "product"), writer.number(node, "half", 0.5))


OPERATIONS: dict[str, OnnxForm] = {
    "conv2d": _conv2d,
    "linear": _linear,
    "matmul": _plain("MatMul"),
    "batch_norm": _plain("BatchNormalization", lambda node: {"epsilon": node.attributes["epsilon"]}),
    "layer_norm": _layer_norm,
    "max_pool2d": _plain("MaxPool", _window),
    "avg_pool2d": _plain(
        "AveragePool",
        lambda node: {**_window(node), "count_include_pad": int(bool(node.attributes.get("count_include_pad", True)))},
    ),
    "global_avg_pool": _plain("GlobalAveragePool"),
    "softmax": _plain("Softmax", lambda node: {"axis": node.attributes["axis"]}),
    "reshape": _reshape,
    "permute": _plain("Transpose", lambda node: {"perm": node.attributes["axes"]}),
    "concat": _plain("Concat", lambda node: {"axis": node.attributes["axis"]}),
    "slice": _slice,
    "add": _plain("Add"),
    "subtract": _plain("Sub"),
    "multiply": _plain("Mul"),
    "divide": _plain("Div"),
    "maximum": _plain("Max"),
    "minimum": _plain("Min"),
    "scale": _scale,
    "clip": lambda writer, node: _between(writer, node, node.attributes["low"], node.attributes["high"]),
    "relu": _plain("Relu"),
    "relu6": lambda writer, node: _between(writer, node, 0.0, 6.0),
    "hard_swish": _plain("HardSwish"),
    "hard_sigmoid": _plain("HardSigmoid", lambda _node: {"alpha": 1 / 6, "beta": 0.5}),
    "sigmoid": _plain("Sigmoid"),
    "silu": _silu,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "tanh": _plain("Tanh"),
}
