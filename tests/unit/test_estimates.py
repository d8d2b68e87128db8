from __future__ import annotations

import pytest
from fit_world import STATIC_W, Machine, described, measured, question, truth

from mbench.core.fit_records import CandidateResult, DeviceLimits
from mbench.core.progress import silent
from mbench.fitting import estimates
from mbench.fitting.estimates import Estimates

NAMES = ["mobilenet_v1_0.25_128", "mobilenet_v1_0.5_160", "mobilenet_v1_0.75_192", "mobilenet_v1_1.0_224"]
LIMITS = DeviceLimits(latency_s=5e-3, energy_j=1.0)
ASKED = question(LIMITS)


def made(names: list[str], failed: dict[str, str] | None = None) -> Estimates:
    machine = Machine()
    with silent([]) as progress:
        machine.measure([described(name).network for name in names], progress, sessions=5)
    return estimates.made(ASKED.candidates, machine.known, failed or {}, ASKED.accuracies, LIMITS, "accuracy")


def of(found: Estimates, name: str) -> CandidateResult:
    return next(each for each in found.candidates if each.network.name == name)


def test_what_was_measured_is_as_it_was_measured() -> None:
    seen = of(made(NAMES), NAMES[1])
    result = measured(NAMES[1])
    assert seen.latency_s is not None
    assert seen.memory_bytes is not None
    assert seen.energy_j is not None
    assert (seen.latency_s.basis, seen.memory_bytes.basis, seen.energy_j.basis) == ("measured", "compiled", "modelled")
    assert seen.latency_s.value == truth(NAMES[1])
    assert (seen.latency_s.low, seen.latency_s.high) == (truth(NAMES[1]), truth(NAMES[1]))
    memory = result.memory
    assert seen.memory_bytes.value == memory.weight_bytes + memory.activation_peak_bytes + memory.workspace_bytes


def test_the_rest_is_predicted_with_intervals_that_hold_it() -> None:
    found = made(NAMES)
    others = [each for each in found.candidates if each.network.name not in NAMES]
    held = 0
    for each in others:
        latency = each.latency_s
        assert latency is not None
        assert latency.low is not None
        assert latency.high is not None
        assert latency.basis == "predicted"
        assert latency.low < latency.value < latency.high
        held += latency.low <= truth(each.network.name) <= latency.high
    assert held >= 0.9 * len(others)


def test_memory_and_weights_of_the_rest_are_near_what_a_compiler_plans() -> None:
    found = of(made(NAMES), "mobilenet_v1_0.5_192")
    assert found.weight_bytes is not None
    assert found.weight_bytes.value == pytest.approx(measured("mobilenet_v1_0.5_192").memory.weight_bytes, rel=0.05)


def test_predicted_energy_has_static_power_times_the_predicted_time() -> None:
    found = of(made(NAMES), "mobilenet_v1_0.5_192")
    assert found.energy_j is not None
    dynamic_j = sum(5e-12 * shape.macs + 1e-11 * shape.moved for shape in described("mobilenet_v1_0.5_192").shapes)
    assert found.energy_j.value == pytest.approx(dynamic_j + STATIC_W * truth("mobilenet_v1_0.5_192"), rel=0.1)


def test_predictions_are_judged_by_leaving_each_out() -> None:
    quality = made(NAMES).quality
    assert quality is not None
    assert quality.networks == len(NAMES)
    assert quality.median_error <= quality.ninth_decile_error


def test_without_any_measurement_there_is_no_latency_and_nothing_is_decided() -> None:
    found = made([])
    assert found.quality is None
    assert {each.latency_s for each in found.candidates} == {None}
    assert {each.fits for each in found.candidates} == {None}


def test_a_failure_stays_with_its_network() -> None:
    broken = of(made(NAMES, {NAMES[0]: "crashed"}), "mobilenet_v1_0.25_128")
    assert broken.failure == "crashed"
