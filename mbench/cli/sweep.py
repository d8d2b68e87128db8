"""The group `mbench sweep`, and what `mbench run --sweep` does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mbench.cli import options, printing, streams
from mbench.cli.arguments import NEW_FILE, PATH
from mbench.cli.command import group
from mbench.core.errors import OutputError
from mbench.core.exits import Exit

if TYPE_CHECKING:
    from mbench.core.sweep_records import SweepRecord


@group()
def sweep() -> None:
    """Sweeps: where one stands, and its page. 'mbench run --sweep' measures."""


@sweep.command()
@click.argument("file", type=PATH, metavar="SWEEP")
@click.option("-o", "--output", type=PATH, default=None, metavar="DIR", help="Its folder.  [default: as SWEEP says]")
@click.option("--store", "store_url", default=None, metavar="URL", help="By the records of this store instead.")
@options.as_json
def status(file: Path, output: Path | None, store_url: str | None, as_json: bool) -> int:
    """Print how far SWEEP is: cells done, failed and open, and the time left.

    SWEEP is its sweep.toml; or NAME.sweep beside its records, or their folder,
    which say where it stood when something was recorded last. It may be going
    on.
    """
    from mbench.api import sweep as api
    from mbench.terminal import sweep_tables

    found = api.sweep_status(file, output=output, store=store_url, note=printing.remark)
    printing.listing(sweep_tables.listing(found), as_json=as_json)
    return Exit.DONE


@sweep.command()
@click.argument("file", type=PATH, metavar="SWEEP")
@click.option("-o", "--output", type=NEW_FILE, required=True, metavar="FILE.html", help="The page to write.")
def report(file: Path, output: Path) -> None:
    """Make the page of SWEEP: NAME.sweep beside its records, or their folder."""
    from mbench.api import report as api

    api.report(file, output, note=streams.say)


def run(file: Path, *, quiet: bool, as_json: bool, **how: Any) -> Exit:
    """Measure what is open of a sweep, write its page, and print where it stands; return what it came to."""
    from mbench.api import sweep as api
    from mbench.terminal import sweep_tables

    interrupted, hushed = False, printing.Hushed()
    display, note = (hushed, hushed.note) if quiet else (printing.progress, printing.remark)
    try:
        outcome = api.sweep(file, display=display, note=note, **how)
    except api.SweepInterrupted as error:
        interrupted, outcome = True, error.outcome
    page = _page(outcome.path, outcome.record)
    if as_json or not quiet:
        printing.listing(sweep_tables.listing(outcome.record), as_json=as_json)
    else:
        printing.parts([sweep_tables.heading(outcome.record)])
    complete = outcome.record.count("done") == len(outcome.record.cells) and page is not None
    for line in outcome.unstored:
        streams.say(line)
    if not quiet or not complete:
        printing.remark(f"sweep   {outcome.path}")
        if page is not None:
            printing.remark(f"page    {page}")
    if interrupted:
        printing.remark("interrupted: what was measured is recorded; the same command goes on")
        return Exit.INTERRUPTED
    return Exit.DONE if complete and not outcome.unstored else Exit.FAILED


def _page(path: Path, record: SweepRecord) -> Path | None:
    from mbench.api import report as api

    try:
        return api.report(record, path.with_suffix(".html"))
    except OutputError as error:
        streams.say(str(error))
        return None
