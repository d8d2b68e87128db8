from __future__ import annotations

import math

import msgspec
import pytest

from mbench.analysis import roofline
from mbench.core.artifact import LayerPlan
from mbench.core.machine_types import Cache, Calibration, Figure, Mix
from mbench.core.records import Roofline
from mbench.hardware import targets

HELD = {"L1": 32e3, "L2": 1e6, "L3": 8e6, "DRAM": math.inf}
CALIBRATION = Calibration(
    method="by hand",
    measured_at_utc="2026-01-01T00:00:00+00:00",
    threads=1,
    flops_per_s={"float32": 100e9},
    bytes_per_s={"L1": 400e9, "L2": 100e9, "L3": 50e9, "DRAM": 10e9},
    mixes=(Mix(level="DRAM", written=0.5, bytes_per_s=5e9), Mix(level="DRAM", written=0.2, bytes_per_s=8e9)),
    working_set_bytes={},
)


def layer(*, macs: int, activation_bytes: int, weight_bytes: int = 0, outputs: int = 0) -> LayerPlan:
    return LayerPlan(
        name="a", op="conv2d", kernels=("k",), input_shape=(1,), output_shape=(outputs,), kernel_size=None, stride=None,
        groups=None, macs=macs, params=0, weight_bytes=weight_bytes, activation_bytes=activation_bytes,
        workspace_bytes=0,
    )  # fmt: skip


def place(plan: LayerPlan, latency_s: float, calibration: Calibration = CALIBRATION) -> Roofline | None:
    return roofline.place(plan, latency_s, calibration, HELD, "float32")


def test_a_layer_with_much_work_a_byte_is_bound_by_arithmetic() -> None:
    # 1e9 multiply-adds are 2e9 FLOP; of 2e6 bytes, so in L3: 1000 FLOP/byte x 50e9 B/s lies far above the peak
    seen = place(layer(macs=10**9, activation_bytes=1_500_000, weight_bytes=500_000), 0.04)
    assert seen == Roofline(
        flops_per_s=50e9, arithmetic_intensity=1000.0, bound="compute", fraction_of_peak=0.5, fraction_of_bound=0.5
    )


def test_a_layer_with_little_work_a_byte_is_bound_by_what_feeds_it() -> None:
    # 8e6 multiply-adds, 16e6 FLOP, 16e6 bytes: 1 FLOP/byte from DRAM allows 10e9 FLOP/s; 4 ms are 4e9, or 40 % of it
    seen = place(layer(macs=8_000_000, activation_bytes=16_000_000), 0.004)
    assert seen is not None
    assert (seen.bound, seen.arithmetic_intensity) == ("DRAM", 1.0)
    assert seen.flops_per_s == pytest.approx(4e9)
    assert seen.fraction_of_peak == pytest.approx(0.04)
    assert seen.fraction_of_bound == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("moved", "level", "bound"),
    [(32_000, "L1", 40e9), (32_001, "L2", 10e9), (1_000_001, "L3", 5e9), (8_000_001, "DRAM", 1e9)],
)
def test_the_smallest_cache_that_holds_all_feeds(moved: int, level: str, bound: float) -> None:
    # a tenth of a FLOP a byte: the bound is a tenth of the level's bytes a second
    plan = layer(macs=moved // 20, activation_bytes=moved - moved // 5, weight_bytes=moved // 5)
    seen = place(plan, 1.0)
    assert seen is not None
    assert seen.bound == level
    assert seen.flops_per_s / seen.fraction_of_bound == pytest.approx(bound, rel=1e-3)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (0.0, 10e9),  # reading alone
        (0.1, 2 / (1 / 10e9 + 1 / 8e9)),  # half-way between two that were measured: the mean of the times of a byte
        (0.2, 8e9),
        (0.35, 2 / (1 / 8e9 + 1 / 5e9)),
        (0.5, 5e9),  # a copy
        (0.9, 5e9),  # nothing was measured that writes more, so it is held to the copy
    ],
)
def test_a_level_moves_fewer_bytes_where_some_are_written(written: float, expected: float) -> None:
    assert roofline.bandwidth(CALIBRATION, "DRAM", written) == pytest.approx(expected)
    # 16e6 bytes in all at 1 FLOP/byte, of which so many are the output's, 4 bytes each; in 4 ms, 4e9 FLOP/s
    seen = place(layer(macs=8_000_000, activation_bytes=16_000_000, outputs=int(written * 4_000_000)), 0.004)
    assert seen is not None
    assert (seen.bound, seen.arithmetic_intensity) == ("DRAM", 1.0)
    assert seen.fraction_of_bound == pytest.approx(4e9 / expected)


def test_where_no_mix_was_measured_a_level_is_held_to_reading() -> None:
    assert roofline.bandwidth(CALIBRATION, "L2", 0.5) == 100e9
    before = msgspec.json.decode(
        b'{"method": "x", "measured_at_utc": "2026-01-01T00:00:00Z", "threads": 1, '
        b'"flops_per_s": {}, "bytes_per_s": {"L2": 7e9}, '
        b'"working_set_bytes": {}}',
        type=Calibration,
    )  # as records of before have it
    assert roofline.bandwidth(before, "L2", 0.5) == 7e9


def test_where_both_peaks_meet_arithmetic_bounds() -> None:
    # 10 FLOP/byte from DRAM: exactly the peak
    seen = place(layer(macs=50_000_000, activation_bytes=10_000_000), 0.001)
    assert seen is not None
    assert (seen.bound, seen.fraction_of_bound) == ("compute", 1.0)


def test_a_level_that_was_not_calibrated_is_passed_over() -> None:
    without = msgspec.structs.replace(CALIBRATION, bytes_per_s={"L1": 400e9, "DRAM": 10e9})
    seen = place(layer(macs=1000, activation_bytes=500_000), 1.0, without)
    assert seen is not None
    assert seen.bound == "DRAM"


@pytest.mark.parametrize(("macs", "latency_s"), [(0, 1.0), (10, 0.0)])
def test_no_work_or_no_time_has_no_place(macs: int, latency_s: float) -> None:
    assert place(layer(macs=macs, activation_bytes=100), latency_s) is None


def test_another_dtype_that_was_not_calibrated_has_no_place() -> None:
    assert roofline.place(layer(macs=10, activation_bytes=100), 1.0, CALIBRATION, HELD, "int8") is None


def cache(size: float, shared_by: int) -> Cache:
    return Cache(bytes=Figure(value=size, source="test"), shared_by=shared_by)


@pytest.mark.parametrize(
    ("threads", "expected"),
    [
        (1, {"L1": 32e3, "L2": 1e6, "L3": 8e6}),
        (2, {"L1": 64e3, "L2": 1e6, "L3": 8e6}),
        (3, {"L1": 96e3, "L2": 2e6, "L3": 8e6}),
        (4, {"L1": 128e3, "L2": 2e6, "L3": 8e6}),
    ],
)
def test_capacities_grow_with_the_caches_that_the_threads_have(threads: int, expected: dict[str, float]) -> None:
    target = targets.load("x86_64_v3")
    processor = msgspec.structs.replace(target.processor, l1d=cache(32e3, 1), l2=cache(1e6, 2), l3=cache(8e6, 16))
    held = roofline.capacities(msgspec.structs.replace(target, processor=processor), threads)
    assert held == {**expected, "DRAM": math.inf}


def test_a_machine_without_l3_goes_from_l2_to_dram() -> None:
    target = targets.load("arm64_cortex_a72")
    held = roofline.capacities(target, 4)
    assert held == {"L1": 4 * 32768, "L2": 1048576, "DRAM": math.inf}
    assert roofline.level_of(2e6, held) == "DRAM"
