"""A verdict, and a comparison layer by layer, in 80 columns. Renderables only; only `mbench.cli.main` prints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from mbench.core import plain, units
from mbench.gating.comparison import Comparison, Conclusion, Finding, Metric, Verdict
from mbench.gating.outputs import words
from mbench.terminal.table import Column, Fitted, text

LONGEST = 10
"""Rows that a list may have; what is left out is counted."""
_LEAST_NAME = 16
"""Characters that names of layers are broken to, at least, where there is no room for them and all figures."""
_MORE = "… and {count} more: see --json, --markdown or --html"
_STYLES: dict[Conclusion, str] = {
    "passed": "bold green",
    "regressed": "bold red",
    "inconclusive": "bold yellow",
    "incomparable": "bold yellow",
    "unmeasured": "bold red",
}
_COLUMNS: tuple[Metric, ...] = ("latency", "instructions", "loads", "stores", "memory", "weight_bytes", "macs")
"""Of a layer, in a comparison; those that no layer has are left out."""


def render(document: Verdict | Comparison) -> list[RenderableType]:
    """Return what a verdict says, what matters first; or what a comparison found, layer by layer."""
    document = plain.cleaned(document)
    return _judged(document) if isinstance(document, Verdict) else _compared(document)


def _judged(verdict: Verdict) -> list[RenderableType]:
    found = verdict.comparison
    headline = text(f"{words.CONCLUSIONS[verdict.conclusion]}: {words.line(verdict.headline)}")
    headline.stylize(_STYLES[verdict.conclusion], 0, len(words.CONCLUSIONS[verdict.conclusion]) + 1)
    parts: list[RenderableType] = [headline, *_conditions(found)]
    parts.extend(_not_measured(verdict.failures))
    for title, listed in words.sections(found).items():
        for variant, findings in words.by_variant(listed).items():
            parts.extend(_section(f"{title}: {variant}", findings))
    parts.extend(_listed("Accepted by the checked-in list", verdict.accepted))
    parts.extend(_rest(found))
    parts.append(text(f"In all: {words.tally(found)}."))
    if verdict.paired_command:
        parts += [text(words.AT_HAND), plain.visible(verdict.paired_command)]  # text that is not wrapped, for copying
    return parts


def _compared(comparison: Comparison) -> list[RenderableType]:
    parts: list[RenderableType] = list(_conditions(comparison))
    parts.extend(_not_measured(comparison.not_measured))
    measured = (finding for finding in comparison.findings if finding.outcome != "unmeasured")
    for variant, findings in words.by_variant(measured).items():
        whole = [finding for finding in findings if finding.layer is None and words.sentence(finding)]
        parts.extend(_figures(f"{variant}: the network", whole) if whole else [text(variant, style="bold")])
        parts.extend(_sums(comparison, variant))
        parts.extend(_layers(variant, [finding for finding in findings if finding.layer is not None]))
        parts.extend(_indented(_explained(findings)))
    parts.extend(_rest(comparison))
    return parts


def _sums(comparison: Comparison, variant: str) -> Iterator[RenderableType]:
    """Yield the sums of a network's layers, by role and by block."""
    for title, rows in words.sums(comparison, variant).items():
        metric = words.METRICS[rows[0].metric]
        heads = (title.removeprefix("by "), "layers", "base", "head", metric)
        cells = [(row.name, str(row.layers), *words.values(row), words.change(row)) for row in rows]
        yield from _table(f"{variant}: layers {title}", heads, cells)


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> Iterator[RenderableType]:
    """Yield a title and a table in which heads and figures stay whole; names break, and further columns go below.

    Args:
        title: above it.
        heads: of the columns; the first is of names.
        rows: the cells.
        left: so many columns are aligned to the left.
    """
    yield text(title, style="bold")
    columns = enumerate(zip(heads, zip(*rows, strict=True), strict=True))
    shown = [Column(head=head, cells=cells, rank=place, left=place < left) for place, (head, cells) in columns]
    yield Fitted(shown, below=len(heads), least=_LEAST_NAME)


def _not_measured(failures: Iterable[str]) -> Iterator[Text]:
    return (text(f"NOT MEASURED: {words.line(failure)}", style="bold red") for failure in failures)


def _conditions(comparison: Comparison) -> Iterator[Text]:
    yield text(f"base  {words.line(words.side(comparison.base))}")
    yield text(f"head  {words.line(words.side(comparison.head))}")
    for way, said in comparison.ways.items():
        yield text(f"Compared by {way}: {said}.")
    for said in comparison.left_out:
        yield text(words.line(f"{said[:1].upper()}{said[1:]}."), style="yellow")
    for said in comparison.copies:
        yield text(f"{words.COPY}: {words.line(said)}.", style="yellow")


def _section(title: str, findings: Sequence[Finding]) -> Iterator[RenderableType]:
    valued = [finding for finding in findings if words.sentence(finding)]
    if valued:
        yield from _figures(title, valued[:LONGEST])
    else:
        yield text(title, style="bold")
    if len(valued) > LONGEST:
        yield text(_MORE.format(count=len(valued) - LONGEST))
    shown = [finding for finding in findings if finding not in valued[LONGEST:]]
    yield from _why(shown, LONGEST)


def _figures(title: str, findings: Sequence[Finding]) -> Iterator[RenderableType]:
    rows = []
    for finding in findings:
        limits = words.interval(finding)
        moved = words.change(finding) + (f"\n({limits})" if limits else "")
        cells = (words.METRICS[finding.metric], *words.values(finding), moved, words.tolerated(finding))
        rows.append((words.place(finding), *cells))
    yield from _table(title, ("layer", "metric", "base", "head", "change", "tolerated"), rows, left=2)
    confidence = words.confidence(findings)
    if confidence:
        yield text(confidence, style="italic")


def _why(findings: Sequence[Finding], most: int) -> Iterator[RenderableType]:
    yield from _indented(words.cut(words.grouped(findings), most, _MORE))


def _layers(variant: str, findings: Sequence[Finding]) -> Iterator[RenderableType]:
    """Yield a row a layer: the values of one metric, and how much each metric changed that did in any layer."""
    layers: dict[str, dict[Metric, Finding]] = {}
    for finding in findings:
        layers.setdefault(finding.layer or "", {}).setdefault(finding.metric, finding)
    metrics = [metric for metric in _COLUMNS if any(metric in row for row in layers.values())]
    if not metrics:
        return
    first = next((metric for metric in words.SUMMED if metric in metrics), metrics[0])
    moved = [metric for metric in metrics if any(metric in row and _moved(row[metric]) for row in layers.values())]
    others = [metric for metric in moved if metric != first]
    ranges = any(words.bounds(row[first]) for row in layers.values() if first in row)
    heads = ("layer", "base", "head", words.METRICS[first], *(("interval",) if ranges else ()))
    rows = []
    for layer, row in layers.items():
        cells = (*_leading(row.get(first)), *((_interval(row.get(first)),) if ranges else ()))
        rows.append((layer, *cells, *(_change(row.get(metric)) for metric in others)))
    yield from _table(f"{variant}: layers", (*heads, *(words.METRICS[metric] for metric in others)), rows)
    yield text(_caption(first, metrics, moved, findings), style="italic")


def _caption(first: Metric, metrics: Sequence[Metric], moved: Sequence[Metric], findings: Sequence[Finding]) -> str:
    same = [words.METRICS[metric] for metric in metrics if metric not in moved]
    note = f"base and head: {words.METRICS[first]}; then changes, head over base."
    unchanged = f"The same in every layer: {', '.join(same)}." if same else ""
    return " ".join(filter(None, (note, unchanged, words.confidence(findings))))


def _leading(finding: Finding | None) -> tuple[str, str, str]:
    return (*(words.values(finding) if finding else (units.NOT_AVAILABLE,) * 2), _change(finding))


def _change(finding: Finding | None) -> str:
    return words.change(finding) if finding else units.NOT_AVAILABLE


def _interval(finding: Finding | None) -> str:
    return (words.interval(finding) if finding else "") or units.NOT_AVAILABLE


def _moved(finding: Finding) -> bool:
    return finding.base != finding.head


def _explained(findings: Sequence[Finding]) -> list[str]:
    """Return what is new, gone or wrong, and what may explain the other differences, each cause once."""
    lines = words.grouped(words.ranked(finding for finding in findings if not words.sentence(finding)))
    causes: dict[str, dict[str, None]] = {}
    for finding in findings:
        for cause in finding.causes if words.sentence(finding) else ():
            causes.setdefault(cause, {})[words.place(finding)] = None
    return [*lines, *(f"{', '.join(places)}: {cause}" for cause, places in causes.items())]


def _rest(comparison: Comparison) -> Iterator[RenderableType]:
    yield from _listed("What else the two runs do not share", map(words.difference, comparison.differences))
    yield from _listed("Notes", comparison.notes)


def _listed(title: str, lines: Iterable[str]) -> Iterator[RenderableType]:
    listed = list(lines)
    if listed:
        yield text(title, style="bold")
        yield from _indented(listed)


def _indented(lines: Iterable[str]) -> Iterator[Padding]:
    for line in lines:
        yield Padding(text(words.line(line)), (0, 0, 0, 2), expand=False)
