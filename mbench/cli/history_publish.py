"""The command `mbench history publish`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from mbench.cli import options, printing, store_options, streams
from mbench.cli.arguments import NEW_FOLDER, PATH
from mbench.cli.command import command
from mbench.core.errors import UsageError, shortened


def _record_pages(text: str) -> int | None:
    """Return how many records have pages of their own; None: `all`."""
    if text == "all":
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise UsageError(f"--record-pages {shortened(text, 40)}: neither a number nor 'all'; give 30, 0 or all")
    return int(text)


RECORD_PAGES = click.option(
    "--record-pages", type=click.types.FuncParamType(_record_pages), default="30", show_default=True, metavar="N|all",
    help="Records with a page of their own: those at changes and the newest first.",
)  # fmt: skip
ACCEPTED = click.option(
    "--accepted", type=PATH, default=None, metavar="FILE.toml",
    help="Changes agreed to.  [default: mbench-accepted.toml, if there]",
)  # fmt: skip


@command()
@click.argument("folder", type=NEW_FOLDER, metavar="DIR")
@store_options.store
@store_options.filters
@RECORD_PAGES
@ACCEPTED
@options.as_json
def publish(
    folder: Path, store_url: str | None, record_pages: int | None, accepted: Path | None, as_json: bool, **asked: Any
) -> None:
    """Write the history as static pages into DIR.

    They work from the folder, from any web server and without a network: an
    overview, a page for each network and target, targets side by side. DIR is
    made, or replaced as a whole if it is such a site.
    """
    from mbench.api import history as stores
    from mbench.api import history_site as api
    from mbench.core import plain, units
    from mbench.terminal.listings import Listing

    where = store_options.where(**asked)
    with stores.open_store(store_url) as store:
        done = api.publish(store, folder, where, record_pages=record_pages, accepted=accepted, note=streams.say)
    lines = (
        f"{plain.line(str(folder))}: {done.series} series and {done.changes} changes on {done.pages} pages, "
        f"{units.data_size(done.bytes)}",
        f"{done.record_pages} of {done.records} records have a page, {done.kept} of them from the last time",
        f"open {plain.line(str(folder / 'index.html'))} in a browser",
    )
    printing.listing(Listing(["\n".join(lines)], {**dataclasses.asdict(done), "folder": str(folder)}), as_json=as_json)
