"""The command `mbench history add`."""

from __future__ import annotations

import click

from mbench.cli import options, printing, store_options, streams
from mbench.cli.arguments import SOURCE
from mbench.cli.command import command
from mbench.core.exits import Exit


@command()
@click.argument("paths", type=SOURCE, nargs=-1, required=True, metavar="RECORD|FOLDER|STORE.db...")
@store_options.store
@options.as_json
def add(paths: tuple[str, ...], store_url: str | None, as_json: bool) -> int:
    """Add records, or another store's, to a store; it is made where there is none.

    What is there already is left alone: adding twice is adding once. A resumed
    run replaces its earlier state. What cannot be added is reported, and the
    rest is added.
    """
    import msgspec

    from mbench.api import history as api
    from mbench.terminal import history_listings

    with api.open_store(store_url, create=True) as store:
        added = api.add_files(store, paths)
        data = {"store": store.shown, **msgspec.structs.asdict(added)}
    printing.listing(history_listings.added(data), as_json=as_json)
    for line in (*added.notes, *added.refused):
        streams.say(line)
    return Exit.WRONG_USE if added.refused else Exit.DONE
