"""The command `mbench history publish`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from mbench.cli import options, printing, store_options, streams
from mbench.cli.arguments import PATH


class RecordPages(click.ParamType):
    """How many records have pages of their own: a number, or `all`, which is None."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """Return the number; refuse what is none."""
        text = str(value)
        if text == "all":
            return None
        if not (text.isascii() and text.isdigit()) or len(text) > 9:
            self.fail(f"{text!r} is neither a number nor 'all'", param, ctx)
        return int(text)


@click.command()
@click.argument("folder", type=PATH, metavar="DIR")
@store_options.store
@store_options.filters
@click.option(
    "--record-pages", type=RecordPages(), default="40", show_default=True, metavar="N|all",
    help="Records with a page of their own: those at changes and the newest first.",
)  # fmt: skip
@options.as_json
def publish(folder: Path, store_url: str | None, record_pages: int | None, as_json: bool, **asked: Any) -> None:
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
        done = api.publish(store, folder, where, record_pages=record_pages, note=streams.say)
    lines = (
        f"{plain.line(str(folder))}: {done.series} series and {done.changes} changes on {done.pages} pages, "
        f"{units.data_size(done.bytes)}",
        f"{done.record_pages} of {done.records} records have a page, {done.kept} of them from the last time",
        f"open {plain.line(str(folder / 'index.html'))} in a browser",
    )
    printing.listing(Listing(["\n".join(lines)], {**dataclasses.asdict(done), "folder": str(folder)}), as_json=as_json)
