"""How a history is put into words: values, changes and their certainty, settings. No HTML, no statistics."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable, Sequence

from mbench.core import plain, units
from mbench.core.errors import cut
from mbench.history.series import Change, Identity, Quantity, Series

_COMMIT_DIGITS = 10
_LONGEST_WORD = 40
_MOST_DECIMALS = 6
BADGES = ("worse", "better", "changed", "perhaps", "machine", "accepted")
"""What stands beside a change: its kind; each is also a class of the page."""


def value(amount: float | None, quantity: Quantity) -> str:
    """Return a value with its unit: 3.5e-3 of seconds → `3.50 ms`, a count → `569 M`."""
    if amount is None:
        return units.NOT_AVAILABLE
    if quantity.unit == "s":
        return units.seconds(amount)
    if quantity.unit:
        return units.scaled(amount, quantity.unit)
    return units.count(int(amount) if amount.is_integer() else amount)


def step(before: float, after: float, quantity: Quantity) -> str:
    """Return two levels: `3.50 ms → 3.68 ms`; to the last digit where they would read the same."""
    shown = [value(each, quantity) for each in (before, after)]
    if shown[0] == shown[1] and before != after:
        unit = f" {quantity.unit}" if quantity.unit else ""
        shown = [f"{each:,.0f}{unit}" if each.is_integer() else f"{each:.8g}{unit}" for each in (before, after)]
    return " → ".join(shown)


def percent(ratio: float, *, signed: bool = True) -> str:
    """Return a ratio as a difference in percent, with as many decimals as it needs: 1.052 → `+5.2 %`."""
    if not math.isfinite(ratio):
        return "from 0"
    share = 100 * (ratio - 1)
    decimals = min(_MOST_DECIMALS, max(1, -math.floor(math.log10(abs(share))))) if share else 1
    return f"{share:+.{decimals}f} %" if signed else f"{abs(share):.{decimals}f} %"


def between(change: Change) -> str:
    """Return the interval of a change: `+4.1 % to +6.3 %`; nothing where it is exact."""
    if change.low == change.high or not all(map(math.isfinite, (change.low, change.high))):
        return ""
    return f"{percent(change.low)} to {percent(change.high)}"


def kind(change: Change, quantity: Quantity) -> str:
    """Return what a change is, one of `BADGES`."""
    if change.accepted is not None:
        return "accepted"
    if change.certainty == "perhaps":
        return "perhaps"
    if change.machine:
        return "machine"
    if quantity.better == "neither" or change.ratio == 1 or change.model:
        return "changed"
    return "worse" if change.worse else "better"


def sentence(series: Series, change: Change) -> str:
    """Return a change in a sentence without its stop: `latency of NETWORK on TARGET rose by 5.2 %`."""
    identity = series.identity
    what = f"{series.quantity.label} of {word(identity.network)} on {word(identity.target)}"
    slowly = "slowly " if change.last is not None and change.last > change.at else ""
    verb = f"{slowly}{'rose' if change.after > change.before else 'fell'}"
    if not math.isfinite(change.ratio):
        return f"{what} {verb} from 0"
    perhaps = "perhaps " if change.certainty == "perhaps" else ""
    machine = ", with the machine" if change.machine else ""
    return f"{what} {perhaps}{verb} by {percent(change.ratio, signed=False)}{machine}"


def certainty(change: Change) -> str:
    """Return how sure a change is, as a sentence; nothing where it is certain."""
    if change.certainty == "certain":
        return ""
    more = change.more_runs
    runs = "more runs" if more is None else units.counted(more, "more run")
    return f"{runs[:1].upper()}{runs[1:]} will show whether it lasts."


def network(identity: Identity) -> str:
    """Return a network's name without what says type and batch: those are settings of one network here."""
    name = identity.network
    for ending in (f"_b{identity.batch}", f"_{identity.dtype}"):
        rest = name.removesuffix(ending)
        if len(rest) >= len(identity.family):  # `mnasnet_b1` is a family, and no batch
            name = rest
    return name


def commits(change: Change) -> str:
    """Return the commits between which it changed: `after 4f2a9c1, up to 8b1d22e`; nothing where none is known."""
    last, first = (None if each is None else commit(each) for each in change.commits)
    if first is None:
        return f"after commit {last}" if last else ""
    return f"after commit {last}, up to {first}" if last and last != first else f"with commit {first}"


def commit(text: str) -> str:
    """Return a commit as people quote it: its first digits, or what else it is called."""
    return text[:_COMMIT_DIGITS] if re.fullmatch(r"[0-9a-f]{11,64}", text) else word(text)


def word(text: str, most: int = 120) -> str:
    """Return a name that came from outside as one line that can be printed."""
    return cut(plain.line(text), most)


def mark(name: str, before: str, after: str) -> str:
    """Return what changed of a version: `apache-tvm 0.26 → 0.27`."""
    shown = [word(commit(each), _LONGEST_WORD) if each else "none" for each in (before, after)]
    return f"{word(name, _LONGEST_WORD)} {' → '.join(shown)}"


def day(moment: datetime.datetime) -> str:
    """Return a date in UTC."""
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%d")


def moment(at: datetime.datetime) -> str:
    """Return a time in UTC as a page's reader sees it: `2026-03-01 12:00 UTC`."""
    return at.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def settings(identities: Sequence[Identity]) -> dict[Identity, str]:
    """Return what distinguishes series of one network and target: `int8, 2 threads, batch 8, on ci-1`.

    The type and the threads always stand there; batch, device and machine only where they differ; the hardware where
    two machines have one name.
    """
    several = {name: len({getattr(each, name) for each in identities}) > 1 for name in ("device", "machine", "batch")}
    found = {each: _settings(each, several) for each in identities}
    for more in ("hardware", "source", "family"):
        texts = list(found.values())
        for each in list(found):
            if texts.count(found[each]) > 1:
                found[each] += f", {word(getattr(each, more), _LONGEST_WORD)}"
    return found


def _settings(each: Identity, several: dict[str, bool]) -> str:
    parts = [word(each.dtype), units.counted(each.threads, "thread")]
    if several["batch"] or each.batch != 1:
        parts.append(f"batch {each.batch}")
    if several["device"]:
        parts.append(word(each.device))
    if several["machine"] and each.machine:
        parts.append(f"on {word(each.machine)}")
    return ", ".join(parts)


def listed(items: Iterable[str], most: int = 3) -> str:
    """Return the first of some things, and how many more there are."""
    found = list(items)
    more = len(found) - most
    return ", ".join(found[:most]) + (f" and {more} more" if more > 0 else "")
