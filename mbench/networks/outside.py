"""Networks whose inputs and outputs have another floating-point type than what lies between: float32 around bfloat16.

Each input is brought to the network's type in a node of its own, and each output back, which its kernel does. numpy has
no bfloat16, and a program that calls a network has float32.
"""

from __future__ import annotations

import dataclasses

from mbench.core import dtypes
from mbench.networks.graph import Graph, Node, TensorType


def with_inputs(graph: Graph, dtype: str) -> Graph:
    """Return a graph whose floating-point inputs have the type that a network of `dtype` is given."""
    given = dtypes.outside(dtype)
    inputs = {
        name: dataclasses.replace(each, dtype=given) if each.dtype == dtype else each
        for name, each in graph.inputs.items()
    }
    return graph if inputs == graph.inputs else dataclasses.replace(graph, inputs=inputs)


def cast(graph: Graph, dtype: str) -> Graph:
    """Return a graph whose nodes compute in `dtype`, between inputs and outputs of the type outside of it."""
    given = dtypes.outside(dtype)
    if given == dtype:
        return graph
    before = {name: graph.free_name(f"{name}.{dtype}") for name, each in graph.inputs.items() if each.dtype == given}
    after = {name: graph.free_name(f"{name}.{given}") for name in graph.outputs if graph.type_of(name).dtype == dtype}
    first = [_cast(graph.inputs[name], name, wanted, dtype) for name, wanted in before.items()]
    last = [_cast(graph.type_of(name), name, wanted, given) for name, wanted in after.items()]
    nodes = [
        dataclasses.replace(node, inputs=tuple(before.get(name, name) for name in node.inputs)) for node in graph.nodes
    ]
    outputs = tuple(after.get(name, name) for name in graph.outputs)
    return Graph(inputs=graph.inputs, parameters=graph.parameters, nodes=(*first, *nodes, *last), outputs=outputs)


def _cast(known: TensorType, source: str, name: str, to: str) -> Node:
    return Node(name=name, op="cast", inputs=(source,), shape=known.shape, dtype=to, attributes={"to": to})
