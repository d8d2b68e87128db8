"""`peers.py --dtype int8`: what is given, what the peers load, how their outputs are judged, and what is kept."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from benchmark_scripts import needs, script
from conftest import require
from quantized_cases import quantized

from mbench.core.errors import UsageError
from mbench.core.records import Variant
from mbench.networks import variants
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder
from mbench.networks.network_weights import Weights

standings = script("standings")
cases = script("cases")
formats = script("formats")
kept_int8 = script("kept_int8")
peer_rows = script("peer_rows")
peers = script("peers")
runtimes = script("runtimes")
INT8 = "mobilenet_v1_0.25_64_int8"
TITLES = {name: runtime.title for name, runtime in runtimes.available(gpu=False, dtype="int8").items()}


def asked(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> Any:
    monkeypatch.setattr(sys, "argv", ["peers.py", *map(str, arguments), "--threads", "1"])
    return peers._arguments()


def case(variant: Variant, folder: Path, **how: Any) -> Any:
    return cases.Case(variant=variant, threads=1, isa=None, folder=folder, artifact=folder, **how)


# ------------------------------------------------------------------------------------------------------ what is given
def test_networks_are_of_int8_and_so_are_the_runtimes(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = asked(monkeypatch, "mobilenet_v1_0.25_32", "--dtype", "int8")
    [variant] = peers._networks(arguments)
    assert (variant.name, variant.dtype) == ("mobilenet_v1_0.25_32_int8", "int8")
    assert arguments.runtimes == ["mbench", "onnxruntime", "onnxruntime-s8", "openvino", "litert"]
    assert list(runtimes.of(case(variant, Path()))) == arguments.runtimes


def test_the_grids_of_the_goals_are_compared_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {variant.name for variant in peers._networks(asked(monkeypatch, "--dtype", "int8"))}
    assert len(found) == 28
    assert found >= standings.INT8_NETWORKS.keys()


def test_a_quantised_file_is_compared_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    require(*needs("onnxruntime"))
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    file = tmp_path / "own.onnx"
    onnx.save(script("qdq_writer").model(quantized(small()).network.qdq), file)
    with pytest.raises(UsageError, match="quantised"):
        peers._networks(asked(monkeypatch, file))
    [(variant, own)] = peers._networks(asked(monkeypatch, file, "--dtype", "int8")).items()
    made = case(variant, tmp_path, file=own)
    failed = formats.export(made, {cases.ONNX, cases.SIGNED, cases.LITE})
    assert {name: reason.split(",")[0] for name, reason in failed.items()} == {
        cases.SIGNED: "the file is taken as it is",
        cases.LITE: "it does not read ONNX files",
    }
    assert made.tolerances(1e-3) == (0.0, 0.5)
    run, read = runtimes.of(made)["onnxruntime"].load(made)
    assert standings.error(read(run()), made.expected()) < 1e-6


def small() -> Graph:
    builder = GraphBuilder()
    x = builder.convolution("first", builder.input("image", (1, 3, 8, 8)), 8, kernel=3, norm=None, activation="relu")
    return builder.graph(builder.convolution("last", x, 4, norm=None))


@pytest.mark.parametrize("isa", ["avx2", "avx2_vnni", "avx512"])
def test_onednn_is_told_what_it_may_use(isa: str) -> None:
    limited = cases.Case(
        variant=variants.parse(INT8), threads=1, isa=isa, folder=Path(), artifact=Path()
    )  # fmt: skip
    assert cases.environment(limited)["ONEDNN_MAX_CPU_ISA"] == {"avx512": "AVX512_CORE"}.get(isa, isa.upper())


# ------------------------------------------------------------------------------------------------ what the peers load
@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Any:
    require(*needs("onnx", "onnxruntime", "ai_edge_litert", "flatbuffers"))
    made = case(variants.parse(INT8), tmp_path_factory.mktemp("case"))
    assert formats.export(made, {cases.ONNX, cases.SIGNED, cases.LITE}) == {}
    return made


@pytest.mark.parametrize("name", ["onnxruntime", "onnxruntime-s8", "litert"])
def test_a_peer_is_as_near_as_roundings_allow_again_and_again(exported: Any, name: str) -> None:
    run, read = runtimes.of(exported)[name].load(exported)
    for _ in range(3):  # the input is still there
        outputs = read(run())
    own, tolerance = exported.tolerances(1e-3)
    assert own == 0.0
    assert standings.error(outputs, exported.expected()) <= tolerance <= 0.5
    same = standings.differing(outputs, exported.expected()) == 0
    assert same is (name == "onnxruntime")  # the others have other types, or round the last layer


def test_the_files_differ_in_their_types_of_activations(exported: Any) -> None:
    for file, wanted in ((cases.ONNX, onnx.TensorProto.UINT8), (cases.SIGNED, onnx.TensorProto.INT8)):
        graph = onnx.load(exported.folder / file).graph
        constants = {each.name: each.data_type for each in graph.initializer}
        zeros = {constants[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"}
        assert zeros == {wanted}


# ----------------------------------------------------------------------------------------------- how outputs are judged
def keep(folder: Path, tolerance: float | None, *floats: np.ndarray) -> Any:
    made = case(variants.parse(INT8), folder)
    outputs = (np.array([1.0, -2.0, 0.5]),)
    made.keep(Weights(parameters={}, examples={}, expected=outputs, tolerance=tolerance), floats)
    return made


def test_peers_may_be_twice_as_far_as_the_network_is_from_float32(tmp_path: Path) -> None:
    assert keep(tmp_path, 0.0, np.array([1.2, -2.0, 0.5])).tolerances(1e-3) == (0.0, pytest.approx(0.2))
    assert keep(tmp_path, None, np.array([1.0, -2.0, 0.5])).tolerances(1e-3) == (5e-2, 5e-2)
    assert keep(tmp_path, 0.0).tolerances(1e-3) == (0.0, 0.5)


def timed(ours_s: float, error: float = 0.0, differing: float = 0.0) -> Any:
    return standings.Timed(rounds_s=((ours_s,) * 3,) * 2, error=error, busy=1.0, differing=differing)


def test_mbench_has_a_tolerance_of_its_own() -> None:
    seen = {"mbench": timed(1e-3, error=1e-6), "litert": timed(2e-3, error=0.1)}
    assert list(standings.judge("x", 1, seen, {}, tolerance=0.2, own_tolerance=0.0).wrong) == ["mbench"]
    assert not standings.judge("x", 1, seen, {}, tolerance=0.2).wrong


def test_how_many_numbers_differ() -> None:
    expected = keep_expected(np.arange(4.0), np.arange(2.0))
    assert standings.differing(expected.outputs, expected) == 0
    assert standings.differing((np.arange(4.0), np.array([0, 1.5])), expected) == pytest.approx(1 / 6)
    assert standings.differing((np.arange(4.0),), expected) == 1
    assert standings.differing((np.arange(3.0), np.arange(2.0)), expected) == 1


def keep_expected(*outputs: np.ndarray) -> Any:
    from mbench.measure.numerics import Expected

    return Expected(outputs=outputs)


def standing(variant: str, ours_s: float, threads: int = 1) -> Any:
    peers_seen = {"openvino": timed(2e-3), "litert": timed(1.5e-3, error=0.03, differing=0.4)}
    return standings.judge(variant, threads, {"mbench": timed(ours_s), **peers_seen}, {}, tolerance=0.2)


def test_differences_are_said_of_each_runtime() -> None:
    seen = [standing("a", 1e-3), standing("b", 1e-3)]
    assert standings.differences(seen, TITLES) == [
        "mbench: outputs are the very same of 2 of 2 networks",
        "OpenVINO: outputs are the very same of 2 of 2 networks",
        "LiteRT: outputs are the very same of 0 of 2 networks; up to 40 % of the numbers differ, by up to 0.03 of the "
        "largest",
    ]


def test_two_networks_have_goals_of_their_own_where_peers_are_not_limited() -> None:
    seen = [standing(name, 1.05e-3) for name in standings.INT8_NETWORKS]
    said = standings.verdicts(seen, standings.int8_goals(1, None))
    assert [line.split(": ")[1].split()[0] for line in said] == ["met", "met", "met", "missed"]
    limited = standings.verdicts(seen, standings.int8_goals(2, "avx2"), {"openvino"})
    assert limited[0].split()[2] == "0.525"
    assert len(limited) == 2
    assert standings.verdicts(seen, standings.int8_goals(1, "avx512"), {"openvino"}) == []


# ------------------------------------------------------------------------------------------------------- what is kept
def row(seen: Any, **changed: Any) -> Any:
    given: dict[str, Any] = {
        "machine": "Zen 4", "target": "x86_64_v4_vnni", "kernels": "rule", "dtype": "int8", "isa": None,
        "clock": "wall", "date": "2026-11-29", "versions": {},
    }  # fmt: skip
    return peer_rows.Row(standing=seen, **{**given, **changed})


def test_rows_become_a_table_with_goals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, file = tmp_path / "rows.jsonl", tmp_path / "int8.csv"
    v1, v2 = standings.INT8_NETWORKS
    for each in (
        row(standing(v1, 1.2e-3)), row(standing(v2, 0.9e-3)), row(standing(v1, 0.9e-3)),
        row(standing(v1, 1e-3), isa="avx2"), row(standing(v1, 9e-3), dtype="float32"),
    ):  # fmt: skip
        peer_rows.append(rows, each)
    monkeypatch.setattr(kept_int8, "FILE", file)
    monkeypatch.setattr(kept_int8.report, "__defaults__", (file,))
    for _ in range(2):  # the same rows again change nothing
        monkeypatch.setattr(sys, "argv", ["kept_int8.py", str(rows)])
        assert kept_int8.main() == 0
    assert len(kept_int8.read(file)) == 3
    printed = capsys.readouterr().out.splitlines()
    assert "| Zen 4, x86_64_v4_vnni, 1 T | 2 | 0.600, goal 0.70 met |" in printed[-2]
    assert "0.600, goal 0.64 met |" in printed[-2]
    assert "1 T, peers limited to AVX2 | 1 | 0.500, goal 0.82 met |" in printed[-1]
    assert math.isclose(float(kept_int8.read(file)[-1]["litert_ms"]), 1.5)


def test_what_is_no_row_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.jsonl").write_text("{}\n")
    monkeypatch.setattr(sys, "argv", ["kept_int8.py", str(tmp_path / "rows.jsonl")])
    assert kept_int8.main() == 2
    assert "line 1: not a row of peers.py" in capsys.readouterr().err
