from __future__ import annotations

import math
from pathlib import Path

import pytest

from mbench.hardware import targets
from mbench.measure import pace, pace_build
from mbench.measure.observation import PaceLoops
from mbench.measure.pace import Pace


@pytest.fixture(scope="module")
def loops(tmp_path_factory: pytest.TempPathFactory) -> PaceLoops:
    made = PaceLoops(
        library=tmp_path_factory.mktemp("pace") / "loops.so", target=targets.load("x86_64_v2"), threads=2
    )  # fmt: skip
    pace_build.build(made)
    return made


def test_the_operations_are_those_of_the_loop() -> None:
    assert pace.flops(3, 8) == 3 * 12 * 20_000 * 8 * 2
    data, results = pace.shapes("peak", 3, 8)
    assert math.prod(results) == 3 * 12 * 8
    assert math.prod(data) == math.prod(results) + 3 * 2 * 8, "and the two factors of each thread"


def test_both_loops_are_read_and_no_machine_does_more(loops: PaceLoops) -> None:
    found = Pace(loops)
    assert found.flops_per_s() is None, "not read yet"
    for _ in range(3):
        found.read()
    rate, exchange_s = found.flops_per_s(), found.exchange_s()
    assert rate is not None
    assert exchange_s is not None
    assert 1e6 < rate < 2 * 4 * 2 * 4 * 8e9, "two threads, four units, four lanes, 8 GHz"
    assert exchange_s > 16_384 / 1e12, "16 KiB from another thread, at a terabyte a second"


def test_one_thread_starts_no_others(loops: PaceLoops, tmp_path: Path) -> None:
    one = PaceLoops(library=tmp_path / "one.so", target=loops.target, threads=1)
    pace_build.build(one)
    found = Pace(one)
    found.read()
    assert found.flops_per_s() is not None
    assert found.exchange_s() is None
