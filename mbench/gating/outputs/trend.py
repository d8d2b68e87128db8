"""The head's values for services that keep trends: one of each thing and metric, always in the same unit."""

from __future__ import annotations

import math
from typing import NamedTuple

from mbench.gating.comparison import UNITS, Comparison, Finding, Metric
from mbench.gating.outputs import words

_SCALES = {"s": (1e9, "ns")}
"""What these services expect of times; in seconds their axes would show zeros."""


class Value(NamedTuple):
    """What a thing costs in the head."""

    finding: Finding
    unit: str
    value: float
    interval: tuple[float, float] | None
    """The value with the relative uncertainty of the comparison; None: exact, or not known."""


def values(comparison: Comparison) -> list[Value]:
    """Return all values of the head that are known, each once.

    What was measured now comes before what a record holds, where both are there.
    """
    first: dict[tuple[str, str | None, Metric], Value] = {}
    for finding in sorted(comparison.findings, key=lambda item: item.way == "recorded"):
        if finding.head is not None and math.isfinite(finding.head):
            first.setdefault((finding.variant, finding.layer, finding.metric), _value(finding, finding.head))
    return list(first.values())


def _value(finding: Finding, head: float) -> Value:
    unit = UNITS.get(finding.metric, finding.metric)
    factor, unit = _SCALES.get(unit, (1.0, unit))
    limits, ratio = words.bounds(finding), finding.ratio
    interval = None
    if limits and ratio:
        interval = _rounded(head * factor * limits[0] / ratio), _rounded(head * factor * limits[1] / ratio)
    return Value(finding, unit, _rounded(head * factor), interval)


def _rounded(value: float) -> float:
    """Drop what is not measured but an artefact of binary fractions."""
    return float(f"{value:.12g}")
