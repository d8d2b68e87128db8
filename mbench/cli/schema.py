"""The command `mbench schema`."""

from __future__ import annotations

import json

import click

from mbench.cli import printing


@click.command()
def schema() -> None:
    """Print the JSON Schema of a record."""
    from mbench.core import record_files

    printing.document(json.dumps(record_files.json_schema(), indent=2))
