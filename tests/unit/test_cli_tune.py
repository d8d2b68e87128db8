"""`mbench tune` as a user runs it, with times that are made up."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Mbench
from tuning_world import DEFAULT, KERNELS, OTHER, QUICK, TARGET, A, World, in_place

from mbench.cli.tune import tune
from mbench.hardware import host
from mbench.pipeline import options
from mbench.tuning import choice_files
from mbench.tuning.plans import Readings, TimingPlan


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return in_place(tmp_path, monkeypatch)


@pytest.fixture
def command(run: Mbench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs `mbench tune` in this process; it answers (exit status, output, errors)."""
    monkeypatch.setenv("MBENCH_TUNED_DIR", str(tmp_path / "own"))
    return lambda *arguments: dataclasses.astuple(run(tune, *arguments))


V = A
WRONG = {
    "": ("Missing argument 'NETWORK...'",),
    "resnet50": ("'resnet50' is not known",),
    f"{V} --target x86_65": ("target 'x86_65' is not known",),
    f"{V} --target cuda_sm90": ("target 'cuda_sm90': ", "choices are tuned where they can be measured"),
    f"{V} --target cuda_sm90 --deep": ("--deep is for CPUs", "'cuda_sm90'"),
    f"{V} --target cuda_sm90 --dtype int4": ("dtype 'int4' is not supported",),
    f"{V} --target x86_64_v2 --dtype float16": ("dtype 'float16' is not compiled for it", "target 'x86_64_v2'", "GPUs"),
    f"{V} --target arm64_cortex_a72": ("arm64_cortex_a72",),
    f"{V} --target x86_64_v2 --device rpc://board:9090": ("--device rpc://board:9090", "'local' alone"),
    f"{V} --target x86_64_v2 --device moon": ("--device 'moon' is not known",),
    f"{V} --target x86_64_v2 --threads 0": ("--threads 0 is out of range",),
    f"{V} --target x86_64_v2 --threads 1000": ("--threads 1000 is out of range",),
    f"{V} --tries 0": ("--tries", "0 is not in the range"),
    f"{V} --timeout 0": ("--timeout",),
    f"{V} --deep --trials 0": ("--trials",),
    f"{V} --target x86_64_v2 --trials 8": ("--trials", "goes with --deep"),
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_use_is_one_line_and_leaves_nothing(command: Any, line: str, tmp_path: Path) -> None:
    code, out, err = command(*line.split())
    assert (code, out) == (2, "")
    assert err.startswith("mbench: ")
    assert err.count("\n") == 1, err
    for text in WRONG[line]:
        assert text in err
    assert not (tmp_path / "own").exists()


def test_deep_says_what_to_install(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "DEEP_NEEDS", ("no_such_module", "nor_this_one"))
    code, _, err = command(V, "--target", "x86_64_v2", "--deep")
    assert code == 2
    assert "--deep needs no_such_module and nor_this_one; install: pip install 'mobilenet-bench[tune]'" in err


def test_a_folder_that_cannot_be_made(command: Any, tmp_path: Path) -> None:
    (tmp_path / "own").write_text("a file")
    code, _, err = command(V, "--target", "x86_64_v2")
    assert code == 2
    assert "is a file, expected a folder; choose another with the environment variable MBENCH_TUNED_DIR" in err


def test_a_broken_file_is_refused_before_any_work(command: Any, tmp_path: Path) -> None:
    file = choice_files.own_file(TARGET, host.describe())
    (tmp_path / "own").mkdir()
    file.write_text("format_version = 3\n")
    code, out, err = command(V, "--target", "x86_64_v2")
    assert (code, out) == (2, "")
    assert f"{file}: format_version is 3" in err
    assert err.count("\n") == 1


def test_the_table_and_the_document(command: Any, world: World, tmp_path: Path) -> None:
    world.device.speeds = {str(OTHER): 0.5}
    world.arena.ratios = {KERNELS[0]: QUICK, KERNELS[1]: QUICK}
    code, out, err = command(V, "--target", "x86_64_v2", "--threads", "1")
    assert code == 0, err
    assert max(map(len, out.splitlines())) <= 80
    for text in ("conv2d_a", "10.0 µs", "5.00 µs", "2.00x", "cpu.matmul rows=6", "30.0 µs", "0.25 processors busy"):
        assert text in out
    lines = [line.split() for line in out.splitlines()]
    assert ["all", "3", "30.0", "µs", "20.0", "µs", "1.50x"] in lines
    assert ["not", "in", "the", "network:", "cpu.matmul", "rows=6"] in lines
    assert [A, "3.00", "ms", "2.60", "ms", "1.15x"] in lines
    [file] = (tmp_path / "own").iterdir()
    assert f"choices {file}" in err
    code, out, _ = command(V, "--target", "x86_64_v2", "--threads", "1", "--json")
    document = json.loads(out)
    assert code == 0
    assert (document["file"], document["threads"], document["waiting"], document["failures"]) == (str(file), 1, [], [])
    wins = {kernel["kernel"]: kernel["wins"] for kernel in document["kernels"]}
    assert wins == {KERNELS[0]: True, KERNELS[1]: True, KERNELS[2]: False}
    assert [(network["variant"], network["seconds"]) for network in document["networks"]] == [
        (A, pytest.approx(2.6e-3))
    ]


def test_a_kernel_that_failed_is_exit_4(command: Any, world: World) -> None:
    world.refused = {f"{KERNELS[1]} {DEFAULT}": "no registers left"}
    code, out, _ = command(V, "--target", "x86_64_v2", "--threads", "1")
    assert code == 4
    assert f"FAILED: {KERNELS[1]}: cpu.matmul rows=4: no registers left" in " ".join(out.split())


def test_a_candidate_that_failed_is_no_failure(command: Any, world: World) -> None:
    world.device.speeds = {str(OTHER): "wrong"}
    code, out, _ = command(V, "--target", "x86_64_v2", "--threads", "1")
    assert code == 0
    assert "3 candidates could not be timed and were left out" in " ".join(out.split())


def test_an_interruption_is_exit_130_and_says_how_to_go_on(command: Any, world: World) -> None:
    time_kernel = world.device.time_kernel

    def press(plan: TimingPlan, report: Any) -> Readings:
        if len(world.device.timed) == 3:
            raise KeyboardInterrupt
        return time_kernel(plan, report)

    world.device.time_kernel = press  # type: ignore[method-assign]
    code, out, err = command(V, "--target", "x86_64_v2", "--threads", "1")
    assert code == 130
    assert "interrupted: 1 of 3 kernels are tuned; the same command goes on" in err
    assert KERNELS[0] in out
    assert "Traceback" not in err
