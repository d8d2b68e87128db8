"""What is exact: counts of instructions, planned memory, sizes, multiply-adds; and which layers are new or gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from mbench.analysis import pairs
from mbench.core import units
from mbench.core.records import Result
from mbench.gating.comparison import Finding, Metric, Outcome, Way
from mbench.gating.limits import Limits
from mbench.gating.matching import Match, total

_COUNTED: tuple[Metric, ...] = ("instructions", "loads", "stores")


def of_network(base: Result, head: Result, limits: Limits, *, counts: bool) -> Iterator[Finding]:
    """Yield a finding for each exact metric of a whole network; counts only where `counts` says that they compare."""
    name = head.variant.name
    values: list[tuple[Metric, Way, int, int]] = [
        ("memory", "static", pairs.peak_bytes(base), pairs.peak_bytes(head)),
        ("weight_bytes", "static", base.memory.weight_bytes, head.memory.weight_bytes),
        ("library_bytes", "static", base.artifact.library_bytes, head.artifact.library_bytes),
        ("macs", "static", pairs.macs(base), pairs.macs(head)),
    ]
    if counts and base.counts and head.counts and base.counts.target == head.counts.target:
        ours, theirs = base.counts.counters, head.counts.counters
        values += [(metric, "counts", getattr(ours, metric), getattr(theirs, metric)) for metric in _COUNTED]
    for metric, way, before, after in values:
        yield _judged(
            Finding(variant=name, metric=metric, way=way, base=before, head=after, outcome="same", reason=""),
            limits.threshold(name, None, metric),
        )


def of_layers(name: str, matches: Sequence[Match], limits: Limits, *, counts: bool) -> Iterator[Finding]:
    """Yield a finding for each exact metric of each layer of a network, and for each that is new, gone or changed."""
    for match in matches:
        if not match.base or not match.head:
            yield _one_sided(name, match)
            continue
        if not match.comparable:
            shapes = [units.shape(side[0].output_shape) for side in (match.base, match.head)]
            reason = f"changed: the same name with other shapes ({shapes[0]} → {shapes[1]} out); not compared"
            yield _bare(name, "presence", "regressed", reason, match)
            continue
        metrics: list[Metric] = ["weight_bytes", "macs", *(_COUNTED if counts else ())]
        for metric in metrics:
            before, after = (total(side, metric) for side in (match.base, match.head))
            if before is None or after is None:
                continue
            found = Finding(
                variant=name, layer=match.name, **match.kind._asdict(), metric=metric, way=_way(metric), base=before,
                head=after, outcome="same", reason="",
            )  # fmt: skip
            yield _judged(found, limits.threshold(name, match.kind, metric))


def _way(metric: Metric) -> Way:
    return "counts" if metric in _COUNTED else "static"


def _judged(finding: Finding, threshold: float) -> Finding:
    """Return the finding with its ratio and outcome: what is exact differs or it does not."""
    before, after = finding.base or 0.0, finding.head or 0.0
    ratio = pairs.ratio(after, before)
    change = after - before
    outcome: Outcome = "same"
    if change > threshold * before:
        outcome = "regressed"
    elif -change > threshold * before:
        outcome = "improved"
    allowed = "it has to be the same" if threshold == 0 else f"{units.percent(threshold)} is tolerated"
    return msgspec.structs.replace(
        finding, ratio=ratio, threshold=threshold, outcome=outcome, reason=_said(finding.metric, change, ratio, allowed)
    )


def _said(metric: Metric, change: float, ratio: float | None, allowed: str) -> str:
    if change == 0:
        return "the same"
    size = f"{abs(int(change)):,} {'B ' if metric.endswith('bytes') or metric == 'memory' else ''}"
    relative = f" ({units.change(ratio - 1, 2)})" if ratio is not None else ""
    return f"{size}{'more' if change > 0 else 'fewer'}{relative}; {allowed}"


def _one_sided(name: str, match: Match) -> Finding:
    if match.head:
        return _bare(name, "presence", "information", "new: the base has no such layer", match)
    return _bare(name, "presence", "regressed", "gone: the head has no such layer", match)


def _bare(variant: str, metric: Metric, outcome: Outcome, reason: str, match: Match | None = None) -> Finding:
    return Finding(
        variant=variant, layer=match.name if match else None, **(match.kind._asdict() if match else {}), metric=metric,
        way="static", base=None, head=None, outcome=outcome, reason=reason,
    )  # fmt: skip
