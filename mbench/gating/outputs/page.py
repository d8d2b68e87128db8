"""A verdict, and a comparison, as one HTML file that needs nothing else: no network, no script, no other file.

What a table says of a change is drawn beside it: the estimate and its interval against what is tolerated, all on one
scale. Here: the style's hash and where the marks stand. What is said is in `reports/verdict.html.j2`.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from collections.abc import Iterable

from markupsafe import Markup

from mbench.core import plain
from mbench.core.version import VERSION
from mbench.gating.comparison import Comparison, Finding, GroupSum, Verdict
from mbench.gating.outputs import words
from mbench.page import templates

STYLES = ("page.css", "verdict.css")
WIDTH = 200
"""Of a drawing, in its own units; no change is in the middle."""
_NARROWEST = 0.02
_WIDEST = 0.5
_MARGIN = 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mark:
    """Where a finding's estimate, interval and tolerance are drawn."""

    x: float
    low: float
    high: float
    tolerated: float | None
    off_scale: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A finding, and its drawing; None: it has no ratio."""

    finding: Finding
    mark: Mark | None


def render(document: Verdict | Comparison) -> bytes:
    """Return the page of a verdict, or of a comparison without one."""
    document = plain.cleaned(document)
    if isinstance(document, Verdict):
        return _page(document.comparison, document)
    return _page(document, None)


def scale(findings: Iterable[Finding]) -> float:
    """Return the change at the drawings' edges, as a fraction: the largest with an interval, within limits.

    A count that doubled lies beyond the edge, rather than make every interval too small to see.
    """
    found = list(findings)
    changes = [_NARROWEST]
    for finding in [each for each in found if words.bounds(each)] or found:
        limits = words.bounds(finding) or ()
        changes += [abs(ratio - 1) for ratio in (*limits, finding.ratio) if ratio is not None]
    return min(_WIDEST, max(changes))


def mark(finding: Finding, edge: float) -> Mark | None:
    """Return where to draw a finding on a scale from -`edge` to +`edge`."""
    if finding.ratio is None:
        return None
    low, high = words.bounds(finding) or (finding.ratio, finding.ratio)
    return Mark(
        x=_position(finding.ratio - 1, edge),
        low=_position(low - 1, edge),
        high=_position(high - 1, edge),
        tolerated=None if finding.threshold is None else _position(finding.threshold, edge),
        off_scale=abs(finding.ratio - 1) > edge,
    )


def _position(change: float, edge: float) -> float:
    half = WIDTH / 2 - _MARGIN
    return round(WIDTH / 2 + half * max(-1.0, min(1.0, change / edge)), 2)


def _page(comparison: Comparison, verdict: Verdict | None) -> bytes:
    style = "".join(templates.asset(name) for name in STYLES)
    edge = scale(comparison.findings)

    def rows(findings: Iterable[Finding]) -> dict[str, list[Row]]:
        """Return what is shown of each network."""
        return {
            name: [Row(finding=each, mark=mark(each, edge)) for each in found]
            for name, found in words.by_variant(findings).items()
        }

    shown, left_out = words.telling(comparison.findings)
    listed = words.sections(comparison) if verdict else {}
    return (
        templates.environment({"words": words})
        .get_template("verdict.html.j2")
        .render(
            verdict=verdict,
            comparison=comparison,
            sections={title: rows(found) for title, found in listed.items()},
            networks=rows(shown),
            sums=_sums(comparison),
            left_out=left_out,
            edge=edge,
            width=WIDTH,
            version=VERSION,
            style=Markup(style),  # noqa: S704 - mbench's own files
            policy=_policy(style),
        )
        .encode()
    )


def _sums(comparison: Comparison) -> dict[str, dict[str, list[GroupSum]]]:
    """Return the sums of each network's layers that has any."""
    names = dict.fromkeys(each.variant for each in comparison.groups)
    found = {name: words.sums(comparison, name) for name in names}
    return {name: tables for name, tables in found.items() if tables}


def _policy(style: str) -> str:
    """Return the content security policy: this style and nothing else, from anywhere."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
