"""The command `mbench show`."""

from __future__ import annotations

from pathlib import Path

import click

from mbench.cli import options, printing
from mbench.cli.arguments import PATH
from mbench.cli.command import command


@command(short_help="Print a record: totals, comparison, slowest layers.")
@click.argument("record", type=PATH)
@options.as_json
def show(record: Path, as_json: bool) -> None:
    """Print RECORD: totals, the comparison, the slowest layers.

    Of a folder or a glob the newest is shown. RECORD may also be a file of
    'mbench fit'.
    """
    from mbench.analysis import found_records
    from mbench.core.fit_records import FitRecord

    file, found = found_records.newest(record)
    if file != record:
        printing.remark(f"record  {file}")
    if isinstance(found, FitRecord):
        printing.found(found, as_json=as_json)
    else:
        printing.record(found, as_json=as_json)
