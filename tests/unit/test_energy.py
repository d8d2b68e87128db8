from __future__ import annotations

import math

import pytest

from mbench import target_file
from mbench.artifact import LayerPlan
from mbench.measure import energy
from mbench.records import EnergyCoefficients, Figure

HELD = {"L1": 32e3, "L2": 1e6, "DRAM": math.inf}


def figure(value: float) -> Figure:
    return Figure(value=value, source="by hand")


def coefficients(static_w: float | None = None) -> EnergyCoefficients:
    return EnergyCoefficients(
        multiply_j={"float32": figure(3e-12)},
        add_j={"float32": figure(1e-12)},
        bytes_j={"L1": figure(2e-12), "L2": figure(10e-12), "DRAM": figure(200e-12)},
        static_w=None if static_w is None else figure(static_w),
    )


def layer(*, macs: int, activation_bytes: int, weight_bytes: int = 0) -> LayerPlan:
    return LayerPlan(
        name="a", op="conv2d", kernels=("k",), input_shape=(1,), output_shape=(1,), kernel_size=None, stride=None,
        groups=None, macs=macs, params=0, weight_bytes=weight_bytes, activation_bytes=activation_bytes,
        workspace_bytes=0,
    )  # fmt: skip


def joules(plan: LayerPlan, model: EnergyCoefficients, latency_s: float | None = None) -> dict[str, float]:
    return energy.components(plan, model, HELD, dtype="float32", latency_s=latency_s)


def test_a_layer_in_l1_costs_its_arithmetic_and_its_bytes_once() -> None:
    seen = joules(layer(macs=1_000_000, activation_bytes=20_000, weight_bytes=10_000), coefficients())
    assert seen == pytest.approx({"arithmetic": 4e-6, "L1": 6e-8})  # 1e6 x 4 pJ; 30e3 B x 2 pJ


def test_what_comes_from_dram_passes_every_level() -> None:
    seen = joules(layer(macs=0, activation_bytes=2_000_000), coefficients())
    assert seen == pytest.approx({"arithmetic": 0, "L1": 4e-6, "L2": 2e-5, "DRAM": 4e-4})


@pytest.mark.parametrize(
    ("moved", "levels"), [(32_000, {"L1"}), (32_001, {"L1", "L2"}), (1_000_001, {"L1", "L2", "DRAM"})]
)
def test_the_level_is_the_smallest_that_holds_all(moved: int, levels: set[str]) -> None:
    assert joules(layer(macs=1, activation_bytes=moved), coefficients()).keys() - {"arithmetic"} == levels


def test_static_power_counts_for_the_time_that_was_measured() -> None:
    plan = layer(macs=1, activation_bytes=100)
    assert joules(plan, coefficients(static_w=2.5), latency_s=0.004)["static"] == pytest.approx(0.01)
    assert "static" not in joules(plan, coefficients(static_w=2.5), latency_s=None)
    assert "static" not in joules(plan, coefficients(), latency_s=0.004)


@pytest.mark.parametrize(
    ("static_w", "timed", "ending"),
    [
        (2.5, True, ", plus static power x time"),
        (2.5, False, "; static power left out: no time was measured"),
        (None, True, "; static power not known"),
        (None, False, "; static power not known"),
    ],
)
def test_the_method_says_whether_static_power_is_in(static_w: float | None, timed: bool, ending: str) -> None:
    assert energy.method(coefficients(static_w), timed=timed) == energy.METHOD + ending
    assert energy.METHOD.startswith("modelled")


def test_the_default_coefficients_are_horowitzs() -> None:
    # M. Horowitz, ISSCC 2014, figure 1.1.9 (45 nm): 32-bit float multiply 3.7 pJ and add 0.9 pJ; 64-bit access to 32 KB
    # 20 pJ, to 1 MB 100 pJ, to DRAM 1.3 to 2.6 nJ. One multiply-add on 8 bytes from DRAM:
    held = {"L1": 4.0, "L2": 6.0, "DRAM": math.inf}
    model = target_file.default_energy()
    seen = energy.components(layer(macs=1, activation_bytes=8), model, held, dtype="float32", latency_s=None)
    assert seen["arithmetic"] == pytest.approx(4.6e-12)
    assert seen["L1"] == pytest.approx(20e-12)
    assert seen["L2"] == pytest.approx(100e-12)
    assert 1.3e-9 <= seen["DRAM"] <= 2.6e-9


def test_the_total_is_summed_by_component() -> None:
    parts = [{"arithmetic": 1.0, "L1": 2.0}, {"arithmetic": 3.0, "DRAM": 5.0}]
    assert energy.total(parts) == {"arithmetic": 4.0, "L1": 2.0, "DRAM": 5.0}
    assert energy.total([]) == {}


def test_an_unknown_dtype_is_no_guess() -> None:
    with pytest.raises(KeyError):
        energy.components(layer(macs=1, activation_bytes=1), coefficients(), HELD, dtype="int4", latency_s=None)
