"""The paired gate on real artifacts, in real processes: silent on the same code, loud on planted slow-downs."""

from __future__ import annotations

import importlib
import json
import os
import shlex
import signal
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import psutil
import pytest
from conftest import Mbench, assert_one_line
from running_mbench import TARGET, finished, running

from mbench.build import build
from mbench.core import artifact, record_files
from mbench.core.artifact import Artifact
from mbench.measure import duel
from mbench.networks import variants
from mbench.pipeline import runner

pytestmark = pytest.mark.slow
NAME = "mobilenet_v1_0.25_32"
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
QUICK = (
    "--paired", "--threshold", "latency=50%", "--threshold", "layer.latency=100%", "--sensitivity", "latency=900%",
    "--sensitivity", "layer.latency=900%",
)  # fmt: skip
"""Coarse, so that a busy machine neither fails these tests nor takes more processes."""
ITERATIONS = 200_000
"""Of planted work: some tenths of a millisecond, in a layer that takes some millionths of a second."""
STEP_S = 0.25e-9
"""A dependent multiply-add takes longer on every processor: three cycles at 12 GHz."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kept(tmp_path_factory.mktemp("base"))


def kept(folder: Path, *options: str) -> Path:
    """Compile a network, keep its artifact, and return the record."""
    command = ("run", NAME, "--target", TARGET, "--threads", "1", "--compile-only", "--keep-artifacts", *options)
    code, started = finished(*command, "--output", "results", cache=folder / "cache", cwd=folder)
    assert code == 0, started.err
    [file] = (folder / "results").glob("*.json")
    assert (artifact.beside(file) / NAME / artifact.LIBRARY).is_file()
    return file


def with_head(base: Path, folder: Path, head: Artifact) -> Path:
    """Return a record of the same job with another artifact."""
    item = record_files.read(base)
    [result] = item.results
    info = msgspec.structs.replace(result.artifact, digest=head.manifest.digest)
    file = folder / "head.json"
    record_files.write(
        file, msgspec.structs.replace(item, results=(msgspec.structs.replace(result, artifact=info),), run_id="head")
    )
    artifact.beside(file).mkdir()
    artifact.keep(head, artifact.beside(file) / NAME)
    return file


def gate(run: Mbench, *arguments: str | Path) -> tuple[int, dict[str, Any]]:
    outcome = run("gate", *arguments, *QUICK, "--json")
    return outcome.code, json.loads(outcome.out)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a process take few turns; what is planted here is seen in one."""
    monkeypatch.setattr(duel, "_ROUNDS", 6)


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType]:
    """Return benchmarks/planting.py and benchmarks/alone.py, which are in no package."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("planting"), importlib.import_module("alone")


def regressed(document: dict[str, Any], metric: str) -> list[dict[str, Any]]:
    findings = document["comparison"]["findings"]
    return [each for each in findings if each["outcome"] == "regressed" and each["metric"] == metric]


def test_another_build_of_the_same_code_does_not_regress(run: Mbench, base: Path, tmp_path: Path) -> None:
    head = kept(tmp_path, "--no-cache")
    code, document = gate(run, base, head)
    assert code in (0, 3)
    assert document["conclusion"] in ("passed", "inconclusive")
    assert "paired" in document["comparison"]["ways"]
    timed = [each for each in document["comparison"]["findings"] if each["way"] == "paired"]
    assert len(timed) == 1 + len(record_files.read(base).results[0].layers)
    assert all(len(each["log_ratios"]) >= 8 for each in timed)
    assert len(set(timed[0]["log_ratios"])) == len(timed[0]["log_ratios"]), "each process measured anew"
    assert not regressed(document, "latency")


def test_two_plain_runs_are_paired_through_the_cache_as_the_verdict_offers(
    run: Mbench, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = base.parent.parent / "cache"
    for side in ("one", "two"):
        command = ("run", NAME, "--target", TARGET, "--threads", "1", "--compile-only", "--output", side)
        code, started = finished(*command, cache=cache, cwd=tmp_path)
        assert code == 0, started.err
        [file] = (tmp_path / side).glob("*.json")
        assert not artifact.beside(file).exists()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(cache))
    plain = run("gate", "one", "two")
    assert plain.code == 3
    typed = shlex.split(plain.out.splitlines()[-1])
    assert typed == ["mbench", "gate", "one", "two", "--paired"]
    code, document = gate(run, *typed[2:])
    assert code in (0, 3)
    timed = [each for each in document["comparison"]["findings"] if each["way"] == "paired"]
    assert len(timed) == 1 + len(record_files.read(base).results[0].layers)
    assert not regressed(document, "latency")
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "another"))
    assert_one_line(run("gate", "one", "two", "--paired"), "--paired: base one/", f"no artifact of {NAME}")
    assert "--paired" not in run("gate", "one", "two").out


def test_a_slow_down_planted_into_a_kernel_is_caught_and_its_layer_named(
    run: Mbench, base: Path, tmp_path: Path, tools: tuple[ModuleType, ModuleType]
) -> None:
    planting, alone = tools
    built = artifact.load(artifact.beside(base) / NAME)
    called = [kernel for kernel, _ in built.manifest.calls]
    place = next(index for kernel, index in built.manifest.calls if called.count(kernel) == 1 and index > 2)
    layer = built.manifest.layers[place]
    [kernel] = layer.kernels
    with planting.planted(kernel.removesuffix("_packed"), planting.serial_work(ITERATIONS)) as changed:
        head, _ = build.build(variants.parse(NAME), runner.resolve_target(TARGET), tmp_path / "artifacts")
    assert changed, kernel
    code, document = gate(run, base, with_head(base, tmp_path, head))
    assert code == 1
    assert document["conclusion"] == "regressed"
    slow = {each["layer"]: each for each in regressed(document, "latency")}
    assert layer.name in slow, document["headline"]
    assert slow[layer.name]["ratio"] == max(each["ratio"] for each in slow.values())
    assert slow[layer.name]["interval"][0] > 2
    assert alone.extra_s(built, head, layer.name, 1) > ITERATIONS * STEP_S
    assert abs(alone.extra_s(built, built, layer.name, 1)) < ITERATIONS * STEP_S


def test_a_head_that_computes_something_wrong_is_not_timed(run: Mbench, base: Path, tmp_path: Path) -> None:
    built = artifact.load(artifact.beside(base) / NAME)
    (work := tmp_path / "work").mkdir()
    (work / artifact.LIBRARY).write_bytes(built.library.read_bytes())
    with np.load(built.reference) as reference:
        np.savez(work / artifact.REFERENCE, input=reference["input"], output=reference["output"] + 1)
    wrong = artifact.store(built.manifest, work, tmp_path / "wrong")
    code, document = gate(run, base, with_head(base, tmp_path, wrong))
    assert code == 4
    [failure] = document["failures"]
    assert failure.startswith(f"{NAME}: head: wrong result: ")
    assert failure.endswith("nothing was timed")
    timed = [each for each in document["comparison"]["findings"] if each["way"] == "paired"]
    assert [(each["metric"], each["outcome"]) for each in timed] == [("result", "undecided")]


def test_a_worker_that_is_killed_is_a_failure(base: Path, tmp_path: Path) -> None:
    with running("gate", base, base, *QUICK, "--json", cache=tmp_path / "cache", cwd=tmp_path) as started:
        started.wait_for("measuring")
        deadline = time.monotonic() + 60
        while not (workers := started.workers()) and time.monotonic() < deadline:
            time.sleep(0.02)
        for worker in workers:
            _kill(worker)
        assert started.end() == 4
    [failure] = json.loads(started.out)["failures"]
    assert "SIGKILL" in failure
    started.assert_nobody_left()


def _kill(worker: psutil.Process) -> None:
    os.kill(worker.pid, signal.SIGKILL)
