"""A user's own ONNX files in `peers.py`: what is given, what the peers load, and what is said of them."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import network_files as files
import numpy as np
import onnx
import pytest
from benchmark_scripts import script
from network_files import node

from mbench.build import builders
from mbench.core.errors import UsageError
from mbench.core.records import Failure, Variant
from mbench.measure.numerics import Expected
from mbench.networks import variants
from mbench.networks.network_weights import Weights

standings = script("standings")
cases = script("cases")
formats = script("formats")
contest = script("contest")
peer_rows = script("peer_rows")
peers = script("peers")
runtimes = script("runtimes")
TITLES = {"mbench": "mbench", "litert": "LiteRT", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
BUILT_IN = "mobilenet_v1_0.25_32"


def small(side: int | str = 8) -> onnx.ModelProto:
    """Return a model with two inputs and two outputs, one side of which may be open."""
    weights = np.random.default_rng(1).standard_normal((4, 4, 1, 1)).astype(np.float32)
    nodes = [
        node("Conv", "image weights", "c"), node("Add", "c shift", "y"), node("ReduceMean", "c", "mean", axes=[2, 3]),
    ]  # fmt: skip
    inputs = {"image": (1, 4, 6, side), "shift": (1, 4, 1, 1)}
    return files.model(nodes, inputs=inputs, outputs=("y", "mean"), constants={"weights": weights})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return files.written(tmp_path, small(), "small.onnx")


def asked(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> Any:
    monkeypatch.setattr(sys, "argv", ["peers.py", *map(str, arguments), "--threads", "1"])
    return peers._arguments()


# ------------------------------------------------------------------------------------------------------ what is given
def test_names_and_files_may_be_mixed(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    found = peers._networks(asked(monkeypatch, "mobilenet_v1_{0.25,0.5}_32", file))
    assert [variant.name for variant in found] == ["mobilenet_v1_0.25_32", "mobilenet_v1_0.5_32", "small"]
    assert list(found.values()) == [None, None, file]


def test_files_of_one_name_are_told_apart(monkeypatch: pytest.MonkeyPatch, file: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    other = files.written(tmp_path / "more", small(10), "small.onnx")
    found = peers._networks(asked(monkeypatch, file, other))
    assert len({variant.name for variant in found}) == 2
    assert list(found.values()) == [file, other]


def test_an_open_side_is_given_as_for_mbench_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = files.written(tmp_path, small("width"), "small.onnx")
    with pytest.raises(UsageError, match=r"--input-shape"):
        peers._networks(asked(monkeypatch, file))
    [variant] = peers._networks(asked(monkeypatch, file, "--input-shape", "image=1,4,6,12"))
    assert formats.architectures.graph(variant).inputs["image"].shape == (1, 4, 6, 12)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["net.pt2"], r"net\.pt2: peers read ONNX files alone; export it to FILE\.onnx"),
        (["package.module:function"], "peers read ONNX files alone"),
        (["net.onnx", "--gpu"], r"net\.onnx: --gpu compares networks by name alone"),
        ([BUILT_IN, "--input-shape", "image=1,3,8,8"], "--input-shape is of one file"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_line(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=said):
        peers._networks(asked(monkeypatch, *arguments))


# ------------------------------------------------------------------------------------------------ what the peers load
def case(variant: Variant, file: Path | None, folder: Path) -> Any:
    folder.mkdir(exist_ok=True)
    return cases.Case(variant=variant, threads=1, isa=None, folder=folder, artifact=folder, file=file)


def test_inputs_and_outputs_are_kept_by_any_name_and_type(tmp_path: Path) -> None:
    examples: dict[str, np.ndarray] = {
        "a/b:0": np.arange(6, dtype=np.int64).reshape(2, 3),
        "": np.ones((2, 1), np.float32).T,
    }
    expected = (np.float32(3) * np.ones((), np.float32), np.arange(3, dtype=np.int32))
    made = case(variants.parse(BUILT_IN), None, tmp_path)
    made.keep(Weights(parameters={}, examples=examples, expected=expected, reference="R", reference_dtype="float16"))
    for name, array in made.inputs().items():
        np.testing.assert_array_equal(array, examples[name], strict=True)
    assert list(made.inputs()) == list(examples)
    kept = made.expected()
    assert (kept.reference, kept.dtype) == ("R", "float16")
    for output, wanted in zip(kept.outputs, expected, strict=True):
        np.testing.assert_array_equal(output, wanted, strict=True)


def test_onnx_runtime_computes_all_outputs_of_a_file_from_the_inputs_that_mbench_gets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "small.onnx"
    onnx.save(small("width"), file, save_as_external_data=True, location="small.data", size_threshold=0)
    [(variant, own)] = peers._networks(asked(monkeypatch, file, "--input-shape", "image=1,4,6,12")).items()
    made = case(variant, own, tmp_path / "case")
    failed = formats.export(made, {cases.ONNX, cases.LITE})
    assert failed == {cases.LITE: "it does not read ONNX files"}
    run, read = runtimes.available(gpu=False)["onnxruntime"].load(made)
    outputs = [read(run()) for _ in range(2)][1]  # the inputs are still there
    assert [output.shape for output in outputs] == [(1, 4, 6, 12), (1, 4, 1, 1)]
    assert standings.error(outputs, made.expected()) < 1e-6
    loaded = onnx.load(made.folder / cases.ONNX, load_external_data=False)
    sides = [[side.dim_value for side in given.type.tensor_type.shape.dim] for given in loaded.graph.input]
    assert sides == [[1, 4, 6, 12], [1, 4, 1, 1]]


def test_a_file_that_is_gone_leaves_out_its_peers(monkeypatch: pytest.MonkeyPatch, file: Path, tmp_path: Path) -> None:
    [(variant, own)] = peers._networks(asked(monkeypatch, file)).items()
    file.unlink()
    failed = formats.export(case(variant, own, tmp_path / "case"), {cases.ONNX})
    assert failed[cases.ONNX].startswith("model.onnx could not be made: FileNotFoundError")


# --------------------------------------------------------------------------------------------------- what is said of it
WANTED = Expected(outputs=(np.arange(4.0), np.arange(3)))


@pytest.mark.parametrize(
    ("outputs", "error"),
    [
        ((np.arange(4.0), np.arange(3)), 0),
        ((np.arange(4.0) + 0.03, np.arange(3)), pytest.approx(0.01)),
        ((np.arange(4.0), np.array([0, 1, 1])), pytest.approx(1 / 3)),
        ((np.arange(4.0),), math.inf),
        ((np.arange(4.0), np.arange(4)), math.inf),
    ],
    ids=["right", "first output", "a whole number", "one is missing", "shape"],
)
def test_the_worst_output_counts(outputs: Sequence[np.ndarray], error: float) -> None:
    assert standings.error(outputs, WANTED) == error


def seen(variant: str = "net", *, ours_s: float = 1e-3, against: str | None = "onnxruntime", **peers_s: float) -> Any:
    each = {"mbench": ours_s, **peers_s}
    timed = {name: standings.Timed(rounds_s=((run_s,) * 3,) * 2, error=0.0, busy=1.0) for name, run_s in each.items()}
    return standings.judge(variant, 1, timed, {}, against=against)


def test_a_file_is_compared_with_onnx_runtime_with_openvino_beside_it() -> None:
    judged = seen(onnxruntime=2e-3, openvino=1.25e-3)
    assert (judged.rival, judged.best_peer) == ("onnxruntime", "openvino")
    assert judged.ratio == judged.round_ratio == pytest.approx(0.5)
    heading, _, row = standings.table([judged], TITLES, markdown=True).splitlines()
    assert heading.strip("| ").split(" | ") == [
        "median ms", "mbench", "ONNX Runtime", "OpenVINO", "best peer", "to ONNX Runtime", "by round", "to OpenVINO",
    ]  # fmt: skip
    assert row.strip("| ").split(" | ")[1:] == ["1.000", "2.000", "1.250", "OpenVINO", "0.500", "0.500", "0.800"]


def test_without_onnx_runtime_a_file_has_no_ratio() -> None:
    judged = seen(openvino=1e-3)
    assert (judged.rival, judged.ratio, judged.round_ratio) == (None, None, None)
    assert standings.table([judged], TITLES, markdown=False).splitlines()[1].split()[-3:] == ["-", "-", "1.000"]
    assert standings.verdicts([judged], standings.FILE_GOALS) == []


@pytest.mark.parametrize(("worst_s", "said"), [(1.04e-3, ["met", "met"]), (1.06e-3, ["met", "missed"])])
def test_the_goals_of_files(worst_s: float, said: list[str]) -> None:
    some = [seen("a", ours_s=0.5e-3, onnxruntime=1e-3), seen("b_standard", ours_s=worst_s, onnxruntime=1e-3)]
    mean, worst = standings.verdicts(some, standings.FILE_GOALS)
    assert "goal 0.80" in mean
    assert "goal 1.05" in worst
    assert "(b_standard)" in worst  # a name means nothing where a file has it
    assert [word for line in (mean, worst) for word in ("met", "missed") if f": {word}" in line] == said
    assert "missed" in standings.verdicts([seen(ours_s=0.81e-3, onnxruntime=1e-3)], standings.FILE_GOALS)[0]


def row(judged: Any) -> Any:
    return peer_rows.Row(
        machine="Zen 4", target="x86_64_v4", kernels="rule", dtype="float32", isa=None, clock="wall",
        date="2026-11-29", versions={}, standing=judged,
    )  # fmt: skip


def test_rows_of_files_have_a_table_of_their_own_with_their_goals(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    written = [row(seen(onnxruntime=2e-3)), row(seen(BUILT_IN, against=None, onnxruntime=4e-3))]
    for each in written:
        peer_rows.append(rows, each)
    assert peer_rows.read([rows]) == written
    tables = peer_rows.tables(written, TITLES, set())
    assert tables.count("| median ms |") == 2
    assert "geometric mean    0.500   goal 0.80: met" in tables
    assert "Geometric mean of 1 ratios: 0.250" in tables


def test_rows_of_before_there_were_files_are_read(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    peer_rows.append(rows, row(seen(against=None, onnxruntime=2e-3)))
    document = json.loads(rows.read_text())
    del document["against"]
    rows.write_text(json.dumps(document))
    assert peer_rows.read([rows])[0].standing.ratio == pytest.approx(0.5)


# ----------------------------------------------------------------------------------------------------------- all of it
def test_a_file_and_a_name_go_the_same_way(
    monkeypatch: pytest.MonkeyPatch, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held: dict[str, list[str]] = {}

    def hold(names: Sequence[str], made: Any, rounds: int) -> dict[str, Any]:
        held[made.variant.name] = list(names)
        block = contest.Block((1e-3,) * 3, busy=1.0, others=0.0)
        return {name: contest.Seen(made.expected().outputs, (block,) * rounds) for name in names}

    def build_all(wanted: Sequence[Variant], *_: Any, **__: Any) -> dict[str, Any]:
        failure = Failure(variant=wanted[0].name, stage="build", reason="not built here", detail="")
        return {variant.name: failure for variant in wanted}

    monkeypatch.setattr(contest, "hold", hold)
    monkeypatch.setattr(contest, "export", formats.export)
    monkeypatch.setattr(formats, "FORMATS", dict.fromkeys(formats.FORMATS, lambda _network, _folder: None))
    monkeypatch.setattr(builders, "build_all", build_all)
    monkeypatch.setattr(peers, "_installed", lambda arguments: (dict.fromkeys(arguments.runtimes, "1.0"), {}))
    rows = tmp_path / "rows.jsonl"
    asked(monkeypatch, BUILT_IN, file, "--rounds", "2", "--rows", rows)
    assert peers.main() == 1  # mbench has no time
    everyone = [name for name in runtimes.available(gpu=False) if name != "mbench"]
    assert held == {BUILT_IN: everyone, "small": ["onnxruntime", "openvino"]}
    printed = capsys.readouterr().out
    assert printed.count("1 thread\n") == 2
    assert "to ONNX Runtime" in printed
    assert "LiteRT: it does not read ONNX files (all networks)" in printed
    assert "of a file over ONNX Runtime" in printed
    assert [each.standing.against for each in peer_rows.read([rows])] == [None, "onnxruntime"]
