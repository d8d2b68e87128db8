"""A verdict, and a comparison, as GitHub-flavoured Markdown: for a job summary or a comment.

Names stand in code spans, so that nothing in them is markup, a mention or a link; free text has its punctuation
written as character references where that could mean something. GitHub takes up to 1 MiB a step, so long tables
are shortened.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from mbench.core import plain
from mbench.gating.comparison import Comparison, Finding, GroupSum, Verdict
from mbench.gating.outputs import words

LONGEST = 30
MOST_ROWS = 1500
_MORE = "and {count} more"
_MARKUP = re.compile(r"[&<>*\[\]`|\\~#$]|@(?=\w)|(?<!\w)_|_(?!\w)|(?<=www)\.|:(?=//)")

_LIKENESS = str.maketrans("`|", "'\u00a6")
"""What would end a code span, or a table's cell within one."""


def render(document: Verdict | Comparison) -> str:
    """Return what a verdict says, what matters first; or what a comparison found. Details are folded."""
    document = plain.cleaned(document)
    return _judged(document) if isinstance(document, Verdict) else _compared(document)


def _judged(verdict: Verdict) -> str:
    found = verdict.comparison
    parts = [f"## {words.CONCLUSIONS[verdict.conclusion]}", _text(verdict.headline)]
    parts.extend(f"**Not measured:** {_text(failure)}" for failure in verdict.failures)
    for title, findings in words.sections(found).items():
        parts += [f"### {title}", _table(findings, LONGEST)]
    parts += _list("Accepted by the checked-in list", verdict.accepted)
    whole = [f"In all: {words.tally(found)}."]
    if verdict.paired_command:
        whole += [words.AT_HAND, f"    {plain.visible(verdict.paired_command)}"]
    return _document((*parts, *_conditions(found), *whole, *_everything(found, "Layer by layer")))


def _compared(comparison: Comparison) -> str:
    parts = [f"## {_code(comparison.base.run_id)} → {_code(comparison.head.run_id)}", *_conditions(comparison)]
    parts.extend(f"**Not measured:** {_text(said)}" for said in comparison.not_measured)
    for variant, findings in words.by_variant(comparison.findings).items():
        whole = [finding for finding in findings if finding.layer is None]
        if whole:
            parts += [f"### {_code(variant)}", _table(whole, LONGEST)]
        parts += [_sums(title, rows) for title, rows in words.sums(comparison, variant).items()]
    return _document((*parts, *_everything(comparison, "Layer by layer")))


def _document(parts: Iterable[str]) -> str:
    return "\n\n".join(parts) + "\n"


def _table(findings: Sequence[Finding], most: int) -> str:
    rows = [
        "| network | layer | metric | base | head | change | tolerated | why |",
        "|---|---|---|---:|---:|---:|---:|---|",
        *map(_row, words.with_causes_once(findings[:most])),
    ]
    left = len(findings) - most
    note = " ".join(filter(None, (words.confidence(findings), f"{_MORE.format(count=left)}." if left > 0 else "")))
    return "\n".join(rows) + (f"\n\n{note}" if note else "")


def _sums(title: str, found: Sequence[GroupSum]) -> str:
    """Return the sums of a network's layers by role or by block."""
    metric = words.METRICS[found[0].metric]
    rows = (
        f"| {_code(each.name)} | {each.layers} | {' | '.join(words.values(each))} | {words.change(each)} |"
        for each in found[:LONGEST]
    )
    return "\n".join(
        [f"| {title.removeprefix('by ')} | layers | base | head | {metric} |", "|---|---:|---:|---:|---:|", *rows]
    )


def _row(finding: Finding) -> str:
    limits = words.interval(finding)
    cells = (
        _code(finding.variant), _code(finding.layer) if finding.layer else "network", words.METRICS[finding.metric],
        *words.values(finding), words.change(finding) + (f" ({limits})" if limits else ""), words.tolerated(finding),
        _text(words.reasons(finding)),
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _conditions(comparison: Comparison) -> Iterator[str]:
    sides = (
        f"- {name}: {_text(words.side(one))}" for name, one in (("base", comparison.base), ("head", comparison.head))
    )
    ways = (f"- compared by {way}: {_text(said)}" for way, said in comparison.ways.items())
    yield "\n".join((*sides, *ways, *(f"- {_text(said)}" for said in comparison.left_out)))
    yield from _list(f"{words.COPY}, since a run counts once", comparison.copies)
    yield from _list("What else the two runs do not share", map(words.difference, comparison.differences))
    yield from _list("Notes", comparison.notes)


def _everything(comparison: Comparison, title: str) -> Iterator[str]:
    findings, left_out = words.telling(comparison.findings)
    if findings:
        yield f"<details><summary>{title}</summary>"
        yield _table(findings, MOST_ROWS)
        yield "</details>"
    if left_out:
        yield left_out


def _list(title: str, lines: Iterable[str]) -> list[str]:
    items = [f"- {_text(line)}" for line in lines]
    return [f"**{title}**", "\n".join(items)] if items else []


def _text(content: str) -> str:
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};" + ("\u200b" if match[0] == "@" else ""), words.line(content))


def _code(name: str) -> str:
    """Return a name as a code span; what would end the span or the cell is replaced by its likeness."""
    return f"`{words.line(name).translate(_LIKENESS) or ' '}`"
