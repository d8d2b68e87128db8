"""Quantisation: a network of float32 and the ranges of its values become a network of 8-bit whole numbers.

Two steps. The first, here, says where a value is rounded to 8 bits: nodes `quantize` and `dequantize` stand around
operations on floats, as in an ONNX file with QuantizeLinear and DequantizeLinear (QDQ). The second, `integer_graph`,
makes whole-number operations of that; it does the same with users' QDQ files. docs/int8.md defines the arithmetic.

A value is rounded once: what follows a convolution or a sum and only clamps (ReLU, ReLU6, clip) moves the bounds of the
rounding, and a residual is added before it. A chain of functions of one number is one table.
"""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from mbench.core.errors import UsageError
from mbench.networks import integer_forms as forms
from mbench.networks import integer_graph, quantization
from mbench.networks.graph import Graph, GraphError, Node, TensorType, free_name, needed
from mbench.networks.integer_graph import FloatNode, QdqNetwork
from mbench.networks.quantization import Quantization, ValueRange

_ALWAYS = ("sums", "add")
"""Forms in whole numbers wherever they stand. The others are so between such: otherwise they would add roundings."""
KEPT = "it is kept float, as was asked"


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantizeOptions:
    """How a network is quantised."""

    activations: str = quantization.DTYPES[0]
    """uint8 or int8."""
    largest_weight: int = quantization.LARGEST_WEIGHT
    """127; 63 for processors whose sums of two multiplications are 16 bits wide."""
    residual: Literal["fused", "rounded"] = "fused"
    """Whether what a residual is added to is rounded to 8 bits before; ONNX Runtime does so."""
    keep_float: tuple[str, ...] = ()
    """Patterns of names, with `*` and `?`, of nodes or of what the user's file calls them."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class QuantizedNetwork:
    """A network in whole numbers, and the one of floats with the same roundings."""

    graph: Graph
    parameters: Mapping[str, np.ndarray]
    qdq: QdqNetwork
    values: Mapping[str, str]
    """Values of the float graph that are rounded to 8 bits → those that they became, in `graph`."""
    left_float: tuple[FloatNode, ...]
    """What is still computed in float32, and why."""


def quantized(
    graph: Graph,
    parameters: Mapping[str, np.ndarray],
    ranges: Mapping[str, ValueRange],
    options: QuantizeOptions | None = None,
) -> QuantizedNetwork:
    """Return a network in whole numbers.

    Args:
        graph: float32, folded; see `folding.as_compiled`.
        parameters: its numbers.
        ranges: of its inputs and nodes, as `calibration.ranges` gives them.
        options: how; the default if there are none.

    Raises:
        GraphError: the graph is not folded, or not of float32.
        UsageError: a pattern of `keep_float` fits no node, or a weight is not finite.
    """
    strange = next((node for node in graph.nodes if node.op == "batch_norm" or node.dtype == "float16"), None)
    if strange is not None:
        raise GraphError(f"node {strange.name!r} ({strange.op}, {strange.dtype}): expected a folded graph of float32")
    marked = _Marking(graph, parameters, ranges, options or QuantizeOptions())
    qdq = marked.network()
    whole = integer_graph.lowered(qdq)
    values = {value: whole.values[name] for value, name in marked.quantized.items() if name in whole.values}
    return QuantizedNetwork(
        graph=whole.graph, parameters=whole.parameters, qdq=qdq, values=values, left_float=whole.left_float
    )


class _Marking:
    """Decides which nodes are computed in whole numbers, and writes the graph with its roundings."""

    def __init__(
        self,
        graph: Graph,
        parameters: Mapping[str, np.ndarray],
        ranges: Mapping[str, ValueRange],
        options: QuantizeOptions,
    ) -> None:
        self.graph, self.options, self.ranges = graph, options, ranges
        self.parameters = dict(parameters)
        self.quantized: dict[str, str] = {}
        """Float values → the nodes that round them."""
        self._reals: dict[str, str] = {}
        """Float values → the nodes that make floats of them again."""
        self._scales: dict[str, np.ndarray] = {}
        self._grids: dict[str, str] = {}
        self._places = {node.name: place for place, node in enumerate(graph.nodes)}
        self._kept = _kept(graph, options.keep_float)
        self._forms = self._whole()
        self._kinds: dict[str, str] = {}
        self._known: dict[str, Quantization] = {}
        self._nodes: list[Node] = []
        self._taken = {*graph.inputs, *graph.parameters, *graph.by_name}
        for node in graph.nodes:
            self._kinds[node.name] = self._kind(node)

    def network(self) -> QdqNetwork:
        """Return the graph with its roundings, and weights that are whole numbers times scales."""
        for node in self.graph.nodes:
            whole = node.name in self._forms
            read = tuple(self._read(name, node) if whole else self._read_as_float(name) for name in node.inputs)
            if whole and node.op in forms.WEIGHTED:
                read = (read[0], self._weight(node), *read[2:])
            self._nodes.append(dataclasses.replace(node, inputs=read))
        outputs = tuple(self._output(name) for name in self.graph.outputs)
        types = {name: TensorType.of(array) for name, array in self.parameters.items()}
        written = needed(self.graph.inputs, types, self._nodes, outputs)
        return QdqNetwork(
            graph=written,
            parameters={name: self.parameters[name] for name in written.parameters},
            scales={name: scale for name, scale in self._scales.items() if name in written.parameters},
            kept=dict.fromkeys(self._kept, KEPT),
        )

    # What is computed in whole numbers.

    def _whole(self) -> dict[str, str]:
        """Return the form of each node that is computed in whole numbers."""
        known = {
            node.name: found
            for node in self.graph.nodes
            if node.name not in self._kept and (found := forms.form(self.graph, node))
        }
        read: set[str] = set()
        for node in reversed(self.graph.nodes):
            if node.name in known and (known[node.name] in _ALWAYS or node.name in read):
                read.update(self.graph.operands(node))
            else:
                known.pop(node.name, None)
        made = set(self.graph.inputs)
        for node in self.graph.nodes:
            if node.name not in known:
                continue
            before = made if known[node.name] == "pass" else made - set(self.graph.inputs)
            if known[node.name] in _ALWAYS or before & set(self.graph.operands(node)):
                made.add(node.name)
            else:
                del known[node.name]
        return known

    def _kind(self, node: Node) -> str:
        """Return what can still be done to a node's value before it is rounded.

        `sums`: a residual is added, or it is clamped; `bounded`: it is clamped; `affine`: that, or scaled; `table`: any
        function is applied; nothing: it is made of 8 bits.
        """
        found = self._forms.get(node.name, "")
        if found == "table":
            taken = self._absorbs(node, node.inputs[0])
            return "bounded" if taken and self._kinds[node.inputs[0]] != "table" else "table"
        if found == "sums" and node.op not in forms.SUMMED:
            return "bounded"
        return {"sums": "sums", "add": "bounded", "affine": "affine"}.get(found, "")

    def _absorbs(self, node: Node, name: str) -> bool:
        """Return whether a node takes a value before it is rounded to 8 bits."""
        kind = self._kinds.get(name, "")
        if not kind or node.name not in self._forms or self.graph.only_user(name) is not node:
            return False
        if node.op in forms.CLAMPS:
            return True
        if kind == "table":
            return self._forms[node.name] == "table"
        if kind == "affine" and self._forms[node.name] == "affine":
            return True
        return node.op == "add" and self._summand(node) == name

    def _summand(self, node: Node) -> str | None:
        """Return which operand of a sum gives its sums: the last that is made, and nothing else reads."""
        if self.options.residual != "fused" or len(set(self.graph.operands(node))) != len(node.inputs):
            return None
        able = [
            name
            for name in node.inputs
            if self._kinds.get(name) == "sums"
            and self.graph.only_user(name) is node
            and self.graph.shape(name) == node.shape
        ]
        return max(able, key=self._places.__getitem__, default=None)

    # Where values are rounded.

    def _is_rounded(self, name: str) -> bool:
        return any(
            user.name in self._forms and not self._absorbs(user, name)
            for user in self.graph.users[name]
            if user.op not in forms.WEIGHTED or user.inputs[0] == name
        )

    def _read(self, name: str, node: Node) -> str:
        """Return the name by which a node in whole numbers reads a value."""
        plain = name in self.graph.parameters or "float" not in self.graph.type_of(name).dtype
        return name if plain or self._absorbs(node, name) else self._rounded(name)

    def _read_as_float(self, name: str) -> str:
        floating = name not in self.graph.parameters and "float" in self.graph.type_of(name).dtype
        return self._rounded(name) if floating and self._is_rounded(name) else name

    def _output(self, name: str) -> str:
        """Return the name of an output: sums become floats as they are, all else from 8 bits."""
        rounded = name in self._forms and (self._is_rounded(name) or self._kinds[name] != "sums")
        return self._rounded(name) if rounded else name

    def _rounded(self, name: str) -> str:
        """Return the name of a value rounded to 8 bits, as a float again."""
        if name not in self.quantized:
            known, given = self._quantization(name), self.graph.type_of(name)
            node = self.graph.by_name.get(name)
            common: dict[str, Any] = {
                "shape": given.shape, "block": node.block if node else None, "role": node.role if node else "other",
                "source_names": node.source_names if node else (),
            }  # fmt: skip
            whole, real = self._fresh(f"{name}.quantize"), self._fresh(f"{name}.dequantize")
            self._nodes.append(
                Node(
                    name=whole, op="quantize", inputs=(name,), dtype=known.dtype, attributes=known.attributes, **common
                )
            )
            back = {"scale": known.scale, "zero_point": known.zero_point}
            self._nodes.append(Node(name=real, op="dequantize", inputs=(whole,), attributes=back, **common))
            self.quantized[name], self._reals[name] = whole, real
        return self._reals[name]

    def _quantization(self, name: str) -> Quantization:
        """Return how a value is rounded: as what it was made of where it is passed on, or what it is put beside."""
        if name not in self._known:
            self._known[name] = self._found_quantization(name)
        return self._known[name]

    def _found_quantization(self, name: str) -> Quantization:
        found, node = self._forms.get(name, ""), self.graph.by_name.get(name)
        if node is not None and found in ("pass", "pad"):
            before = self._quantization(node.inputs[0])
            value = float(node.attributes.get("value", 0.0)) if found == "pad" else 0.0
            if before.holds(value):
                return before
        reader = self.graph.only_user(name)
        if reader is not None and self._forms.get(reader.name) == "concat":
            return self._quantization(reader.name)
        if name not in self.ranges:
            raise GraphError(f"the calibration has no range of {name!r}")
        return quantization.of_range(self.ranges[name], self.options.activations)

    # Weights.

    def _weight(self, node: Node) -> str:
        """Return the name of a node's weights, as whole numbers times scales."""
        name, *bias = node.inputs[1:]
        if name in self._grids:
            return self._grids[name]
        for each in (name, *bias):
            if not np.isfinite(self.parameters[each]).all():
                raise UsageError(f"parameter {each!r} of node {node.name!r} has NaN or infinite numbers")
        groups = node.attributes.get("groups", 1)
        weight = quantization.channels_first(node.op, self.parameters[name], groups)
        scales = quantization.weight_scales(
            weight, largest=self.options.largest_weight, bias=self.parameters[bias[0]] if bias else None,
            input_scale=self._quantization(node.inputs[0]).scale,
        )  # fmt: skip
        if node.op == "conv2d_transpose":  # ONNX has a scale for each place in a group, the same in all groups
            scales = np.tile(scales.reshape(groups, -1).max(0), groups)
        most = self.options.largest_weight
        whole = np.clip(quantization.whole_weights(weight, scales), -most, most)
        own = name if len(self.graph.users[name]) == 1 else self._fresh(f"{name}.quantized")
        self._grids[name], self._scales[own] = own, scales
        self.parameters[own] = quantization.as_stored(node.op, quantization.real_weights(whole, scales), groups)
        return own

    def _fresh(self, name: str) -> str:
        found = free_name(name, self._taken)
        self._taken.add(found)
        return found


def _kept(graph: Graph, patterns: tuple[str, ...]) -> frozenset[str]:
    """Return the nodes that are kept float.

    Raises:
        UsageError: a pattern fits no node.
    """
    found: set[str] = set()
    for pattern in patterns:
        fitting = {
            node.name
            for node in graph.nodes
            if any(fnmatch.fnmatchcase(name, pattern) for name in (node.name, *node.source_names))
        }
        if not fitting:
            known = ", ".join(node.name for node in graph.nodes[:3])
            raise UsageError(f"{pattern!r} is to stay float, and no layer has such a name; there are {known}, …")
        found |= fitting
    return frozenset(found)
