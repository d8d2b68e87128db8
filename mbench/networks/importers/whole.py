"""That nothing of a file was lost on its way into a graph: multiply-adds and weights are held against the file's."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from mbench.core.errors import UsageError
from mbench.networks import layers
from mbench.networks.graph import Graph
from mbench.networks.importers import lines, patterns, roles
from mbench.networks.importers.graph_writer import WEIGHTED

_COUNTED = ("conv2d", "conv2d_transpose", "linear", "matmul")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadGraph:
    """A graph as it was read, the numbers of its parameters, and the multiply-adds of the file by its own edges."""

    graph: Graph
    parameters: Mapping[str, np.ndarray]
    macs: Mapping[str, int]
    """Of each convolution and product of matrices of the file, by the name of what it makes."""
    scales: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    """Of parameters that the file keeps as whole numbers; see `onnx_quantized`."""


def finished(found: ReadGraph, where: str) -> tuple[Graph, Mapping[str, np.ndarray]]:
    """Return a graph with its operations recognised, its blocks and roles, and its parameters, all checked.

    Args:
        found: what was read.
        where: the file or function, for messages.

    Raises:
        UsageError: something of the file is missing in the graph, or weights are no numbers.
    """
    graph, parameters = lines.as_images(*patterns.recognised(found.graph, found.parameters))
    graph = roles.assigned(graph)
    check(graph, parameters, found.macs, where=where)
    return graph, parameters


def check(graph: Graph, parameters: Mapping[str, np.ndarray], macs: Mapping[str, int], *, where: str) -> None:
    """Check a graph against the file that it was made of.

    Args:
        graph: what was read.
        parameters: its numbers.
        macs: the multiply-adds of each convolution and product of matrices, as the file's own nodes have them.
        where: the file, for messages.

    Raises:
        UsageError: the multiply-adds differ, or weights are no numbers.
    """
    expected = sum(macs.values())
    got = sum(layers.macs(graph, node) for node in graph.nodes if node.op in _COUNTED)
    if got != expected:
        raise UsageError(
            f"{where}: mbench read a network of {got} multiply-adds, and the file's layers have {expected}; "
            "this is a defect of mbench: please report it with the file"
        )
    _check_numbers(graph, parameters, where)


def _check_numbers(graph: Graph, parameters: Mapping[str, np.ndarray], where: str) -> None:
    """Refuse weights that are not numbers; infinite ones may stand elsewhere, such as in a mask."""
    for node in graph.nodes:
        strange = [key for key, value in node.attributes.items() if isinstance(value, float) and math.isnan(value)]
        if strange:
            layer = (node.source_names or (node.name,))[0]
            raise UsageError(f"{where}: layer {layer!r}: {strange[0]} of {node.op} is NaN; expected a number")
    weights = {name: node for node in graph.nodes if node.op in WEIGHTED for name in node.inputs[1:]}
    for name, array in parameters.items():
        if not np.issubdtype(array.dtype, np.floating) or np.isfinite(array).all():
            continue
        if name in weights or np.isnan(array).any():
            count = int(np.count_nonzero(~np.isfinite(array)))
            readers = graph.users[name]
            layer = (readers[0].source_names or (readers[0].name,))[0] if readers else name
            raise UsageError(
                f"{where}: layer {layer!r}: {count} of {array.size} numbers of {name!r} are NaN or infinite; "
                "expected weights that are finite"
            )
