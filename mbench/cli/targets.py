"""The command `mbench targets`."""

from __future__ import annotations

from pathlib import Path

import click

from mbench.cli import completing, options, printing, streams
from mbench.cli.command import command


@command(short_help="List the hardware targets, or show one.")
@click.argument("name", type=completing.TARGET, required=False)
@options.target_dirs
@options.as_json
def targets(name: str | None, target_dirs: tuple[Path, ...], as_json: bool) -> None:
    """List the hardware targets and what this machine can do with each, or show NAME."""
    from mbench.api import listing as api
    from mbench.hardware import host
    from mbench.hardware import targets as known
    from mbench.terminal import listings

    machine = host.describe()
    for broken in () if name else known.broken_packages():
        streams.say(broken)
    if name:
        found = api.target(name, target_dirs=target_dirs)
        listing = listings.target(found, machine, known.cores(target_dirs).get(found.name))
    else:
        listing = listings.targets(api.targets(target_dirs=target_dirs), machine, known.cores(target_dirs))
    printing.listing(listing, as_json=as_json)
