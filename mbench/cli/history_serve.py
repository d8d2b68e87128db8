"""The command `mbench history serve`."""

from __future__ import annotations

from typing import Any

import click

from mbench.cli import store_options, streams
from mbench.cli.history_publish import RecordPages


@click.command()
@store_options.store
@store_options.filters
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=0, metavar="N", help="Port on loopback.  [default: a free one]"
)
@click.option(
    "--record-pages", type=RecordPages(), default="40", show_default=True, metavar="N|all",
    help="Records with a page of their own: those at changes and the newest first.",
)  # fmt: skip
def serve(store_url: str | None, port: int, record_pages: int | None, **asked: Any) -> None:
    """Show the history in a browser on this machine, and follow the store.

    Listens on loopback alone. The pages are made anew when records are added,
    and load themselves again. Ctrl-C ends it.
    """
    from mbench.api import history as stores
    from mbench.api import history_site as api

    where = store_options.where(**asked)
    with stores.open_store(store_url) as store:
        api.serve(store, where, port=port, record_pages=record_pages, announce=_announce, note=streams.say)


def _announce(url: str) -> None:
    click.echo(url)
    streams.say("serving on this machine alone; Ctrl-C ends it")
