"""The head's values in Bencher Metric Format, for `bencher run --adapter json`.

benchmark (`mobilenet_v1_0.25_128/block3.dw`) → measure (`latency`) → value, lower_value, upper_value. Bencher's own
measures are in nanoseconds and bytes. Source: bencher.dev, "Bencher Metric Format (BMF)".
"""

from __future__ import annotations

import msgspec

from mbench.core import plain
from mbench.gating.comparison import Verdict
from mbench.gating.outputs import trend, words

_LONGEST_NAME = 1024


def render(verdict: Verdict) -> bytes:
    """Return the JSON object."""
    verdict = plain.cleaned(verdict)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for value in trend.values(verdict.comparison):
        name = words.line(f"{value.finding.variant}/{words.place(value.finding)}")[:_LONGEST_NAME]
        found.setdefault(name, {})[value.finding.metric.replace("_", "-")] = _metric(value)
    return msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n"


def _metric(value: trend.Value) -> dict[str, float]:
    if value.interval is None:
        return {"value": value.value}
    return {"value": value.value, "lower_value": value.interval[0], "upper_value": value.interval[1]}
