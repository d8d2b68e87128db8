"""Judge whether a history became worse of late: what `mbench history check` and its exit code say.

New changes alone count, so that an old regression does not fail every night: those within the last runs of a series, or
since a day. One that was agreed to is in the gate's file of acceptances, and what is tolerated in the gate's thresholds
(`mbench.gating.acceptance`, `mbench.gating.limits`).
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from mbench.analysis import change_points
from mbench.core import units
from mbench.core.field_types import Strict
from mbench.core.version import VERSION
from mbench.gating.acceptance import Acceptance
from mbench.gating.limits import Limits
from mbench.history import changes
from mbench.history.quantities import PACE
from mbench.history.series import Change, Identity, Quantity, Series

Standing = Literal["regressed", "machine", "perhaps", "improved", "changed", "accepted"]
"""`regressed`: worse than tolerated, certain, and nobody agreed; `machine`: likewise, but one build ran before and
after, and other networks there moved with it; `perhaps`: more runs will show; `changed`: tolerated, undone since, or
neither better nor worse."""

RUNS = 10
"""A change is new within so many last runs of its series."""
LONG_AGO = 100
"""Runs over which steps that are tolerated one by one may not add up to more than is tolerated."""
ENDED = datetime.timedelta(days=30)
"""A series whose last run is so much older than the newest of all has ended, and is not judged."""
METRICS = {
    "latency_s": "latency", "sustained_latency_s": "sustained_latency", "energy_j": "energy", "load_s": "load",
    "first_s": "first_run", "process_peak_bytes": "process_memory", "latency_model_s": "latency_model",
    "peak_bytes": "memory",
}  # fmt: skip
"""What quantities are called in thresholds and acceptances, where that is another name."""
UNJUDGED = ("load_s", "first_s", "process_peak_bytes", PACE)
"""Quantities that are judged if they are asked for: the system and the machine decide them more than the code does."""


class Window(Strict, frozen=True, kw_only=True):
    """Which changes are new."""

    runs: int = RUNS
    since: datetime.datetime | None = None
    """In UTC; given, it counts instead of `runs`."""

    @property
    def words(self) -> str:
        """It in words."""
        if self.since is not None:
            return f"since {units.timestamp(self.since.isoformat())}"
        return f"in the last {self.runs} runs" if self.runs > 1 else "in the last run"

    def holds(self, series: Series, change: Change) -> bool:
        """Return whether a change is new: where a drift ends counts, for it is not over before."""
        place = change.at if change.last is None else change.last
        if self.since is not None:
            return series.points[place].at >= self.since
        return place >= len(series.points) - self.runs


LAST_RUNS, DEFAULT_LIMITS = Window(), Limits()


class HistoryFinding(Strict, frozen=True, kw_only=True):
    """A new change, and what it counts for."""

    identity: Identity
    quantity: Quantity
    change: Change
    standing: Standing
    tolerated: float
    """The change, as a fraction, that is."""
    at: datetime.datetime
    """When the first run after it was."""
    runs_since: int
    """Runs from that one on, itself included."""


class HistoryVerdict(Strict, frozen=True, kw_only=True):
    """What a check found."""

    created_at_utc: str
    mbench_version: str
    conclusion: Literal["passed", "regressed", "inconclusive"]
    headline: str
    window: str
    series: int
    """That were judged."""
    runs: int
    """Their points, all together."""
    ended: int
    """Series that are not judged, since they ended."""
    short: int
    """Series that are not judged, since they have too few runs."""
    findings: tuple[HistoryFinding, ...]
    accepted: tuple[str, ...] = ()
    """Entries of the file of acceptances that were used."""


def judge(
    series: Sequence[Series],
    *,
    window: Window = LAST_RUNS,
    limits: Limits = DEFAULT_LIMITS,
    accepted: Sequence[Acceptance] = (),
    quantities: Collection[str] = (),
    wanted: Callable[[Identity], bool] | None = None,
) -> HistoryVerdict:
    """Return what is new in series, and whether that is worse.

    Args:
        series: what is judged, and what may explain it.
        window: which changes are new.
        limits: what is tolerated.
        accepted: what was agreed to.
        quantities: names of quantities to judge; none: all but those of `UNJUDGED`.
        wanted: which series to judge; none: all. The others may explain what these do.
    """
    asked = [each for each in series if each.points and _judged(each.quantity.name, quantities)]
    asked = [each for each in asked if wanted is None or wanted(each.identity)]
    newest = _newest(asked)
    alive = [each for each in asked if newest is not None and each.points[-1].at >= newest - ENDED]
    judged = [each for each in alive if len(each.points) >= _fewest(each)]
    found = changes.found(judged, series)
    used: dict[str, None] = {}
    findings = [
        _agreed(finding, accepted, used)
        for each in judged
        for finding in _findings(each, found[each.id], window, limits)
    ]
    ranked = tuple(sorted(findings, key=_rank))
    conclusion, headline = _conclusion(ranked, judged, window)
    return HistoryVerdict(
        created_at_utc=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), mbench_version=VERSION,
        conclusion=conclusion, headline=headline, window=window.words, series=len(judged),
        runs=sum(len(each.points) for each in judged), ended=len(asked) - len(alive), short=len(alive) - len(judged),
        findings=ranked, accepted=tuple(used),
    )  # fmt: skip


def _newest(series: Sequence[Series]) -> datetime.datetime | None:
    """Return when the newest run of all was; one that a wrong clock dated in the future does not end all others."""
    moments = {point.at for each in series for point in each.points}
    today = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    return max((at for at in moments if at <= today), default=max(moments, default=None))


def metric(quantity: str) -> str:
    """Return what thresholds and acceptances call a quantity."""
    return METRICS.get(quantity, quantity)


def _judged(quantity: str, asked: Collection[str]) -> bool:
    return quantity in asked if asked else quantity not in UNJUDGED


def _fewest(series: Series) -> int:
    return 2 if series.quantity.kind == "exact" else 2 * change_points.FEWEST


# ------------------------------------------------------------------------------------------------------------- findings
def _findings(series: Series, found: Sequence[Change], window: Window, limits: Limits) -> Iterator[HistoryFinding]:
    tolerated = limits.threshold(series.identity.network, None, metric(series.quantity.name))
    if series.quantity.kind == "measured":
        tolerated = max(tolerated, change_points.SMALLEST)
    for change in found:
        if not window.holds(series, change):
            continue
        total = _added_up(series, found, change, tolerated)
        too_large, said = change.worse and (_too_large(change, tolerated) or total is not None), ""
        if total is not None:
            said = f"steps that are tolerated one by one add up to {units.change(total - 1)} in {LONG_AGO} runs"
        if too_large and (undone := _undone(series, found, change, tolerated)):
            too_large, said = False, undone
        if said:
            change = msgspec.structs.replace(change, causes=(said, *change.causes))
        yield HistoryFinding(
            identity=series.identity, quantity=series.quantity, change=change, tolerated=tolerated,
            standing=_standing(change, series.quantity, too_large=too_large),
            at=series.points[change.at].at, runs_since=len(series.points) - change.at,
        )  # fmt: skip


def _undone(series: Series, found: Sequence[Change], change: Change, tolerated: float) -> str:
    """Return when a later change took one back, in words; empty: none did."""
    later = [each for each in found if each.at > change.at and each.certainty == "certain"]
    if later and later[-1].after <= change.before * (1 + tolerated):
        return f"undone {units.timestamp(series.points[later[-1].at].at.isoformat())}"
    return ""


def _too_large(change: Change, tolerated: float) -> bool:
    return change.ratio - 1 > tolerated


def _standing(change: Change, quantity: Quantity, *, too_large: bool) -> Standing:
    if change.certainty == "perhaps":
        return "perhaps" if too_large or not change.worse else "changed"
    if too_large:
        return "machine" if change.machine else "regressed"
    better = quantity.better == "lower" and not change.worse and not change.model
    return "improved" if better else "changed"


def _added_up(series: Series, found: Sequence[Change], change: Change, tolerated: float) -> float | None:
    """Return what small steps up to a change for the worse come to, as a ratio; None: no more than is tolerated."""
    if not change.worse or change.certainty != "certain" or _too_large(change, tolerated):
        return None
    first = len(series.points) - LONG_AGO
    small = [
        each.ratio
        for each in found
        if first <= each.at <= change.at and abs(each.ratio - 1) <= tolerated and each.certainty == "certain"
    ]
    total = math.prod(small)
    return total if total - 1 > tolerated and len(small) > 1 else None


def agreed(identity: Identity, quantity: Quantity, change: Change, accepted: Sequence[Acceptance]) -> Acceptance | None:
    """Return the first entry that is about a change of a series; None: none is."""
    ratio, what = change.ratio if math.isfinite(change.ratio) else None, metric(quantity.name)
    return next((each for each in accepted if each.about(identity.network, None, what, ratio)), None)


def _agreed(finding: HistoryFinding, accepted: Sequence[Acceptance], used: dict[str, None]) -> HistoryFinding:
    if finding.standing not in ("regressed", "machine", "perhaps") or not finding.change.worse:
        return finding
    entry = agreed(finding.identity, finding.quantity, finding.change, accepted)
    if entry is None:
        return finding
    used[entry.words] = None
    change = msgspec.structs.replace(finding.change, accepted=entry.reason)
    return msgspec.structs.replace(finding, change=change, standing="accepted")


# -------------------------------------------------------------------------------------------------------------- verdict
_ORDER: Mapping[Standing, int] = {
    "regressed": 0, "perhaps": 1, "machine": 2, "accepted": 3, "improved": 4, "changed": 5,
}  # fmt: skip
_NAMED = 3


def _rank(finding: HistoryFinding) -> tuple[int, bool, float, str]:
    change = finding.change
    size = abs(math.log(change.ratio)) if 0 < change.ratio < math.inf else math.inf
    return _ORDER[finding.standing], finding.quantity.kind == "exact", -size, finding.identity.network


def _conclusion(
    findings: Sequence[HistoryFinding], judged: Sequence[Series], window: Window
) -> tuple[Literal["passed", "regressed", "inconclusive"], str]:
    worse = [each for each in findings if each.standing == "regressed"]
    if worse:
        return "regressed", f"{len(worse)} regressed {window.words}: {_named(worse)}"
    if not judged:
        return "inconclusive", f"no series has the {2 * change_points.FEWEST} runs that a change takes"
    if window.since is not None and all(each.points[-1].at < window.since for each in judged):
        return "inconclusive", f"no run is there {window.words}: nothing was measured, or it was not added"
    unsure = [each for each in findings if each.standing == "perhaps" and each.change.worse]
    if unsure:
        more = max(each.change.more_runs or 1 for each in unsure)
        runs = units.counted(more, "more run")
        return "inconclusive", f"{len(unsure)} perhaps worse: {_named(unsure)}; {runs} will show"
    machine = [each for each in findings if each.standing == "machine"]
    if machine:
        return "inconclusive", f"the machine became slower, and no code that is known to differ: {_named(machine)}"
    rest = {name: sum(each.standing == name for each in findings) for name in ("improved", "accepted")}
    more_said = "".join(f"; {count} {name}" for name, count in rest.items() if count)
    plural = "series" if len(judged) != 1 else "one series"
    count = f"{len(judged)} " if len(judged) != 1 else ""
    return "passed", f"nothing worse {window.words} of {count}{plural}{more_said}"


def _named(findings: Sequence[HistoryFinding]) -> str:
    names = [
        f"{each.quantity.label} of {each.identity.network}"
        + (f" {units.change(each.change.ratio - 1)}" if math.isfinite(each.change.ratio) else "")
        for each in findings[:_NAMED]
    ]
    more = f" and {len(findings) - _NAMED} more" if len(findings) > _NAMED else ""
    return f"{', '.join(names)}{more}"
