"""Where the series of a store changed, and whether they became worse of late: `mbench history check` and `show`."""

from __future__ import annotations

import datetime
import fnmatch
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from mbench.analysis.frame import AnyPath
from mbench.core import plain
from mbench.core.errors import UsageError, did_you_mean, shortened
from mbench.gating import acceptance, limits
from mbench.history import changes, check
from mbench.history.check import HistoryVerdict, Window
from mbench.history.filters import Filter
from mbench.history.quantities import QUANTITIES
from mbench.history.series import Change, Series
from mbench.history.store import Store

_ALL = Filter()
_LONGEST = 200
_SHOWN_FIRST = ("latency_s", "instructions", "latency_model_s")
"""The first of these that a network has is drawn."""


class CheckOptions(NamedTuple):
    """How to check a history."""

    runs: int = check.RUNS
    """Changes within so many last runs of a series are new …"""
    since: datetime.datetime | None = None
    """… or, given, those since then, in UTC."""
    quantities: tuple[str, ...] = ()
    """What to judge; none: all but loading, first runs and the memory of processes."""
    config: AnyPath | None = None
    """Thresholds; None: `mbench.toml`, if there."""
    thresholds: tuple[str, ...] = ()
    """`SELECTOR=PERCENT` each, as the gate takes them."""
    accepted: AnyPath | None = None
    """Changes agreed to; None: `mbench-accepted.toml`, if there."""


_DEFAULTS = CheckOptions()


class Drawn(NamedTuple):
    """Series to draw, what else there is of the same networks, and the changes of all by series."""

    series: tuple[Series, ...]
    others: tuple[Series, ...]
    changes: dict[str, tuple[Change, ...]]


def check_history(of: Store, where: Filter = _ALL, *, options: CheckOptions = _DEFAULTS) -> HistoryVerdict:
    """Judge whether the series of a store became worse of late.

    Args:
        of: the store.
        where: which series to judge; all runs of their branches count, since a level is known from long ago.
        options: which changes are new, what is tolerated, and what was agreed to.

    Raises:
        StoreError: the store cannot be read.
        UsageError: nothing fits what is asked for, or an option is wrong.

    Example:
        ```python
        with mbench.open_store("history.db") as store:
            verdict = mbench.check_history(store)
        assert verdict.conclusion == "passed", verdict.headline
        ```
    """
    _check_quantities(options.quantities)
    tolerated = limits.read(_path(options.config), options.thresholds)
    agreed = acceptance.read(_path(options.accepted))
    whole = msgspec.structs.replace(where, networks=(), dtypes=(), threads=(), since=None, until=None)
    found = of.series(whole)
    if not any(where.takes(each.identity) for each in found):
        raise nothing(of, where)
    return check.judge(
        found, window=Window(runs=options.runs, since=options.since), limits=tolerated, accepted=agreed,
        quantities=options.quantities, wanted=where.takes,
    )  # fmt: skip


def drawn(of: Store, where: Filter, quantity: str | None = None) -> Drawn:
    """Return the series to draw of networks, by default of their latency, else of what was counted.

    Raises:
        StoreError: the store cannot be read.
        UsageError: nothing fits what is asked for, or the quantity is not known.
    """
    _check_quantities([quantity] if quantity else [])
    whole = msgspec.structs.replace(where, networks=(), dtypes=(), threads=(), since=None, until=None)
    known = of.series(whole)
    found = [each for each in known if where.takes(each.identity) and each.points]
    if not found:
        raise nothing(of, where)
    names = {each.quantity.name for each in found}
    if quantity and quantity not in names:
        raise UsageError(f"{of.shown} has no {quantity} of what is asked for; it has {', '.join(sorted(names))}")
    shown = tuple(each for each in found if each.quantity.name == (quantity or _first(each, found)))
    others = tuple(each for each in found if each not in shown)
    return Drawn(shown, others, changes.found(found, known))


def _first(series: Series, found: Iterable[Series]) -> str:
    """Return which quantity of a series' place is drawn."""
    names = [each.quantity.name for each in found if each.identity == series.identity]
    return next((name for name in _SHOWN_FIRST if name in names), names[0])


def _check_quantities(asked: Collection[str]) -> None:
    for name in asked:
        if name not in QUANTITIES:
            hint = did_you_mean(name, QUANTITIES) or f"; expected one of: {', '.join(QUANTITIES)}"
            raise UsageError(f"quantity {name!r} is not known{hint}")


def nothing(of: Store, where: Filter) -> UsageError:
    """Return the refusal of what no run of a store fits: it says what the store has instead.

    Raises:
        StoreError: the store cannot be read.
    """
    listed = of.listed()
    if not listed:
        return UsageError(f"{of.shown} has no runs yet; 'mbench history add' or 'mbench run --store' adds some")
    known = (
        ("", where.networks, {name for each in listed for name in each.networks}),
        ("target ", where.targets, {each.target for each in listed}),
        ("machine ", where.machines, {each.host for each in listed}),
        ("branch ", where.branches, {each.labels.get("branch", "") for each in listed} - {""}),
    )
    asked = [f"{what}{name}" for what, names, _ in known for name in names]
    asked += [*where.dtypes, *(f"{each} threads" for each in where.threads)]
    hint = next(filter(None, (_near(what, names, there) for what, names, there in known)), "")
    said = shortened(plain.visible(", ".join(asked) or "what is asked for"), _LONGEST)
    return UsageError(f"{of.shown} has no runs of {said}{hint or '; see mbench history list'}")


def _near(what: str, asked: Collection[str], known: Collection[str]) -> str:
    """Return what there is instead of the first name that is not known; empty: all of them are, or fit as globs."""
    for name in asked:
        if not any(name == each or (not what and fnmatch.fnmatchcase(each, name)) for each in known):
            there = shortened(plain.visible(", ".join(sorted(known))), _LONGEST)
            return did_you_mean(name, known) or (f"; there is {what}{there}" if there else "")
    return ""


def _path(file: AnyPath | None) -> Path | None:
    return None if file is None else Path(file)
