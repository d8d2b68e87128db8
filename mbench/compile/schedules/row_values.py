"""What the steps of a chain along rows compute at one place of one row, as an expression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm import tirx

from mbench.compile.rows import RowChain, RowRead, RowStep

COMBINE: dict[str, Callable[[Any, Any], Any]] = {
    "sum": lambda one, other: one + other,
    "max": tirx.max,
    "min": tirx.min,
}
LEAST = {"sum": tirx.const(0, "float32"), "max": tirx.min_value("float32"), "min": tirx.max_value("float32")}
"""What a reduction begins with."""


class RowValues:
    """Values of one row. `numbers` has what was computed of the whole row, by its step's buffer.

    A step that computes rows is written out where it is read; but for the one whose values `wait` in the output.
    """

    def __init__(self, chain: RowChain, parameters: Sequence[Any], arrays: Sequence[Any], row: Any, start: Any) -> None:
        self.chain, self.row, self.start = chain, row, start
        self.target = arrays[-1]
        self.numbers: list[tuple[Any, Any]] = []
        self.waiting: Any = None
        self._arrays = list(zip(parameters, arrays, strict=True))

    def step(self, read: RowRead) -> RowStep | None:
        """Return the step that computes what is read; None for a parameter."""
        return next((step for step in self.chain.steps if step.buffer.same_as(read.source)), None)

    def value(self, step: RowStep, column: Any) -> Any:
        """Return what a step computes, or reduces, at a column."""

        def load(read: RowRead) -> Any:
            if self.waiting is not None and read.source.same_as(self.waiting):
                return self.target[self.start + column]
            made = self.step(read)
            if made is not None and made.whole:
                return self.value(made, column)
            number = next((number for buffer, number in self.numbers if buffer.same_as(read.source)), None)
            if number is not None:
                return number
            array = next(array for parameter, array in self._arrays if parameter.same_as(read.source))
            return array[{"rows": self.start + column, "columns": column, "row": self.row, "all": 0}[read.like]]

        return step.value(load)
