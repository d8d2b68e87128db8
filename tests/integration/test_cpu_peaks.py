from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from mbench.analysis import roofline
from mbench.core.field_types import LEVELS
from mbench.core.machine_types import Calibration, Target
from mbench.devices.local import LocalDevice
from mbench.devices.process import WorkerDied
from mbench.hardware import targets
from mbench.measure import cpu_peaks

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


SECONDS = 1e-3


class Kernels:
    """Compiled kernels that truly run, each call of which is said to have taken `SECONDS`."""

    def __init__(self, module: Any, results: list[np.ndarray]) -> None:
        self._module, self._results = module, results

    def __getitem__(self, name: str) -> Any:
        return self._module[name]

    def time_evaluator(self, name: str, _device: Any, *, number: int, repeat: int) -> Any:
        def timer(*arguments: Any) -> Any:
            if number == 1:  # the first, which every probe begins with
                self._module[name](*arguments)
                self._results.append(arguments[-1].numpy())
            return SimpleNamespace(results=[SECONDS] * repeat)

        return timer


class Place(cpu_peaks.Here):
    """This process, with a clock that says the same of every kernel."""

    def __init__(self, memory_bytes: int) -> None:
        super().__init__()
        self.memory_bytes = memory_bytes
        self.results: list[np.ndarray] = []

    def load(self, kernels: Any, target: Any) -> Any:
        return Kernels(super().load(kernels, target), self.results)


CHAINS, STEPS, READERS, READS = 12, 20_000, 8, (4, 1)
CALL_BYTES = 16 * 2**20  # of one thread


@pytest.fixture(scope="module")
def told() -> tuple[Calibration, list[np.ndarray]]:
    """Return peaks by a clock of our own, and what each kernel computed: peak, then of each level read and mixes."""
    place = Place(memory_bytes=2**30)
    found = cpu_peaks.calibrate(targets.load("host"), 1, place=place)
    return found, place.results


def test_peaks_are_what_the_kernels_do_over_the_time_that_they_take(
    told: tuple[Calibration, list[np.ndarray]], target: Target
) -> None:
    found, _ = told
    lanes = target.processor.vector_bits // 32
    assert found.flops_per_s["float32"] == pytest.approx(CHAINS * STEPS * lanes * 2 / SECONDS)
    assert found.working_set_bytes.keys() == found.bytes_per_s.keys()
    for level, size in found.working_set_bytes.items():
        passes = max(1, CALL_BYTES // size)
        assert found.bytes_per_s[level] == pytest.approx(passes * size / SECONDS), level
    assert {(mix.level, mix.written) for mix in found.mixes} == {
        (level, 1 / (1 + reads)) for level in found.bytes_per_s for reads in READS
    }


def test_the_kernels_do_all_of_the_work_that_is_counted(
    told: tuple[Calibration, list[np.ndarray]], target: Target
) -> None:
    """All data are ones but the peak's halves: each result says how often something was added."""
    found, (peak, *results) = told
    lanes = target.processor.vector_bits // 32
    assert peak.shape == (1, CHAINS, lanes)
    assert peak == pytest.approx(1.0), "x/2 + 1/2, again and again, ends at 1"
    assert len(results) == len(found.bytes_per_s) * (1 + len(READS))
    rates = {(mix.level, round(1 / mix.written) - 1): mix.bytes_per_s for mix in found.mixes}
    for number, (level, rate) in enumerate(found.bytes_per_s.items()):
        summed, *written = results[number * (1 + len(READS)) :][: 1 + len(READS)]
        assert 4 * summed.sum() == pytest.approx(rate * SECONDS), "as many numbers were added as bytes were counted"
        for reads, halves in zip(READS, written, strict=True):
            assert (halves == reads / 2).all()
            once = 4 * halves.size * (1 + reads)
            passes = max(1, CALL_BYTES // once)
            assert rates[level, reads] == pytest.approx(once * passes / SECONDS)


def test_halves_have_a_peak_of_their_own_where_a_processor_has_their_arithmetic(target: Target) -> None:
    processor = msgspec.structs.replace(target.processor, requires=(*target.processor.requires, "asimdhp"))
    place = Place(memory_bytes=2**26)
    found = cpu_peaks.calibrate(msgspec.structs.replace(target, processor=processor), 1, place=place)
    lanes = target.processor.vector_bits // 16
    assert found.flops_per_s["float16"] == pytest.approx(CHAINS * STEPS * lanes * 2 / SECONDS)
    assert found.flops_per_s.keys() == {"float32", "float16"}
    assert place.results[1].dtype == np.float16
    assert place.results[1] == pytest.approx(1.0, rel=2.0**-10)


def test_peak_is_no_more_than_physics_allows(seen: tuple[Calibration, object], target: Target) -> None:
    lanes = target.processor.vector_bits // 32
    assert 0 < seen[0].flops_per_s["float32"] < 2 * lanes * MOST_FMA_UNITS * FASTEST_HZ


def test_every_level_has_a_bandwidth(seen: tuple[Calibration, object]) -> None:
    measured = seen[0].bytes_per_s
    assert len(measured) >= 2
    assert {"L1", "DRAM"} <= measured.keys() <= set(LEVELS)
    assert all(math.isfinite(value) and value > 0 for value in measured.values())


def test_bandwidth_is_no_more_than_physics_allows(seen: tuple[Calibration, object], target: Target) -> None:
    assert max(seen[0].bytes_per_s.values()) < 4 * target.processor.vector_bits / 8 * FASTEST_HZ  # four loads a cycle


def test_what_reads_and_writes_is_measured_at_every_level_and_within_physics(
    seen: tuple[Calibration, object], target: Target
) -> None:
    rates = {(mix.level, mix.written): mix.bytes_per_s for mix in seen[0].mixes}
    assert rates.keys() == {(level, written) for level in seen[0].bytes_per_s for written in (0.2, 0.5)}
    most = 8 * target.processor.vector_bits / 8 * FASTEST_HZ  # four loads and four stores a cycle
    assert all(0 < rate < most for rate in rates.values())


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
