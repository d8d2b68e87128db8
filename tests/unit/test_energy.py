from __future__ import annotations

import math

import msgspec
import pytest
import record_factory as factory

from mbench.analysis import energy
from mbench.core.artifact import LayerPlan
from mbench.core.errors import UsageError
from mbench.core.machine_types import EnergyCoefficients, Figure
from mbench.core.records import Counters
from mbench.hardware import target_file, targets

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


@pytest.mark.parametrize(("held", "ending"), [({"DRAM": math.inf}, energy.NO_CACHES), (HELD, "")])
def test_the_method_says_that_caches_are_not_known(held: dict[str, float], ending: str) -> None:
    target = msgspec.structs.replace(targets.load("arm64"), energy=coefficients())
    plan = layer(macs=1, activation_bytes=8)
    found = energy.of_layer(plan, target, held, dtype="float32", counters=None, traffic_bytes=None, latency_s=None)
    assert found[1] == energy.METHOD + ending + energy.static_part(coefficients(), timed=False)


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
    with pytest.raises(UsageError, match="dtype 'int4' is not supported"):
        energy.components(layer(macs=1, activation_bytes=1), coefficients(), HELD, dtype="int4", latency_s=None)


# --------------------------------------------------------------------------------------------------- from counted code
def counts(**changes: int) -> Counters:
    return msgspec.structs.replace(Counters(**dict.fromkeys(Counters.__struct_fields__, 0)), **changes)


def joules_counted(
    counters: Counters, traffic: dict[str, int], *, static_w: float | None = None, latency_s: float | None = None
) -> dict[str, float]:
    pairs = energy.multiply_adds(counters, dtype="float32", lanes=4, macs=0)
    model = coefficients(static_w)
    return energy.counted(counters, traffic, model, dtype="float32", multiply_adds=pairs, latency_s=latency_s)


def test_counted_operations_and_bytes_by_hand() -> None:
    # 250 vectors of 4: 1000 multiplies and 1000 adds; 2100 operations, so 100 more adds: 1000 x 3 pJ + 1100 x 1 pJ.
    seen = joules_counted(counts(fma_instructions=250, flops=2100), {"L1": 5000, "L2": 700, "DRAM": 30})
    assert seen == pytest.approx({"arithmetic": 4.1e-9, "L1": 1e-8, "L2": 7e-9, "DRAM": 6e-9})


def test_counted_bytes_of_a_level_without_coefficient_are_left_out() -> None:
    assert joules_counted(counts(), {"L1": 1, "L3": 10**9}).keys() == {"arithmetic", "L1"}


def test_counted_code_without_operations_moves_bytes_all_the_same() -> None:
    assert joules_counted(counts(instructions=10, loads=5), {"L1": 80}) == pytest.approx(
        {"arithmetic": 0, "L1": 1.6e-10}
    )


@pytest.mark.parametrize(
    ("found", "macs", "pairs"),
    [
        ({"fma_instructions": 250, "flops": 2000}, 900, 1000),  # more than the layer needs: padding is work too
        ({"fma_instructions": 250, "flops": 2000}, 4000, 1000),  # fewer than the shapes say: Winograd's filtering
        ({"fma_instructions": 1000, "flops": 2000}, 1000, 1000),  # on single numbers: never more than the operations
        ({"flops": 2100}, 1000, 1000),  # a processor without fused ones
        ({"flops": 10}, 1000, 5),
        ({"flops": 100}, 0, 0),  # a layer that only adds
    ],
)
def test_multiply_adds_of_counted_code(found: dict[str, int], macs: int, pairs: int) -> None:
    assert energy.multiply_adds(counts(**found), dtype="float32", lanes=4, macs=macs) == pairs


def test_static_power_of_counted_code_counts_for_measured_time_only() -> None:
    assert joules_counted(counts(), {}, static_w=2.5, latency_s=0.004)["static"] == pytest.approx(0.01)
    assert "static" not in joules_counted(counts(), {}, static_w=2.5)
    assert "static" not in joules_counted(counts(), {}, latency_s=0.004)


def test_the_method_of_counted_code_is_its_own() -> None:
    said = energy.method(coefficients(2.5), timed=False, counted=True)
    assert said == energy.COUNTED_METHOD + "; static power left out: no time was measured"
    assert energy.COUNTED_METHOD.startswith("modelled")
    assert energy.COUNTED_METHOD != energy.METHOD


# ------------------------------------------------------------------------------------------------------ whole networks
def test_a_network_has_the_static_power_of_its_whole_run() -> None:
    model, timed = coefficients(static_w=2.5), energy.method(coefficients(static_w=2.5), timed=True)
    parts = [{"arithmetic": 1.0, "static": 0.1}, {"arithmetic": 2.0, "DRAM": 4.0, "static": 0.2}]
    assert energy.of_network(parts, [timed, timed, None], model, 0.5) == (
        {"arithmetic": 3.0, "DRAM": 4.0, "static": 1.25}, timed,
    )  # fmt: skip


def test_a_network_whose_layers_were_not_timed_has_it_too() -> None:
    model = coefficients(static_w=2.5)
    untimed = energy.method(model, timed=False)
    joules, said = energy.of_network([{"arithmetic": 1.0}], [untimed], model, 0.5)
    assert (joules["static"], said) == (1.25, energy.METHOD + ", plus static power x time")
    assert energy.of_network([{"arithmetic": 1.0}], [untimed], model, None) == ({"arithmetic": 1.0}, untimed)


def test_methods_of_layers_that_differ_are_both_named() -> None:
    model = coefficients()
    both = [energy.method(model, timed=True), energy.method(model, timed=True, counted=True)]
    joules, said = energy.of_network([{"arithmetic": 1.0}] * 2, both, model, 0.5)
    assert said == f"{energy.METHOD}; for some layers {energy.COUNTED_METHOD}; static power not known"
    assert "static" not in joules
    assert energy.of_network([], [], None, 0.5) == ({}, None)


def test_energies_side_by_side_say_if_only_one_has_static_power() -> None:
    model = coefficients(static_w=2.5)
    timed, untimed = (energy.method(model, timed=each) for each in (True, False))
    assert energy.compared(timed, timed) == timed
    assert "only one of the two has static power" in energy.compared(timed, untimed)
    assert "only one of the two has static power" in energy.compared(untimed, timed)
    assert "static power, so" not in energy.compared(untimed, energy.COUNTED_METHOD + "; static power left out")


def test_all_operations_on_bytes_are_pairs() -> None:
    counters = counts(fma_instructions=10, flops=7, integer_operations=960)
    assert energy.multiply_adds(counters, dtype="int8", lanes=64, macs=1) == 480


@pytest.mark.parametrize(("dtype", "known"), [("float32", True), ("int8", False), ("float16", False)])
def test_coefficients_that_leave_a_type_out_are_none_for_it(dtype: str, known: bool) -> None:
    target = factory.record().target  # which has those of float32 alone
    assert (energy.known_for(target, dtype).energy is not None) is known
    assert energy.known_for(targets.load("x86_64_v3"), dtype).energy is not None
