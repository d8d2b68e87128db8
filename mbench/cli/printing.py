"""What commands print: records, listings and documents on standard output; progress and remarks on standard error."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mbench.core import plain

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from mbench.core.fit_records import FitRecord
    from mbench.core.progress import Progress, RunPlan
    from mbench.core.records import Record
    from mbench.terminal.listings import Listing

COLUMNS = 80
_WAITING = "mbench.waiting"
"""Where a context keeps lines that are printed before anything else is."""


def console(*, stderr: bool = False) -> Console:
    """Return what prints on standard output, or on standard error: nothing in a text can steer the terminal.

    What is no terminal has lines as long as they come, for `grep` and for files, unless `COLUMNS` says how wide it is.
    `NO_COLOR`, `FORCE_COLOR` and `TERM=dumb` are rich's own to obey.
    """
    from rich.console import Console, ConsoleOptions
    from rich.segment import Segment

    from mbench.terminal.table import UNLIMITED

    say_waiting()
    stream = sys.stderr if stderr else sys.stdout
    asked = os.environ.get("COLUMNS", "")
    width = None if stream.isatty() or (asked.isdigit() and int(asked)) else UNLIMITED

    class Plain(Console):
        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            """Yield what is printed; whatever it is of, nothing in it is a terminal's code."""
            for segment in super().render(renderable, options):
                usual = segment.control or segment.text.isprintable()
                yield segment if usual else Segment(plain.visible(segment.text), segment.style)

    interactive = stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
    return Plain(file=stream, width=width, force_interactive=interactive, highlight=False, markup=False, emoji=False)


def wait_with(text: str) -> None:
    """Print a line on standard error as soon as the command prints anything: not where it is refused."""
    click.get_current_context().meta.setdefault(_WAITING, []).append(text)


def say_waiting() -> None:
    """Print the lines that waited."""
    context = click.get_current_context(silent=True)
    for text in context.meta.pop(_WAITING, ()) if context is not None else ():
        remark(text)


def remark(text: str) -> None:
    """Print a line on standard error."""
    console(stderr=True).print(text, soft_wrap=True)


def progress(
    names: Sequence[str], shares: Mapping[str, float] | None = None, plan: RunPlan | None = None, /
) -> AbstractContextManager[Progress]:
    """Show the progress of some work on standard error: the display that commands give to `mbench.api`."""
    from mbench.terminal import progress as shown

    return shown.show(console(stderr=True), names, shares, plan)


class Hushed:
    """Shows no progress, and keeps remarks for when they are wanted: the display of `--quiet`."""

    def __init__(self) -> None:
        """Begin without remarks."""
        self.notes: list[str] = []

    @contextlib.contextmanager
    def __call__(
        self, _names: Sequence[str], _shares: Mapping[str, float] | None = None, _plan: RunPlan | None = None, /
    ) -> Iterator[Progress]:
        """Return what the work reports to."""
        yield self

    def stage(self, variant: str, stage: str, fraction: float) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Keep a remark."""
        self.notes.append(text)


def brief(shown: Record, path: Path) -> None:
    """Print a line for each network of a record, and where the record is."""
    from mbench.terminal import quiet_lines

    parts([*quiet_lines.of_record(plain.cleaned(shown)), str(path)])


def record(shown: Record, *, as_json: bool) -> None:
    """Print a record: tables, or the document."""
    from mbench.core import record_files
    from mbench.terminal import record_tables

    if as_json:
        document(record_files.encode(shown).decode().rstrip())
    else:
        parts(record_tables.record_tables(plain.cleaned(shown)))


def found(shown: FitRecord, *, as_json: bool) -> None:
    """Print what a search found: tables, or the document."""
    from mbench.core import fit_files
    from mbench.terminal import fit_tables

    if as_json:
        document(fit_files.encode(shown).decode().rstrip())
    else:
        listing(fit_tables.listing(plain.cleaned(shown)), as_json=False)


def listing(shown: Listing, *, as_json: bool) -> None:
    """Print a listing: tables, or its data as a document."""
    if as_json:
        document(json.dumps(plain.mapped(shown.data, lambda _, text: plain.storable(text)), indent=2))
    else:
        parts(shown.parts)


def document(text: str) -> None:
    """Print one JSON document."""
    print(plain.ascii_json(text))  # noqa: T201


def parts(shown: Iterable[RenderableType]) -> None:
    """Print texts and tables."""
    out = console()
    if out.is_terminal:
        for part in shown:
            out.print(part, soft_wrap=isinstance(part, str))  # what is no table may be for copying
        return
    with out.capture() as captured:
        for part in shown:
            out.print(part, soft_wrap=isinstance(part, str))
    for line in captured.get().splitlines():
        print(line.rstrip())  # noqa: T201 - a table ends each line where the longest ends
