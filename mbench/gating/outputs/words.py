"""What every output says alike: the thing that was compared, from what to what, by how much, in which order.

Scaling is left to `core.units`. What comes from outside (names, reasons) is not escaped here: each format does that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from mbench.core import plain, units
from mbench.gating.comparison import (
    UNITS,
    Comparison,
    Conclusion,
    Difference,
    Finding,
    GroupSum,
    Metric,
    Outcome,
    Side,
    Verdict,
)

METRICS: dict[Metric, str] = {
    "latency": "latency",
    "sustained_latency": "latency under load",
    "instructions": "instructions",
    "loads": "loads",
    "stores": "stores",
    "memory": "memory",
    "weight_bytes": "weights",
    "library_bytes": "library",
    "macs": "MACs",
    "presence": "presence",
    "result": "result",
}
CONCLUSIONS: dict[Conclusion, str] = {
    "passed": "Passed",
    "regressed": "Regressed",
    "inconclusive": "Inconclusive",
    "incomparable": "Incomparable",
    "unmeasured": "Not measured",
}
SECTIONS: dict[Outcome, str] = {
    "regressed": "Regressed",
    "undecided": "Undecided",
    "accepted": "Accepted",
    "improved": "Improved",
    "information": "New",
}
"""Outcomes that are listed, in the order in which they matter; `same` is only counted, and so is what was not judged
for being too short: of `information` only what is new is listed. What is `unmeasured` comes before all of them, a line
each."""

SUMMED: tuple[Metric, ...] = ("latency", "instructions", "macs")
"""What is shown of sums over layers: the first of these that there is."""

AT_HAND = "Both builds are at hand. To measure them against each other now, type:"
"""Before the command."""

COPY = "Not counted"
"""Before a file that is a copy of another run's."""

_TALLIED: dict[Outcome, str] = {"information": "not judged", "unmeasured": "not measured"}
_COMMIT = 12
"""Characters of a commit that name it."""
_DIGITS = range(3, 7)
_SAMPLED = ("paired", "recorded")


def place(finding: Finding) -> str:
    """Return what the finding is about within its network: a layer, or `network`."""
    return finding.layer or "network"


def topic(finding: Finding) -> str:
    """Return what the finding is about within its network: `block3.dw, latency`; what is gone has no metric."""
    return (
        place(finding) if finding.metric in ("presence", "result") else f"{place(finding)}, {METRICS[finding.metric]}"
    )


def kind(finding: Finding) -> str:
    """Return what a layer does and where: `depthwise, block3`; nothing where that says nothing."""
    role = finding.role if finding.role != "other" else None
    return ", ".join(filter(None, (role, finding.block)))


def values(finding: Finding | GroupSum) -> tuple[str, str]:
    """Return base and head with their units, and with as many digits as it takes to distinguish them."""
    base, head = finding.base, finding.head
    for digits in _DIGITS:
        shown = _amount(finding.metric, base, digits), _amount(finding.metric, head, digits)
        if shown[0] != shown[1] or base == head or base is None or head is None:
            return shown
    return f"{base:,.10g}", f"{head:,.10g}"


def change(finding: Finding | GroupSum) -> str:
    """Return the relative change: `+3.2 %`; a change that is there is never shown as 0."""
    if finding.ratio is None or not math.isfinite(finding.ratio):
        return units.NOT_AVAILABLE
    value = finding.ratio - 1
    return units.change(value, _decimals(value, 1 if finding.way in _SAMPLED else 2)) if value else "0 %"


def interval(finding: Finding) -> str:
    """Return the interval of the change: `+2.1 to +4.3 %`; empty: there is none."""
    limits = bounds(finding)
    if limits is None:
        return ""
    low, high = (units.change(limit - 1) for limit in limits)
    return f"{low.removesuffix(' %')} to {high}"


def bounds(finding: Finding) -> tuple[float, float] | None:
    """Return the interval of the ratio, if it is one: with too few samples its limits are infinite."""
    low, high = finding.interval or (0.0, None)
    if high is None or not all(math.isfinite(limit) and limit > 0 for limit in (low, high)):
        return None
    return low, high


def tolerated(finding: Finding) -> str:
    """Return the change that was tolerated: `2 %`."""
    return share(finding.threshold)


def share(value: float | None) -> str:
    """Return a fraction as a percentage with up to three digits: `0.5 %`, `228 %`."""
    if value is None or not math.isfinite(value):
        return units.NOT_AVAILABLE
    if value == 0:
        return "0 %"
    text = units.percent(value, max(0, 2 - math.floor(math.log10(abs(100 * value))))).removesuffix(" %")
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def sentence(finding: Finding) -> str:
    """Return the figures in one line: `1.00 ms → 1.10 ms, +10.0 % (+8.0 to +12.0 %), 2 % tolerated`."""
    if finding.base is None and finding.head is None:
        return ""
    base, head = values(finding)
    limits = f" ({interval(finding)})" if bounds(finding) else ""
    allowed = f", {tolerated(finding)} tolerated" if finding.threshold is not None else ""
    return f"{base} → {head}, {change(finding)}{limits}{allowed}"


def reasons(finding: Finding) -> str:
    """Return why it was judged so, and what may explain it."""
    return "; ".join((finding.reason, *finding.causes))


def with_causes_once(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield findings with what may explain those of a layer at the first of them alone."""
    said: set[tuple[str, str, str]] = set()
    for finding in findings:
        causes = {cause: (finding.variant, place(finding), cause) for cause in finding.causes}
        new = tuple(cause for cause, key in causes.items() if key not in said)
        said.update(causes.values())
        yield msgspec.structs.replace(finding, causes=new)


def grouped(findings: Iterable[Finding]) -> list[str]:
    """Return a line for each reason, with all that it holds for: `latency of block1.pw, block2.pw: too much noise`."""
    found: dict[tuple[str, str], list[str]] = {}
    for finding in with_causes_once(findings):
        metric = "" if finding.metric in ("presence", "result") else f"{METRICS[finding.metric]} of "
        found.setdefault((metric, reasons(finding)), []).append(place(finding))
    return [f"{metric}{', '.join(places)}: {reason}" for (metric, reason), places in found.items()]


def line(content: str) -> str:
    """Return the text as one line in which everything can be printed."""
    return " ".join(plain.visible(content).split())


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings as they matter: what has no figures (gone, failed), whole networks, then the largest change."""

    def key(finding: Finding) -> tuple[bool, bool, float]:
        known = finding.ratio is not None and finding.ratio > 0 and math.isfinite(finding.ratio)
        size = abs(math.log(finding.ratio)) if known and finding.ratio else math.inf
        return finding.ratio is not None, finding.layer is not None, -size

    return sorted(findings, key=key)


def sections(comparison: Comparison) -> dict[str, list[Finding]]:
    """Return what is worth listing, under its title, in the order in which it matters; empty sections are left out."""
    found = {outcome: ranked(comparison.of(outcome)) for outcome in SECTIONS}
    found["information"] = list(filter(is_new, found["information"]))
    return {SECTIONS[outcome]: findings for outcome, findings in found.items() if findings}


def is_new(finding: Finding) -> bool:
    """Return whether it is about something that only the head has: a layer, or a network's result."""
    return finding.outcome == "information" and finding.metric in ("presence", "result")


def is_mended(finding: Finding) -> bool:
    """Return whether it is about a network that failed in the base and has a result in the head."""
    return finding.outcome == "information" and finding.metric == "result"


def failures_now(verdict: Verdict) -> list[str]:
    """Return what could not be measured now; the other failures are those of the two runs, and findings."""
    in_runs = set(verdict.comparison.not_measured)
    return [failure for failure in verdict.failures if failure not in in_runs]


def telling(findings: Iterable[Finding]) -> tuple[list[Finding], str]:
    """Return the findings without the exact values that are the same in both runs, and how many these are, in words."""
    found = list(findings)
    shown = [each for each in found if each.way in _SAMPLED or each.base != each.head or each.base is None]
    left = len(found) - len(shown)
    return shown, f"Exact values that are the same in both runs, left out here: {left}." if left else ""


def by_variant(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Return the findings of each network, networks in order of appearance."""
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.variant, []).append(finding)
    return found


def sums(comparison: Comparison, variant: str) -> dict[str, list[GroupSum]]:
    """Return the sums of a network's layers by role and by block, each of the first metric that has any."""
    found = [each for each in comparison.groups if each.variant == variant]
    metric = next((metric for metric in SUMMED if any(each.metric == metric for each in found)), None)
    way = next((each.way for each in found if each.metric == metric), None)
    shown = [each for each in found if each.metric == metric and each.way == way]
    groups = {f"by {by}": [each for each in shown if each.by == by] for by in ("role", "block")}
    return {title: rows for title, rows in groups.items() if len(rows) > 1}


def tally(comparison: Comparison) -> str:
    """Return how many findings came to what: `2 regressed, 140 same`."""
    outcomes: tuple[Outcome, ...] = ("unmeasured", *SECTIONS, "same")
    counts = [(_TALLIED.get(outcome, outcome), len(comparison.of(outcome))) for outcome in outcomes]
    said = [f"{count} {outcome}" for outcome, count in counts if count]
    return ", ".join(said) or "nothing was compared"


def side(one: Side) -> str:
    """Return which run it is: `mbench-results/a.json: a, commit 4f2a9c1, 2025-03-01 12:00 UTC, target host, …`.

    Of its labels those that say which program it is of: the commit, shortened, and the branch.
    """
    several = f", {one.runs} records" if one.runs > 1 else ""
    when = units.timestamp(one.created_at_utc)
    return (
        f"{one.path}: {one.run_id}{program(one.labels)}, {when}, target {one.target}, on {one.machine}, "
        f"mbench {one.mbench_version}{several}"
    )


def program(labels: Mapping[str, str]) -> str:
    """Return which program a run is of, by its labels, to follow something: `, commit 4f2a9c1, branch main`."""
    known = {"commit": labels.get("commit", "")[:_COMMIT], "branch": labels.get("branch", "")}
    return "".join(f", {key} {value}" for key, value in known.items() if value)


def difference(one: Difference) -> str:
    """Return what the two runs do not share, and what follows."""
    if not one.forbids:
        follows = "forbids nothing"
    elif one.allowed:
        follows = "allowed"
    else:
        follows = f"forbids {', '.join(one.forbids)}; --allow-different {one.key} to compare all the same"
    return f"{one.key}: {one.base} → {one.head} ({follows})"


def confidence(findings: Iterable[Finding]) -> str:
    """Return what the intervals are: `Intervals: 99 % confidence.`; empty: there are none."""
    levels = sorted({finding.confidence for finding in findings if finding.confidence and bounds(finding)})
    return f"Intervals: {', '.join(map(share, levels))} confidence." if levels else ""


def cut(lines: Sequence[str], most: int, more: str) -> list[str]:
    """Return at most `most` lines; where some are left out, the last says how many: `more` with `{count}`."""
    if len(lines) <= most:
        return list(lines)
    return [*lines[: most - 1], more.format(count=len(lines) - most + 1)]


def _amount(metric: Metric, value: float | None, digits: int) -> str:
    if value is None or not math.isfinite(value):
        return units.NOT_AVAILABLE
    if metric not in UNITS and abs(value) < 1000 and value == int(value):
        return units.exact(int(value))
    return units.scaled(value, UNITS.get(metric, ""), digits).rstrip()


def _decimals(value: float, least: int) -> int:
    """Return as many decimals as a percentage needs not to look like 0."""
    return max(least, math.ceil(-math.log10(abs(100 * value)))) if value else least
