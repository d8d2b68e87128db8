"""Which candidates are better than others, which fit, and what may be said of those that were never measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from mbench.core import units
from mbench.core.fit_records import CandidateResult, CostEstimate, DeviceLimits

SHOWN = {"latency": units.seconds, "memory": units.data_size, "weights": units.data_size, "energy": units.joules}
"""How a figure is written for people, by the name of its limit."""
_FIELDS = {"latency": "latency_s", "memory": "memory_bytes", "weights": "weight_bytes", "energy": "energy_j"}


def limits_of(limits: DeviceLimits) -> dict[str, float]:
    """Return the limits that are set, by quantity, the accuracy aside."""
    named = {name: getattr(limits, field) for name, field in _FIELDS.items()}
    return {name: value for name, value in named.items() if value is not None}


def limits_in_words(limits: DeviceLimits) -> list[str]:
    """Return the limits that are set, each as people write it: `latency at most 20.0 ms`."""
    words = [f"{name} at most {SHOWN[name](limit)}" for name, limit in limits_of(limits).items()]
    if limits.accuracy_percent is not None:
        words.append(f"top-1 at least {units.accuracy(limits.accuracy_percent)}")
    return words


def verdict(candidate: CandidateResult, limits: DeviceLimits) -> tuple[bool | None, tuple[str, ...]]:
    """Return whether a candidate is within all limits, None where that is open; and the limits that it exceeds."""
    over, unknown = [], False
    for name, limit in limits_of(limits).items():
        found = candidate.estimate(name)
        if found is None:
            unknown = True
        elif _low(found) > limit:
            over.append(name)
        elif _high(found) > limit:
            unknown = True
    if limits.accuracy_percent is not None:
        accuracy = candidate.accuracy.top1_percent
        if accuracy is None or accuracy < limits.accuracy_percent:
            over.append("accuracy")
    if over:
        return False, tuple(over)
    return (None if unknown or candidate.failure is not None else True), ()


def _low(found: CostEstimate) -> float:
    return found.value if found.low is None else found.low


def _high(found: CostEstimate) -> float:
    return found.value if found.high is None else found.high


def ordered(candidates: Iterable[CandidateResult], objective: str) -> list[CandidateResult]:
    """Return candidates, better ones first.

    By accuracy, a published one before one of as much that is interpolated, then by latency; or by what is to be least,
    then by accuracy.
    """
    return sorted(candidates, key=lambda each: _order(each, objective))


def _order(candidate: CandidateResult, objective: str) -> tuple[float, ...]:
    accuracy, latency = candidate.accuracy, candidate.estimate("latency")
    top1 = -math.inf if accuracy.top1_percent is None else accuracy.top1_percent
    taken = math.inf if latency is None else latency.value
    if objective == "accuracy":
        return -top1, float(accuracy.kind == "interpolated"), taken
    least = candidate.estimate(objective)
    return math.inf if least is None else least.value, -top1


def share_used(candidate: CandidateResult, limits: DeviceLimits) -> dict[str, float]:
    """Return the share of each limit that a candidate uses."""
    found = {}
    for name, limit in limits_of(limits).items():
        estimate = candidate.estimate(name)
        if estimate is not None:
            found[name] = estimate.value / limit
    return found


def excess(candidate: CandidateResult, limits: DeviceLimits) -> tuple[str, ...]:
    """Return what a candidate has too much of, in words."""
    return tuple(_excess(candidate, limits))


def _excess(candidate: CandidateResult, limits: DeviceLimits) -> Iterator[str]:
    if candidate.failure is not None:
        yield f"it could not be measured: {candidate.failure}"
    for name, limit in limits_of(limits).items():
        found = candidate.estimate(name)
        if found is not None and _low(found) > limit:
            about = "about " if found.basis == "predicted" else ""
            show = SHOWN[name]
            yield f"{name} {about}{show(found.value)} > {show(limit)}"
    accuracy = candidate.accuracy.top1_percent
    if limits.accuracy_percent is not None:
        if accuracy is None:
            yield "its accuracy is not known"
        elif accuracy < limits.accuracy_percent:
            yield f"top-1 {units.accuracy(accuracy)} < {units.accuracy(limits.accuracy_percent)}"


def nearest(candidates: Sequence[CandidateResult], limits: DeviceLimits) -> tuple[CandidateResult, float] | None:
    """Return the candidate whose worst excess is the least, and that excess as a factor; None where none is known."""
    found = [(each, worst) for each in candidates if (worst := _worst(each, limits)) is not None]
    return min(found, key=lambda pair: pair[1], default=None)


def _worst(candidate: CandidateResult, limits: DeviceLimits) -> float | None:
    shares = share_used(candidate, limits)
    if candidate.failure is not None or len(shares) < len(limits_of(limits)):
        return None
    factors = list(shares.values())
    if limits.accuracy_percent is not None:
        accuracy = candidate.accuracy.top1_percent
        if accuracy is None:
            return None
        factors.append(limits.accuracy_percent / max(accuracy, 1e-9))
    return max(factors, default=1.0)
