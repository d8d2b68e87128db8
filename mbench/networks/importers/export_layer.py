"""One node of an exported program while it is read: its arguments by name, as the operations' functions ask."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from mbench.networks.importers.graph_writer import GraphValue, GraphWriter, LayerError, axis_of, constant


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ExportLayer:
    """A call of an ATen operation, with the values that it reads."""

    arguments: Mapping[str, Any]
    """By the names of ATen's schema, with its defaults: values, numbers, lists of them, or None."""
    dtype: str
    """Of what it gives first, as torch has it."""
    writer: GraphWriter

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    @property
    def x(self) -> GraphValue:
        """The first value that it reads."""
        first = next(iter(self.arguments.values()))
        return self.as_value(first)

    def value(self, name: str) -> GraphValue:
        """Return an argument that is a value; a number becomes a constant of the layer's type."""
        return self.as_value(self.arguments[name])

    def as_value(self, given: Any) -> GraphValue:
        """Return a value, or a number as a constant of the layer's type."""
        if given is None:
            raise LayerError("one of its values is missing")
        return given if isinstance(given, GraphValue) else constant(_number(given, self.dtype))

    def given(self, *names: str) -> tuple[GraphValue, ...]:
        """Return those arguments that are not None."""
        return tuple(self.value(name) for name in names if self.arguments[name] is not None)

    def axis(self, name: str = "dim", rank: int | None = None) -> int:
        """Return an axis, counted from the first."""
        return axis_of(int(self.arguments[name]), self.x.rank if rank is None else rank)

    def axes(self, name: str = "dim") -> tuple[int, ...]:
        """Return axes, counted from the first; all of them where none is named."""
        given = self.arguments.get(name)
        rank = self.x.rank
        if given is None or given == []:
            return tuple(range(rank))
        return tuple(axis_of(int(axis), rank) for axis in (given if isinstance(given, list | tuple) else [given]))

    def pair(self, name: str, default: int = 1) -> tuple[int, int]:
        """Return (down, right) of an argument for an image or a line."""
        given = self.arguments[name]
        known = [int(each) for each in (given if isinstance(given, list | tuple) else [given])]
        if not known:
            return (default, default)
        return (known[0], known[-1])

    def cast(self, x: GraphValue, to: str | None = None) -> GraphValue:
        """Return a value in another type, by default the layer's."""
        wanted = self.dtype if to is None else to
        return x if x.dtype == wanted else self.writer.add("cast", x, to=wanted)

    def expect(self, name: str, value: Any) -> None:
        """Refuse an argument that has another value than the one that is known.

        Raises:
            LayerError: it has.
        """
        if self.arguments[name] != value:
            raise LayerError(f"its argument {name} is {self.arguments[name]}; mbench knows {value} alone")


def _number(given: Any, dtype: str) -> Any:
    import numpy as np

    if not isinstance(given, int | float | bool):
        raise LayerError(f"one of its values is a {type(given).__name__}")
    return np.array(given, dtype)


ExportReading = Callable[[ExportLayer], Any]
"""What an operation of ATen makes, written into the graph; a tuple where it gives several values."""
