"""What commands print on standard output: tables, JSON documents, and commands for a CI."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mbench.cli import streams
from mbench.core import plain
from mbench.core.exits import Exit

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from mbench.cli.gate import Answer
    from mbench.core.records import Record
    from mbench.terminal.listings import Listing

_COLUMNS = 80


def console(*, stderr: bool = False) -> Console:
    """Return what prints renderables on a standard stream, 80 columns wide where that is no terminal."""
    from rich.console import Console, ConsoleOptions
    from rich.segment import Segment

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _COLUMNS

    class Plain(Console):
        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            """Yield what is printed; whatever it is of, nothing in it is a terminal's code."""
            for segment in super().render(renderable, options):
                yield segment if segment.control else Segment(plain.visible(segment.text), segment.style)

    return Plain(file=stream, width=width, highlight=False, markup=False, emoji=False)


def print_record(record: Record, *, as_json: bool) -> None:
    """Print a record as tables, or as its JSON."""
    from mbench.core import record_files
    from mbench.terminal import record_tables

    if as_json:
        print_json(record_files.encode(record).decode().rstrip())
    else:
        print_parts(record_tables.record_tables(plain.cleaned(record)))


def print_listing(listing: Listing, *, as_json: bool) -> None:
    """Print a listing as tables, or as its JSON."""
    if as_json:
        print_json(json.dumps(plain.mapped(listing.data, lambda _, text: plain.storable(text)), indent=2))
    else:
        print_parts(listing.parts)


def print_answer(answer: Answer) -> Exit:
    """Print what a command answers; return its exit status."""
    if answer.as_json:
        print_json(answer.document.decode().rstrip())
    else:
        print_parts(answer.parts)
    streams.print_commands(answer.commands)
    return answer.code


def print_json(document: str) -> None:
    """Print one JSON document."""
    print(plain.ascii_json(document))  # noqa: T201


def print_parts(parts: Iterable[RenderableType]) -> None:
    """Print renderables."""
    shown = console()
    for part in parts:
        shown.print(part, soft_wrap=isinstance(part, str))  # what is no table may be for copying
