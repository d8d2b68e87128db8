"""The head's values as benchmark-action/github-action-benchmark reads them: tool `customSmallerIsBetter`.

One entry a thing and metric, named the same from run to run: the service draws a curve for each name and compares it
with its last value. Source of the format: src/extract.ts and src/extractRangeInfo.ts there.
"""

from __future__ import annotations

import msgspec

from mbench.core import plain
from mbench.gating.comparison import Verdict
from mbench.gating.outputs import trend, words


class _ActionEntry(msgspec.Struct, omit_defaults=True):
    name: str
    unit: str
    value: float
    range: str | None = None
    """`± ` and half the width of the interval, in the entry's unit."""
    extra: str | None = None


def render(verdict: Verdict) -> bytes:
    """Return the JSON array."""
    verdict = plain.cleaned(verdict)
    entries = [_entry(value) for value in trend.values(verdict.comparison)]
    return msgspec.json.format(msgspec.json.encode(entries), indent=2) + b"\n"


def _entry(value: trend.Value) -> _ActionEntry:
    finding, limits = value.finding, value.interval
    return _ActionEntry(
        name=words.line(f"{finding.variant}/{words.place(finding)}/{finding.metric}"),
        unit=value.unit,
        value=value.value,
        range=f"± {(limits[1] - limits[0]) / 2:.3f}" if limits else None,
        extra=words.line(f"{finding.way}: {words.sentence(finding)}; {finding.outcome}: {words.reasons(finding)}"),
    )
