from __future__ import annotations

import itertools
import math
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from mbench import targets
from mbench.devices.local import LocalDevice
from mbench.devices.process import WorkerDied
from mbench.measure import roofline
from mbench.records import LEVELS, Calibration, Target

FASTEST_HZ = 8e9  # no processor's clock is faster
MOST_FMA_UNITS = 4


@pytest.fixture(scope="module")
def target() -> Target:
    return targets.load("host")


@pytest.fixture(scope="module")
def seen(target: Target, tmp_path_factory: pytest.TempPathFactory) -> tuple[Calibration, list[tuple[str, float]]]:
    told: list[tuple[str, float]] = []
    device = LocalDevice(lock_dir=tmp_path_factory.mktemp("locks"), timeout_s=120)
    try:
        return device.calibrate(target, 1, lambda *what: told.append(what)), told
    finally:
        device.close()


def matmul_flops_per_s(size: int = 512) -> float:
    """Return what numpy's matrix product reaches, with as many threads as it likes."""
    a = np.ones((size, size), "float32")
    best = math.inf
    for _ in range(10):
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def sum_bytes_per_s() -> float:
    """Return what numpy reads from DRAM when it sums."""
    data = np.ones(64 * 2**20 // 4, "float32")
    best = math.inf
    for _ in range(5):
        start = time.perf_counter()
        data.sum()
        best = min(best, time.perf_counter() - start)
    return data.nbytes / best


def copy_bytes_per_s() -> float:
    """Return the bytes that numpy reads and writes when it scales one array into another, in DRAM."""
    data, other = np.ones(32 * 2**20 // 4, "float32"), np.ones(32 * 2**20 // 4, "float32")
    best = math.inf
    for _ in range(5):
        start = time.perf_counter()
        np.multiply(data, np.float32(0.5), out=other)
        best = min(best, time.perf_counter() - start)
    return 2 * data.nbytes / best


def test_peak_is_no_less_than_a_tenth_of_a_matrix_product(seen: tuple[Calibration, object]) -> None:
    assert seen[0].flops_per_s["float32"] > matmul_flops_per_s() / 10


def test_peak_is_no_more_than_physics_allows(seen: tuple[Calibration, object], target: Target) -> None:
    lanes = target.processor.vector_bits // 32
    assert seen[0].flops_per_s["float32"] < 2 * lanes * MOST_FMA_UNITS * FASTEST_HZ


def test_bandwidth_falls_from_level_to_level(seen: tuple[Calibration, object]) -> None:
    measured = [seen[0].bytes_per_s[level] for level in LEVELS if level in seen[0].bytes_per_s]
    assert len(measured) >= 2
    assert all(math.isfinite(value) and value > 0 for value in measured)
    assert all(near >= far / 1.5 for near, far in itertools.pairwise(measured))
    assert seen[0].bytes_per_s["L1"] >= seen[0].bytes_per_s["DRAM"] / 1.5


def test_bandwidth_is_of_the_order_of_what_numpy_reads(seen: tuple[Calibration, object]) -> None:
    assert seen[0].bytes_per_s["DRAM"] > sum_bytes_per_s() / 5


def test_bandwidth_is_no_more_than_physics_allows(seen: tuple[Calibration, object], target: Target) -> None:
    assert seen[0].bytes_per_s["L1"] < 4 * target.processor.vector_bits / 8 * FASTEST_HZ  # four loads a cycle


def test_writing_too_moves_about_as_much_as_reading_alone_and_as_numpy(seen: tuple[Calibration, object]) -> None:
    read = seen[0].bytes_per_s
    rates = {(mix.level, mix.written): mix.bytes_per_s for mix in seen[0].mixes}
    assert rates.keys() == {(level, written) for level in read for written in (0.2, 0.5)}
    for (level, _), rate in rates.items():
        assert read[level] / 20 < rate < 3 * read[level], level  # code that moved nothing would be far above
    assert copy_bytes_per_s() / 5 < rates["DRAM", 0.5] < 5 * copy_bytes_per_s()


def test_starting_two_threads_takes_longer_than_a_clock_cycle_and_one_is_not_started(
    seen: tuple[Calibration, object], target: Target, tmp_path: Path
) -> None:
    assert seen[0].parallel_loop_s is None
    device = LocalDevice(lock_dir=tmp_path, timeout_s=120)
    try:
        together = device.calibrate(target, 2, lambda *_: None).parallel_loop_s
    finally:
        device.close()
    assert together is not None
    assert together > 10 / FASTEST_HZ


def test_working_sets_lie_in_their_levels(seen: tuple[Calibration, object], target: Target) -> None:
    held = roofline.capacities(target, 1)
    sizes = seen[0].working_set_bytes
    assert sizes.keys() == seen[0].bytes_per_s.keys()
    for level, size in sizes.items():
        assert size <= held[level]
    assert sizes["DRAM"] >= 64 * 2**20
    assert list(sizes.values()) == sorted(sizes.values())


def test_the_calibration_says_what_it_is_of(seen: tuple[Calibration, list[tuple[str, float]]]) -> None:
    calibration, told = seen
    assert calibration.threads == 1
    assert calibration.method
    assert {stage for stage, _ in told} == {"calibrating"}
    fractions = [fraction for _, fraction in told]
    assert fractions == sorted(fractions)


def test_code_for_another_machine_is_no_calibration(target: Target, tmp_path: Path) -> None:
    other = "aarch64-linux-gnu" if target.family == "x86" else "x86_64-linux-gnu"
    mcpu = "cortex-a72" if target.family == "x86" else "x86-64"
    wrong = msgspec.structs.replace(target, tvm={"kind": "llvm", "mtriple": other, "mcpu": mcpu})
    device = LocalDevice(lock_dir=tmp_path, timeout_s=60)
    try:
        with pytest.raises(WorkerDied) as caught:
            device.calibrate(wrong, 1, lambda *_: None)
    finally:
        device.close()
    assert "\n" not in str(caught.value)
