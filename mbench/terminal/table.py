"""A table for the terminal as all of mbench's are: a rule under the heads and nothing else. Renderables only.

Text is added as plain `rich.text.Text`, so that nothing in a record is read as markup or as a terminal's code.
"""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Sequence

from rich.box import Box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from mbench.core import plain, units

_RULED = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
"""A rule under the heads and nothing else; readable in a pipe and in any encoding."""
UNLIMITED = 10_000
"""Columns of what is no terminal: a line there is as long as what it says."""
_NARROWEST = 20
"""Columns that a paragraph takes at least."""


def ruled(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    """Return an empty table with a rule under its heads; columns named in `right` are aligned to the right.

    Args:
        title: above it; nothing where it is empty.
        left: heads of columns that are aligned to the left.
        right: heads of those after them.
    """
    table = Table(
        show_edge=False,
        title=text(title, style="bold") if title else None,
        title_justify="left",
        box=_RULED,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name in left:
        table.add_column(name, overflow="fold")
    for name in right:
        table.add_column(name, justify="right", overflow="fold")
    return table


def add_row(table: Table, *cells: str, style: str = "") -> None:
    """Add a row of plain text: nothing in it is read as markup."""
    table.add_row(*(text(cell) for cell in cells), style=style)


_TIE = "\ue000"
"""Stands for the space between a number and its unit while lines are made: no space, and in no text, as it cannot be
printed."""


class TiedText(Text):
    """Text whose lines never end between a number and its unit."""

    def __rich__(self) -> RenderableType:
        """Return what rich renders instead of it."""
        return _TiedLines(self)


class _TiedLines:
    """The lines of a text. Not a `Text` itself: rich joins those that it prints, and would break the whole anywhere."""

    def __init__(self, content: Text) -> None:
        self._content, self._tied = content, content.copy()
        self._tied.plain = units.tied(content.plain, _TIE)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield them, as rich's own text does."""
        lines = self._tied.wrap(
            console, options.max_width, justify=self._content.justify or options.justify,
            overflow=self._content.overflow or options.overflow, no_wrap=self._content.no_wrap or options.no_wrap,
        )  # fmt: skip
        joined = Text("\n").join(lines)
        joined.plain = joined.plain.replace(_TIE, " ")
        yield from joined.render(console, end=self._content.end)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Return the width of the longest word and of the longest line."""
        return self._tied.__rich_measure__(console, options)


def text(content: str, *, style: str = "") -> TiedText:
    """Return plain text; what cannot be printed is escaped."""
    return TiedText(plain.visible(content), style=style)


class Paragraph:
    """A sentence or several, in lines as long as there is room for; all but the first are indented."""

    def __init__(self, content: str) -> None:
        """Take the text."""
        self._content = plain.visible(content)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield its lines; nothing in it is read as markup."""
        width, whole = max(_NARROWEST, options.max_width), units.tied(self._content, _TIE)
        lines = textwrap.wrap(whole, width, subsequent_indent="  ", break_on_hyphens=False)
        yield Text("\n".join(lines).replace(_TIE, " "))


class BrokenName:
    """A name that is broken behind its separators where a column is too narrow for it; rich knows spaces alone."""

    def __init__(self, name: str) -> None:
        """Take a name, such as the path of a module."""
        self._parts = re.findall(r"[^./_ ]*[./_ ]+|[^./_ ]+", plain.visible(name))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Return the least width, of its longest part, and the width of all of it."""
        widths = [cell_len(part) for part in self._parts] or [0]
        return Measurement(max(widths), sum(widths)).with_maximum(options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield it in as few lines as there is room for."""
        lines = [""]
        for part in self._parts:
            if cell_len(lines[-1] + part) > options.max_width and lines[-1]:
                lines.append("")
            lines[-1] += part
        yield Text("\n".join(lines), overflow="fold")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a `Fitted` table."""

    head: str
    cells: Sequence[str]
    rank: int = 0
    """Columns of a higher rank are left out first where there is no room for all; those of rank 0 stay."""
    left: bool = False
    """Whether it is aligned to the left, as the first column always is."""
    note: str = ""
    """What its figures are, to be said below the table."""

    @property
    def width(self) -> int:
        """In characters of a terminal."""
        lines = (line for cell in (self.head, *self.cells) for line in plain.visible(cell).split("\n"))
        return max(map(cell_len, lines))


class Fitted:
    """A table with as many columns as there is room for, so that a line is a row and no name is split.

    The first column is aligned to the left, and others are to the right. Below it stand the notes of what it shows.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        styles: Sequence[str] = (),
        *,
        rule: bool = True,
        below: int = 0,
        least: int | None = None,
    ) -> None:
        """Take columns, all with as many cells.

        Args:
            columns: from left to right; the first is the name of a row.
            styles: of the rows.
            rule: whether a rule is below the heads.
            below: columns up to this rank that do not fit stand in a table below, not nowhere.
            least: characters that the first column may be narrowed to, its names broken, in as many tables as it takes;
                None: no name is split.
        """
        self.columns, self.styles, self.rule, self.below = tuple(columns), tuple(styles), rule, below
        self.least = least

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table for the room that there is."""
        left_out = list(self.columns[1:])
        shown = self._fit(options.max_width, left_out)
        yield self._table(shown, rule=self.rule)
        left_out = [column for column in left_out if column not in shown and column.rank <= self.below]
        while left_out and len(more := self._fit(options.max_width, left_out)) > 1:
            shown = [*shown, *more]
            left_out = [column for column in left_out if column not in more and self.least is not None]
            yield self._table(more, rule=False)
        if notes := "; ".join(column.note for column in shown if column.note):
            yield text(notes)

    def __rich_measure__(self, _console: Console, options: ConsoleOptions) -> Measurement:
        """Return how wide it is at least and at most."""
        least = sum(column.width + 1 for column in self.columns if not column.rank) - 1
        most = sum(column.width + 1 for column in self.columns) - 1
        return Measurement(min(least, options.max_width), min(most, options.max_width))

    def _fit(self, room: int, wanted: Sequence[Column]) -> list[Column]:
        """Return the first column and those of others that fit beside it in so many characters, in order."""
        first = self.columns[0].width
        left = room - (first if self.least is None else min(first, self.least))
        kept = list[Column]()
        for column in sorted(wanted, key=lambda each: each.rank):
            if column.rank and column.width + 1 > left:
                continue
            kept.append(column)
            left -= column.width + 1
        return [self.columns[0], *(column for column in wanted if column in kept)]

    def _table(self, shown: Sequence[Column], *, rule: bool) -> Table:
        table = ruled("", [shown[0].head], [column.head for column in shown[1:]])
        for made, column in zip(table.columns, shown, strict=True):
            made.justify = "left" if column.left else made.justify
        if self.least is not None:
            for made in table.columns[1:]:
                made.no_wrap = True
        for number, (name, *cells) in enumerate(zip(*(column.cells for column in shown), strict=True)):
            first = text(name) if self.least is None else BrokenName(name)
            table.add_row(first, *map(text, cells), style=self.styles[number] if self.styles else "")
        if rule:
            table.padding = (0, 0, 0, 0)
        else:
            table.box = None
        return table


class Beside:
    """Tables side by side where a terminal has room, else one below the other."""

    def __init__(self, *parts: RenderableType) -> None:
        """Take them from left to right."""
        self.parts = parts

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield them as they fit."""
        widths = [Measurement.get(console, options, part).maximum for part in self.parts]
        apart = options.max_width >= UNLIMITED  # in a file, a line is one row of one table
        if apart or sum(widths) + 2 * (len(widths) - 1) > options.max_width:
            yield from self.parts
            return
        grid = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
        grid.add_row(*self.parts)
        yield grid
