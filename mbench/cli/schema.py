"""The command `mbench schema`."""

from __future__ import annotations

import json
from typing import Literal

import click

from mbench.cli import printing
from mbench.cli.command import command


@command(short_help="Print the JSON Schema of a record.")
@click.argument("kind", type=click.Choice(["record", "fit"]), default="record", metavar="[record|fit]")
def schema(kind: Literal["record", "fit"]) -> None:
    """Print the JSON Schema of a record, or of a file of `mbench fit`."""
    from mbench.api import listing as api

    printing.document(json.dumps(api.schema(kind), indent=2))
