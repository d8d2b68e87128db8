"""What a comparison of two runs found: frozen types that `gate` and `compare` fill and every output reads.

A finding is one metric of one thing (a network, a layer, or a group of layers) in both runs. Numbers are in SI units,
raw samples stay with the finding, and every judgement carries its reason in words. Nothing here computes a judgement.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from mbench.core import plain
from mbench.core.field_types import Op

FORMAT_VERSION: Literal[1] = 1

Way = Literal["counts", "paired", "recorded", "static"]
"""How a metric was compared: exact counts, both libraries measured now in turns, samples of two records, or what the
compiler says without running anything."""
WAYS: dict[Way, str] = {
    "counts": "exact counts of executed instructions, the same on every machine: a difference is real",
    "paired": "both libraries measured now, in turns within one process, several processes",
    "recorded": "latencies as the two records hold them, measured at different times",
    "static": "what the compiler planned and wrote: sizes and multiply-adds, exact",
}

Metric = Literal[
    "latency",
    "sustained_latency",
    "instructions",
    "loads",
    "stores",
    "memory",
    "weight_bytes",
    "library_bytes",
    "macs",
    "presence",
    "result",
]
UNITS: dict[Metric, str] = {
    "latency": "s",
    "sustained_latency": "s",
    "memory": "B",
    "weight_bytes": "B",
    "library_bytes": "B",
}
"""What a metric's values are in; the others are plain counts."""

Outcome = Literal["regressed", "improved", "same", "undecided", "accepted", "information", "unmeasured"]
"""`regressed` is worse than its threshold allows; `accepted` would be, but for a checked-in acceptance; `undecided`
could not be judged as finely as was asked; `information` is shown and not judged; `unmeasured` is a network that could
not be built or measured in one of the runs."""
Conclusion = Literal["passed", "regressed", "inconclusive", "incomparable", "unmeasured"]
"""`unmeasured`: something could not be built or measured, and nothing else regressed."""


class _VerdictStruct(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base: immutable, and an unknown field is an error."""


class Finding(_VerdictStruct, frozen=True, kw_only=True):
    """One metric of one thing in both runs."""

    variant: str
    layer: str | None = None
    """A layer's name, several joined by ` + ` where fusion differs; null: the whole network."""
    op: Op | None = None
    role: str | None = None
    """What the layer does in its block."""
    block: str | None = None
    """That the layer belongs to; null: to none, or it is a group of layers of several."""
    metric: Metric
    way: Way
    base: float | None
    """Median where there are samples; null: not in this run."""
    head: float | None
    ratio: float | None = None
    """Estimate of head over base."""
    interval: tuple[float, float | None] | None = None
    """Of the ratio, at `confidence`; without an upper end (null) where there are too few samples for one."""
    confidence: float | None = None
    threshold: float | None = None
    """The change, as a fraction, that was tolerated: the limit asked for, or what noise and the floor made of it."""
    sensitivity: float | None = None
    """The change, as a fraction, that must not be missed."""
    smallest_change: float | None = None
    """The slow-down, as a fraction, that would have been found in 95 % of the cases."""
    p_value: float | None = None
    """Of no change beyond the threshold, adjusted for all that were looked at together; null: no test was made."""
    log_ratios: tuple[float, ...] = ()
    """One a process: log(head / base)."""
    noise_log_ratios: tuple[float, ...] = ()
    """One a process: log(A/A copy / base), two copies of the baseline."""
    outcome: Outcome
    reason: str
    """In words, with figures."""
    causes: tuple[str, ...] = ()
    """What else differs there and may explain it."""


GroupKind = Literal["role", "block"]


class GroupSum(_VerdictStruct, frozen=True, kw_only=True):
    """One metric, summed over the layers of one role or of one block that both runs have; not judged."""

    variant: str
    by: GroupKind
    name: str
    """Of the role or the block."""
    layers: int
    metric: Metric
    way: Way
    base: float
    head: float
    ratio: float | None
    """Head over base; null where the base has 0."""


class Difference(_VerdictStruct, frozen=True, kw_only=True):
    """Something besides the code that the two runs do not share."""

    key: str
    """What `--allow-different` calls it."""
    base: str
    head: str
    forbids: tuple[Way, ...] = ()
    """Ways of comparing that it makes meaningless."""
    allowed: bool = False


class Side(_VerdictStruct, frozen=True, kw_only=True):
    """One of the two runs."""

    path: str
    run_id: str
    created_at_utc: str
    mbench_version: str
    target: str
    machine: str
    runs: int = 1
    """Records of the same job that stand for it together."""
    networks: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    """Of the newest run, such as its commit."""


class Comparison(_VerdictStruct, frozen=True, kw_only=True):
    """All that was found, without a judgement of the whole."""

    base: Side
    head: Side
    ways: dict[str, str]
    """The ways that were taken, each with what it says of itself."""
    findings: tuple[Finding, ...]
    groups: tuple[GroupSum, ...] = ()
    """Sums over the layers by role and by block."""
    differences: tuple[Difference, ...] = ()
    left_out: tuple[str, ...] = ()
    """Ways that were wanted and that the differences forbid, with the differences."""
    notes: tuple[str, ...] = ()
    """How it was measured."""
    copies: tuple[str, ...] = ()
    """Files that do not count, since they are of the same run as others; each with what of."""

    @property
    def not_measured(self) -> tuple[str, ...]:
        """The networks that were asked for in a run and cannot be judged, each in a line with the reason."""
        return tuple(f"{finding.variant}: {finding.reason}" for finding in self.of("unmeasured"))

    def of(self, outcome: Outcome) -> tuple[Finding, ...]:
        """Return the findings of an outcome, in order."""
        return tuple(finding for finding in self.findings if finding.outcome == outcome)


class Verdict(_VerdictStruct, frozen=True, kw_only=True):
    """A comparison, judged."""

    format_version: Literal[1] = FORMAT_VERSION
    created_at_utc: str
    mbench_version: str
    conclusion: Conclusion
    headline: str
    """One sentence with figures."""
    comparison: Comparison
    accepted: tuple[str, ...] = ()
    """Acceptances that were used, with their reasons."""
    failures: tuple[str, ...] = ()
    """What could not be measured, in the two runs or now."""
    paired_command: str | None = None
    """What to type to measure both builds against each other now; null: that decides nothing more, or cannot be done
    here."""


def encode(document: Comparison | Verdict) -> bytes:
    """Return the document as indented JSON."""
    return (
        msgspec.json.format(msgspec.json.encode(plain.mapped(document, lambda _, text: plain.storable(text))), indent=2)
        + b"\n"
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a verdict."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Verdict)}
