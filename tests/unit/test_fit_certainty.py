"""Modelled and disturbed latencies make an answer certain only where all that they may be is on one side of a limit."""

from __future__ import annotations

from typing import Any

import fit_factory
import msgspec
import pytest

from mbench.analysis import fit_certainty, fit_ranking
from mbench.core.fit_records import CandidateResult, CostEstimate, DeviceLimits, FitRecord

LIMITS = DeviceLimits(latency_s=3e-3)
ERROR = (-0.45, 0.27)
BUSY = ("other processes kept 1.3 processors busy",)


def candidate(
    width: float, value: float, low: float | None = None, high: float | None = None, *, basis: str = "measured",
    disturbed: tuple[str, ...] = (), limits: DeviceLimits = LIMITS,
) -> CandidateResult:  # fmt: skip
    latency = CostEstimate(value=value, low=low, high=high, basis=basis)  # type: ignore[arg-type]
    bare = fit_factory.candidate(
        fit_factory.network("mobilenet_v2", width, 128), latency_s=value, top1=60 * width, measured=True
    )
    found = msgspec.structs.replace(bare, latency_s=latency, disturbed=disturbed)
    fits, over = fit_ranking.verdict(found, limits)
    return msgspec.structs.replace(found, fits=fits, over=over)


def doubts(
    *candidates: CandidateResult, best: CandidateResult | None = None, error: tuple[float, float] | None = None,
    limits: DeviceLimits = LIMITS, objective: str = "accuracy",
) -> tuple[str, ...]:  # fmt: skip
    name = best.network.name if best else None
    return fit_certainty.doubts(candidates, name, limits, objective, error)


def record(*candidates: CandidateResult, **changes: Any) -> FitRecord:
    return msgspec.structs.replace(fit_factory.record(candidates, limits=LIMITS), **changes)


def test_that_nothing_fits_is_not_certain_within_the_error_of_the_model() -> None:
    near = candidate(0.5, 3.45e-3, 3.35e-3, 3.56e-3, basis="predicted")
    assert near.fits is False
    [said] = doubts(candidate(1.0, 9e-3, basis="counted"), near, error=ERROR)
    assert said == (
        f"{near.network.name} may fit: the target's model of latency was off by -45 to +27 % where it was compared; "
        "measuring on the device decides (--device rpc://HOST:PORT)"
    )
    counted = candidate(0.75, 3.8e-3, basis="counted")
    assert doubts(counted, error=ERROR)[0].startswith(f"{counted.network.name} may fit: ")


@pytest.mark.parametrize("value", [3.82e-3, 30e-3])
def test_what_the_model_leaves_no_doubt_of_is_certain(value: float) -> None:
    assert doubts(candidate(0.5, value, basis="counted"), error=ERROR) == ()


def test_another_limit_that_is_exceeded_is_reason_enough() -> None:
    both = DeviceLimits(latency_s=3e-3, memory_bytes=1e6)
    slow = candidate(0.5, 3.45e-3, basis="counted", limits=both)
    assert slow.over == ("latency", "memory")
    assert doubts(slow, limits=both, error=ERROR) == ()


def test_an_answer_by_the_model_may_exceed_the_limit_and_a_better_one_may_fit() -> None:
    better, best = candidate(1.0, 3.1e-3, basis="counted"), candidate(0.5, 2.8e-3, basis="counted")
    [said] = doubts(better, best, best=best, error=ERROR)
    assert said.startswith(f"{better.network.name} may fit and {best.network.name} may exceed the limit: ")
    assert doubts(best, better, best=best, error=(-0.01, 0.01)) == ()
    [unknown] = doubts(best, best=best, error=(-1.0, float("inf")))
    assert "model of latency was never compared with a measurement; measuring on the device" in unknown


def test_a_disturbed_figure_decides_only_by_its_whole_interval() -> None:
    wide = candidate(1.0, 104e-3, 0.56e-3, 113e-3, disturbed=BUSY)
    beyond = candidate(0.5, 104e-3, 3.1e-3, 113e-3, disturbed=BUSY)
    assert doubts(wide, beyond) == (
        f"{wide.network.name} may fit: measured, but disturbed; measuring on a quiet machine decides",
    )
    assert doubts(beyond) == ()
    quiet = msgspec.structs.replace(wide, disturbed=())
    assert doubts(quiet) == ()


def test_a_prediction_from_disturbed_figures_may_be_too_high_by_as_much_as_those() -> None:
    hit = candidate(0.35, 9e-3, 3.01e-3, 10e-3, disturbed=BUSY)
    near = candidate(0.5, 5e-3, 4.5e-3, 6e-3, basis="predicted")
    assert doubts(near, hit) == (
        f"{near.network.name} may fit: predicted from disturbed measurements; measuring on a quiet machine decides",
    )
    assert doubts(candidate(0.5, 12e-3, 10e-3, 14e-3, basis="predicted"), hit) == ()
    quiet = [candidate(0.6 + number / 10, 8e-3) for number in range(fit_certainty.FEWEST_QUIET)]
    assert doubts(*quiet, near, hit) == ()
    assert doubts(*quiet[1:], near, hit) != ()


def test_a_disturbed_answer_whose_interval_reaches_over_the_limit_is_not_certain() -> None:
    best = candidate(0.5, 2.9e-3, 2.6e-3, 3.2e-3, disturbed=BUSY)
    assert doubts(best, best=best)[0].startswith(f"{best.network.name} may exceed the limit: ")
    below = candidate(0.5, 2.5e-3, 2.4e-3, 2.9e-3, disturbed=BUSY)
    assert doubts(below, best=below) == ()


def test_which_is_the_fastest_is_not_certain_by_a_model_or_disturbed_figures_that_overlap() -> None:
    first, second = candidate(0.5, 2.0e-3, basis="counted"), candidate(0.75, 2.2e-3, basis="counted")
    [said] = doubts(first, second, best=first, error=(-0.1, 0.1), objective="latency")
    assert said.startswith(f"{second.network.name} may be faster: ")
    assert doubts(first, second, best=first, error=(-0.01, 0.01), objective="latency") == ()
    hit = candidate(0.75, 2.2e-3, 1.9e-3, 2.3e-3, disturbed=BUSY)
    quiet = candidate(0.5, 2.0e-3, 1.95e-3, 2.05e-3)
    assert doubts(quiet, hit, best=quiet, objective="latency")[0].startswith(f"{hit.network.name} may be faster: ")
    slow = candidate(0.5, 2.15e-3, 1.9e-3, 2.3e-3, disturbed=BUSY)
    other = candidate(0.75, 2.2e-3)
    [said] = doubts(slow, other, best=slow, objective="latency")
    why = "the answer was measured, but disturbed; measuring on a quiet machine decides"
    assert said == f"{other.network.name} may be faster: {why}"


def test_many_that_may_fit_are_counted_and_the_quickest_named() -> None:
    several = [candidate(1.0 - 0.1 * number, (3.6 - 0.1 * number) * 1e-3, basis="counted") for number in range(5)]
    names = ", ".join(each.network.name for each in reversed(several[2:]))
    assert doubts(*several, error=ERROR)[0].startswith(f"{names} and 2 more may fit: ")


def test_what_disturbed_figures_make_certain_is_said() -> None:
    beyond = candidate(0.5, 104e-3, 3.1e-3, 113e-3, disturbed=BUSY)
    quiet = msgspec.structs.replace(beyond, disturbed=())
    assert fit_certainty.by_disturbed(record(beyond)) == (
        "by disturbed figures, whose intervals all lie beyond the limit"
    )
    assert fit_certainty.by_disturbed(record(quiet)) == ""
    fine = candidate(0.4, 2.5e-3, 2.4e-3, 2.6e-3)
    assert fit_certainty.by_disturbed(record(beyond, fine)).endswith("all lie on one side of the limit")
    assert fit_certainty.by_disturbed(record(fine, beyond)).endswith("all lie on one side of the limit")
    assert fit_certainty.by_disturbed(record(fine)) == ""
    unlimited = record(beyond, limits=DeviceLimits(memory_bytes=1.0))
    assert fit_certainty.by_disturbed(unlimited) == ""


def test_headlines_are_no_more_certain_than_the_answer() -> None:
    found = fit_factory.record()
    time_over = msgspec.structs.replace(found, certain=False)
    doubted = msgspec.structs.replace(time_over, doubts=("a may fit: b; c decides",))
    assert [fit_certainty.nothing(each) for each in (found, time_over, doubted)] == [
        "Nothing fits.", "Nothing that fits was found yet.", "Nothing fits, but that is not certain.",
    ]  # fmt: skip
    assert [fit_certainty.so_far(each) for each in (found, time_over, doubted)] == [
        "that fits", "found so far that fits", "that fits by what is known",
    ]  # fmt: skip
    assert fit_certainty.why_uncertain(doubted) == "a may fit: b; c decides."


def test_what_was_measured_but_disturbed_is_not_called_unmeasured() -> None:
    hit = candidate(0.85, 0.52e-3, 0.45e-3, 0.55e-3, disturbed=BUSY)
    once = candidate(0.8, 0.5e-3, 0.48e-3, 0.52e-3)
    never = candidate(0.7, 0.5e-3, 0.4e-3, 0.6e-3, basis="predicted")
    found = record(hit, once, never, certain=False)

    def said(*names: CandidateResult) -> str:
        opened = tuple(each.network.name for each in names)
        return fit_certainty.why_uncertain(msgspec.structs.replace(found, open=opened))

    a, b, c = (each.network.name for each in (hit, once, never))
    ended = "and the search ended before another measurement; the same command goes on."
    assert said(hit) == f"{a} was measured, but disturbed, {ended}"
    assert said(once) == f"{b} was measured, but in one session only, {ended}"
    assert said(never) == f"the search ended before {c} could be measured; the same command goes on."
    assert said(never, hit) == (
        f"the search ended before {c} could be measured; {a} was measured, but disturbed; the same command goes on."
    )
    assert said() == "the search ended before all could be measured; the same command goes on."
