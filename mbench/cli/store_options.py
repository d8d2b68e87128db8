"""Options of the commands that use a store, each written once: which store, and what of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mbench.cli import completing

if TYPE_CHECKING:
    import datetime

    from mbench.history.filters import Filter

_Command = TypeVar("_Command", bound=Callable[..., Any])

store = click.option(
    "--store", "store_url", default=None, metavar="URL",
    help="FILE.db, or postgresql://USER@HOST/DB.  [default: MBENCH_STORE, mbench.toml, or mbench-history.db]",
)  # fmt: skip
store_of_run = click.option(
    "--store", "store_url", default=None, metavar="URL",
    help="Also add the record to this store.  [default: MBENCH_STORE, mbench.toml, or none]",
)  # fmt: skip
_PLACES = (
    click.option(
        "--target", "targets", type=completing.TARGET, multiple=True, metavar="NAME", help="Hardware targets."
    ),
    click.option("--machine", "machines", multiple=True, metavar="NAME", help="Machines that ran them."),
    click.option("--dtype", "dtypes", type=completing.TYPES, multiple=True, metavar="T", help="Types, such as int8."),
    click.option("--threads", "threads", type=int, multiple=True, metavar="N", help="Threads."),
    click.option("--branch", "branches", multiple=True, metavar="NAME", help="Values of the label 'branch'."),
)
_FILTERS = (
    click.option("--network", "networks", multiple=True, metavar="GLOB", help="Networks, such as 'mobilenet_v2_*'."),
    *_PLACES,
    click.option("--since", default=None, metavar="DATE", help="2026-11-01, or 30d for the last 30 days."),
    click.option("--until", default=None, metavar="DATE", help="The last day."),
)


def filters(command: _Command) -> _Command:
    """Add the options that say which series and records are wanted; `where` makes a filter of them."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


def places(command: _Command) -> _Command:
    """Add the options that say which places of networks are wanted, for a command that takes networks as arguments."""
    for option in reversed(_PLACES):
        command = option(command)
    return command


def moment(since: str | None) -> datetime.datetime | None:
    """Return the moment that `--since` gives.

    Raises:
        UsageError: it is no date.
    """
    from mbench.history import moments

    return None if since is None else moments.since(since)


def where(*, since: str | None, until: str | None, **asked: Any) -> Filter:
    """Return what the options of `filters` want.

    Raises:
        UsageError: a date is none.
    """
    from mbench.history import moments
    from mbench.history.filters import Filter

    return Filter(
        since=moment(since),
        until=None if until is None else moments.until(until), **asked,
    )  # fmt: skip
