"""What is alive in memory while each layer runs, from shapes alone: what it reads and makes, and what waits for others.

A value is alive from the layer that makes it to the last one that reads it, so a residual is alive across its block. A
bound, not what the compiler planned: the plan (`Memory`) may hold more, since buffers are reused whole. Derived from a
record; no formatting, no measuring.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from mbench.core.records import Layer, Result
from mbench.networks import lifetimes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Live:
    """Bytes alive while one layer runs."""

    layer: Layer
    input_bytes: int
    """Of all that it reads."""
    output_bytes: int
    kept_bytes: int
    """Of what it does not read, and a later layer does."""
    workspace_bytes: int

    @property
    def total_bytes(self) -> int:
        """All of it, without weights."""
        return self.input_bytes + self.output_bytes + self.kept_bytes + self.workspace_bytes


def of_result(result: Result) -> tuple[Live, ...]:
    """Return what is alive at each layer, in order; empty where the layers do not say what each of them reads."""
    layers = result.layers
    sizes = _sizes(layers) if layers else None
    if sizes is None:
        return ()
    kept = lifetimes.alive(layers)
    return tuple(_of_layer(layer, names, sizes) for layer, names in zip(layers, kept, strict=True))


def peak(result: Result) -> Live | None:
    """Return the layer with the most alive, or None where that is not known."""
    return max(of_result(result), key=lambda live: live.total_bytes, default=None)


def _sizes(layers: Sequence[Layer]) -> dict[str, int] | None:
    """Return the bytes of the network's input and of each layer's output; None where layers and shapes do not meet.

    A layer's activation bytes are of all that it reads and of its output, which are of one type.
    """
    elements = {layer.name: math.prod(layer.output_shape) for layer in layers}
    elements[lifetimes.INPUT] = math.prod(layers[0].input_shape)
    sizes: dict[str, int] = {}
    for layer in layers:
        read = lifetimes.reads(layer)
        if any(name not in elements for name in read):
            return None
        if math.prod(layer.input_shape) not in [elements[name] for name in read]:
            return None
        given = elements[layer.name]
        share = layer.activation_bytes * given // (given + sum(elements[name] for name in read))
        sizes[layer.name] = share
        if read == (lifetimes.INPUT,):
            sizes.setdefault(lifetimes.INPUT, layer.activation_bytes - share)
    return sizes


def _of_layer(layer: Layer, kept: Sequence[str], sizes: dict[str, int]) -> Live:
    read = lifetimes.reads(layer)
    return Live(
        layer=layer,
        input_bytes=sum(sizes[name] for name in read),
        output_bytes=sizes[layer.name],
        kept_bytes=sum(sizes[name] for name in kept if name not in read),
        workspace_bytes=layer.workspace_bytes,
    )
