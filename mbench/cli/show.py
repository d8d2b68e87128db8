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
    'gate' take it. RECORD may also be a file of 'mbench fit'.
    """
    from mbench.core import fit_files
    from mbench.core.fit_records import FitRecord

    if record.is_dir():
        from mbench.gating import sides

        newest = sides.read(record)
        printing.remark(f"record  {newest.path}")
        printing.record(newest.record, as_json=as_json)
        return
    found = fit_files.read_either(record)
    if isinstance(found, FitRecord):
        printing.found(found, as_json=as_json)
    else:
        printing.record(found, as_json=as_json)
