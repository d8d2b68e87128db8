"""The command `mbench doctor`."""

from __future__ import annotations

import click

from mbench.cli import options, printing


@click.command()
@options.as_json
def doctor(as_json: bool) -> None:
    """Report what this machine can run and measure, what is missing, and whether it is quiet."""
    from mbench.api import listing as api
    from mbench.terminal import listings

    printing.listing(listings.doctor(api.doctor()), as_json=as_json)
