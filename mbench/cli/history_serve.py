"""The command `mbench history serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mbench.cli import store_options, streams
from mbench.cli.command import command
from mbench.cli.history_publish import ACCEPTED, RECORD_PAGES


@command()
@store_options.store
@store_options.filters
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=0, metavar="N", help="Port on loopback.  [default: a free one]"
)
@RECORD_PAGES
@ACCEPTED
def serve(store_url: str | None, port: int, record_pages: int | None, accepted: Path | None, **asked: Any) -> None:
    """Show the history in a browser on this machine, and follow the store.

    Listens on loopback alone. The pages are made anew when records are added,
    and load themselves again. Ctrl-C ends it.
    """
    from mbench.api import history as stores
    from mbench.api import history_site as api

    where = store_options.where(**asked)
    with stores.open_store(store_url) as store:
        api.serve(
            store, where, port=port, record_pages=record_pages, accepted=accepted, announce=_announce, note=streams.say
        )


def _announce(url: str) -> None:
    click.echo(url)
    streams.say("serving on this machine alone; Ctrl-C ends it")
