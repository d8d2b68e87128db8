"""How long the output of each layer is needed: from the layer itself to the last one that reads it. Pure names.

So a residual is alive across its block. What is read by no layer is an output of the network, and stays to the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class ReadingLayer(Protocol):
    """A layer as specified, as planned, or as recorded."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def inputs(self) -> Sequence[str]: ...  # noqa: D102


INPUT = ""
"""The name of the network's input, which a layer without inputs reads."""


def reads(layer: ReadingLayer) -> tuple[str, ...]:
    """Return the values that a layer reads, each once."""
    return tuple(dict.fromkeys(layer.inputs)) or (INPUT,)


def alive(layers: Sequence[ReadingLayer]) -> list[tuple[str, ...]]:
    """Return, for each layer in order of execution, what must be kept while it runs, its own output not included."""
    last = {name: place for place, layer in enumerate(layers) for name in reads(layer)}
    found, made = [], [INPUT]
    for place, layer in enumerate(layers):
        made = [name for name in made if last.get(name, len(layers)) >= place]
        found.append(tuple(made))
        made.append(layer.name)
    return found
