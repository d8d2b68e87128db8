from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from benchmark_scripts import needs, script
from conftest import require

from mbench.build import builders
from mbench.core import dtypes
from mbench.core.choices import Choices
from mbench.hardware import targets
from mbench.measure.numerics import Expected
from mbench.networks import variants

standings = script("standings")
cases = script("cases")
formats = script("formats")
cpu_runtimes = script("cpu_runtimes")
gpu_runtimes = script("gpu_runtimes")
runtimes = script("runtimes")
contest = script("contest")
peer_rows = script("peer_rows")
peers = script("peers")
TITLES = {"mbench": "mbench", "quick": "Quick", "slow": "Slow", "gone": "Gone"}
PEERS = ("onnx", "onnxruntime", "ai_edge_litert", "flatbuffers")
"""What the tests have; the other peers are installed to compare with them only."""
EXPECTED = np.linspace(-2, 4, 1000, dtype=np.float32)[None]


def error(output: np.ndarray, expected: np.ndarray) -> float:
    return float(standings.error((output,), Expected(outputs=(expected,))))


def timed(*rounds_s: float, error: float = 1e-6, busy: float = 1.0) -> Any:
    return standings.Timed(rounds_s=tuple((run_s,) * 3 for run_s in rounds_s), error=error, busy=busy)


def standing(ours_s: float, variant: str = "mobilenet_v1_0.25_128", **left_out: str) -> Any:
    seen = {"mbench": timed(ours_s), "slow": timed(4e-3), "quick": timed(2e-3)}
    return standings.judge(variant, 1, seen, left_out)


def test_an_output_is_compared_with_the_largest_value_of_the_expected() -> None:
    off = EXPECTED.copy()
    off[0, 0] += 0.04
    assert error(EXPECTED, EXPECTED) == 0
    assert error(off, EXPECTED) == pytest.approx(0.01)


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
    assert error(output, expected) == math.inf


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
    other = standings.judge("b", 1, {"gone": timed(1e-3)}, {})
    heading, row, _ = standings.table([standing(1e-3, gone="died"), other], TITLES, markdown=False).splitlines()
    assert row.split() == ["mobilenet_v1_0.25_128", "1.000", "2.000", "4.000", "-", "Quick", "0.500", "0.500"]
    assert len(heading) == len(row)


def test_a_runtime_that_no_network_has_is_no_column() -> None:
    heading = standings.table([standing(1e-3, gone="not installed")], TITLES, markdown=False).splitlines()[0]
    assert "Slow" in heading
    assert "Gone" not in heading


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
    assert formats.export(case, {cases.TORCH}) == {}
    with torch.inference_mode():
        output = cases.folded_network(case).half()(torch.from_numpy(case.image()).half()).float().numpy()
    assert (
        dtypes.of("float32").network_tolerance
        < standings.error((output,), case.expected())
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


# ---------------------------------------------------------------------------------------------- what the runtimes load
NETWORKS = ("mobilenet_v1_0.25_64", "mobilenet_v2_0.35_64_b2", "mobilenet_v2_0.35_64_standard")


@pytest.fixture
def torch_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let torch have the threads that it had; those between operations can be set once in a process."""
    import torch

    monkeypatch.setattr(torch, "set_num_interop_threads", lambda _count: None)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=NETWORKS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    require(*needs(*PEERS))
    folder = tmp_path_factory.mktemp("case")
    made = cases.Case(variant=variants.parse(request.param), threads=1, isa=None, folder=folder, artifact=folder)
    assert formats.export(made, {cases.TORCH, cases.ONNX, cases.LITE}) == {}
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnxruntime", "litert", "torch"])
@pytest.mark.usefixtures("torch_as_before")
def test_a_peer_computes_what_pytorch_does_again_and_again(case: Any, name: str) -> None:
    run, read = runtimes.available(gpu=False)[name].load(case)
    for _ in range(3):  # the input is still there
        outputs = read(run())
    assert [output.shape for output in outputs] == [(case.variant.batch, 1000)]
    assert standings.error(outputs, case.expected()) < 1e-4


@pytest.mark.slow
def test_another_image_gives_another_output(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    image = case.image() * np.float32(1.01)
    monkeypatch.setattr(cases.Case, "image", lambda _self: image)
    run, read = runtimes.available(gpu=False)["litert"].load(case)
    assert standings.error(read(run()), case.expected()) > 1e-3


@pytest.mark.slow
def test_litert_is_left_out_where_xnnpack_does_not_take_all(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_runtimes, "left_to_litert", lambda _interpreter: "XNNPACK computes the network in 2 parts")
    with pytest.raises(RuntimeError, match="in 2 parts"):
        runtimes.available(gpu=False)["litert"].load(case)


def test_a_converter_that_fails_leaves_out_its_runtimes_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(network: Any, folder: Path) -> None:
        raise ValueError(f"no form for {network.variant.name}\nand more")

    monkeypatch.setattr(formats, "FORMATS", {"a": fail, "b": lambda network, folder: (folder / "b").write_text("")})
    variant = variants.parse("mobilenet_v1_0.25_32")
    made = cases.Case(variant=variant, threads=1, isa=None, folder=tmp_path, artifact=tmp_path)
    assert formats.export(made, {"a", "b"}) == {
        "a": "a could not be made: ValueError: no form for mobilenet_v1_0.25_32"
    }
    assert (tmp_path / "b").exists()


def test_a_network_at_another_batch_is_the_same_one() -> None:
    network = formats.Network(variant=variants.parse("mobilenet_v1_0.25_32_b4"), parameters={})
    assert network.graph.inputs["image"].shape == (4, 3, 32, 32)
    assert network.at_batch(1).graph.inputs["image"].shape == (1, 3, 32, 32)


# ------------------------------------------------------------------------------------------------------------- clocks
def test_a_block_is_timed_by_the_clock_that_was_asked_for() -> None:
    ticks = itertools.count(step=0.25)
    block = contest._block(lambda: None, 1.0, lambda: float(next(ticks)))
    assert block.runs_s == (0.25,) * 5


def test_other_work_is_what_processors_did_beyond_the_runtimes_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    statistics = tmp_path / "stat"
    statistics.write_text(f"cpu {9 * ticks} 0 {ticks} 500 7 0 0 0 0 0\ncpu0 1 2 3\n")
    before = contest.busy_s(statistics.read_text())
    assert before == 10  # waiting counts for nothing
    monkeypatch.setattr(contest, "_STATISTICS", statistics)
    monkeypatch.setattr(contest.time, "perf_counter", itertools.count(step=2).__next__)  # a block takes 2 s
    monkeypatch.setattr(contest.time, "process_time", itertools.count(step=1).__next__)  # and 1 s of a processor
    run = itertools.count()

    def work() -> None:
        if next(run) == 3:
            statistics.write_text(f"cpu {11 * ticks} {ticks} {ticks} 500 7 0 0 {ticks} 0 0\ncpu0 1 2 3\n")

    block = contest._block(work, 1.0, itertools.count(step=0.25).__next__)
    assert (block.busy, block.others) == (0.5, 1.5)  # 4 s of processors, 1 s of them its own


@pytest.mark.parametrize(("others", "said"), [(0.05, False), (1.4, True)])
def test_a_table_measured_beside_other_work_says_so(others: float, said: bool) -> None:
    seen = {"mbench": timed(1e-3), "quick": dataclasses.replace(timed(2e-3), others=others)}
    notes = standings.notes([standings.judge("a", 1, seen, {})], TITLES)
    assert notes == (["measured beside other work, which kept up to 1.4 processors busy"] if said else [])


@pytest.mark.parametrize("arguments", [["--threads", "2"], ["--gpu"]])
def test_processor_time_is_of_one_thread_on_a_cpu(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["peers.py", "--clock", "processor", *arguments])
    with pytest.raises(SystemExit):
        peers._arguments()
    monkeypatch.setattr(sys, "argv", ["peers.py", "--clock", "processor", "--threads", "1"])
    assert peers._arguments().clock == "processor"


# --------------------------------------------------------------------------------------------------- tables in pieces
def row(seen: Any, **changed: Any) -> Any:
    given = {
        "machine": "Zen 4", "target": "x86_64_v4", "kernels": "rule", "dtype": "float32", "isa": None, "clock": "wall",
        "date": "2026-11-29", "versions": {"quick": "1.0"},
    }  # fmt: skip
    return peer_rows.Row(standing=seen, **{**given, **changed})


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    written = [row(standing(1e-3, "a", gone="died")), row(standing(3e-3, "b"), isa="avx2")]
    for each in written:
        peer_rows.append(file, each)
    assert peer_rows.read([file]) == written
    document = json.loads(file.read_text().splitlines()[0])
    assert document["median_ms"] == {"mbench": 1.0, "slow": 4.0, "quick": 2.0}
    assert (document["best_peer"], document["ratio"]) == ("quick", 0.5)


def test_of_several_rows_for_the_same_the_last_one_counts(tmp_path: Path) -> None:
    files = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    for file, ours_s in zip(files, (1e-3, 1.5e-3), strict=True):
        peer_rows.append(file, row(standing(ours_s)))
    peer_rows.append(files[1], row(standing(1e-3), target="x86_64_v3"))
    assert [each.standing.ratio for each in peer_rows.read(files)] == [0.75, 0.5]


@pytest.mark.parametrize("line", ["{}", "no JSON", '{"network": 1, "timed": 3}'])
def test_what_is_no_row_is_named(line: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    peer_rows.append(file, row(standing(1e-3)))
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(ValueError, match=r"rows\.jsonl, line 2: not a row of peers\.py"):
        peer_rows.read([file])


def test_each_kind_of_conditions_has_a_table(tmp_path: Path) -> None:
    rows = [row(standing(1e-3, "a")), row(standing(4e-3, "b")), row(standing(1e-3, "a"), target="x86_64_v3")]
    first, second = peer_rows.tables(rows, TITLES, set()).split("\n\nZen 4, target x86_64_v3")
    assert "target x86_64_v4, kernels by rule, float32, 1 thread; Quick 1.0; 2026-11-29" in first
    assert "Geometric mean of 2 ratios: 1.000" in first
    assert second.count("| a | 1.000 | 2.000 | 4.000 | Quick | 0.500 | 0.500 |") == 1
    assert "Gone" not in first + second


def test_where_peers_were_limited_the_ratio_to_them_stands_apart() -> None:
    table = peer_rows.tables([row(standing(1e-3, "a"), isa="avx2")], TITLES, {"slow"})
    heading, _, line = table.split("\n\n")[1].splitlines()
    assert heading.split(" | ")[-1] == "to limited peers |"
    assert line.split(" | ")[-3:] == ["0.500", "0.500", "0.250 |"]
    assert "peers that obey limited to AVX2" in table


def test_the_tables_of_files_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.jsonl"
    seen = {"mbench": timed(1e-3), "litert": timed(2e-3)}
    peer_rows.append(file, row(standings.judge("a", 1, seen, {}), versions={"litert": "2.3.0"}))
    monkeypatch.setattr(sys, "argv", ["peers.py", "--show", str(file)])
    assert peers.main() == 0
    shown = capsys.readouterr().out
    assert "LiteRT 2.3.0" in shown
    assert "| a | 1.000 | 2.000 | LiteRT | 0.500 | 0.500 |" in shown
    file.write_text("nothing\n")
    assert peers.main() == 2
    assert "line 1: not a row" in capsys.readouterr().err
