"""The command `mbench show`."""

from __future__ import annotations

from pathlib import Path

import click

from mbench.cli import options, printing
from mbench.cli.arguments import PATH


@click.command()
@click.argument("record", type=PATH)
@options.as_json
def show(record: Path, as_json: bool) -> None:
    """Print RECORD: totals, the comparison, the slowest layers.

    Of a folder with records of one job, the newest is shown, as 'compare' and
    'gate' take it.
    """
    from mbench.core import record_files

    if not record.is_dir():
        printing.record(record_files.read(record), as_json=as_json)
        return
    from mbench.gating import sides

    found = sides.read(record)
    printing.remark(f"record  {found.path}")
    printing.record(found.record, as_json=as_json)
