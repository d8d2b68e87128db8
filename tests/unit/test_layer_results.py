"""The layers of a result: the sum of their kernels, and their modelled energy."""

from __future__ import annotations

import statistics
from pathlib import Path

import fake_devices as fakes
import msgspec
import pytest
from result_factory import CALIBRATION, RECORD, made, seen, with_peaks

from mbench.analysis.layer_counts import LayerCounts
from mbench.core.quantized import FloatLayer, QuantizationOutcome
from mbench.networks import variants
from mbench.pipeline import layer_results


def test_a_layer_is_the_sum_of_its_kernels_run_by_run(tmp_path: Path) -> None:
    observation = seen(tmp_path)
    layers = made(tmp_path, observation=observation).layers
    assert layers[0].kernel == "k0a + k0b"
    expected = [sum(both) for both in zip(observation.calls_s[0], observation.calls_s[1], strict=True)]
    assert layers[0].latency_s == pytest.approx(expected)
    assert layers[1].latency_s == observation.calls_s[2]
    for run in range(5):
        parts = sum(layer.latency_s[run] for layer in layers if layer.latency_s)
        assert parts == pytest.approx(sum(call[run] for call in observation.calls_s))


def test_modelled_energy_adds_up(tmp_path: Path) -> None:
    result = made(tmp_path)
    assert result.energy.energy_j == pytest.approx(sum(result.energy.components_j.values()))
    untimed = made(tmp_path, observation=None)
    assert "static" not in untimed.energy.components_j
    assert untimed.energy.energy_j == pytest.approx(sum(layer.energy_j or 0 for layer in untimed.layers))


def test_static_power_counts_for_the_whole_run_wherever_that_was_timed(tmp_path: Path) -> None:
    """Source: a board that TVM's own server runs on reports whole runs and no layers."""
    observation = seen(tmp_path)
    with_layers = made(tmp_path, observation=observation)
    without = made(tmp_path, observation=seen(tmp_path, calls_s=None, overhead_s=None, missing="not reported"))
    assert RECORD.target.energy is not None
    assert RECORD.target.energy.static_w is not None
    static_j = RECORD.target.energy.static_w.value * statistics.median(observation.latency_s)
    for result in (with_layers, without):
        assert result.energy.components_j["static"] == pytest.approx(static_j)
        assert result.energy.method.endswith(", plus static power x time")
    assert with_layers.energy.energy_j == pytest.approx(without.energy.energy_j)
    assert made(tmp_path, observation=None).energy.method.endswith("static power left out: no time was measured")


def test_what_was_only_compiled_has_shapes_and_energy_but_no_times(tmp_path: Path) -> None:
    manifest = fakes.compiled(tmp_path / "artifact", fakes.variant()).manifest
    nothing = tuple(LayerCounts() for _ in manifest.layers)
    layers, joules = layer_results.of_network(manifest, RECORD.target, 2, None, CALIBRATION, nothing)
    assert [(layer.index, layer.name) for layer in layers] == [*enumerate(plan.name for plan in manifest.layers)]
    assert [layer.macs for layer in layers] == [plan.macs for plan in manifest.layers]
    assert {(layer.latency_s, layer.roofline, layer.counters, layer.metered) for layer in layers} == {(None,) * 4}
    assert [layer.energy_j for layer in layers] == pytest.approx([sum(parts.values()) for parts in joules])


def test_a_layer_that_stayed_float_is_held_against_the_peak_of_floats(tmp_path: Path) -> None:
    left = FloatLayer(name="block1.pw", op="conv2d", reason="as was asked")
    built = fakes.compiled(
        tmp_path / "artifact", variants.parse("mobilenet_v1_0.25_32_int8"),
        quantized=QuantizationOutcome(left_float=(left,)),
    )  # fmt: skip
    peaks = with_peaks(flops_per_s={"float32": 2e11, "int8": 8e11})
    target = msgspec.structs.replace(RECORD.target, energy=None)
    nothing = tuple(LayerCounts() for _ in built.manifest.layers)
    layers, _ = layer_results.of_network(built.manifest, target, 2, fakes.observed(built), peaks, nothing)
    roofs = {layer.name: layer.roofline for layer in layers if layer.roofline}
    for name in ("block1.dw", "block1.pw", "block2.pw"):
        peak = 2e11 if name == "block1.pw" else 8e11
        assert roofs[name].fraction_of_peak == pytest.approx(roofs[name].flops_per_s / peak)
