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
    """Print RECORD: totals, the comparison, the slowest layers."""
    from mbench.core import record_files

    printing.record(record_files.read(record), as_json=as_json)
