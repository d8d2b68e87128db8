"""A store of records as a site. The work behind `mbench history publish` and `mbench history serve`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

from mbench.analysis.frame import AnyPath
from mbench.core import no_gc
from mbench.core.progress import Note
from mbench.history import changes
from mbench.history import publish as site
from mbench.history import serve as serving
from mbench.history.filters import Filter
from mbench.history.publish import RECORD_PAGES, Published
from mbench.history.store import Store

_ALL = Filter()


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=3)


def publish(
    of: Store, folder: AnyPath, where: Filter = _ALL, *, record_pages: int | None = RECORD_PAGES, note: Note = _warn
) -> Published:
    """Write the history of a store as static pages into a folder: whole or not at all.

    The pages work from the folder, from any web server and without a network. A folder that is such a site is replaced;
    pages of records, which do not change, are taken over.

    Args:
        of: the store.
        folder: to be made.
        where: which series and records are shown.
        record_pages: how many records have pages of their own: those on both sides of a change and the newest of each
            series, the latest first; None: all.
        note: called with each record that could not be read; by default a warning.

    Raises:
        UsageError: the folder holds something else.
        StoreError: the store cannot be read.
        OutputError: the folder cannot be written.

    Example:
        ```python
        with mbench.open_store("history.db") as store:
            mbench.publish(store, "site")
        ```
    """
    return _publish(of, Path(folder), where, record_pages, note, None)


def serve(
    of: Store,
    where: Filter = _ALL,
    *,
    port: int = 0,
    record_pages: int | None = RECORD_PAGES,
    announce: Callable[[str], object] = print,
    note: Note = _warn,
) -> None:
    """Serve the history of a store on loopback until the process is interrupted, made anew when records come.

    Args:
        of: the store.
        where: which series and records are shown.
        port: to listen on; 0: any that is free.
        record_pages: see `publish`.
        announce: called with the address once there is something to see.
        note: called with what could not be read or made anew; by default a warning.

    Raises:
        UsageError: the port is taken.
        StoreError: the store cannot be read.
    """
    serving.serve(
        lambda folder, state: _publish(of, folder, where, record_pages, note, state),
        of.state,
        port=port,
        announce=announce,
        note=note,
    )


def _publish(
    of: Store, folder: Path, where: Filter, record_pages: int | None, note: Note, live: str | None
) -> Published:
    with no_gc.not_collected():
        series = of.series(where)
        return site.publish(
            folder, series, changes.found(series), read=of.read, note=note, record_pages=record_pages, live=live
        )
