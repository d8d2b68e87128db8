"""The command `mbench history export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mbench.cli import options, printing, store_options
from mbench.cli.arguments import NEW_FOLDERS
from mbench.cli.command import command


@command()
@click.argument("folder", type=NEW_FOLDERS, metavar="FOLDER")
@store_options.store
@store_options.filters
@options.as_json
def export(folder: Path, store_url: str | None, as_json: bool, **asked: Any) -> None:
    """Write the records of a store into FOLDER, as the files that they were."""
    from mbench.api import history as api
    from mbench.terminal import history_listings

    where = store_options.where(**asked)
    with api.open_store(store_url) as store:
        done = api.export(store, folder, where)
        data = {"store": store.shown, "folder": str(done.folder), "written": done.written, "there": done.there}
    printing.listing(history_listings.exported(data), as_json=as_json)
