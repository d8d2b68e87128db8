"""From operations on floats between `dequantize` and `quantize` to operations on whole numbers: see docs/int8.md.

What reads such a graph does not know whether mbench rounded its values (`quantize`) or a user's file does. Where there
is no form in whole numbers, a node stays as it is, on floats, and is listed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np

from mbench.networks import integer_forms as forms
from mbench.networks import integer_nodes as pending
from mbench.networks import quantization
from mbench.networks.graph import Graph, Node
from mbench.networks.integer_nodes import Affine, Held, IntegerWriter, Joined, Looked, Pending, Summed, Total
from mbench.networks.quantization import Quantization

_EIGHT = quantization.DTYPES
_SUMS_RANGE = 2**31 - 1
_READ_AS_FLOAT = "it is read or made as floats alone"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class QdqNetwork:
    """A network on floats whose values are rounded by `quantize` and `dequantize`."""

    graph: Graph
    parameters: Mapping[str, np.ndarray]
    scales: Mapping[str, np.ndarray]
    """Weights that are whole numbers times a scale → that scale, (O) or (1) float32, by output channel."""
    kept: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Nodes that are computed on floats whatever they are, and why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FloatNode:
    """A node of a quantised network that is computed on floats."""

    name: str
    op: str
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class IntegerNetwork:
    """A network on whole numbers."""

    graph: Graph
    parameters: Mapping[str, np.ndarray]
    values: Mapping[str, str]
    """Each `quantize` of the graph before → the value of 8 bits that it became."""
    left_float: tuple[FloatNode, ...]


def lowered(network: QdqNetwork) -> IntegerNetwork:
    """Return a network on whole numbers, with the same names where a node is still there."""
    return _IntegerLowering(network).run()


class _IntegerLowering:
    """Goes through the nodes once. A value is held in 8 bits, or known but not rounded yet, or a float."""

    def __init__(self, network: QdqNetwork) -> None:
        self._network, self._graph = network, network.graph
        self._writer = IntegerWriter(network.graph, network.parameters)
        self._states: dict[str, Held | Pending] = {}
        self._floats: dict[str, str] = {name: name for name in (*self._graph.inputs, *self._graph.parameters)}
        self._values: dict[str, str] = {}
        self._left: list[FloatNode] = []
        for name, given in self._graph.inputs.items():
            if given.dtype in _EIGHT:
                self._states[name] = Held(name, Quantization(scale=1.0, zero_point=0, dtype=given.dtype))

    def run(self) -> IntegerNetwork:
        for node in self._graph.nodes:
            if node.op == "quantize":
                self._quantize(node)
            elif node.op == "dequantize" and (held := self._held(node.inputs[0])) is not None:
                known = quantization.of_attributes(node.attributes, held.known.dtype)
                self._states[node.name] = Held(held.name, known)
            elif (state := self._whole(node)) is not None:
                self._states[node.name] = state
            elif "float" not in node.dtype:
                self._float(node)  # places, truths: as they are
        outputs = tuple(self._output(name) for name in self._graph.outputs)
        graph, parameters = self._writer.graph(outputs)
        return IntegerNetwork(
            graph=graph,
            parameters=parameters,
            values={name: value for name, value in self._values.items() if value in graph.by_name},
            left_float=tuple(each for each in self._left if each.name in graph.by_name),
        )

    # States.

    def _held(self, name: str) -> Held | None:
        state = self._states.get(name)
        return state if isinstance(state, Held) else None

    def _output(self, name: str) -> str:
        held = self._held(name)
        if held is not None and "float" not in self._graph.type_of(name).dtype:
            return held.name
        return self._as_float(name)

    def _quantize(self, node: Node) -> None:
        """Round a value to 8 bits as a `quantize` says."""
        known, state = quantization.of_attributes(node.attributes, node.dtype), self._states.get(node.inputs[0])
        if state is None:
            made = self._writer.add(dataclasses.replace(node, inputs=(self._as_float(node.inputs[0]),)))
        elif isinstance(state, Held):
            made = self._writer.rescaled(state, known, node)
        else:
            made = state.rounded(self._writer, known)
        self._states[node.name] = Held(made, known)
        self._values[node.name] = made

    def _as_float(self, name: str) -> str:
        """Return the name of a value as floats; what is not there yet is written, and so is all before it."""
        wanted = [name]
        while wanted:
            last = wanted[-1]
            missing = [] if last in self._floats else self._needed(last)
            if missing:
                wanted += missing
                continue
            if last not in self._floats:
                self._floats[last] = self._written(last)
            wanted.pop()
        return self._floats[name]

    def _needed(self, name: str) -> list[str]:
        """Return the floats that have to be there before a value can be written as floats."""
        state = self._states.get(name)
        if isinstance(state, Held) or (isinstance(state, Summed) and state.is_plain):
            return []
        node = self._graph.by_name[name]
        return [each for each in node.inputs if not self._is_whole_operand(each) and each not in self._floats]

    def _is_whole_operand(self, name: str) -> bool:
        return self._held(name) is not None and self._graph.type_of(name).dtype in _EIGHT

    def _written(self, name: str) -> str:
        state = self._states.get(name)
        if isinstance(state, Held):
            return self._writer.dequantized(state, self._graph.by_name.get(name))
        if isinstance(state, Summed) and state.is_plain:
            return state.as_float(self._writer)
        return self._float(self._graph.by_name[name])

    def _float(self, node: Node) -> str:
        """Write a node on floats as it is."""
        read = []
        for name in node.inputs:
            held = self._held(name) if self._is_whole_operand(name) else None
            read.append(held.name if held is not None else self._as_float(name))
        made = self._writer.add(dataclasses.replace(node, inputs=tuple(read)))
        if node.op not in ("quantize", "dequantize"):
            self._left.append(FloatNode(name=made, op=node.op, reason=self._reason(node)))
        self._floats[node.name] = made
        return made

    def _reason(self, node: Node) -> str:
        if node.name in self._network.kept:
            return self._network.kept[node.name]
        if not forms.form(self._graph, node):
            return forms.reason(self._graph, node)
        known = node.op not in forms.WEIGHTED or self._is_quantized(node.inputs[1])
        held = [name for name in self._graph.operands(node) if self._held(name) is None]
        if not known and not held:
            return "its weights are no whole numbers of 8 bits times a scale"
        if node.op in (*forms.SUMMED, *forms.POOLS) and known and not held:
            return "its sums could exceed 32 bits"
        return _READ_AS_FLOAT

    def _is_quantized(self, weight: str) -> bool:
        return weight in self._network.scales

    # Operations.

    def _whole(self, node: Node) -> Held | Pending | None:
        """Return what a node makes in whole numbers; None where it is computed on floats."""
        if node.name in self._network.kept or node.op == "dequantize":
            return None
        found = forms.form(self._graph, node) if node.dtype not in _EIGHT else _form_of_eight(node)
        return _FORMS[found](self, node) if found else None

    def _sums(self, node: Node) -> Held | Pending | None:
        held = [self._held(name) for name in self._graph.operands(node)]
        known = [each for each in held if each is not None]
        if len(known) < len(held):
            return None
        if node.op in forms.POOLS:
            window = node.attributes.get("kernel", self._graph.shape(node.inputs[0])[2:])
            fits = math.prod(window) * known[0].known.reach <= _SUMS_RANGE
            return pending.pooled(self._writer, node, known[0]) if fits else None
        if node.op in ("multiply", "matmul"):
            x, y = known if len(known) == len(node.inputs) else (known[0], known[0])
            terms = self._graph.shape(node.inputs[0])[-1] if node.op == "matmul" else 1
            fits = terms * x.known.reach * y.known.reach <= _SUMS_RANGE
            return pending.multiplied(self._writer, node, x, y) if fits else None
        return self._weighted(node, known[0])

    def _weighted(self, node: Node, x: Held) -> Pending | None:
        """Return the sums of a convolution or a fully connected layer, where its weights are whole numbers."""
        weight_name, *bias_name = node.inputs[1:]
        scales = self._network.scales.get(weight_name)
        if scales is None:
            return None
        groups = node.attributes.get("groups", 1)
        stored = self._network.parameters[weight_name]
        weight = quantization.channels_first(node.op, stored, groups)
        whole = quantization.whole_weights(weight, scales)
        zero = quantization.weight_zero_point(whole)
        if zero is None:
            return None
        bias = None
        if bias_name:
            steps = scales.astype(np.float64) * x.known.scale
            bias = quantization.whole_bias(self._network.parameters[bias_name[0]], steps)
        largest = _largest_sums(whole, bias, x.known)
        if largest.max() > _SUMS_RANGE:
            return None
        stored = quantization.as_stored(node.op, whole + zero, groups)
        unit = quantization.sum_scale(x.known.scale, np.broadcast_to(scales, len(weight)))
        return pending.weighted(self._writer, node, x, stored, bias, unit, largest, zero)

    def _add(self, node: Node) -> Held | Pending | None:
        first, second = node.inputs[0], node.inputs[-1]
        sign = -1.0 if node.op == "subtract" else 1.0
        for name, other in ((second, first), (first, second)):
            state, held = self._states.get(name), self._held(other)
            able = isinstance(state, Summed) and state.is_plain and self._graph.shape(name) == node.shape
            if node.op == "add" and held is not None and able and self._graph.shape(other) == node.shape:
                assert isinstance(state, Summed)
                return state.plus(held, node)
        x, y = self._held(first), self._held(second)
        return None if x is None or y is None else Total(node=node, x=x, y=y, sign=sign)

    def _affine(self, node: Node) -> Held | Pending | None:
        [operand], [constant] = self._graph.operands(node), self._graph.constants(node)
        state = self._states.get(operand)
        number = self._network.parameters[constant].astype(np.float64)
        if isinstance(state, Held):
            state = Affine(node=node, x=state)
        return state.then(node, number) if isinstance(state, Affine) and not state.is_bounded else None

    def _table(self, node: Node) -> Held | Pending | None:
        state = self._states.get(node.inputs[0])
        if isinstance(state, Held):
            return Looked(node=node, x=state, steps=(node,))
        if isinstance(state, Looked):
            return dataclasses.replace(state, steps=(*state.steps, node))
        if isinstance(state, Summed | Total | Affine) and node.op in forms.CLAMPS:
            return state.clamped(node)
        return None

    def _pass(self, node: Node) -> Held | Pending | None:
        held = self._held(node.inputs[0])
        if held is None:
            return None
        rest = tuple(self._writer.taken_over(name, self._as_float) for name in node.inputs[1:])
        made = self._writer.add(dataclasses.replace(node, inputs=(held.name, *rest), dtype=held.known.dtype))
        return Held(made, held.known)

    def _pad(self, node: Node) -> Held | Pending | None:
        held = self._held(node.inputs[0])
        return None if held is None else Joined(node=node, parts=(held,))

    def _concat(self, node: Node) -> Held | Pending | None:
        held = [self._held(name) for name in node.inputs]
        parts = tuple(each for each in held if each is not None)
        if len(parts) < len(held):
            return None
        whole = Joined(node=node, parts=parts)
        same = all(each.known == parts[0].known for each in parts)
        return Held(whole.rounded(self._writer, parts[0].known), parts[0].known) if same else whole


def _form_of_eight(node: Node) -> str:
    """Return the form of a node that a file has on the whole numbers themselves, as between two floats."""
    return "pass" if node.op in ("reshape", "permute", "slice", "max_pool2d", "expand", "rearrange") else ""


def _largest_sums(weight: np.ndarray, bias: np.ndarray | None, known: Quantization) -> np.ndarray:
    """Return the largest magnitude that the sums of each channel may have, whatever is read: (O) float64."""
    sums = np.abs(weight).reshape(len(weight), -1).sum(1, dtype=np.float64) * known.reach
    return np.asarray(sums if bias is None else sums + np.abs(bias))


_FORMS: dict[str, Callable[[_IntegerLowering, Node], Held | Pending | None]] = {
    "sums": _IntegerLowering._sums,
    "add": _IntegerLowering._add,
    "affine": _IntegerLowering._affine,
    "table": _IntegerLowering._table,
    "pass": _IntegerLowering._pass,
    "pad": _IntegerLowering._pad,
    "concat": _IntegerLowering._concat,
}
