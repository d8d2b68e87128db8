"""Kernels that are truly timed: the slow, the wrong and the same are told apart."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
from pathlib import Path

import numpy as np
import pytest
import tvm
from conftest import require
from kernel_bench import Bench

from mbench.compile.kernel import Kernel
from mbench.core.errors import MeasureError
from mbench.tuning import candidates, jobs, timing
from mbench.tuning.plans import Built, Candidate

pytest_plugins = ("tune_fixtures",)
pytestmark = pytest.mark.slow


BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_slow_and_the_same_are_told_apart(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    planting = importlib.import_module("planting")
    default, _ = jobs.tiles(bench.task.function, bench.target, 1)
    with planting.serial_work(1_000_000)():  # some hundred times what the kernel takes
        slow = bench.built(default, "slow")
    same = bench.built(default, "same")
    found = bench.time(bench.plan(bench.built(default, "default"), same, slow, finalists=3))
    first = {read.number: read.timing for read in found.reads if not read.timing.final}
    assert first[1].ratio > 5
    assert first[0].ratio < first[1].ratio / 5
    assert first[0].error < 1e-6
    assert all(read.number == 0 for read in found.reads if read.timing.final)
    assert found.wall_s > 0


def test_a_wrong_kernel_is_refused(bench: Bench, tmp_path: Path) -> None:
    """The library is one of another kernel's weights: with the panels of a wider tile it computes something else."""
    default, _ = jobs.tiles(bench.task.function, bench.target, 1)
    right, wrong = (Candidate(rule="cpu.matmul", parameters={**dict(default.parameters), "vectors": v}) for v in (1, 2))
    require(default.rule == "cpu.matmul", "a rule for matrix products")
    other = bench.built(wrong, "wrong")
    found = bench.time(bench.plan(bench.built(default, "default"), Built(candidate=right, library=other.library)))
    [read] = found.reads
    assert read.timing is None
    assert "relative error" in read.refused


def test_a_wrong_default_is_an_error(bench: Bench) -> None:
    default, _ = jobs.tiles(bench.task.function, bench.target, 1)
    wrong = Candidate(rule="cpu.matmul", parameters={**dict(default.parameters), "vectors": 2})
    library = bench.built(wrong, "wrong").library
    right = Candidate(rule="cpu.matmul", parameters={**dict(default.parameters), "vectors": 1})
    with pytest.raises(MeasureError, match=r"what the rules choose, cpu.matmul .* is wrong"):
        bench.time(bench.plan(Built(candidate=right, library=library)))


def test_every_call_has_arguments_that_the_last_one_had_not(bench: Bench) -> None:
    """Weights go round copies that fill the caches twice; input and output go round two."""
    default, _ = jobs.tiles(bench.task.function, bench.target, 1)
    built = bench.built(default, "default")
    data = timing.drawn(Kernel(tvm.ir.load_json(bench.task.function)))
    pack = candidates.plan(tvm.ir.load_json(bench.task.function), bench.target, default).pack
    if pack is not None:
        data[1] = pack(data[1])
    runner = timing.Runner(Path(built.library), data, 2**16, timing.OnProcessors())
    rings = runner._arguments
    weights = {id(arguments[1]) for arguments in rings}
    assert len(weights) == len(rings)
    assert len(rings) == timing._MAX_COPIES or sum(data[1].nbytes + data[2].nbytes for _ in rings) >= 2 * 2**16
    assert all(first[0] is not second[0] for first, second in itertools.pairwise(rings))
    assert len({id(arguments[-1]) for arguments in rings}) == 2
    assert not np.isnan(runner.output()).any()
