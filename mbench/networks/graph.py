"""The graph: what all that comes after a front end knows of a network. No torch, no TVM.

A graph is immutable; a pass takes one and returns another. Values are known by name: what goes in, what is computed (a
node's value has the node's name), and the parameters (weights and other constants), whose numbers lie elsewhere. Shapes
are as people have them: images are (N, C, H, W), weights of a convolution (O, I, H, W), of a fully connected layer
(O, I). How values lie in memory is decided when the graph is lowered.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mbench.core import dtypes

if TYPE_CHECKING:
    import numpy as np

_FLOATING = ("float16", "bfloat16", "float32", "float64")


class GraphError(ValueError):
    """A graph that is none: a value that nobody makes, a name twice, shapes that do not fit an operation."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorType:
    """Shape and type of a value."""

    shape: tuple[int, ...]
    dtype: str = dtypes.DEFAULT

    @classmethod
    def of(cls, array: np.ndarray) -> TensorType:
        """Return those of an array."""
        return cls(shape=array.shape, dtype=str(array.dtype))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """One operation.

    `inputs` are names of values, in the order that the operation has them: a convolution reads an image, weights and,
    where it has one, a bias. `op` is one of `networks.operations.OPERATIONS`, which says what its `attributes` are.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str = dtypes.DEFAULT
    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    block: str | None = None
    """The block of the network that it belongs to."""
    role: str = "other"
    """What it does there: `stem`, `expand`, `depthwise`, `project`, `pointwise`, `standard`, `squeeze`, `reduce`,
    `excite`, `residual`, `query`, `key`, `value`, `attention`, `head`, `pool`, `classifier`, `activation`, `other`."""
    source_names: tuple[str, ...] = ()
    """What the user's own file calls it, most telling first; none in a built-in network."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """A network without its weights. `nodes` are in an order of execution.

    Raises:
        GraphError: a value is made twice, or read before it is made.
    """

    inputs: Mapping[str, TensorType]
    parameters: Mapping[str, TensorType]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check that each value is made once, and before it is read."""
        made = {*self.inputs, *self.parameters}
        if len(made) != len(self.inputs) + len(self.parameters):
            raise GraphError(f"a parameter has the name of an input: {', '.join(self.inputs)}")
        for node in self.nodes:
            unknown = next((name for name in node.inputs if name not in made), None)
            if unknown is not None:
                raise GraphError(f"node {node.name!r} reads {unknown!r}, which nothing before it makes")
            if node.name in made:
                raise GraphError(f"the name {node.name!r} is there twice")
            made.add(node.name)
        strange = next((name for name in self.outputs if name not in made), None)
        if strange is not None or not self.outputs:
            raise GraphError(f"output {strange!r} is not computed" if strange else "the graph has no output")

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """The nodes by their names."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def users(self) -> Mapping[str, tuple[Node, ...]]:
        """The nodes that read each value, in order; a node that reads a value twice is there once."""
        found: dict[str, list[Node]] = {name: [] for name in (*self.inputs, *self.parameters, *self.by_name)}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found[name].append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    @cached_property
    def _origins(self) -> Mapping[str, int]:
        """What each node's value is computed from in the end: a bit for each node, its own among them."""
        found: dict[str, int] = {}
        for place, node in enumerate(self.nodes):
            bits = 1 << place
            for name in node.inputs:
                bits |= found.get(name, 0)
            found[node.name] = bits
        return found

    @cached_property
    def _places(self) -> Mapping[str, int]:
        return {node.name: place for place, node in enumerate(self.nodes)}

    def depends_on(self, name: str, others: Iterable[str]) -> bool:
        """Return whether a value is computed, in the end, from one of some nodes, or is one of theirs."""
        mask = sum(1 << self._places[each] for each in set(others))
        return bool(self._origins.get(name, 0) & mask)

    def type_of(self, name: str) -> TensorType:
        """Return the shape and type of a value."""
        if name in self.by_name:
            node = self.by_name[name]
            return TensorType(shape=node.shape, dtype=node.dtype)
        return self.inputs[name] if name in self.inputs else self.parameters[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a value."""
        return self.type_of(name).shape

    def operands(self, node: Node) -> tuple[str, ...]:
        """Return what a node reads that is no parameter."""
        return tuple(name for name in node.inputs if name not in self.parameters)

    def constants(self, node: Node) -> tuple[str, ...]:
        """Return the parameters that a node reads."""
        return tuple(name for name in node.inputs if name in self.parameters)

    def only_user(self, name: str) -> Node | None:
        """Return the node that alone reads a value; None where several do, none does, or it is an output."""
        users = self.users[name]
        return users[0] if len(users) == 1 and name not in self.outputs else None

    def free_name(self, wanted: str) -> str:
        """Return a name that nothing of the graph has; see `free_name`."""
        return free_name(wanted, self.by_name, self.inputs, self.parameters)

    def rewritten(
        self,
        change: Callable[[Node], Iterable[Node]],
        *,
        renamed: Mapping[str, str] | None = None,
        parameters: Mapping[str, TensorType] | None = None,
    ) -> Graph:
        """Return the graph with each node replaced by those that `change` gives; what no output needs is left out.

        Args:
            change: the nodes that stand in the place of one, none or more, in order of execution.
            renamed: values that are read by another name from now on.
            parameters: parameters that are new, or of another shape.
        """
        names = renamed or {}

        def last(name: str) -> str:
            while name in names:
                name = names[name]
            return name

        def read_anew(node: Node) -> Node:
            inputs = tuple(map(last, node.inputs))
            return node if inputs == node.inputs else dataclasses.replace(node, inputs=inputs)

        nodes = [read_anew(new) for node in self.nodes for new in change(node)]
        return needed(self.inputs, {**self.parameters, **(parameters or {})}, nodes, tuple(map(last, self.outputs)))


def free_name(wanted: str, *taken: Container[str]) -> str:
    """Return a name that is not taken: the one that is wanted, or with `_` behind it."""
    while any(wanted in names for names in taken):
        wanted += "_"
    return wanted


def needed(
    inputs: Mapping[str, TensorType],
    parameters: Mapping[str, TensorType],
    nodes: Sequence[Node],
    outputs: tuple[str, ...],
) -> Graph:
    """Return a graph of those nodes and parameters that an output depends on, parameters as they are read."""
    wanted = set(outputs)
    for node in reversed(nodes):
        if node.name in wanted:
            wanted.update(node.inputs)
    kept = tuple(node for node in nodes if node.name in wanted)
    read = dict.fromkeys(name for names in (*(node.inputs for node in kept), outputs) for name in names)
    return Graph(
        inputs=inputs,
        parameters={name: parameters[name] for name in read if name in parameters},
        nodes=kept,
        outputs=outputs,
    )


def retyped(graph: Graph, dtype: str) -> Graph:
    """Return a graph whose floating-point values are all of one type; indices and truths stay as they are."""

    def other(before: str) -> str:
        return dtype if before in _FLOATING else before

    def typed(values: Mapping[str, TensorType]) -> dict[str, TensorType]:
        return {name: dataclasses.replace(each, dtype=other(each.dtype)) for name, each in values.items()}

    def changed(node: Node) -> Node:
        attributes = {name: other(value) if name == "to" else value for name, value in node.attributes.items()}
        return dataclasses.replace(node, dtype=other(node.dtype), attributes=attributes)

    return dataclasses.replace(
        graph,
        inputs=typed(graph.inputs),
        parameters=typed(graph.parameters),
        nodes=tuple(map(changed, graph.nodes)),
    )


def blocks(graph: Graph) -> Iterator[tuple[str | None, tuple[Node, ...]]]:
    """Yield the blocks in order of first appearance, each with its nodes."""
    found: dict[str | None, list[Node]] = {}
    for node in graph.nodes:
        found.setdefault(node.block, []).append(node)
    for name, nodes in found.items():
        yield name, tuple(nodes)
