from __future__ import annotations

import math

import msgspec
import pytest
from scipy.stats import lognorm, norm

from mbench.analysis import fit_ranking
from mbench.core.fit_records import CandidateAccuracy, CandidateResult, CostEstimate, DeviceLimits
from mbench.networks import variants


def candidate(
    name: str, latency_s: tuple[float, float, float] | float | None, top1: float | None, *, kind: str = "published"
) -> CandidateResult:
    accuracy = CandidateAccuracy(kind=kind if top1 else "unknown", top1_percent=top1)  # type: ignore[arg-type]
    latency = None
    if isinstance(latency_s, tuple):
        low, value, high = latency_s
        latency = CostEstimate(value=value, low=low, high=high, basis="predicted")
    elif latency_s is not None:
        latency = CostEstimate(value=latency_s, basis="measured")
    weights = CostEstimate(value=4e6, basis="compiled")
    return CandidateResult(
        network=variants.parse(name), macs=1, params=1, accuracy=accuracy, latency_s=latency, weight_bytes=weights,
        fits=None,
    )  # fmt: skip


SMALL, LARGE = "mobilenet_v1_0.5_160", "mobilenet_v1_1.0_224"
LIMITS = DeviceLimits(latency_s=10e-3)


@pytest.mark.parametrize(
    ("latency_s", "expected"),
    [
        (9e-3, (True, ())),
        (11e-3, (False, ("latency",))),
        ((8e-3, 9e-3, 9.9e-3), (True, ())),
        ((9e-3, 9.5e-3, 10.5e-3), (None, ())),
        ((10.1e-3, 11e-3, 12e-3), (False, ("latency",))),
        (None, (None, ())),
    ],
)
def test_a_limit_is_kept_exceeded_or_open(
    latency_s: tuple[float, float, float] | float | None, expected: tuple[bool | None, tuple[str, ...]]
) -> None:
    assert fit_ranking.verdict(candidate(SMALL, latency_s, 60.0), LIMITS) == expected


def test_all_limits_that_are_exceeded_are_named() -> None:
    limits = DeviceLimits(latency_s=1e-3, weight_bytes=1e6, accuracy_percent=70.0)
    found = candidate(SMALL, 5e-3, 60.0)
    assert fit_ranking.verdict(found, limits) == (False, ("latency", "weights", "accuracy"))
    assert fit_ranking.excess(found, limits) == (
        "latency 5.00 ms > 1.00 ms", "weights 4.00 MB > 1.00 MB", "top-1 60.0 % < 70.0 %",
    )  # fmt: skip


def measured(latency_s: tuple[float, float, float], basis: str = "measured") -> CandidateResult:
    low, value, high = latency_s
    figure = CostEstimate(value=value, low=low, high=high, basis=basis)  # type: ignore[arg-type]
    return msgspec.structs.replace(candidate(SMALL, None, 60.0), latency_s=figure)


def test_a_measured_median_decides_and_its_interval_where_it_is_not_settled() -> None:
    below, above = measured((9.5e-3, 9.8e-3, 10.3e-3)), measured((9.8e-3, 10.2e-3, 10.6e-3))
    assert fit_ranking.verdict(below, LIMITS) == (True, ())
    assert fit_ranking.verdict(above, LIMITS) == (False, ("latency",))
    assert fit_ranking.verdict(below, LIMITS, settled=False) == (None, ())
    assert fit_ranking.verdict(above, LIMITS, settled=False) == (None, ())
    assert fit_ranking.verdict(measured((10.1e-3, 10.2e-3, 10.3e-3)), LIMITS, settled=False) == (False, ("latency",))


def test_where_noise_or_a_models_error_decides_it_is_said() -> None:
    below = measured((9.5e-3, 9.8e-3, 10.3e-3))
    assert fit_ranking.close_calls(below, LIMITS) == (
        "latency 9.80 ms is within the noise of the limit (9.50 to 10.3 ms): another measurement may exceed it",
    )
    above = measured((9.8e-3, 10.2e-3, 10.6e-3))
    assert fit_ranking.excess(above, LIMITS) == (
        "latency 10.2 ms > 10.0 ms, within the noise of the limit (9.80 to 10.6 ms)",
    )
    counted = measured((8e-3, 9.8e-3, 12e-3), "counted")
    exact = "nearer to the limit than the target's model is exact (8.00 to 12.0 ms)"
    assert fit_ranking.close_calls(counted, LIMITS) == (f"latency 9.80 ms is {exact}: the device may exceed it",)


@pytest.mark.parametrize("latency_s", [(9.0e-3, 9.5e-3, 9.9e-3), (10.1e-3, 10.2e-3, 10.3e-3)])
def test_what_is_clear_of_a_limit_and_what_is_predicted_is_no_close_call(latency_s: tuple[float, float, float]) -> None:
    assert fit_ranking.close_calls(measured(latency_s), LIMITS) == ()
    assert fit_ranking.close_calls(candidate(SMALL, (9e-3, 9.9e-3, 11e-3), 60.0), LIMITS) == ()


def test_use_says_figures_intervals_and_limits() -> None:
    assert fit_ranking.use(candidate(SMALL, (9e-3, 9.5e-3, 10.5e-3), 60.0), LIMITS) == (
        "latency about 9.50 ms (9.00 to 10.5 ms) of 10.0 ms",
    )


def test_a_network_of_unknown_accuracy_never_meets_a_least_one() -> None:
    limits = DeviceLimits(accuracy_percent=50.0)
    assert fit_ranking.verdict(candidate(SMALL, 1e-3, None), limits) == (False, ("accuracy",))
    assert fit_ranking.excess(candidate(SMALL, 1e-3, None), limits) == ("its accuracy is not known",)


def test_one_that_could_not_be_measured_is_neither_in_nor_out() -> None:
    broken = msgspec.structs.replace(candidate(SMALL, 5e-3, 60.0), failure="the compiler crashed")
    assert fit_ranking.verdict(broken, LIMITS) == (None, ())
    assert fit_ranking.excess(broken, LIMITS)[0] == "it could not be measured: the compiler crashed"


def test_more_accurate_ones_come_first_published_before_interpolated_then_quicker() -> None:
    a, b = candidate(LARGE, 9e-3, 70.0, kind="interpolated"), candidate(SMALL, 9e-3, 70.0)
    c, d = candidate(SMALL, 5e-3, 70.0), candidate(LARGE, 1e-3, None)
    assert fit_ranking.ordered([d, a, b, c], "accuracy") == [c, b, a, d]
    assert fit_ranking.ordered([a, c, d], "latency") == [d, c, a]


def test_where_an_interpolated_accuracy_lies_and_how_far_such_ones_are_off() -> None:
    around = {"mobilenet_v2_0.5_128": 57.7, "mobilenet_v2_0.5_160": 61.0}
    found = CandidateAccuracy(
        kind="interpolated", top1_percent=59.0, between=around, left_out_median_points=0.31, left_out_largest_points=2.6
    )
    names = "between mobilenet_v2_0.5_128 57.7 %, mobilenet_v2_0.5_160 61.0 %"
    assert fit_ranking.between(found) == f"{names}; such figures are 0.3 points off in the median, 2.6 at most"
    unknown = msgspec.structs.replace(found, left_out_median_points=None)
    assert fit_ranking.between(unknown) == f"{names}; how far such figures are off is not known"
    assert fit_ranking.between(CandidateAccuracy(kind="published", top1_percent=59.0)) == ""


def test_shares_and_the_nearest() -> None:
    near, far = candidate(SMALL, 12e-3, 60.0), candidate(LARGE, 30e-3, 70.0)
    assert fit_ranking.share_used(near, LIMITS) == {"latency": pytest.approx(1.2)}
    found = fit_ranking.nearest([far, near, candidate(LARGE, None, 75.0)], LIMITS)
    assert found is not None
    assert found[0] == near
    assert found[1] == pytest.approx(1.2)
    assert fit_ranking.nearest([candidate(LARGE, None, 75.0)], LIMITS) is None


@pytest.mark.parametrize(
    ("latency_s", "limit_s"),
    [
        ((1.80e-3, 1.93e-3, 2.05e-3), 2.00e-3),
        ((1.80e-3, 1.99e-3, 2.20e-3), 2.00e-3),
        ((1.03e-6, 955e-6, 888e-3), 2.00e-3),
        ((1.03e-6, 955e-6, 888e-3), 0.5),
    ],
)
def test_what_probably_fits_does_in_five_of_six_cases(latency_s: tuple[float, float, float], limit_s: float) -> None:
    _, value, high = latency_s
    deviation = math.log(high / value) / norm.ppf(0.975)
    expected = lognorm.cdf(limit_s, deviation, scale=value) >= norm.cdf(1)
    limits = DeviceLimits(latency_s=limit_s)
    assert fit_ranking.probably_fits(candidate(SMALL, latency_s, 60.0), limits) == expected
    assert not fit_ranking.probably_fits(candidate(SMALL, None, 60.0), limits), "of what nothing is known"


def test_an_interval_that_is_too_wide_says_nothing() -> None:
    wide = candidate(SMALL, (1.03e-6, 955e-6, 888e-3), 60.0)
    assert not fit_ranking.probably_fits(wide, DeviceLimits(latency_s=2e-3))
    assert fit_ranking.probably_fits(wide, DeviceLimits()), "without a limit there is nothing to exceed"


def test_a_disturbed_latency_is_marked_wherever_it_is_written() -> None:
    hit = msgspec.structs.replace(measured((0.56e-3, 104e-3, 113e-3)), disturbed=("other work",))
    limits = DeviceLimits(latency_s=0.5e-3)
    assert fit_ranking.excess(hit, limits) == ("latency ~104 ms (560 \u00b5s to 113 ms) > 500 \u00b5s",)
    assert fit_ranking.use(hit, limits)[0].startswith("latency ~104 ms (")
    assert fit_ranking.close_calls(hit, LIMITS)[0].startswith("latency ~104 ms is within the noise")
    assert fit_ranking.mark(hit, "weights") == ""
    assert fit_ranking.mark(measured((1e-3, 2e-3, 3e-3)), "latency") == ""


def test_where_latencies_are_not_known_what_exceeds_another_limit_is_the_nearest() -> None:
    limits = DeviceLimits(latency_s=1e-3, weight_bytes=3e6)
    heavy = candidate(SMALL, None, 60.0)
    fits, over = fit_ranking.verdict(heavy, limits)
    heavy = msgspec.structs.replace(heavy, fits=fits, over=over)
    assert over == ("weights",)
    found = fit_ranking.nearest([heavy], limits)
    assert found is not None
    assert found[0] == heavy
    assert found[1] == pytest.approx(4 / 3)
