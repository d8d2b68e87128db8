"""A table for the terminal as all of mbench's are: a rule under the heads and nothing else. Renderables only.

Text is added as plain `rich.text.Text`, so that nothing in a record is read as markup or as a terminal's code.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import Box
from rich.table import Table
from rich.text import Text

from mbench.core import plain

_RULED = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
"""A rule under the heads and nothing else; readable in a pipe and in any encoding."""


def ruled(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    """Return an empty table with a rule under its heads; columns named in `right` are aligned to the right."""
    table = Table(
        show_edge=False,
        title=text(title, style="bold"),
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


def add_row(table: Table, *cells: str) -> None:
    """Add a row of plain text: nothing in it is read as markup."""
    table.add_row(*(text(cell) for cell in cells))


def text(content: str, *, style: str = "") -> Text:
    """Return plain text; what cannot be printed is escaped."""
    return Text(plain.visible(content), style=style)
