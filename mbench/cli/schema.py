"""The command `mbench schema`."""

from __future__ import annotations

import json

import click

from mbench.cli import printing


@click.command()
def schema() -> None:
    """Print the JSON Schema of a record."""
    from mbench.api import listing as api

    printing.document(json.dumps(api.schema(), indent=2))
