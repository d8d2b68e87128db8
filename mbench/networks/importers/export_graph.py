"""From an exported program to a graph: each of its operations of ATen is read.

Where a program changes a value in-place that something else may see, or has an operation that is not known, torch takes
it apart first (`run_decompositions`): what is changed in-place becomes a function of it, operations that mbench reads
stay whole, and all others become those of torch's table of core operations. Shapes are computed here, from those of the
inputs, and held against torch's.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mbench.core import units
from mbench.core.errors import UsageError, why
from mbench.networks.graph import TensorType
from mbench.networks.importers.export_layer import ExportLayer
from mbench.networks.importers.export_operations import OPERATIONS, advice, refused
from mbench.networks.importers.graph_writer import GraphValue, GraphWriter, LayerError, LayerNames, constant
from mbench.networks.importers.messages import plain
from mbench.networks.importers.whole import ReadGraph

_BAD = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
_NO_DTYPE = "float32"


def read(program: Any, types: Mapping[str, TensorType], where: str) -> ReadGraph:
    """Return the graph of a program.

    Args:
        program: a `torch.export.ExportedProgram`, or a `SavedProgram`.
        types: those of its inputs, every side known.
        where: the file or function, for messages.

    Raises:
        UsageError: the program has a node that cannot be read; the message names it.
    """
    _refuse(program, where)
    if not is_functional(program):
        try:
            program = program.run_decompositions(_table())
        except Exception as error:
            raise UsageError(f"{where}: torch cannot take the program apart: {plain(why(error))}") from error
    return _ProgramReader(program, where).read(types)


def is_functional(program: Any) -> bool:
    """Return whether a program can be read as it is, which saves seconds.

    Each operation is known, and none changes a value that anything else may see: what an in-place operation changes was
    just made by one that makes new values, and nothing else reads it.
    """
    for node in program.graph.nodes:
        if node.op != "call_function" or node.target in _PYTHON:
            continue
        if _name(node.target) not in OPERATIONS:
            return False
        if node.target._schema.is_mutable and _name(node.target) != _DROPOUT:
            changed = node.args[0]
            if changed.op != "call_function" or len(changed.users) != 1 or not _is_fresh(changed.target):
                return False
    return True


def _is_fresh(target: Any) -> bool:
    return _name(target).split(".")[0] in _FRESH or target._schema.is_mutable


_DROPOUT = "dropout.default"
"""In-place, it changes nothing, as long as the network is in evaluation mode; in training mode it is refused."""
_FRESH = (
    "conv2d", "conv1d", "convolution", "conv_transpose2d", "batch_norm", "linear", "layer_norm", "group_norm", "add",
    "mul", "cat", "max_pool2d", "avg_pool2d",
)  # fmt: skip
"""Operations whose results nothing else can see, unless it reads them."""


def _table() -> Any:
    """Return how torch takes operations apart: all that it can, but those that mbench reads as they are."""
    from torch.export.exported_program import default_decompositions

    table = default_decompositions()
    for each in [each for each in table if each.namespace == "aten" and _name(each) in OPERATIONS]:
        del table[each]
    return table


def _name(target: Any) -> str:
    """Return the name of an operation: `conv2d.default`, or with its namespace where it is not ATen's."""
    operation, _, form = str(target).removeprefix("aten.").partition(".")
    in_place = operation.endswith("_") and not operation.endswith("__")
    return f"{operation[:-1] if in_place else operation}.{form}"


def _refuse(program: Any, where: str) -> None:
    for node in program.graph.nodes:
        target = node.target
        name = target.name() if hasattr(target, "name") and callable(target.name) else str(target)
        if type(target).__module__.startswith("torch._higher_order_ops"):
            name = f"higher_order::{name}"
        reason = refused(name) if node.op == "call_function" else None
        if reason:
            raise UsageError(f"{where}: layer {_layer(node).name!r}, operation {name.rsplit('::', 1)[-1]}: {reason}")


def _layer(node: Any) -> LayerNames:
    """Return what the user calls the layer of a node: the path of the innermost module around it."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = re.sub(r"^L\['self'\]\.?|^L__self___?|@\d+", "", str(stack[-1][0])) if stack else ""
    if path:
        return LayerNames(name=path, is_path=True, source_names=(path,))
    return LayerNames(name=str(node.name), source_names=(str(node.name),))


class _ProgramReader:
    def __init__(self, program: Any, where: str) -> None:
        self._program, self._where = program, where
        self._writer = GraphWriter()
        self._values: dict[Any, Any] = {}
        self._macs: dict[str, int] = {}

    def read(self, types: Mapping[str, TensorType]) -> ReadGraph:
        for node in self._program.graph.nodes:
            if node.op == "placeholder":
                self._values[node] = self._placeholder(node, types)
        for node in self._needed():
            self._read(node)
        outputs = self._outputs()
        try:
            graph = self._writer.graph(outputs)
        except LayerError as error:
            raise UsageError(f"{self._where}: {error}") from error
        parameters = {name: self._writer.parameters[name] for name in graph.parameters}
        return ReadGraph(graph=graph, parameters=parameters, macs=self._macs)

    def _placeholder(self, node: Any, types: Mapping[str, TensorType]) -> Any:
        """Return an input, or a weight: it is copied out of torch when something reads it."""
        if node.name in types:
            try:
                return self._writer.input(node.name, types[node.name])
            except LayerError as error:
                raise UsageError(f"{self._where}: input {node.name!r}: {error}") from error
        spec = next(each for each in self._program.graph_signature.input_specs if each.arg.name == node.name)
        if spec.target is None:
            return getattr(spec.arg, "value", None)
        held = self._program.state_dict.get(spec.target)
        tensor = self._program.constants.get(spec.target) if held is None else held
        return None if tensor is None else constant(array_of(tensor), spec.target)

    def _needed(self) -> list[Any]:
        """Return the nodes that the outputs need, in order."""
        wanted = set(self._program.graph.output_node().all_input_nodes)
        nodes = []
        for node in reversed(self._program.graph.nodes):
            if node in wanted and node.op == "call_function":
                nodes.append(node)
                wanted.update(node.all_input_nodes)
        return nodes[::-1]

    def _outputs(self) -> list[GraphValue]:
        found: list[GraphValue] = []
        node = self._program.graph.output_node()
        for given, spec in zip(node.args[0], self._program.graph_signature.output_specs, strict=True):
            if spec.kind.name == "USER_INPUT_MUTATION":
                raise UsageError(
                    f"{self._where}: the network changes its own input {spec.target!r}; let it change a copy"
                )
            if spec.kind.name != "USER_OUTPUT":
                raise UsageError(
                    f"{self._where}: the network changes {spec.target!r} when it runs, as in training; call "
                    "network.eval() before the export"
                )
            value = self._values.get(given)
            if not isinstance(value, GraphValue):
                raise UsageError(f"{self._where}: output {len(found) + 1} is no tensor; return tensors alone")
            found.append(value)
        return found

    def _read(self, node: Any) -> None:
        self._writer.layer = layer = self._layer(node)
        name = _name(node.target)
        said = f"{self._where}: layer {layer.name!r}, operation {name}"
        if node.target in _PYTHON:
            try:
                self._values[node] = _PYTHON[node.target](*self._argument(node.args))
            except _BAD as error:
                said = f"{self._where}: layer {layer.name!r}, operation {node.target.__name__}"
                raise UsageError(f"{said}: {plain(why(error))}") from error
            return
        if name not in OPERATIONS:
            raise UsageError(f"{said}: {advice(str(node.target))}")
        try:
            made = OPERATIONS[name](
                ExportLayer(arguments=self._arguments(node), dtype=_dtype(node), writer=self._writer)
            )
            self._check_shape(node, made)
        except _BAD as error:
            raise UsageError(f"{said}: {plain(why(error))}") from error
        self._values[node] = made
        self._count(node, name, made)

    def _layer(self, node: Any) -> LayerNames:
        """Return what the user calls the layer of a node: what its weights are called, else its module."""
        for given in node.args[1:2]:
            value = self._values.get(given) if not isinstance(given, list | tuple) else None
            if isinstance(value, GraphValue) and value.name.endswith(".weight"):
                path = value.name.removesuffix(".weight")
                return LayerNames(name=path, is_path=True, source_names=(path,))
        return _layer(node)

    def _arguments(self, node: Any) -> dict[str, Any]:
        """Return the arguments of a node by their names in its schema."""
        given = self._argument(node.args)
        found = {}
        for place, argument in enumerate(node.target._schema.arguments):
            if place < len(given):
                found[argument.name] = given[place]
            else:
                found[argument.name] = self._argument(node.kwargs.get(argument.name, argument.default_value))
        return found

    def _argument(self, given: Any) -> Any:
        """Return an argument with the values in the place of nodes; ATen's lists hold no lists."""
        if hasattr(given, "all_input_nodes"):
            return self._values[given]
        if isinstance(given, list | tuple):
            return [self._argument(each) for each in given]
        return given

    def _check_shape(self, node: Any, made: Any) -> None:
        """Compare the shape of what was written with torch's own."""
        known = node.meta.get("val")
        if isinstance(made, GraphValue) and hasattr(known, "shape"):
            sides = [side for side in known.shape if isinstance(side, int)]
            if len(sides) == len(known.shape) and tuple(sides) != made.shape:
                raise LayerError(
                    f"mbench makes a value of {units.shape(made.shape)}, and torch one of {units.shape(tuple(sides))}; "
                    "this is a defect of mbench: please report it"
                )

    def _count(self, node: Any, name: str, made: Any) -> None:
        """Count the multiply-adds of a node from its arguments, and not from what was written for it."""
        if name in _MACS and isinstance(made, GraphValue) and not made.is_constant:
            self._macs[str(node.name)] = _MACS[name](self._arguments(node), made)


def array_of(tensor: Any) -> np.ndarray:
    """Return the numbers of a torch tensor.

    Raises:
        LayerError: numpy has no such numbers.
    """
    try:
        return np.asarray(tensor.detach().cpu().contiguous().numpy())
    except TypeError as error:
        raise LayerError(f"its numbers are {str(tensor.dtype).removeprefix('torch.')}; expected float32") from error


def _dtype(node: Any) -> str:
    value = node.meta.get("val")
    first = value[0] if isinstance(value, list | tuple) and value else value
    return str(getattr(first, "dtype", f"torch.{_NO_DTYPE}")).removeprefix("torch.")


def _of_convolution(known: Mapping[str, Any], made: GraphValue) -> int:
    weight: GraphValue = known["weight"]
    whole: GraphValue = known["input"] if known.get("transposed") else made
    return math.prod(whole.shape) * math.prod(weight.shape[1:])


def _of_transposed(known: Mapping[str, Any], _made: GraphValue) -> int:
    x: GraphValue = known["input"]
    weight: GraphValue = known["weight"]
    return math.prod(x.shape) * math.prod(weight.shape[1:])


def _of_attention(known: Mapping[str, Any], made: GraphValue) -> int:
    query: GraphValue = known["query"]
    key: GraphValue = known["key"]
    return math.prod(query.shape[:-1]) * key.shape[-2] * (query.shape[-1] + made.shape[-1])


def _of_product(left: str) -> Callable[[Mapping[str, Any], GraphValue], int]:
    return lambda known, made: math.prod(made.shape) * known[left].shape[-1]


_MACS: dict[str, Callable[[Mapping[str, Any], GraphValue], int]] = {
    **dict.fromkeys(("convolution.default", "conv2d.default", "conv1d.default"), _of_convolution),
    **dict.fromkeys(("conv_transpose2d.input", "conv_transpose1d.default"), _of_transposed),
    "scaled_dot_product_attention.default": _of_attention,
    "linear.default": _of_product("input"),
    **dict.fromkeys(("mm.default", "bmm.default", "matmul.default"), _of_product("self")),
    "addmm.default": _of_product("mat1"),
    "baddbmm.default": _of_product("batch1"),
}


def _item(values: Any, place: Any) -> Any:
    """Return one of the values that an operation gives."""
    if isinstance(values, tuple) and place >= len(values):
        raise LayerError(f"it reads value {place + 1} of an operation, such as the places of the largest elements; "
                         f"mbench gives {len(values)} alone")  # fmt: skip
    return operator.getitem(values, place)


_PYTHON: dict[Any, Callable[..., Any]] = {
    operator.getitem: _item,
    operator.add: operator.add,
    operator.sub: operator.sub,
    operator.mul: operator.mul,
    operator.floordiv: operator.floordiv,
    operator.mod: operator.mod,
    operator.neg: operator.neg,
    operator.truediv: operator.truediv,
    operator.pow: operator.pow,
    math.floor: math.floor,
    math.ceil: math.ceil,
    math.trunc: math.trunc,
}
"""What programs compute of sizes, where some of them are open."""
