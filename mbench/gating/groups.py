"""Sums of a comparison's layers, by role and by block. They describe: only layers and networks are judged."""

from __future__ import annotations

from collections.abc import Iterable

from mbench.gating.comparison import Finding, GroupKind, GroupSum, Metric

_SUMMED: tuple[Metric, ...] = ("latency", "instructions", "loads", "stores", "weight_bytes", "macs")
_KINDS: tuple[GroupKind, ...] = ("role", "block")


def of_findings(findings: Iterable[Finding]) -> tuple[GroupSum, ...]:
    """Return the sums over layers that both runs have and that were compared, in the order of the layers.

    A metric that was compared in several ways is summed in each of them.
    """
    found: dict[tuple[str, GroupKind, str, Metric, str], list[Finding]] = {}
    for finding in findings:
        if finding.layer is None or finding.base is None or finding.head is None or finding.metric not in _SUMMED:
            continue
        for kind in _KINDS:
            name = getattr(finding, kind)
            if name is not None:
                found.setdefault((finding.variant, kind, name, finding.metric, finding.way), []).append(finding)
    sums = [_sum(kind, name, inside) for (_, kind, name, _, _), inside in found.items()]
    return tuple(sorted(sums, key=lambda each: _KINDS.index(each.by)))


def _sum(kind: GroupKind, name: str, inside: list[Finding]) -> GroupSum:
    base, head = (sum(getattr(finding, side) for finding in inside) for side in ("base", "head"))
    first = inside[0]
    return GroupSum(
        variant=first.variant, by=kind, name=name, layers=len(inside), metric=first.metric, way=first.way, base=base,
        head=head, ratio=head / base if base else None,
    )  # fmt: skip
