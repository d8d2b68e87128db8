"""From an ONNX model in memory to a graph: node after node, with constants settled, and nothing left out.

No recursion, and time that grows with the number of nodes alone. The model's own edges decide which nodes an output
needs; each of those is read or refused by name.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from mbench.core.errors import UsageError, why
from mbench.networks.graph import TensorType
from mbench.networks.importers import einsum, onnx_names, onnx_order, onnx_quantized
from mbench.networks.importers.graph_writer import GraphValue, GraphWriter, LayerError, constant
from mbench.networks.importers.messages import plain
from mbench.networks.importers.onnx_layer import OnnxLayer
from mbench.networks.importers.onnx_operations import OPERATIONS, advice
from mbench.networks.importers.whole import ReadGraph

_OWN = ("", "ai.onnx")
_BAD = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a node raises that does not fit its operation, such as one with an attribute of another type."""


@dataclasses.dataclass(frozen=True)
class _Alias:
    """At the end of a branch: its outputs, and the names that they have outside."""

    names: tuple[tuple[str, str], ...]


def read(model: Any, types: Mapping[str, TensorType], where: str) -> ReadGraph:
    """Return the graph of a model.

    Args:
        model: an `onnx.ModelProto`, with its weights.
        types: those of its inputs, every side known.
        where: the file, for messages.

    Raises:
        UsageError: the model has a node that cannot be read; the message names it.
    """
    return _OnnxReader(model, where).read(types)


class _OnnxReader:
    def __init__(self, model: Any, where: str) -> None:
        self._graph, self._where = model.graph, where
        self._opset = max((each.version for each in model.opset_import if each.domain in _OWN), default=0)
        self._writer = GraphWriter()
        self._values: dict[str, GraphValue] = {}
        self._macs: dict[str, int] = {}
        self._read_anywhere = {name for node in self._graph.node for name in onnx_order.reads(node)}
        self._read_anywhere.update(each.name for each in self._graph.output)
        self._inside: set[str] = set()  # what nodes of branches make
        self._weights = {each.name: each for each in self._graph.initializer}
        if len(self._weights) < len(self._graph.initializer):
            raise UsageError(f"{where}: two constants have one name; expected a name of its own for each value")
        self._telling = onnx_names.telling(self._graph.node, self._weights)

    def read(self, types: Mapping[str, TensorType]) -> ReadGraph:
        for name, given in types.items():
            try:
                self._values[name] = self._writer.input(name, given)
            except LayerError as error:
                raise UsageError(f"{self._where}: input {name!r}: {error}") from error
        for node in self._nodes():
            if isinstance(node, _Alias):
                for inner, outer in node.names:
                    self._values[outer] = self._value(inner)
            else:
                self._read(node)
        outputs = [self._value(each.name) for each in self._graph.output]
        try:
            graph = self._writer.graph(outputs)
        except LayerError as error:
            raise UsageError(f"{self._where}: {error}") from error
        parameters = {name: self._writer.parameters[name] for name in graph.parameters}
        computed = onnx_order.computed(self._graph.node, [each.name for each in self._graph.output])
        macs = {name: count for name, count in self._macs.items() if name in computed or name in self._inside}
        return ReadGraph(graph=graph, parameters=parameters, macs=macs, scales=self._writer.scales)

    def _nodes(self) -> Iterator[Any]:
        """Yield the nodes in an order of execution; those of a branch in the place of an If that is decided."""
        outputs = [each.name for each in self._graph.output]
        known = {*self._weights, *self._values}
        stack: list[Iterator[Any]] = [iter(onnx_order.needed(self._graph.node, outputs, known, self._where))]
        while stack:
            node = next(stack[-1], None)
            if node is None:
                stack.pop()
            elif not isinstance(node, _Alias) and node.op_type == "If" and (branch := self._branch(node)) is not None:
                self._weights.update({each.name: each for each in branch.initializer})
                self._inside.update(name for inner in branch.node for name in inner.output)
                if len(branch.output) != len(node.output):
                    counts = f"{len(branch.output)} outputs, and its If {len(node.output)}"
                    raise UsageError(f"{self._where}: node {node.name or node.output[0]!r}: a branch has {counts}")
                pairs = tuple(zip((each.name for each in branch.output), node.output, strict=True))
                stack.append(iter([*branch.node, _Alias(pairs)]))
            else:
                yield node

    def _branch(self, node: Any) -> Any | None:
        """Return the branch of an If whose condition is settled."""
        if not node.input or not node.input[0]:
            return None
        condition = self._value(node.input[0])
        if condition.array is None:
            return None
        wanted = "then_branch" if condition.array.reshape(-1)[0] else "else_branch"
        return next((each.g for each in node.attribute if each.name == wanted), None)

    def _value(self, name: str) -> GraphValue:
        """Return a value by its name; a weight is read from the file's bytes when it is first asked for."""
        if name not in self._values:
            if name not in self._weights:
                raise UsageError(f"{self._where}: nothing makes {name!r}, which it reads; the file is damaged")
            try:
                self._values[name] = constant(_array(self._weights[name]), name)
            except _BAD as error:
                raise UsageError(f"{self._where}: constant {name!r} cannot be read: {plain(why(error))}") from error
        return self._values[name]

    def _read(self, node: Any) -> None:
        layer = self._writer.layer = onnx_names.layer_of(node, self._telling)
        said = f"{self._where}: layer {layer.name!r}, operation {plain(node.op_type)} (opset {self._opset})"
        domains = onnx_quantized.DOMAINS if node.op_type in onnx_quantized.OPERATIONS else _OWN
        if node.domain not in domains or node.op_type not in (*OPERATIONS, "Constant"):
            raise UsageError(f"{said}: {advice(node.op_type, node.domain if node.domain not in _OWN else '')}")
        inputs = tuple(self._value(name) if name else None for name in node.input)
        try:
            attributes = {each.name: _attribute(each) for each in node.attribute}
            made = self._made(node, inputs, attributes)
        except _BAD as error:
            raise UsageError(f"{said}: {plain(why(error))}") from error
        results = made if isinstance(made, tuple) else (made,)
        for name, value in zip(node.output, results, strict=False):
            if name in self._values:
                raise UsageError(f"{self._where}: {name!r} is made twice; expected a name of its own for each value")
            if name:
                self._values[name] = value
        self._count(node, inputs, results[0])

    def _made(self, node: Any, inputs: tuple[GraphValue | None, ...], attributes: dict[str, Any]) -> Any:
        if node.op_type == "Constant":
            return _constant(node, attributes)
        return OPERATIONS[node.op_type](
            OnnxLayer(
                op=node.op_type, opset=self._opset, inputs=inputs, attributes=attributes, writer=self._writer,
                outputs=tuple(name if name in self._read_anywhere else "" for name in node.output),
            )
        )  # fmt: skip

    def _count(self, node: Any, inputs: tuple[GraphValue | None, ...], made: GraphValue) -> None:
        """Count the multiply-adds of a node from what the file says of it, and not from what was written for it."""
        if not made.is_constant and (macs := _macs(node, [each for each in inputs if each is not None], made)):
            self._macs[node.output[0]] = macs


def _macs(node: Any, inputs: list[GraphValue], made: GraphValue) -> int:
    if node.op_type == "Conv":
        return math.prod(made.shape) * math.prod(inputs[1].shape[1:])
    if node.op_type == "ConvTranspose":
        return math.prod(inputs[0].shape) * math.prod(inputs[1].shape[1:])
    if node.op_type == "MatMul":
        return math.prod(made.shape) * inputs[0].shape[-1]
    if node.op_type == "Gemm":
        turned = any(each.name == "transA" and each.i for each in node.attribute)
        return math.prod(made.shape) * inputs[0].shape[0 if turned else 1]
    if node.op_type == "Einsum":
        return einsum.macs(next(each.s.decode() for each in node.attribute), *(each.shape for each in inputs))
    return 0


def _array(tensor: Any) -> np.ndarray:
    """Return the numbers of an `onnx.TensorProto`."""
    from onnx import numpy_helper

    from mbench.networks.importers.onnx_types import FOUR_BITS, numpy_name

    if tensor.data_type not in FOUR_BITS:
        numpy_name(tensor.data_type)
    return np.asarray(numpy_helper.to_array(tensor))


_READ_ATTRIBUTES: dict[int, Callable[[Any], Any]] = {
    1: lambda each: float(each.f),
    2: lambda each: int(each.i),
    3: lambda each: each.s.decode("utf-8", "replace"),
    4: lambda each: _array(each.t),
    6: lambda each: tuple(each.floats),
    7: lambda each: tuple(each.ints),
    8: lambda each: tuple(text.decode("utf-8", "replace") for text in each.strings),
}


def _attribute(each: Any) -> Any:
    if each.type not in _READ_ATTRIBUTES:
        raise LayerError(f"its attribute {each.name} is of no type that mbench reads")
    return _READ_ATTRIBUTES[each.type](each)


def _constant(node: Any, attributes: Mapping[str, Any]) -> GraphValue:
    name = node.output[0]
    if "value" in attributes:
        return constant(np.asarray(attributes["value"]), name)
    for key, dtype in (
        ("value_float", "float32"),
        ("value_floats", "float32"),
        ("value_int", "int64"),
        ("value_ints", "int64"),
    ):
        if key in attributes:
            return constant(np.array(attributes[key], dtype), name)
    raise LayerError("it is no tensor of numbers")
