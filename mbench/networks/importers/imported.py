"""What a front end gives: a graph, its parameters, and what computes the right outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from mbench.networks.graph import Graph

Arrays = Mapping[str, np.ndarray]
SourceKind = Literal["onnx", "export", "function"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Imported:
    """A network as its file has it, with its own weights."""

    graph: Graph
    """Shapes are settled; a BatchNorm that the file has is a node."""
    parameters: Arrays
    """The numbers of all of the graph's parameters, by name, as the file has them."""
    source: SourceKind
    name: str
    """What people call it: the file's name without its ending, or the function's."""
    producer: str | None
    """What wrote the file, with its version, as the file says."""
    opset: int | None
    """Of ONNX's own operators."""
    reference: str
    """What `run` is, for people, with its version: `ONNX Runtime 1.32.0 on the same file`."""
    run: Callable[[Arrays], tuple[np.ndarray, ...]]
    """The network's own outputs, in order, for inputs by name: its own runtime, and not the graph."""
    file_sha256: str | None = None
    """Of the file that it was read from."""
    examples: Arrays = dataclasses.field(default_factory=dict)
    """Inputs that came with the network; those that are missing are drawn by range and type."""
