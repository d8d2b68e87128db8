from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from fit_world import Machine

from mbench.build import builders
from mbench.core.errors import UsageError
from mbench.core.fit_options import FitOptions
from mbench.core.progress import silent, unheard
from mbench.core.records import Variant
from mbench.fitting import candidates, finding, search
from mbench.fitting.search import Question
from mbench.hardware import host
from mbench.networks import variants
from mbench.pipeline.job import Job

TARGET = "arm64_cortex_a72"


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Describe candidates here: a process of its own takes seconds to begin."""
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(builders, "in_a_child", lambda task, *arguments: task(*arguments))


def prepared(words: list[str], notes: list[str] | None = None, **asked: Any) -> tuple[Job, Question]:
    options = FitOptions(**{"max_latency_s": 0.02, "threads": 1, **asked})
    said = [] if notes is None else notes
    return finding.prepared(words, TARGET, host.describe(), options, said.append)


def test_every_type_of_every_size_is_a_candidate_with_its_accuracy() -> None:
    job, question = prepared(["mobilenet_v1_{0.5,1.0}_{160,224}"], dtype="float32,int8")
    assert [each.name for each in question.candidates] == [
        f"mobilenet_v1_{width}_{resolution}{suffix}"
        for width in ("0.5", "1.0") for resolution in (160, 224) for suffix in ("", "_int8")
    ]  # fmt: skip
    assert question.accuracies["mobilenet_v1_1.0_224"].kind == "published"
    assert question.limits.latency_s == 0.02
    assert job.target.name == TARGET
    assert job.device == "emulated"


def test_without_words_the_usual_families_are_searched() -> None:
    assert {each.network.family for each in prepared([])[1].candidates} == set(finding.DEFAULT_FAMILIES)


@pytest.mark.parametrize(
    ("words", "asked", "said"),
    [
        (["mobilenet_v9"], {}, "variant 'mobilenet_v9' is not known"),
        (["mobilenet_v1"], {"dtype": "float31"}, "dtype 'float31' is not supported"),
        (["mobilenet_v1"], {"max_latency_s": None}, "no limit is given"),
        (["mobilenet_v1"], {"candidates": ("none/*.onnx",)}, "no file fits this pattern"),
        (["mobilenet_v1_0.25_32"], {}, "no candidate has a known accuracy"),
        (["mobilenet_v1"], {"accuracies": Path("none.csv")}, "none.csv"),
        (["mobilenet_v1"], {"candidates": (".",)}, "--candidates '.': . is a folder; expected FILE.onnx"),
        (["mobilenet_v1"], {"candidates": (__file__,)}, "test_finding.py is no network that mbench reads"),
        (["mobilenet_v1_0.25_32"], {}, "with name,top1, or --minimize latency, memory or energy"),
        (["mobilenet_v1_0.25_32"], {"minimize": "latency", "min_accuracy": 50}, "--accuracies FILE.csv with name,top1"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(words: list[str], asked: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        prepared(words, **asked)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("device", [None, "local"])
def test_a_target_that_runs_nowhere_is_refused_and_says_why(device: str | None) -> None:
    options = FitOptions(max_latency_s=0.02, device=device)
    with pytest.raises(UsageError) as caught:
        finding.prepared(["mobilenet_v1"], "cuda_sm80", host.describe(), options, unheard)
    said = str(caught.value)
    assert said.startswith("target 'cuda_sm80' can neither be measured nor emulated here: ")
    assert "--compile-only" not in said


def test_a_farm_is_no_one_place_to_search_on() -> None:
    options = FitOptions(max_latency_s=0.02, device="farm.toml")
    with pytest.raises(UsageError, match=r"--device farm\.toml: a search is of one device, and a farm has several"):
        finding.prepared(["mobilenet_v1"], "x86_64_v2", host.describe(), options, unheard)


def test_files_are_found_by_patterns_or_by_their_own_names(tmp_path: Path) -> None:
    for name in ("a[1].onnx", "a1.onnx", "b.pt2"):
        (tmp_path / name).touch()
    assert finding._files(str(tmp_path / "*.onnx")) == [str(tmp_path / name) for name in ("a1.onnx", "a[1].onnx")]
    assert finding._files(str(tmp_path / "a[1].onnx")) == [str(tmp_path / "a[1].onnx")]
    assert finding._files("package.module:function") == ["package.module:function"]


def test_a_table_may_call_own_networks_by_their_files() -> None:
    net = Variant(
        name="net", source="onnx", family="net", parameters={}, convolution=None, batch=1, dtype="float32"
    )  # fmt: skip
    quantised = msgspec.structs.replace(net, name="q", family="q", dtype="int8")
    files = {"a/net.onnx": "net", "b/net.onnx": "other", "q.onnx": "q"}
    networks = (net, quantised, variants.parse("mobilenet_v1"))
    assert finding._own_names(networks, files) == {
        "net": "net", "a/net.onnx": "net", "q": "q", "q.onnx": "q", "q_int8": "q", "q.onnx_int8": "q",
    }  # fmt: skip


def test_a_table_of_ones_own_counts(tmp_path: Path) -> None:
    table = tmp_path / "own.csv"
    table.write_text("name,top1\nmobilenet_v1_0.25_32,12.5\n")
    _, question = prepared(["mobilenet_v1_0.25_32"], accuracies=table)
    found = question.accuracies["mobilenet_v1_0.25_32"]
    assert (found.kind, found.top1_percent) == ("given", 12.5)


def test_networks_of_unknown_accuracy_are_named() -> None:
    notes: list[str] = []
    prepared(["mobilenet_v1_0.25_32", "mobilenet_v1_1.0_224"], notes)
    assert any("accuracy is not known: mobilenet_v1_0.25_32" in note for note in notes)


class Seen(Machine):
    device = None

    def __init__(self, _job: Job, _wanted: object) -> None:
        super().__init__()

    def as_record(self, _names: object) -> None:
        return None


@pytest.mark.parametrize(("limit_s", "fits"), [(0.02, True), (0.6e-3, False)])
def test_modelled_latencies_near_a_limit_make_nothing_certain(
    monkeypatch: pytest.MonkeyPatch, limit_s: float, fits: bool
) -> None:
    monkeypatch.setattr(finding, "Observations", Seen)
    job, question = prepared(["mobilenet_v1"], max_latency_s=limit_s)
    options = FitOptions(max_latency_s=limit_s)
    found, *_ = finding.find(job, question, ["mobilenet_v1"], options, silent, search.unheard)
    assert bool(found.answers) is fits
    assert not found.certain
    assert found.open == ()
    [doubt] = found.doubts
    assert "measuring on the device decides (--device rpc://HOST:PORT)" in doubt
    assert doubt.startswith("mobilenet_v1_1.0_224 may exceed the limit: " if fits else "mobilenet_v1_0.25_128")
    assert fits or " may fit: " in doubt


def test_a_search_becomes_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "Observations", Seen)
    job, question = prepared(["mobilenet_v1"], max_latency_s=0.2)
    found, measured, interrupted = finding.find(
        job, question, ["mobilenet_v1"], FitOptions(max_latency_s=0.2), silent, search.unheard
    )
    assert measured is None
    assert not interrupted
    assert found.certain
    assert found.answers[0].network == "mobilenet_v1_1.0_224"
    assert len(found.candidates) == len(candidates.names(["mobilenet_v1"]))
    assert found.words == ("mobilenet_v1",)
    assert found.run_id == job.path.stem
    assert found.nearest == ""
