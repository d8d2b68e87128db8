"""A history as a site: static pages in one folder, which work from that folder, from any server, and offline.

What changes from one time to the next is made anew; pages of records, which never change, are taken over. What the
pages say is gathered in `history.site_view` and laid out in `history.site_pages`.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from plotly.offline import get_plotlyjs

from mbench.core import resources
from mbench.core.errors import MbenchError
from mbench.core.progress import Note
from mbench.core.records import Record
from mbench.core.version import VERSION
from mbench.history import site_folder, site_names, site_pages, site_view
from mbench.history.series import Series
from mbench.history.site_folder import SiteFolder
from mbench.history.site_view import Changes, HistoryPlace
from mbench.page import report, single_file

RECORD_PAGES = 30
"""Records that have pages of their own unless another number is asked for."""
_MADE_BY = ("analysis", "core", "history", "page")
"""Packages whose code decides what a page says."""

ReadRecord = Callable[[str], Record]
"""Returns a record by its digest."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedSite:
    """What a site came to."""

    folder: Path
    series: int
    changes: int
    pages: int
    """Of networks on targets."""
    record_pages: int
    kept: int
    """Of these, taken over from the last time."""
    records: int
    bytes: int


def publish(
    folder: Path,
    series: Iterable[Series],
    changes: Changes,
    *,
    read: ReadRecord,
    note: Note,
    record_pages: int | None = RECORD_PAGES,
    live: str | None = None,
) -> PublishedSite:
    """Write the site of a history into a folder: whole or not at all.

    Args:
        folder: to be made, or replaced if it is a site.
        series: what the site shows.
        changes: of the series, by their ids.
        read: gives a record for a page of its own.
        note: called with what could not be shown, in words.
        record_pages: how many records have pages, those of interest first; None: all.
        live: of which state of the store it is, where it is served and to be loaded again when that changes.

    Raises:
        UsageError: the folder holds something else, or another process writes it.
        OutputError: it could not be written.
    """
    places = site_view.of_series(series, changes)
    records = site_view.every(places)
    wanted = records if record_pages is None else site_view.of_interest(places)[:record_pages]
    with site_folder.replaced(folder, _made_with()) as made:
        pages, kept = _records(made, wanted, read, note)
        site = site_pages.of_places(places, pages, records=len(records), live=live)
        made.write(site_names.INDEX, site_pages.index(site).encode())
        if site.comparisons:
            made.write(site_names.TARGETS, site_pages.targets(site).encode())
        for place in places:
            made.write(place.page, site_pages.place(site, place).encode())
        if not made.keep(single_file.plotly_file()):
            made.write(single_file.plotly_file(), get_plotlyjs().encode())
        made.write(site_folder.NO_JEKYLL, b"")
        size = made.finish()
    return PublishedSite(
        folder=folder,
        series=sum(len(place.rows) for place in places),
        changes=_changes(places),
        pages=len(places),
        record_pages=len(pages),
        kept=kept,
        records=len(records),
        bytes=size,
    )


def _changes(places: Sequence[HistoryPlace]) -> int:
    return sum(len(row.changes) for place in places for row in place.rows)


def _records(made: SiteFolder, wanted: Sequence[str], read: ReadRecord, note: Note) -> tuple[dict[str, str], int]:
    """Write the pages of records, and return the file of each, and how many were taken over."""
    pages, kept = {}, 0
    for digest in wanted:
        name = site_names.record(digest)
        if made.keep(name):
            kept += 1
        else:
            try:
                record = read(digest)
            except MbenchError as error:
                note(f"no page of record {digest[:12]}: {error}")
                continue
            made.write(name, report.render([record], plotlyjs="directory", home=site_names.INDEX).encode())
        pages[digest] = name
    return pages, kept


@functools.cache
def _made_with() -> str:
    """Return a digest of what pages are made with: another version, code or template makes them anew."""
    digest = hashlib.sha256(f"{VERSION} {single_file.plotly_file()}".encode())
    files = [file for name in _MADE_BY for file in (resources.PACKAGE / name).rglob("*.py")]
    files += resources.data_dir("reports").iterdir()
    for file in sorted(file for file in files if file.is_file()):
        digest.update(file.read_bytes())
    return digest.hexdigest()
