"""A store of records as a site. The work behind `mbench history publish` and `mbench history serve`."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from mbench.analysis.frame import AnyPath
from mbench.api.changes import nothing
from mbench.core import no_gc
from mbench.core.progress import Note
from mbench.gating import acceptance
from mbench.gating.acceptance import Acceptance
from mbench.history import changes, check
from mbench.history import publish as site
from mbench.history import serve as serving
from mbench.history.filters import Filter
from mbench.history.publish import RECORD_PAGES, PublishedSite
from mbench.history.series import Change, Series
from mbench.history.store import Store

_ALL = Filter()


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=3)


def publish(
    of: Store,
    folder: AnyPath,
    where: Filter = _ALL,
    *,
    record_pages: int | None = RECORD_PAGES,
    accepted: AnyPath | None = None,
    note: Note = _warn,
) -> PublishedSite:
    """Write the history of a store as static pages into a folder: whole or not at all.

    The pages work from the folder, from any web server and without a network. A folder that is such a site is replaced;
    pages of records, which do not change, are taken over.

    Args:
        of: the store.
        folder: to be made.
        where: which series and records are shown.
        record_pages: how many records have pages of their own: those on both sides of a change and the newest of each
            series, the latest first; None: all.
        accepted: the file of changes that were agreed to; None: `mbench-accepted.toml`, if there.
        note: called with each record that could not be read; by default a warning.

    Raises:
        UsageError: the folder holds something else, or no run fits networks, targets or machines that were asked for.
        StoreError: the store cannot be read.
        OutputError: the folder cannot be written.

    Example:
        ```python
        with mbench.open_store("history.db") as store:
            mbench.publish(store, "site")
        ```
    """
    return _SiteJob(of, where, record_pages, accepted, note).publish(Path(folder), None)


def serve(
    of: Store,
    where: Filter = _ALL,
    *,
    port: int = 0,
    record_pages: int | None = RECORD_PAGES,
    accepted: AnyPath | None = None,
    announce: Callable[[str], object] = print,
    note: Note = _warn,
) -> None:
    """Serve the history of a store on loopback until the process is interrupted, made anew when records come.

    Args:
        of: the store.
        where: which series and records are shown.
        port: to listen on; 0: any that is free.
        record_pages: see `publish`.
        accepted: see `publish`.
        announce: called with the address once there is something to see.
        note: called with what could not be read or made anew; by default a warning.

    Raises:
        UsageError: the port is taken.
        StoreError: the store cannot be read.
    """
    made = _SiteJob(of, where, record_pages, accepted, note)
    serving.serve(made.publish, of.state, port=port, announce=announce, note=note)


@dataclasses.dataclass(frozen=True)
class _SiteJob:
    """What is to be shown, and how."""

    of: Store
    where: Filter
    record_pages: int | None
    accepted: AnyPath | None
    note: Note

    def publish(self, folder: Path, live: str | None) -> PublishedSite:
        """Write it into a folder; `live`: the state of the store that it shows, where it is served."""
        entries = acceptance.read(None if self.accepted is None else Path(self.accepted))
        all_of_them = msgspec.structs.replace(self.where, networks=(), dtypes=(), threads=())
        with no_gc.not_collected():
            company = self.of.series(all_of_them)
            series = [each for each in company if self.where.takes(each.identity)]
            if not series and live is None and self.where.by_identity:
                raise nothing(self.of, self.where)
            found = changes.found(series, company)
            return site.publish(
                folder,
                series,
                {each.id: [_agreed(each, change, entries) for change in found[each.id]] for each in series},
                read=self.of.read, note=self.note, record_pages=self.record_pages, live=live,
            )  # fmt: skip


def _agreed(series: Series, change: Change, entries: Sequence[Acceptance]) -> Change:
    """Return a change for the worse with the reason for which it was agreed to, if it was."""
    entry = check.agreed(series.identity, series.quantity, change, entries) if change.worse else None
    return change if entry is None else msgspec.structs.replace(change, accepted=entry.reason)
