"""The command `mbench history list`."""

from __future__ import annotations

from typing import Any

from mbench.cli import options, printing, store_options
from mbench.cli.command import command


@command(name="list")
@store_options.store
@store_options.filters
@options.as_json
def list_records(store_url: str | None, as_json: bool, **asked: Any) -> None:
    """List the records of a store, oldest first."""
    import msgspec

    from mbench.api import history as api
    from mbench.terminal import history_listings

    where = store_options.where(**asked)
    with api.open_store(store_url) as store:
        found = [msgspec.to_builtins(each) for each in store.listed(where)]
        printing.listing(history_listings.records(store.shown, found), as_json=as_json)
