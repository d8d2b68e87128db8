"""A small chart for the terminal: values over runs on a log scale, their levels, and numbered changes.

A dot is a run; runs that share a column have the median, and what was disturbed is drawn hollow. Where the output does
not know these characters it is drawn in ASCII. Renderables only.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from mbench.core import plain

_ROWS = 11
_FEWEST_COLUMNS = 10
_WIDEST = 160
"""Columns of a chart with all around it, in a terminal that is wider, or in a file."""
_BEYOND = 0.02
"""Share of the values on each side that may lie beyond the chart …"""
_BESIDE = 0.5
"""… if they are farther off than this share of the others' range."""
_LEAST_ROOM = 0.01
"""Above and below the values, as a logarithm: what lies closer together is drawn as close together."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChartMark:
    """A change in a chart."""

    at: int
    """Index of the first value of the new level."""
    label: str
    """One character, which the text below explains."""
    style: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChartLevel:
    """A stretch of values, and what they are around."""

    first: int
    last: int
    value: float


@dataclasses.dataclass(frozen=True)
class _Characters:
    run: str
    disturbed: str
    level: str
    change: str
    axis: str
    above: str
    below: str

    def of(self, row: int, *, quiet: bool) -> str:
        """Return how a run is drawn in a row, which may be beyond the first and the last one."""
        if not 0 <= row < _ROWS:
            return self.above if row < 0 else self.below
        return self.run if quiet else self.disturbed


_UNICODE = _Characters("•", "∘", "─", "┊", "│", "▲", "▼")
_ASCII = _Characters("*", "o", "-", ":", "|", "^", "v")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LineChart:
    """Values from left to right, oldest first."""

    values: Sequence[float]
    quiet: Sequence[bool]
    levels: Sequence[ChartLevel]
    marks: Sequence[ChartMark]
    show: Callable[[float], str]
    """Writes a value with its unit."""
    first: str
    """What stands below the first value."""
    last: str
    """What stands below the last one."""

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield it for the room that there is."""
        characters = _ASCII if options.ascii_only else _UNICODE
        scale = _Scale([value for value, quiet in zip(self.values, self.quiet, strict=True) if quiet] or self.values)
        labels = {row: self.show(scale.value(row)) for row in (0, _ROWS // 2, _ROWS - 1)}
        margin = max(map(len, labels.values())) + 1
        columns = max(_FEWEST_COLUMNS, min(min(options.max_width, _WIDEST) - margin - 1, _wide(len(self.values))))
        grid = self._drawn(scale, columns, characters)
        for row, cells in enumerate(grid):
            yield Text(f"{labels.get(row, ''):>{margin - 1}} {characters.axis}") + cells
        yield Text(" " * (margin + 1)) + self._numbers(columns)
        gap = max(1, columns - len(self.first) - len(self.last))
        yield Text(" " * (margin + 1) + plain.line(self.first) + " " * gap + plain.line(self.last))

    def _column(self, index: int, columns: int) -> int:
        return index * columns // len(self.values)

    def _drawn(self, scale: _Scale, columns: int, characters: _Characters) -> list[Text]:
        cells = [[(" ", "")] * columns for _ in range(_ROWS)]
        for level in self.levels:
            for column in range(self._column(level.first, columns), self._column(level.last, columns) + 1):
                cells[_inside(scale.row(level.value))][column] = (characters.level, "dim")
        for mark in self.marks:
            for row in cells:
                row[self._column(mark.at, columns)] = (characters.change, mark.style)
        runs: dict[int, list[int]] = {}
        for index in range(len(self.values)):
            runs.setdefault(self._column(index, columns), []).append(index)
        for column, indices in runs.items():
            shown = [index for index in indices if self.quiet[index]] or indices
            middle = statistics.median(self.values[index] for index in shown)
            place = scale.row(middle)
            cells[_inside(place)][column] = (characters.of(place, quiet=self.quiet[shown[0]]), "")
        return [Text.assemble(*row) for row in cells]

    def _numbers(self, columns: int) -> Text:
        line = [(" ", "")] * columns
        for mark in self.marks:
            line[self._column(mark.at, columns)] = (mark.label, mark.style)
        return Text.assemble(*line)


class _Scale:
    """Rows of a log scale; of a linear one where there is a value of 0. It is of most values: a few may lie beyond."""

    def __init__(self, values: Sequence[float]) -> None:
        self._log = min(values) > 0
        ordered = sorted(values)
        few = int(len(ordered) * _BEYOND)
        low, high = self._to(ordered[few]), self._to(ordered[-1 - few])
        least, most = self._to(ordered[0]), self._to(ordered[-1])
        room = _BESIDE * (high - low)
        low, high = (least if low - least <= room else low), (most if most - high <= room else high)
        room = _LEAST_ROOM if self._log else max(high - low, 1.0) * _LEAST_ROOM
        missing = max(0.0, room - (high - low) / 2)
        self._low, self._high = low - missing, high + missing

    def row(self, value: float) -> int:
        """Return the row of a value, from 0 at the top; one above or below all rows where it lies beyond."""
        share = (self._to(value) - self._low) / (self._high - self._low)
        return round(min(_ROWS, max(-1.0, (1 - share) * (_ROWS - 1))))

    def value(self, row: int) -> float:
        found = self._high - row / (_ROWS - 1) * (self._high - self._low)
        return math.exp(found) if self._log else found

    def _to(self, value: float) -> float:
        if not self._log:
            return value
        return math.log(value) if value > 0 else -math.inf


def _inside(row: int) -> int:
    return min(_ROWS - 1, max(0, row))


def _wide(count: int) -> int:
    """Return how many columns so many runs look best in: one each, or a few each where they are few."""
    return count * max(1, min(4, 60 // max(1, count)))
