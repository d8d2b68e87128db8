"""Writing the graph of a user's network: values are of the graph or constants, and what constants alone make is folded.

Both front ends write through this, so that shapes, types, names and constants are settled in one place. It knows
nothing of ONNX and nothing of torch.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mbench.core import dtypes, units
from mbench.networks import operations
from mbench.networks.graph import Graph, GraphError, Node, TensorType, needed
from mbench.networks.importers import constants, quotients
from mbench.networks.importers.quotients import Quotients

WEIGHTED = ("conv2d", "conv2d_transpose", "linear", "batch_norm", "instance_norm", "group_norm", "layer_norm", "prelu")
"""Operations with weights of their own: a layer of the user's is called what its weights are."""
_CONSTANT = {"conv2d": (1,), "conv2d_transpose": (1,), "linear": (1,), "batch_norm": (1, 2, 3, 4)}
"""What operations read that has to be known before the network runs: kernels lie as it says, or it is folded."""
_FLOATS = ("float32", "float16", "float64")
_READ = tuple(name for name in dtypes.VALUE_TYPES if name != dtypes.BFLOAT16)
"""Types of values that files may have; numpy, which holds what they are compared with, has no bfloat16."""
_MOST_OF_A_CONSTANT = 2**28
"""Elements of a constant that a file describes: a few bytes of a file can ask for any amount of memory."""
_MOST_OF_A_VALUE = 2**31 - 1
"""Elements of any other value: kernels count them in 32 bits."""


class LayerError(ValueError):
    """What a layer of a file does cannot be written as a graph; the message says why, and what could be done."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class GraphValue:
    """A value while a file is read: of the graph, or a constant whose numbers are known."""

    name: str
    """In the graph; of a constant what the file calls it, or nothing."""
    type: TensorType
    array: np.ndarray | None = None
    """The numbers of a constant."""
    scales: np.ndarray | None = None
    """Of a constant that the file keeps as whole numbers: what these are multiplied by; see `onnx_quantized`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its extents."""
        return self.type.shape

    @property
    def dtype(self) -> str:
        """The type of its numbers, as numpy calls it."""
        return self.type.dtype

    @property
    def rank(self) -> int:
        """How many axes it has."""
        return len(self.type.shape)

    @property
    def is_constant(self) -> bool:
        """Whether its numbers are known."""
        return self.array is not None

    @property
    def is_float(self) -> bool:
        """Whether its numbers are floats."""
        return self.type.dtype in _FLOATS

    @property
    def number(self) -> float | None:
        """The number of a constant that has only one; None of any other value."""
        return float(self.array.reshape(-1)[0]) if self.array is not None and self.array.size == 1 else None


def constant(numbers: Any, name: str = "", scales: np.ndarray | None = None) -> GraphValue:
    """Return a constant."""
    array = np.asarray(numbers)
    return GraphValue(name=name, type=TensorType.of(array), array=array, scales=scales)


Operand = GraphValue | int | float | bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerNames:
    """What the user calls the layer that is being written."""

    name: str
    is_path: bool = False
    """Whether it is the path of a module, which may hold several operations."""
    source_names: tuple[str, ...] = ()


class GraphWriter:
    """Collects nodes and parameters; `layer` says whose they are."""

    def __init__(self) -> None:
        self.layer = LayerNames(name="value")
        self.parameters: dict[str, np.ndarray] = {}
        self.scales: dict[str, np.ndarray] = {}
        """Of parameters that the file keeps as whole numbers."""
        self._inputs: dict[str, TensorType] = {}
        self._nodes: list[Node] = []
        self._taken: set[str] = set()
        self._counts: dict[str, int] = {}
        self._written: dict[int, tuple[GraphValue, str]] = {}
        self._quotients = Quotients()
        self._divisors: dict[str, GraphValue] = {}

    def input(self, name: str, given: TensorType) -> GraphValue:
        """Add an input of the network, by its own name.

        Raises:
            LayerError: mbench has no such values, or none as large.
        """
        _check(given, _MOST_OF_A_CONSTANT)
        self._inputs[name] = given
        self._taken.add(name)
        return GraphValue(name=name, type=given)

    def add(self, op: str, *inputs: Operand, **attributes: Any) -> GraphValue:
        """Add a node, and return its value; a constant where all that it reads is constant, and numpy can compute it.

        Args:
            op: one of `networks.operations.OPERATIONS`.
            inputs: values; a number is a constant of the type of the first value among them.
            attributes: of the operation.

        Raises:
            GraphError: the operation takes no such shapes or types.
            LayerError: what it makes is empty, or too large.
        """
        first = next(each for each in inputs if isinstance(each, GraphValue))
        values = [each if isinstance(each, GraphValue) else constant(np.array(each, first.dtype)) for each in inputs]
        known = operations.of(op)
        dtype = known.dtype(tuple(each.dtype for each in values), attributes)
        arrays = [each.array for each in values if each.array is not None]
        if len(arrays) == len(values) and op in constants.OPERATIONS:
            if op != "slice":  # a part is never larger, and may be empty
                check_elements(math.prod(known.shape(tuple(each.shape for each in values), attributes)))
            array = np.asarray(constants.OPERATIONS[op](attributes, *arrays)).astype(dtype, copy=False)
            view = values[0] if op in constants.VIEWS else constant(())
            return constant(array, view.name, view.scales)
        shape = known.shape(tuple(each.shape for each in values), attributes)
        if not all(extent > 0 for extent in shape):
            raise LayerError("it makes a value without elements; expected shapes in which every side is at least 1")
        made = TensorType(shape=shape, dtype=dtype)
        _check(made, _MOST_OF_A_VALUE)
        computed = next((place for place in _CONSTANT.get(op, ()) if not values[place].is_constant), None)
        if computed is not None:
            raise LayerError(
                f"its input {computed + 1} depends on what the network is given; expected constant weights"
            )
        operations.check_types(op, tuple(each.dtype for each in values), attributes)
        return self._node(op, values, made, attributes)

    def _node(
        self, op: str, values: Sequence[GraphValue], given: TensorType, attributes: Mapping[str, Any]
    ) -> GraphValue:
        base, is_path = self.layer.name, self.layer.is_path
        if (is_path and op not in WEIGHTED) or (not is_path and base in self._taken):
            base = f"{base}.{op}"  # a module may do several things; one node of a file may be several here
        inputs = tuple(self.named(each, f"{base}.constant") for each in values)
        node = Node(
            name=self._fresh(base), op=op, inputs=inputs, shape=given.shape, dtype=given.dtype, attributes=attributes,
            source_names=self.layer.source_names,
        )  # fmt: skip
        for scaled in self._quotients.to_divide(node):
            self._divide(scaled)
        self._nodes.append(node)
        return GraphValue(name=node.name, type=given)

    def named(self, value: GraphValue, otherwise: str = "constant") -> str:
        """Return the name of a value in the graph; a constant becomes a parameter when it is first read."""
        if value.array is None:
            return value.name
        key = id(value.array)
        if key not in self._written:
            name = self._fresh(value.name or otherwise)
            self.parameters[name] = value.array
            if value.scales is not None:
                self.scales[name] = value.scales
            self._written[key] = (value, name)  # the value too: its array must not go while its id is a key
        return self._written[key][1]

    def _fresh(self, wanted: str) -> str:
        """Return a name that nothing has: the one that is wanted, or with the first number from 1 that is free.

        So torch's exporters count the calls of a module.
        """
        name = wanted
        while name in self._taken:
            self._counts[wanted] = self._counts.get(wanted, 0) + 1
            name = f"{wanted}_{self._counts[wanted]}"
        self._taken.add(name)
        return name

    def graph(self, outputs: Sequence[GraphValue]) -> Graph:
        """Return what was written and an output needs; its parameters are in `parameters`.

        An output may be a constant, such as the anchors of a detector, as long as another depends on the inputs.

        Raises:
            LayerError: all outputs are constants, or one of them is such as mbench has none.
        """
        if all(each.is_constant for each in outputs):
            raise LayerError("no output depends on the inputs; expected a network that computes something")
        for place, each in enumerate(outputs):
            if each.is_constant and not math.prod(each.shape):
                raise LayerError(f"output {place + 1} is a constant without elements; leave it out of the outputs")
            _check(each.type, _MOST_OF_A_CONSTANT)
        names = tuple(self.named(each, "output") for each in outputs)
        types = {name: TensorType.of(array) for name, array in self.parameters.items()}
        return needed(self._inputs, types, self._nodes, names)

    def maker(self, value: GraphValue) -> Node | None:
        """Return the node that makes a value; None of an input or a constant."""
        return next((node for node in reversed(self._nodes) if node.name == value.name), None)

    def value(self, name: str) -> GraphValue:
        """Return an input, or what a node makes, by its name in the graph."""
        known = self._inputs | {node.name: TensorType(shape=node.shape, dtype=node.dtype) for node in self._nodes}
        return GraphValue(name=name, type=known[name])

    # Forms that several operations of the files have.

    def scaled(self, x: GraphValue, factor: float) -> GraphValue:
        """Return a value times a number."""
        return x if factor == 1.0 else self.add("scale", x, factor=float(factor))

    def reshaped(self, x: GraphValue, shape: Sequence[int]) -> GraphValue:
        """Return a value in another shape, in the same order."""
        return x if tuple(shape) == x.shape else self.add("reshape", x, shape=tuple(map(int, shape)))

    def permuted(self, x: GraphValue, axes: Sequence[int]) -> GraphValue:
        """Return a value with its axes in another order."""
        order = tuple(axis_of(int(axis), x.rank) for axis in axes)
        if sorted(order) != list(range(x.rank)):
            raise LayerError(f"axes {' '.join(map(str, order))} are no order of the {x.rank} that there are")
        return x if order == tuple(range(x.rank)) else self.add("permute", x, axes=order)

    def part(self, x: GraphValue, axis: int, begin: int, end: int) -> GraphValue:
        """Return the part from `begin` to `end` along an axis."""
        whole = (begin, end) == (0, x.shape[axis])
        return x if whole else self.add("slice", x, axis=axis, begin=int(begin), end=int(end))

    def reduced(self, how: str, x: GraphValue, axes: Sequence[int], *, keepdims: bool) -> GraphValue:
        """Return a reduction: `mean`, `sum`, `max`, `min` or `prod`."""
        found = tuple(sorted({axis_of(int(axis), x.rank) for axis in axes}))
        if not found:
            return x
        if x.dtype == "bool" and how in ("max", "min"):
            numbers = self.reduced(how, self.add("cast", x, to="uint8"), found, keepdims=keepdims)
            return self.add("cast", numbers, to="bool")
        return self.add(f"reduce_{how}", x, axes=found, keepdims=keepdims)

    def arithmetic(self, op: str, x: GraphValue, y: GraphValue) -> GraphValue:
        """Return a sum, difference, product or quotient; by one number, a product or quotient is `scale`.

        A difference or quotient by a constant becomes a sum or product, which folds into a convolution.
        """
        if op == "multiply" and x.is_constant:
            x, y = y, x
        if y.array is None or x.is_constant or not x.is_float or op not in ("multiply", "divide", "subtract"):
            return self.add(op, x, y)
        if op == "subtract":
            return self.add("add", x, constant(-y.array, f"{y.name}.negative" if y.name else ""))
        return self._quotient(x, y, y.array) if op == "divide" else self._times(x, y)

    def _times(self, x: GraphValue, y: GraphValue) -> GraphValue:
        factor = y.number
        return self.add("multiply", x, y) if factor is None or y.rank > x.rank else self.scaled(x, factor)

    def _quotient(self, x: GraphValue, y: GraphValue, numbers: np.ndarray) -> GraphValue:
        """Return a quotient by a constant: a multiplication, as long as nothing jumps that is made of it."""
        inverse = quotients.reciprocal(numbers)
        if inverse is None:
            return self.add("divide", x, y)
        made = self._times(x, constant(inverse, f"{y.name}.reciprocal" if y.name else ""))
        if made is not x and not quotients.is_exact(numbers):
            self._quotients.add(made.name)
            self._divisors[made.name] = y
        return made

    def _divide(self, scaled: str) -> None:
        """Let a multiplication by a reciprocal be the division that it stands for."""
        place = next(place for place, node in enumerate(self._nodes) if node.name == scaled)
        node = self._nodes[place]
        if node.op == "divide":
            return
        inputs = (node.inputs[0], self.named(self._divisors[scaled], f"{scaled}.divisor"))
        self._nodes[place] = dataclasses.replace(node, op="divide", inputs=inputs, attributes={})

    def clipped(self, x: GraphValue, low: float, high: float) -> GraphValue:
        """Return a value between two bounds, which may be infinite."""
        if (low, high) == (0.0, math.inf):
            return self.add("relu", x)
        if (low, high) == (0.0, 6.0) and x.is_float:
            return self.add("relu6", x)
        unbounded = math.isinf(low) and math.isinf(high)
        return x if unbounded else self.add("clip", x, low=float(low), high=float(high))

    def power(self, x: GraphValue, exponent: Operand) -> GraphValue:
        """Return a power; small whole exponents are multiplications, which cost less."""
        number = exponent.number if isinstance(exponent, GraphValue) else float(exponent)
        if isinstance(exponent, GraphValue) and exponent.dtype != x.dtype:
            if not exponent.is_float or x.is_float:
                return self.power(x, self.add("cast", exponent, to=x.dtype))
            return self.add("cast", self.power(self.add("cast", x, to=exponent.dtype), exponent), to=x.dtype)
        widens = isinstance(exponent, GraphValue) and exponent.rank > x.rank
        if number is None or widens or x.is_constant:
            return self.add("power", x, exponent)
        if number in (1.0, 2.0, 3.0):
            square = x if number == 1.0 else self.add("multiply", x, x)
            return self.add("multiply", square, x) if number == 3.0 else square
        special = {0.5: "sqrt", -1.0: "reciprocal"}.get(number) if x.is_float else None
        return self.add(special, x) if special else self.add("power", x, exponent)


def check_elements(count: float, most: int = _MOST_OF_A_CONSTANT) -> None:
    """Check that a constant is no larger than what is sensible.

    Raises:
        LayerError: it is.
    """
    if not count <= most:
        raise LayerError(f"it asks for {count:.3g} elements; expected at most {most}")


def _check(given: TensorType, most: int) -> None:
    if given.dtype not in _READ:
        raise LayerError(f"its numbers are {given.dtype}; mbench computes with {', '.join(_READ)}")
    if math.prod(given.shape) > most:
        raise LayerError(f"{units.shape(given.shape)} are {math.prod(given.shape)} elements; expected at most {most}")


def axis_of(axis: int, rank: int) -> int:
    """Return an axis counted from the first.

    Raises:
        GraphError: there is none.
    """
    if not -rank <= axis < max(rank, 1):
        raise GraphError(f"axis {axis} of a value that has {rank}")
    return axis % max(rank, 1)
