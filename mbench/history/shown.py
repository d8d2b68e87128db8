"""What `mbench history check` and `show` print: charts, tables and lines in 80 columns. Renderables only."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from rich.console import RenderableType
from rich.padding import Padding

from mbench.core import plain, units
from mbench.history.check import HistoryFinding, HistoryVerdict, Standing
from mbench.history.series import Change, Series
from mbench.history.site_words import value
from mbench.terminal.line_chart import ChartLevel, ChartMark, LineChart
from mbench.terminal.listings import Listing
from mbench.terminal.table import Column, Fitted, text

_LABELS = "123456789abcdefghijklmnopqrstuvwxyz"
"""Of changes in a chart; those that come before the last so many have none."""
_HEADLINES = {"passed": ("PASSED", "bold green"), "regressed": ("REGRESSED", "bold red")}
_NO_VERDICT = ("NO VERDICT", "bold yellow")
_TITLES: dict[Standing, str] = {
    "regressed": "Worse", "perhaps": "Perhaps", "machine": "The machine's, not the code's", "accepted": "Accepted",
    "improved": "Better", "changed": "Changed",
}  # fmt: skip
_MOST = 20
"""Changes that a list shows; what is left out is counted."""
_SHORT = 10
"""Characters of a commit or of a record's address."""


def size(change: Change) -> str:
    """Return how large a change is, with the interval where there is one: `+5.1 % (4.7 to 5.5)`."""
    if not math.isfinite(change.ratio):
        return "from 0"
    decimals = 1 if change.p_value is not None or abs(change.ratio - 1) >= 0.001 else 3
    said = units.change(change.ratio - 1, decimals)
    if change.low == change.high:
        return said
    return f"{said} ({100 * (change.low - 1):.1f} to {100 * (change.high - 1):.1f})"


def commits(change: Change) -> str:
    """Return the commits around a change: `after 1a2b3c, in 4d5e6f`; empty: none is known."""
    before, after = (each and each[:_SHORT] for each in change.commits)
    if before and after and before != after:
        return f"commits {before}..{after}"
    return f"commit {after}" if after else f"after commit {before}" if before else ""


def of_check(verdict: HistoryVerdict) -> Listing:
    """Return what a check found: what is worse first."""
    shown = plain.cleaned(verdict)
    word, style = _HEADLINES.get(shown.conclusion, _NO_VERDICT)
    parts: list[RenderableType] = [text(f"{word}: ", style=style) + text(shown.headline)]
    several = len({each.identity.target for each in shown.findings}) > 1
    for standing, group in itertools.groupby(shown.findings, key=lambda each: each.standing):
        parts.extend(_section(_TITLES[standing], list(group), several=several))
    if shown.accepted:
        parts.append(text("Accepted by the checked-in list", style="bold"))
        parts.extend(Padding(text(each), (0, 0, 0, 2), expand=False) for each in shown.accepted)
    left_out = [
        f"{count} {why}" for count, why in ((shown.ended, "ended"), (shown.short, "with too few runs")) if count
    ]
    more = f"; not judged: {' and '.join(left_out)}" if left_out else ""
    parts.append(text(f"Judged: {shown.series} series of {shown.runs} runs, new changes {shown.window}{more}."))
    return Listing(parts, msgspec.to_builtins(verdict))


def _section(title: str, findings: Sequence[HistoryFinding], *, several: bool) -> Iterator[RenderableType]:
    """Yield a table of changes; `several`: they are of more than one target, which is named then."""
    yield text(title, style="bold")
    listed = findings[:_MOST]
    yield Fitted(
        [
            Column(head="network", cells=[_network(each, several=several) for each in listed]),
            Column(head="quantity", cells=[each.quantity.label for each in listed], left=True),
            Column(head="before", cells=[value(each.change.before, each.quantity) for each in listed], rank=2),
            Column(head="after", cells=[value(each.change.after, each.quantity) for each in listed], rank=2),
            Column(head="change", cells=[size(each.change) for each in listed]),
            Column(head="since", cells=[f"{each.at:%Y-%m-%d}" for each in listed], rank=1),
        ],
        below=2, least=16,
    )  # fmt: skip
    reasons: dict[tuple[str, str], list[str]] = {}
    for each in listed:
        said = "; ".join(filter(None, (_when(each.change), commits(each.change), *each.change.causes)))
        reasons.setdefault((_network(each, several=several), said), []).append(each.quantity.label)
    for (network, said), labels in reasons.items():
        yield Padding(text(f"{network}, {', '.join(dict.fromkeys(labels))}: {said}"), (0, 0, 0, 2), expand=False)
    if len(findings) > _MOST:
        yield text(f"… and {len(findings) - _MOST} more: see --json")


def _network(finding: HistoryFinding, *, several: bool) -> str:
    where = finding.identity
    threads = f"{where.threads} threads" if where.threads > 1 else ""
    return " ".join(filter(None, (where.network, where.target if several else "", threads)))


def _when(change: Change) -> str:
    unsure = ""
    if change.more_runs is not None:
        unsure = f"perhaps: {units.counted(change.more_runs, 'more run')} will show; "
    return f"{unsure}first record {change.record[:_SHORT]}"


def of_series(series: Sequence[Series], changes: Mapping[str, Sequence[Change]], others: Sequence[Series]) -> Listing:
    """Return a chart of each series with its changes, and a line for each other quantity that changed.

    Args:
        series: what is drawn.
        changes: of all of them, by `id`.
        others: further quantities of the same networks.
    """
    parts: list[RenderableType] = []
    for each in series:
        parts.extend(_chart(plain.cleaned(each), [plain.cleaned(change) for change in changes[each.id]]))
        beside = [other for other in others if other.identity == each.identity]
        for other in beside:
            parts.extend(_line(plain.cleaned(other), [plain.cleaned(change) for change in changes[other.id]]))
    data = [_data(each, changes[each.id]) for each in (*series, *others)]
    return Listing(parts, data)


def _data(series: Series, changes: Sequence[Change]) -> dict[str, Any]:
    return {"series": msgspec.to_builtins(series), "changes": msgspec.to_builtins(tuple(changes))}


def _chart(series: Series, changes: Sequence[Change]) -> Iterator[RenderableType]:
    where, quantity, points = series.identity, series.quantity, series.points
    threads = units.counted(where.threads, "thread")
    place = ", ".join(filter(None, (where.target, where.device, where.machine, where.hardware, threads)))
    yield text(f"{quantity.label} of {where.network} ({where.dtype}, batch {where.batch})", style="bold")
    yield text(place)
    labels = {change.at: label for change, label in zip(changes[-len(_LABELS) :], _LABELS, strict=False)}
    edges = [0, *(change.at for change in changes), len(points)]
    values = [change.before for change in changes[:1]] + [change.after for change in changes]
    spans = list(itertools.pairwise(edges))
    yield LineChart(
        values=[point.value for point in points], quiet=[not point.disturbed for point in points],
        levels=[
            ChartLevel(first=first, last=last - 1, value=level)
            for (first, last), level in zip(spans, values, strict=False) if last > first
        ],
        marks=[
            ChartMark(at=change.at, label=labels.get(change.at, "?"), style=_style(change))
            for change in changes if change.at in labels
        ],
        show=lambda amount: value(amount, quantity), first=f"{points[0].at:%Y-%m-%d}",
        last=f"{points[-1].at:%Y-%m-%d}",
    )  # fmt: skip
    disturbed = sum(bool(point.disturbed) for point in points)
    yield text(units.counted(len(points), "run") + (f", {disturbed} disturbed" if disturbed else "") + _none(changes))
    for change in changes:
        said = (size(change), f"{points[change.at].at:%Y-%m-%d %H:%M}", _when(change), commits(change), *change.causes)
        yield Padding(
            text(f"{labels.get(change.at, ' ')}  {'; '.join(filter(None, said))}"), (0, 0, 0, 2), expand=False
        )


def _none(changes: Sequence[Change]) -> str:
    return "" if changes else ", no change"


def _style(change: Change) -> str:
    if change.certainty == "perhaps":
        return "yellow"
    return "red" if change.worse else "" if change.model else "green"


def _line(series: Series, changes: Sequence[Change]) -> Iterator[RenderableType]:
    last = value(series.points[-1].value, series.quantity)
    if not changes:
        yield text(f"{series.quantity.label}  {last}, no change")
        return
    newest = changes[-1]
    said = f"{size(newest)} on {series.points[newest.at].at:%Y-%m-%d}"
    count = f"{len(changes)} changes, the last " if len(changes) > 1 else ""
    yield text(f"{series.quantity.label}  {last}, {count}{said}")
