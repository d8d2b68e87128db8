"""A verdict, and a comparison layer by layer, in 80 columns. Renderables only; only `mbench.cli` prints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mbench import units
from mbench.comparison import Comparison, Conclusion, Finding, Metric, Verdict
from mbench.ruled import add_row, ruled, text
from mbench.verdicts import words

LONGEST = 10
"""Rows that a list may have; what is left out is counted."""
_MORE = "… and {count} more: see --json, --markdown or --html"
_STYLES: dict[Conclusion, str] = {
    "passed": "bold green",
    "regressed": "bold red",
    "inconclusive": "bold yellow",
    "incomparable": "bold yellow",
}
_COLUMNS: tuple[Metric, ...] = ("latency", "instructions", "loads", "stores", "memory", "weight_bytes", "macs")
"""Of a layer, in a comparison; those that no layer has are left out."""
_FIRST: tuple[Metric, ...] = ("latency", "instructions", "macs")
"""The metric whose values stand beside a layer: the first that there is."""


def render(document: Verdict | Comparison) -> list[RenderableType]:
    """Return what a verdict says, what matters first; or what a comparison found, layer by layer."""
    return _judged(document) if isinstance(document, Verdict) else _compared(document)


def _judged(verdict: Verdict) -> list[RenderableType]:
    found = verdict.comparison
    headline = text(f"{words.CONCLUSIONS[verdict.conclusion]}: ", style=_STYLES[verdict.conclusion])
    parts: list[RenderableType] = [headline + text(words.line(verdict.headline)), *_conditions(found)]
    parts.extend(text(f"FAILED: {words.line(failure)}", style="bold red") for failure in verdict.failures)
    for title, listed in words.sections(found).items():
        for variant, findings in words.by_variant(listed).items():
            parts.extend(_section(f"{title}: {variant}", findings))
    parts.extend(_listed("Accepted by the checked-in list", verdict.accepted))
    parts.extend(_rest(found))
    return parts


def _compared(comparison: Comparison) -> list[RenderableType]:
    parts: list[RenderableType] = list(_conditions(comparison))
    for variant, findings in words.by_variant(comparison.findings).items():
        whole = [finding for finding in findings if finding.layer is None]
        if whole:
            parts.append(_figures(f"{variant}: the network", whole))
        parts.extend(_layers(variant, [finding for finding in findings if finding.layer is not None]))
        notable = [finding for finding in findings if finding.causes or finding.metric in ("presence", "result")]
        parts.extend(_why(words.ranked(notable), len(notable)))
    parts.extend(_rest(comparison))
    return parts


def _conditions(comparison: Comparison) -> Iterator[Text]:
    yield text(f"base  {words.line(words.side(comparison.base))}")
    yield text(f"head  {words.line(words.side(comparison.head))}")
    for way, said in comparison.ways.items():
        yield text(f"Compared by {way}: {said}.")
    for said in comparison.left_out:
        yield text(words.line(f"{said[:1].upper()}{said[1:]}."), style="yellow")


def _section(title: str, findings: Sequence[Finding]) -> Iterator[RenderableType]:
    valued = [finding for finding in findings if words.sentence(finding)]
    if valued:
        yield _figures(title, valued[:LONGEST])
    else:
        yield text(title, style="bold")
    if len(valued) > LONGEST:
        yield text(_MORE.format(count=len(valued) - LONGEST))
    shown = [finding for finding in findings if finding not in valued[LONGEST:]]
    yield from _why(shown, LONGEST)


def _figures(title: str, findings: Sequence[Finding]) -> Table:
    table = ruled(title, ("layer", "metric"), ("base", "head", "change", "tolerated"))
    for finding in findings:
        limits = words.interval(finding)
        moved = words.change(finding) + (f"\n({limits})" if limits else "")
        row = (words.place(finding), words.METRICS[finding.metric], *words.values(finding), moved)
        add_row(table, *row, words.tolerated(finding))
    confidence = words.confidence(findings)
    if confidence:
        table.caption, table.caption_justify = text(confidence), "left"
    return table


def _why(findings: Sequence[Finding], most: int) -> Iterator[RenderableType]:
    lines = [f"{words.topic(finding)}: {words.reasons(finding)}" for finding in findings]
    yield from _indented(words.cut(lines, most, _MORE))


def _layers(variant: str, findings: Sequence[Finding]) -> Iterator[Table]:
    layers: dict[str, dict[Metric, Finding]] = {}
    for finding in findings:
        layers.setdefault(finding.layer or "", {}).setdefault(finding.metric, finding)
    columns = [metric for metric in _COLUMNS if any(metric in row for row in layers.values())]
    if not columns:
        return
    first = next((metric for metric in _FIRST if metric in columns), columns[0])
    heads = [words.METRICS[metric] for metric in columns]
    table = ruled(f"{variant}: layers", ("layer",), ("base", "head", *heads))
    table.padding = (0, 0, 0, 0)
    for layer, row in layers.items():
        values = words.values(row[first]) if first in row else (units.NOT_AVAILABLE,) * 2
        add_row(table, layer, *values, *(_change(row.get(metric)) for metric in columns))
    note = f"base and head: {words.METRICS[first]}; then changes, head over base. "
    table.caption, table.caption_justify = text(note + words.confidence(findings)), "left"
    yield table


def _change(finding: Finding | None) -> str:
    if finding is None:
        return units.NOT_AVAILABLE
    limits = words.interval(finding)
    return words.change(finding) + (f"\n({limits.removesuffix(' %')})" if limits else "")


def _rest(comparison: Comparison) -> Iterator[RenderableType]:
    yield from _listed("What else the two runs do not share", map(words.difference, comparison.differences))
    yield from _listed("Notes", comparison.notes)
    yield text(f"In all: {words.tally(comparison)}.")


def _listed(title: str, lines: Iterable[str]) -> Iterator[RenderableType]:
    listed = list(lines)
    if listed:
        yield text(title, style="bold")
        yield from _indented(listed)


def _indented(lines: Iterable[str]) -> Iterator[Padding]:
    for line in lines:
        yield Padding(text(words.line(line)), (0, 0, 0, 2))
