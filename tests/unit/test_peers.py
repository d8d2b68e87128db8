from __future__ import annotations

import argparse
import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest

from mbench.build import builders
from mbench.core import dtypes
from mbench.core.choices import Choices
from mbench.hardware import targets
from mbench.networks import variants


def script(name: str) -> ModuleType:
    """Import a module of benchmarks/, which is no package."""
    path = Path(__file__).parents[2] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


standings = script("standings")
cases = script("cases")
formats = script("formats")
cpu_runtimes = script("cpu_runtimes")
gpu_runtimes = script("gpu_runtimes")
runtimes = script("runtimes")
contest = script("contest")
machine = script("machine")
peers = script("peers")
EXPECTED = np.linspace(-2, 4, 1000, dtype=np.float32)[None]
TITLES = {"mbench": "mbench", "quick": "Quick", "slow": "Slow", "gone": "Gone"}


def timed(*rounds_s: float, error: float = 1e-6, busy: float = 1.0) -> Any:
    return standings.Timed(rounds_s=tuple((run_s,) * 3 for run_s in rounds_s), error=error, busy=busy)


def standing(ours_s: float, variant: str = "mobilenet_v1_0.25_128", **left_out: str) -> Any:
    seen = {"mbench": timed(ours_s), "slow": timed(4e-3), "quick": timed(2e-3)}
    return standings.judge(variant, 1, seen, left_out)


def test_an_output_is_compared_with_the_largest_value_of_the_expected() -> None:
    off = EXPECTED.copy()
    off[0, 0] += 0.04
    assert standings.error(EXPECTED, EXPECTED) == 0
    assert standings.error(off, EXPECTED) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (np.full_like(EXPECTED, np.nan), EXPECTED),
        (EXPECTED, np.full_like(EXPECTED, np.inf)),
        (EXPECTED[0], EXPECTED),
        (np.ones_like(EXPECTED), np.ones_like(EXPECTED)),
    ],
    ids=["not finite", "expected is not finite", "shape", "constant"],
)
def test_what_cannot_be_compared_is_infinitely_wrong(output: np.ndarray, expected: np.ndarray) -> None:
    assert standings.error(output, expected) == math.inf


@pytest.mark.parametrize("error", [1.1e-3, math.inf, math.nan])
def test_a_runtime_with_a_wrong_output_has_no_time_and_is_named(error: float) -> None:
    seen = {"mbench": timed(1e-3), "quick": timed(1e-9, error=error), "slow": timed(2e-3)}
    judged = standings.judge("mobilenet_v1_0.25_128", 1, seen, {})
    assert list(judged.wrong) == ["quick"]
    assert judged.best_peer == "slow"
    assert judged.ratio == pytest.approx(0.5)
    assert "wrong" in standings.table([judged], TITLES, markdown=False)
    assert "Quick: wrong output" in standings.notes([judged], TITLES)[0]


def test_an_output_within_the_tolerance_is_not_wrong() -> None:
    assert not standings.judge("x", 1, {"quick": timed(1e-3, error=0.9e-3)}, {}).wrong


def test_a_runtime_that_takes_more_threads_than_it_was_given_is_left_out() -> None:
    judged = standings.judge("x", 1, {"mbench": timed(2e-3), "quick": timed(1e-3, busy=1.9)}, {})
    assert "1.90 processors" in judged.left_out["quick"]
    assert judged.ratio is None
    assert not judged.wrong


def test_the_ratio_by_round_ignores_drift_that_hits_both() -> None:
    seen = {"mbench": timed(1e-3, 2e-3, 4e-3), "quick": timed(2e-3, 4e-3, 8e-3)}
    assert standings.judge("x", 1, seen, {}).round_ratio == pytest.approx(0.5)


def test_verdicts_take_the_geometric_mean_of_the_separable_networks_alone() -> None:
    seen = [standing(1e-3, "a"), standing(4e-3, "b"), standing(1.8e-3, "c_standard")]
    mean, worst, standard = standings.verdicts(seen)
    assert mean.split()[2] == "1.000"  # of 0.5 and 2
    assert "missed" in mean
    assert "2 networks" in mean
    assert worst.split()[1] == "2.000"
    assert "(b)" in worst
    assert "0.900" in standard
    assert "met" in standard


def test_what_was_tuned_has_goals_of_its_own() -> None:
    seen = [standing(1.7e-3, "a"), standing(1.5e-3, "c_standard")]
    assert ["missed" in line for line in standings.verdicts(seen)] == [False, False, False]
    assert ["missed" in line for line in standings.verdicts(seen, standings.TUNED_GOALS)] == [True, False, False]


def test_without_a_time_of_mbench_there_is_no_verdict() -> None:
    judged = standings.judge("x", 1, {"quick": timed(1e-3)}, {"mbench": "does not build"})
    assert standings.verdicts([judged]) == []
    assert standings.table([judged], TITLES, markdown=False).splitlines()[1].split()[-2:] == ["-", "-"]


def test_the_table_has_medians_in_ms_the_best_peer_and_both_ratios() -> None:
    heading, row = standings.table([standing(1e-3, gone="not installed")], TITLES, markdown=False).splitlines()
    assert row.split() == ["mobilenet_v1_0.25_128", "1.000", "2.000", "4.000", "-", "Quick", "0.500", "0.500"]
    assert len(heading) == len(row)


def test_the_markdown_table_is_one() -> None:
    lines = standings.table([standing(1e-3)], TITLES, markdown=True).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert set(lines[1]) == set("| -:")


def test_a_reason_is_given_once_with_its_networks() -> None:
    everywhere = [standing(1e-3, name, gone="not installed") for name in "ab"]
    assert standings.notes(everywhere, TITLES) == ["Gone: not installed (all networks)"]
    once = [standing(1e-3, "a", gone="died"), standing(1e-3, "b")]
    assert standings.notes(once, TITLES) == ["Gone: died (a)"]


def test_in_every_round_everybody_has_a_turn_and_no_one_always_comes_first_or_after_the_same() -> None:
    rounds = [contest._order(["a", "b", "c"], index) for index in range(6)]
    assert all(sorted(order) == ["a", "b", "c"] for order in rounds)
    assert {order[0] for order in rounds} == {"a", "b", "c"}
    assert {order[order.index("b") - 1] for order in rounds if order[0] != "b"} == {"a", "c"}


@pytest.mark.parametrize(("isa", "limit"), [(None, None), ("avx2", "AVX2")])
def test_every_runtime_is_told_its_threads_and_limit_before_it_is_imported(isa: str | None, limit: str | None) -> None:
    variant = variants.parse("mobilenet_v1_0.25_128")
    case = cases.Case(variant=variant, threads=2, isa=isa, folder=Path(), artifact=Path())
    told = cases.environment(case)
    assert told["TVM_NUM_THREADS"] == told["OMP_NUM_THREADS"] == "2"
    assert told.get("ONEDNN_MAX_CPU_ISA") == limit


def test_every_runtime_loads_a_file_that_can_be_made() -> None:
    assert {runtime.file for runtime in runtimes.available(gpu=False).values()} - {None} == set(formats.FORMATS)


def test_every_runtime_of_a_gpu_loads_a_file_that_can_be_made() -> None:
    assert {runtime.file for runtime in runtimes.available(gpu=True).values()} - {None} <= set(formats.FORMATS)
    assert set(runtimes.available(gpu=True)) & set(runtimes.available(gpu=False)) == {"mbench"}


def test_on_a_gpu_float32_is_float32() -> None:
    variant = variants.parse("mobilenet_v1_0.25_128")
    case = cases.Case(variant=variant, threads=1, isa=None, folder=Path(), artifact=Path(), gpu=True)
    assert cases.environment(case)["NVIDIA_TF32_OVERRIDE"] == "0"


@pytest.mark.parametrize(
    ("name", "dtype", "ratio", "said"),
    [
        ("mobilenet_v1_1.0_224_b1", "float32", 1.0, "1.000   goal 1.00: met"),
        ("mobilenet_v1_1.0_224_b1", "float32", 1.01, "goal 1.00: missed"),
        ("mobilenet_v1_1.0_224_b64", "float16", 1.2, "goal 1.20: met"),
        ("mobilenet_v1_1.0_224_standard_b64", "float16", 1.6, "goal 1.50: missed"),
        ("mobilenet_v1_1.0_224_b64", "float32", 1.2, None),
    ],
)
def test_the_goals_on_a_gpu(name: str, dtype: str, ratio: float, said: str | None) -> None:
    variant = msgspec.structs.replace(variants.parse(name), dtype=dtype)
    found = gpu_runtimes.verdict(variant, ratio)
    assert found is None if said is None else said in found


def test_runtimes_of_a_gpu_that_cannot_use_it_say_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torch

    monkeypatch.setattr(torch.version, "cuda", None)
    variant = variants.parse("mobilenet_v1_0.25_128")
    case = cases.Case(variant=variant, threads=1, isa=None, folder=tmp_path, artifact=tmp_path, gpu=True)
    for name in ("torch-gpu", "torch-compile-gpu"):
        with pytest.raises(RuntimeError, match="is built without CUDA; install a build with it"):
            runtimes.available(gpu=True)[name].load(case)


@pytest.mark.slow
def test_float16_is_measured_against_float32_and_passes_by_its_own_tolerance_alone(tmp_path: Path) -> None:
    import torch

    variant = msgspec.structs.replace(variants.parse("mobilenet_v1_0.25_128"), dtype="float16")
    case = cases.Case(variant=variant, threads=1, isa=None, folder=tmp_path, artifact=tmp_path, gpu=True)
    assert formats.export(case, set()) == {}
    with torch.inference_mode():
        output = cases.folded_network(case).half()(torch.from_numpy(case.image()).half()).float().numpy()
    assert (
        dtypes.of("float32").network_tolerance
        < standings.error(output, case.expected())
        < dtypes.of("float16").network_tolerance
    )


@pytest.mark.parametrize("asked", [True, False])
def test_kernels_are_made_as_tuned_where_that_is_asked(
    asked: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: list[Choices] = []

    def build_all(*_: Any, choices: Choices, **__: Any) -> dict[str, Any]:
        given.append(choices)
        return {}

    monkeypatch.setenv("MBENCH_TUNED_DIR", str(tmp_path))
    monkeypatch.setattr(builders, "build_all", build_all)
    for threads in (1, 2):  # the target brings choices for both
        peers._build([], targets.load("x86_64_v3"), threads, argparse.Namespace(tuned=asked))
    assert [bool(choices.kernels) for choices in given] == [asked, asked]
    assert (given[0].digest != given[1].digest) is asked
