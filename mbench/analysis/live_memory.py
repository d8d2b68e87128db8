"""What is alive in memory while each layer runs, from the shapes alone: its input, its output, its workspace.

A bound, not what the compiler planned: in a chain of layers nothing else has to be kept. The plan (`Memory`) may hold
more, since buffers are reused whole. Derived from a record; no formatting, no measuring.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

from mbench.core.records import Layer, Result


@dataclasses.dataclass(frozen=True, kw_only=True)
class Live:
    """Bytes alive while one layer runs."""

    layer: Layer
    input_bytes: int
    output_bytes: int
    workspace_bytes: int

    @property
    def total_bytes(self) -> int:
        """All of it, without weights."""
        return self.input_bytes + self.output_bytes + self.workspace_bytes


def of_result(result: Result) -> tuple[Live, ...]:
    """Return what is alive at each layer, in order; empty where the layers are no chain, each fed by the one before."""
    layers = result.layers
    if any(math.prod(a.output_shape) != math.prod(b.input_shape) for a, b in itertools.pairwise(layers)):
        return ()
    return tuple(_of_layer(layer) for layer in layers)


def peak(result: Result) -> Live | None:
    """Return the layer with the most alive, or None where that is not known."""
    return max(of_result(result), key=lambda live: live.total_bytes, default=None)


def _of_layer(layer: Layer) -> Live:
    """Divide a layer's activation bytes between its input and its output by their sizes: both are of one type."""
    taken, given = math.prod(layer.input_shape), math.prod(layer.output_shape)
    input_bytes = layer.activation_bytes * taken // (taken + given)
    return Live(
        layer=layer,
        input_bytes=input_bytes,
        output_bytes=layer.activation_bytes - input_bytes,
        workspace_bytes=layer.workspace_bytes,
    )
