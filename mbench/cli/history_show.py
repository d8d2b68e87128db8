"""The command `mbench history show`."""

from __future__ import annotations

from typing import Any

import click

from mbench.cli import completing, options, printing, store_options
from mbench.cli.command import command

_MOST = 8
"""Charts that are drawn at once."""


@command()
@click.argument("networks", type=completing.NETWORK, nargs=-1, required=True, metavar="NETWORK...")
@store_options.store
@store_options.places
@click.option("--quantity", default=None, metavar="NAME", help="What to draw.  [default: latency_s, or instructions]")
@options.as_json
def show(networks: tuple[str, ...], store_url: str | None, quantity: str | None, as_json: bool, **places: Any) -> None:
    """Draw how NETWORK changed, run by run, with the changes that were found.

    NETWORK is a name or a glob. --json has all points and changes of all
    quantities.
    """
    from mbench.api import changes
    from mbench.api import history as api
    from mbench.history import shown

    where = store_options.where(since=None, until=None, networks=networks, **places)
    with api.open_store(store_url) as store:
        found = changes.drawn(store, where, quantity)
    charts = found.series if as_json else found.series[:_MOST]
    printing.listing(shown.of_series(charts, found.changes, found.others), as_json=as_json)
    if len(charts) < len(found.series):
        more = len(found.series) - len(charts)
        printing.remark(f"… and {more} more series; choose by NETWORK, --target, --machine, --dtype or --threads")
