"""The command `mbench report`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from mbench.cli import streams
from mbench.cli.arguments import NEW_FILE, PATH
from mbench.cli.command import command


@command(short_help="Make one page of records, or of all in a folder.")
@click.argument("paths", type=PATH, nargs=-1, required=True, metavar="RECORD...")
@click.option("-o", "--output", type=NEW_FILE, required=True, metavar="FILE.html", help="The page to write.")
@click.option(
    "--plotlyjs",
    type=click.Choice(["inline", "directory"]),
    default="inline",
    show_default=True,
    help="Put plotly's script into the page, or once beside the pages of a folder.",
)
def report(paths: tuple[Path, ...], output: Path, plotlyjs: Literal["inline", "directory"]) -> None:
    """Make one page of one or several records, or of all in a folder.

    RECORD may also be a file of 'mbench fit' or of a sweep, given alone: each
    has a page of its own.
    """
    from mbench.core import no_gc

    with no_gc.not_collected():
        from mbench.api import report as api

        api.report(paths, output, plotlyjs=plotlyjs, note=streams.say)
