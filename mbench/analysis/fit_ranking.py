"""Which candidates are better than others, which fit, and what may be said of those that were never measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence

from mbench.core import units
from mbench.core.fit_records import CandidateAccuracy, CandidateResult, CostEstimate, DeviceLimits

SHOWN = {"latency": units.seconds, "memory": units.data_size, "weights": units.data_size, "energy": units.joules}
"""How a figure is written for people, by the name of its limit."""
CONFIDENCE = 0.95
"""Of the interval of a prediction."""
_DEVIATIONS = statistics.NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
"""That its ends are from its middle."""
DISTURBED = "~"
"""Stands before a figure of which every session was disturbed."""
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


def verdict(
    candidate: CandidateResult, limits: DeviceLimits, *, settled: bool = True
) -> tuple[bool | None, tuple[str, ...]]:
    """Return whether a candidate is within all limits, None where that is open; and the limits that it exceeds.

    Args:
        candidate: with its figures.
        limits: that it is held against.
        settled: whether figures that were measured count as they are; else their interval counts, as a prediction's.
    """
    over, unknown = [], False
    for name, limit in limits_of(limits).items():
        found = candidate.estimate(name)
        if found is None:
            unknown = True
            continue
        low, high = ends(found) if found.basis == "predicted" or not settled else (found.value, found.value)
        if low > limit:
            over.append(name)
        elif high > limit:
            unknown = True
    if limits.accuracy_percent is not None:
        accuracy = candidate.accuracy.top1_percent
        if accuracy is None or accuracy < limits.accuracy_percent:
            over.append("accuracy")
    if over:
        return False, tuple(over)
    return (None if unknown or candidate.failure is not None else True), ()


def ends(found: CostEstimate) -> tuple[float, float]:
    """Return between what limits a figure lies; both are the figure where that is not known."""
    return found.value if found.low is None else found.low, found.value if found.high is None else found.high


def probably_fits(candidate: CandidateResult, limits: DeviceLimits) -> bool:
    """Return whether a candidate that is open probably fits: each figure does even a standard deviation above itself.

    A figure and the upper end of its interval say what a standard deviation is: 1 of its 1.96, as factors. A figure
    that keeps a limit, with an interval so wide that this one exceeds it, says nothing of the limit.
    """
    found = {name: candidate.estimate(name) for name in limits_of(limits)}
    return all(each is not None and _likely_most(each) <= limits_of(limits)[name] for name, each in found.items())


def _likely_most(found: CostEstimate) -> float:
    """Return a figure with a standard deviation on top: five of six predictions are below that."""
    high = ends(found)[1]
    return found.value * (high / found.value) ** (1 / _DEVIATIONS) if found.value > 0 else high


def close_calls(candidate: CandidateResult, limits: DeviceLimits) -> tuple[str, ...]:
    """Return the limits that lie within the interval of a figure that is no prediction, in words; mostly none."""
    return tuple(
        f"{name} {mark(candidate, name)}{SHOWN[name](found.value)} is {_close_call(found, name)}: {_may_be(found)}"
        for name, limit in limits_of(limits).items()
        if (found := candidate.estimate(name)) is not None and _is_close(found, limit)
    )


def _is_close(found: CostEstimate, limit: float) -> bool:
    low, high = ends(found)
    return found.basis != "predicted" and low < high and low <= limit <= high


def _may_be(found: CostEstimate) -> str:
    return "another measurement may exceed it" if found.basis == "measured" else "the device may exceed it"


def _close_call(found: CostEstimate, name: str) -> str:
    spread = units.ranged(ends(found), SHOWN[name])
    if found.basis == "measured":
        return f"within the noise of the limit ({spread})"
    return f"nearer to the limit than the target's model is exact ({spread})"


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


def between(accuracy: CandidateAccuracy) -> str:
    """Return the published figures that an accuracy lies between, and how far such ones are off; empty: it is none."""
    if accuracy.kind != "interpolated":
        return ""
    figures = ", ".join(f"{name} {units.accuracy(value)}" for name, value in accuracy.between.items())
    median, largest = accuracy.left_out_median_points, accuracy.left_out_largest_points
    if median is None or largest is None:
        return f"between {figures}; how far such figures are off is not known"
    return f"between {figures}; such figures are {median:.1f} points off in the median, {largest:.1f} at most"


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
        if found is not None and (ends(found)[0] if found.basis == "predicted" else found.value) > limit:
            about, show = mark(candidate, name), SHOWN[name]
            close = f", {_close_call(found, name)}" if _is_close(found, limit) else ""
            spread = _between(found, name) if about == DISTURBED and not close else ""
            yield f"{name} {about}{show(found.value)}{spread} > {show(limit)}{close}"
    accuracy = candidate.accuracy.top1_percent
    if limits.accuracy_percent is not None:
        if accuracy is None:
            yield "its accuracy is not known"
        elif accuracy < limits.accuracy_percent:
            yield f"top-1 {units.accuracy(accuracy)} < {units.accuracy(limits.accuracy_percent)}"


def use(candidate: CandidateResult, limits: DeviceLimits) -> tuple[str, ...]:
    """Return what a candidate has of each limit, in words: `latency about 1.93 ms (1.80 to 2.05 ms) of 2.00 ms`."""
    return tuple(
        f"{name} {mark(candidate, name)}{SHOWN[name](found.value)}{_between(found, name)} of {SHOWN[name](limit)}"
        for name, limit in limits_of(limits).items()
        if (found := candidate.estimate(name)) is not None
    )


def mark(candidate: CandidateResult, name: str) -> str:
    """Return what stands before a figure in words: that it is predicted, or was disturbed; mostly nothing."""
    found = candidate.estimate(name)
    if found is not None and found.basis == "predicted":
        return "about "
    return disturbed_mark(candidate, name)


def disturbed_mark(candidate: CandidateResult, name: str) -> str:
    """Return `~` for a figure that was measured while something disturbed it, else nothing."""
    found = candidate.estimate(name)
    return DISTURBED if found is not None and found.basis == "measured" and candidate.disturbed else ""


def _between(found: CostEstimate, name: str) -> str:
    low, high = ends(found)
    return f" ({units.ranged((low, high), SHOWN[name])})" if low < high else ""


def nearest(candidates: Sequence[CandidateResult], limits: DeviceLimits) -> tuple[CandidateResult, float] | None:
    """Return the candidate whose worst excess is the least, and that excess as a factor; None where none is known.

    Where of none all is known that is limited, what is known to exceed a limit decides.
    """
    known = [each for each in candidates if len(share_used(each, limits)) == len(limits_of(limits))]
    compared = known or [each for each in candidates if each.fits is False]
    found = [(each, worst) for each in compared if (worst := _worst(each, limits)) is not None]
    return min(found, key=lambda pair: pair[1], default=None)


def _worst(candidate: CandidateResult, limits: DeviceLimits) -> float | None:
    shares = share_used(candidate, limits)
    if candidate.failure is not None:
        return None
    factors = list(shares.values())
    if limits.accuracy_percent is not None:
        accuracy = candidate.accuracy.top1_percent
        if accuracy is None:
            return None
        factors.append(limits.accuracy_percent / max(accuracy, 1e-9))
    return max(factors, default=1.0)
