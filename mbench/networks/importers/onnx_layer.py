"""One node of an ONNX file while it is read: what it reads and its attributes, as the operations' functions ask."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mbench.networks.importers.graph_writer import GraphValue, GraphWriter, LayerError, axis_of


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class OnnxLayer:
    """A node, with the values that it reads; an input that it leaves out is None."""

    op: str
    opset: int
    inputs: tuple[GraphValue | None, ...]
    attributes: Mapping[str, Any]
    outputs: tuple[str, ...]
    """The names of what it makes; empty where nothing reads it."""
    writer: GraphWriter

    @property
    def x(self) -> GraphValue:
        """The first value that it reads."""
        return self.value(0)

    def value(self, place: int) -> GraphValue:
        """Return what it reads at a place.

        Raises:
            LayerError: it leaves it out.
        """
        found = self.optional(place)
        if found is None:
            raise LayerError(f"its input {place + 1} is missing")
        return found

    def optional(self, place: int) -> GraphValue | None:
        """Return what it reads at a place, if it does."""
        return self.inputs[place] if place < len(self.inputs) else None

    def numbers(self, place: int, attribute: str = "") -> np.ndarray | None:
        """Return the numbers of an input that has to be constant, or of the attribute that older opsets have for it.

        None where it has neither.

        Raises:
            LayerError: they are computed from the network's inputs.
        """
        value = self.optional(place) if place >= 0 else None
        if value is None:
            given = self.attributes.get(attribute)
            return None if given is None else np.asarray(given)
        if value.array is None:
            raise LayerError(
                f"its input {place + 1} ({attribute or 'a setting'}) depends on what the network is given; expected "
                "a constant, or what follows from shapes alone"
            )
        return value.array

    def integers(self, place: int, attribute: str = "") -> tuple[int, ...] | None:
        """Return those numbers as whole ones; None where it has neither input nor attribute."""
        found = self.numbers(place, attribute)
        return None if found is None else tuple(int(each) for each in found.reshape(-1))

    def number(self, place: int, attribute: str, default: float) -> float:
        """Return one such number."""
        found = self.numbers(place, attribute)
        return default if found is None or not found.size else float(found.reshape(-1)[0])

    def attribute(self, name: str, default: Any) -> Any:
        """Return an attribute."""
        return self.attributes.get(name, default)

    def axis(self, default: int, rank: int | None = None) -> int:
        """Return the attribute `axis`, counted from the first axis."""
        return axis_of(int(self.attributes.get("axis", default)), self.x.rank if rank is None else rank)

    def refuse(self, attribute: str, *, unless: Any = 0) -> None:
        """Refuse an attribute that has another value than the one that is known.

        Raises:
            LayerError: it has.
        """
        value = self.attributes.get(attribute, unless)
        if value != unless:
            shown = value if isinstance(value, str | int | float) else " ".join(map(str, value))
            raise LayerError(f"its attribute {attribute} is {shown}; mbench knows {unless} alone")


Made = GraphValue | tuple[GraphValue, ...]
OnnxReading = Callable[[OnnxLayer], Made]
"""What an operation of ONNX makes, written into the graph; several values where it has several outputs."""
