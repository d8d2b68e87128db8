"""What torch gives for a network, as arrays: weights as kernels read them, an input, and the expected output."""

from __future__ import annotations

import dataclasses
import functools
import multiprocessing
from concurrent.futures import Future

import numpy as np

from mbench.core import dtypes, no_gc
from mbench.core.children import Children
from mbench.core.records import Variant
from mbench.networks import architectures

PROCESS = "weights"
"""The name of the process that draws."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weights:
    """The weights of a network, and what it is checked against.

    `parameters` are those of the folded graph, float32, as it has them; `examples` are its inputs, by name, in the
    graph's dtype; `expected` are PyTorch's own outputs for them, in order, in float32.
    """

    parameters: dict[str, np.ndarray]
    examples: dict[str, np.ndarray]
    expected: tuple[np.ndarray, ...]


def draw(variant: Variant) -> Weights:
    """Return the weights of a variant, the same each time. Imports torch."""
    with no_gc.not_collected():
        from mbench.networks import torch_network

        graph, folded = architectures.graph(variant), architectures.folded(variant)
        with torch_network.one_thread():
            drawn, examples = torch_network.draw(graph), torch_network.example_inputs(graph)
            expected = torch_network.run(graph, drawn, examples)
    return Weights(
        parameters=folded.parameters(drawn),
        examples={
            name: value.numpy().astype(dtypes.of(graph.inputs[name].dtype).numpy) for name, value in examples.items()
        },
        expected=tuple(output.numpy() for output in expected),
    )


def begin(variant: Variant) -> Future[Weights]:
    """Draw the weights of a variant in a process beside this one, which needs no torch then.

    The future raises `children.Died` where that process dies. A process that may start none, such as a worker of
    another executor, draws them itself.
    """
    if multiprocessing.current_process().daemon:
        drawn: Future[Weights] = Future()
        drawn.set_result(draw(variant))
        return drawn
    return _beside().submit(draw, variant)


@functools.cache
def _beside() -> Children:
    """Return the process, which is kept: importing torch takes longer than all else that it does."""
    return Children(1, name=PROCESS, daemon=True)
