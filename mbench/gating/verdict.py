"""Two runs compared in the ways that they allow, and judged as a whole."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from mbench.analysis import runs
from mbench.analysis.runs import Copy
from mbench.core import units
from mbench.core.progress import Stage
from mbench.core.records import Result
from mbench.core.version import VERSION
from mbench.gating import (
    acceptance,
    boards,
    causes,
    comparable,
    coverage,
    exact,
    groups,
    matching,
    paired,
    recorded,
    sustained,
    two_types,
)
from mbench.gating import asked as asked_for
from mbench.gating.acceptance import Acceptance
from mbench.gating.comparison import WAYS, Comparison, Conclusion, Difference, Finding, Verdict, Way
from mbench.gating.coverage import Both
from mbench.gating.limits import Limits
from mbench.gating.matching import Match
from mbench.gating.paired import Contest, Fought
from mbench.gating.sides import Given
from mbench.measure.duel import Arena


class Fight(NamedTuple):
    """What a paired comparison needs besides the records."""

    contests: tuple[Contest, ...]
    arena: Arena
    report: Stage
    first_look: int


class Asked(NamedTuple):
    """How to compare."""

    limits: Limits = Limits()
    allowed: tuple[str, ...] = ()
    """Keys whose differences do not matter."""
    recorded: bool = False
    """Whether recorded latencies are wanted although counts are there."""


def ways(base: Given, head: Given, *, pair: bool, record: bool) -> tuple[Way, ...]:
    """Return the ways of comparing that two runs allow and the caller wants, chosen by what is given.

    Counts wherever both sides have them. Latencies measured now if `pair`; recorded ones if `record`, or if there is
    nothing better.
    """
    shared = [(ours, theirs) for _, ours, theirs in asked_for.comparable(base.record, head.record)]
    found: list[Way] = ["static"]
    if any(ours.counts and theirs.counts for ours, theirs in shared):
        found.append("counts")
    if pair:
        found.append("paired")
    timed = any(ours.end_to_end.latency_s and theirs.end_to_end.latency_s for ours, theirs in shared)
    if not pair and timed and (record or "counts" not in found):
        found.append("recorded")
    return tuple(found)


def compare(base: Given, head: Given, asked: Asked, fight: Fight | None = None) -> tuple[Comparison, tuple[str, ...]]:
    """Return what was found in every way that the two runs allow, and what could not be measured now."""
    found = comparable.differences(base.record, head.record, asked.allowed)
    wanted = ways(base, head, pair=fight is not None, record=asked.recorded)
    possible = tuple(way for way in wanted if not comparable.forbidden(way, found))
    both = asked_for.comparable(base.record, head.record)
    matched = {name: _matched(ours, theirs) for name, ours, theirs in both}
    findings = [*asked_for.presence(base, head), *_exact(both, matched, asked.limits, possible)]
    shared = runs.shared(head.runs, base.runs)
    own = [record for index, record in enumerate(head.runs) if index not in {copy.at for copy in shared}]
    fought = Fought()
    mixed = _mixed(base, head, matched, asked) if "recorded" in possible else {}
    alike = {name: layers for name, layers in matched.items() if name not in mixed}
    if "recorded" in possible:
        findings += recorded.judge(base.runs, own, alike, asked.limits) if own else recorded.identical(base.runs, alike)
    if "paired" in possible and fight is not None:
        fought = paired.judge(fight.contests, fight.arena, asked.limits, fight.report, first_look=fight.first_look)
        findings += fought.findings
    needed: tuple[Way, ...] = ("paired", "recorded") if asked.recorded else ("paired",)
    findings += list(coverage.lacking([each for each in both if each[0] in alike], matched, possible, needed, findings))
    forbidding = comparable.forbidden("recorded", found)
    under_load, untaken = sustained.judge(base.runs, own, matched, asked.limits, forbidding)
    findings += under_load
    taken = dict.fromkeys((*possible, *(each.way for each in under_load)))
    explained = tuple(_with_causes(finding, base, head, matched) for finding in findings)
    comparison = Comparison(
        base=base.described(), head=head.described(), ways={way: WAYS[way] for way in taken}, findings=explained,
        groups=groups.of_findings(explained),
        differences=found, notes=(*fought.remarks, *coverage.notes(both, matched, possible), *untaken),
        left_out=(*asked_for.apart(base.record, head.record), *_left_out(wanted, possible, found), *mixed.values()),
        copies=_copies(base, head, shared),
    )  # fmt: skip
    return comparison, fought.failures


def _mixed(base: Given, head: Given, names: Iterable[str], asked: Asked) -> dict[str, str]:
    """Return the networks whose recorded latencies are of devices that are not alike, each with the reason."""
    return {} if "device" in asked.allowed else boards.mixed((*base.runs, *head.runs), names, asked.limits)


def _matched(ours: Result, theirs: Result) -> tuple[Match, ...]:
    if ours.variant.dtype != theirs.variant.dtype:
        return two_types.layers(ours, theirs)
    return matching.layers(ours.layers, theirs.layers)


def _copies(base: Given, head: Given, shared: Sequence[Copy]) -> tuple[str, ...]:
    """Return which files do not count: copies on one side, and runs of the head that are the base's too."""
    return (
        *base.copies,
        *head.copies,
        *(_on_both(head.file(copy.at), base.file(copy.of), copy.why) for copy in shared),
    )


def _on_both(ours: Path, theirs: Path, why: str) -> str:
    if ours == theirs:
        return f"{ours}: one file is on both sides"
    return f"{ours} {why} as {theirs}: one run is on both sides"


def judge(comparison: Comparison, failures: Sequence[str], accepted: Sequence[Acceptance]) -> Verdict:
    """Return the verdict on a comparison: worse wins over unmeasured and undecided; what was not judged never passes.

    Args:
        comparison: what was found.
        failures: what could not be measured now.
        accepted: changes that were agreed to.
    """
    failures = (*comparison.not_measured, *failures)
    findings, used = acceptance.apply(comparison.findings, tuple(accepted))
    judged = msgspec.structs.replace(comparison, findings=findings)
    conclusion = _conclusion(judged, failures)
    return Verdict(
        created_at_utc=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        mbench_version=VERSION, conclusion=conclusion, headline=_headline(judged, conclusion, failures),
        comparison=judged, accepted=tuple(used), failures=failures,
    )  # fmt: skip


def is_open(judged: Verdict) -> bool:
    """Return whether latencies are left open that measuring both builds now could decide."""
    found = judged.comparison
    if judged.conclusion not in ("inconclusive", "incomparable") or "paired" in found.ways:
        return False
    if comparable.forbidden("paired", found.differences) or any(map(_counts_left_out, found.left_out)):
        return False
    undecided = any(each.outcome == "undecided" and each.metric == "latency" for each in found.findings)
    return undecided or bool(found.left_out) or not any(way != "static" for way in found.ways)


def _counts_left_out(said: str) -> bool:
    return said.startswith(_LEFT_OUT.format(way="counts"))


# ------------------------------------------------------------------------------------------------------------- findings
def _exact(
    both: Sequence[Both], matched: dict[str, tuple[Match, ...]], limits: Limits, possible: Sequence[Way]
) -> Iterator[Finding]:
    counts = "counts" in possible
    for name, ours, theirs in both:
        found = (
            *exact.of_network(ours, theirs, limits, counts=counts),
            *exact.of_layers(name, matched[name], limits, counts=counts),
        )
        yield from (each for each in found if each.way in possible or (counts and each.metric == "presence"))


def _with_causes(finding: Finding, base: Given, head: Given, matched: dict[str, tuple[Match, ...]]) -> Finding:
    moved = finding.outcome in ("regressed", "improved", "undecided") or finding.metric == "latency"
    if not moved or finding.variant not in matched:
        return finding
    ours, theirs = (_result(given, finding.variant) for given in (base, head))
    match = next((each for each in matched[finding.variant] if each.name == finding.layer), None)
    certain = finding.metric == "latency" and finding.outcome in ("regressed", "improved")
    timed = finding.ratio if certain else None
    found = causes.of_layer(match, ours, theirs, timed) if match else causes.of_network(ours, theirs)
    return msgspec.structs.replace(finding, causes=found)


def _result(given: Given, name: str) -> Result:
    return next(result for result in given.record.results if result.variant.name == name)


_LEFT_OUT = "not compared by {way}"


def _left_out(wanted: Sequence[Way], possible: Sequence[Way], found: Sequence[Difference]) -> tuple[str, ...]:
    return tuple(
        f"{_LEFT_OUT.format(way=way)}: {', '.join(each.key for each in comparable.forbidden(way, found))} differ"
        for way in wanted
        if way not in possible and way != "static"
    )


# -------------------------------------------------------------------------------------------------------------- verdict
_SHOWN = 3
"""Findings and failures that a headline names."""


def _conclusion(comparison: Comparison, failures: Sequence[str]) -> Conclusion:
    if comparison.of("regressed"):
        return "regressed"
    if failures:
        return "unmeasured"
    judged = any(each.outcome != "information" for each in comparison.findings)
    if comparison.left_out or not judged:
        return "incomparable"
    if comparison.of("undecided") or not _by_running(comparison):
        return "inconclusive"
    return "passed"


def _by_running(comparison: Comparison) -> bool:
    """Return whether anything was judged that the code did, not only what the compiler says of it."""
    return any(each.way != "static" and each.outcome != "information" for each in comparison.findings)


def _headline(comparison: Comparison, conclusion: Conclusion, failures: Sequence[str]) -> str:
    named = {outcome: comparison.of(outcome) for outcome in ("regressed", "undecided", "improved", "accepted", "same")}
    unmeasured = f"{len(failures)} not measured" if failures else ""
    if conclusion == "regressed":
        return "; ".join(
            filter(None, (f"{len(named['regressed'])} regressed: {_named(named['regressed'])}", unmeasured))
        )
    if conclusion == "unmeasured":
        more = f" and {len(failures) - _SHOWN} more" if len(failures) > _SHOWN else ""
        return f"{unmeasured}: {'; '.join(failures[:_SHOWN])}{more}"
    if conclusion == "incomparable":
        return "; ".join(comparison.left_out) or "the two runs have nothing in common that could be compared"
    if named["undecided"]:
        return f"{len(named['undecided'])} undecided: {_named(named['undecided'])}"
    if conclusion == "inconclusive":
        return "nothing that was executed could be compared: neither counts nor latencies on both sides"
    better = f"; {len(named['improved'])} improved: {_named(named['improved'])}" if named["improved"] else ""
    agreed = f"; {len(named['accepted'])} accepted" if named["accepted"] else ""
    mended = [each.variant for each in comparison.of("information") if each.metric == "result"]
    alone = f"; a result in the head alone: {', '.join(mended)}" if mended else ""
    count = len(named["same"])
    plural = "" if count == 1 else "s"
    return f"no regression in {count} comparison{plural}{better}{agreed}{alone}"


def _named(findings: Sequence[Finding]) -> str:
    """Name the worst findings: latency before counts before sizes, the largest change first."""
    order = ("latency", "sustained_latency", "instructions", "result", "presence")
    ranked = sorted(
        findings,
        key=lambda each: (
            order.index(each.metric) if each.metric in order else len(order),
            each.layer is not None,
            -abs((each.ratio or 1.0) - 1),
        ),
    )
    names = [
        f"{each.metric} of {each.layer or each.variant}" + (f" {units.change(each.ratio - 1)}" if each.ratio else "")
        for each in ranked[:_SHOWN]
    ]
    more = f" and {len(ranked) - _SHOWN} more" if len(ranked) > _SHOWN else ""
    return f"{', '.join(names)}{more}"
