"""The command line as a whole: wrong use, help, JSON, and streams that go away."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_process import ROOT, started
from conftest import Mbench, Outcome, assert_one_line, require

from mbench.cli import main

DEVICE_COMMANDS = tuple(f"device {name}" for name in ("serve", "add", "list", "remove"))
ONE_NETWORK = "variants mobilenet_v1_1.0_224"
COMMANDS = ("", *(str(command.name) for command in main.COMMANDS), *DEVICE_COMMANDS)


# --------------------------------------------------------------------------------------------------------- wrong use
WRONG = {
    "run --treads 2": ("No such option '--treads'; did you mean '--threads'?",),
    "targets arm64_cortex": ("did you mean 'arm64_cortex_a53' or 'arm64_cortex_a55' or",),
    "rnu": ("No such command 'rnu'", "did you mean 'mbench run'?"),
    "--nope": ("--nope",),
    "run --nope": ("--nope", "see 'mbench run --help'"),
    "run mobilnet_v1_1.0_224": ("'mobilnet_v1_1.0_224' is not known", "did you mean 'mobilenet_v1_1.0_224'?"),
    "run resnet50": ("'resnet50' is not known", "mbench variants"),
    "run mobilenet_v1_0_224": ("width multiplier 0 ", "0.01 to 2.0"),
    "run mobilenet_v1_-0.5_224": ("width multiplier -0.5 ", "0.01 to 2.0"),
    "run mobilenet_v1_nan_224": ("width multiplier 'nan' ",),
    "run mobilenet_v1_1e1_224": ("width multiplier '1e1' ",),
    "run mobilenet_v1_1.0_0": ("resolution 0 ", "32 to 4096"),
    "run mobilenet_v1_1.0_31": ("resolution 31 ", "32 to 4096"),
    "run mobilenet_v1_1.0_99999999999999999999999": ("resolution",),
    "run mobilenet_v1_1.0_big": ("resolution 'big' ", "whole number"),
    "run mobilenet_v1_{0.25,0.5_224": ("brace",),
    "run mobilenet_v1_1.0_224 mobilenet_v1_0.5_1": ("resolution 1 ",),
    "run --target arm65": ("target 'arm65' is not known", "did you mean 'arm64'?", "mbench targets"),
    "run --target x86_64_v9": ("target 'x86_64_v9' is not known", "did you mean 'x86_64_v"),
    "run --target ''": ("target '' is not known",),
    "run --dtype float64": ("dtype 'float64' is not supported", "float32"),
    "run --dtype float16 --target x86_64_v2": ("dtype 'float16' is not compiled for it", "target 'x86_64_v2'"),
    "run --dtype bfloat16 --target x86_64_v3": (
        "dtype 'bfloat16' needs the processor feature avx512_bf16 and avx512bw and avx512vl, which it lacks",
        "it is for x86_64_v4_bf16",
    ),
    "run --dtype bfloat16 --target x86_64_v4_vnni": ("needs the processor feature avx512_bf16, which it lacks",),
    "run --dtype bfloat16 --target arm64": ("dtype 'bfloat16' is not compiled for it", "target 'arm64"),
    "run --device moon --target x86_64_v2": ("--device 'moon' is not known", "local"),
    "run --device rpc://board --target x86_64_v2": ("rpc://board", "no port", "rpc://HOST:PORT"),
    "run --device emulated --target x86_64_v4": ("x86_64_v4", "cannot be emulated", "QEMU"),
    "run --device emulated --threads 2 --target arm64": ("--threads 2", "1 to 1", "emulated"),
    "run --counts --compile-only --target arm64": ("--counts needs a run", "--compile-only"),
    "run --threads 0 --target x86_64_v2": ("--threads 0 is out of range", "expected 1 to"),
    "run --threads -1 --target x86_64_v2": ("--threads -1 is out of range",),
    "run --threads 1000 --target x86_64_v2": ("--threads 1000 is out of range",),
    "run --threads two": ("--threads", "'two'"),
    "run --threads 1.5": ("--threads", "'1.5'"),
    "run --batch 0": ("--batch", "0 is not in the range"),
    "run --batch -4": ("--batch", "-4"),
    "run --batch 99999999999999999999": ("--batch",),
    "run --repeat 0": ("--repeat", "0 is not in the range 3<=x"),
    "run --timeout nan": ("--timeout", "'nan'"),
    "run --timeout inf": ("--timeout", "'inf'"),
    "run --timeout 0": ("--timeout",),
    "run --output none/results --target x86_64_v2": ("--output none/results", "folder none does not exist"),
    "run --device local --target arm64": ("arm64", "aarch64 machine", "--compile-only"),
    "run --dtype ''": ("dtype '' is not supported",),
    "run --targets none": ("--targets none", "target.toml"),
    "variants resnet50": ("'resnet50' is not known",),
    "variants mobilenet_v1_1.0_225x": ("resolution '225x' ",),
    "variants a b": ("b",),
    "targets arm65": ("did you mean 'arm64'?",),
    "targets --targets none": ("--targets none",),
    "show": ("Missing argument 'RECORD'",),
    "show none.json": ("none.json: cannot be read: No such file",),
    "show .": (".: no record there; expected *.json",),
    "report": ("Missing",),
    "report none.json -o page.html": ("none.json: cannot be read",),
    "schema extra": ("extra",),
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_use_is_one_line_and_leaves_nothing(run: Mbench, line: str) -> None:
    require("arm64" not in line or shutil.which("aarch64-linux-gnu-g++"), "aarch64-linux-gnu-g++ on PATH")
    arguments = [word.strip("'") for word in line.split()]
    assert_one_line(run(*arguments), *WRONG[line])
    assert list(Path.cwd().iterdir()) == []


def test_without_a_command_help_is_shown(run: Mbench) -> None:
    outcome = run()
    assert (outcome.code, outcome.out) == (2, "")
    assert "Usage: mbench" in outcome.err


# ------------------------------------------------------------------------------------------------------- --output
def test_a_shell_gets_its_script_of_completion() -> None:
    done = started(env={"_MBENCH_COMPLETE": "bash_source"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "complete" in done.stdout


# --------------------------------------------------------------------------------------------- one document of JSON
def test_json_is_one_document(run: Mbench, record_file: Path) -> None:
    for command in ("variants", "variants mobilenet_v1_1.0_224", "targets", "targets x86_64_v3", "doctor"):
        outcome = run(*command.split(), "--json")
        assert (outcome.code, outcome.err) == (0, ""), command
        assert json.loads(outcome.out)
    shown = run("show", record_file, "--json")
    assert shown.code == 0
    assert json.loads(shown.out) == json.loads(record_file.read_bytes())


# ------------------------------------------------------------------------------------------------------------- output
def test_help_fits_80_columns(run: Mbench) -> None:
    for command in COMMANDS:
        for option in ("--help", "-h"):
            outcome = run(*command.split(), option)
            assert (outcome.code, outcome.err) == (0, "")
            assert max(map(len, outcome.out.splitlines())) <= 80, command


def test_a_reader_that_goes_away() -> None:
    for command in ("variants", f"{ONE_NETWORK} --json", "schema", "targets", "--help", "doctor"):
        reading, writing = os.pipe()
        os.close(reading)
        done = started(*command.split(), stdout=writing)
        os.close(writing)
        assert (done.returncode, done.stderr) == (0, ""), command


def test_a_reader_that_takes_one_line() -> None:
    pipeline_ = f"set -o pipefail; '{sys.executable}' -m mbench variants | head -1"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", pipeline_], capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == "Variants"


def test_standard_output_is_full() -> None:
    require(Path("/dev/full").exists(), "/dev/full")
    for command in (ONE_NETWORK, f"{ONE_NETWORK} --json", "schema"):
        with Path("/dev/full").open("w") as full:
            done = started(*command.split(), stdout=full)
        assert_one_line(Outcome(done.returncode, "", done.stderr), "standard output", "No space left", code=4)


# ------------------------------------------------------------------------------------------- records others have made
def test_every_command_has_a_line_of_help(run: Mbench) -> None:
    listed = run("--help").out.split("Commands:")[1].split("\n\n")[0].splitlines()[1:]
    assert {line.split()[0] for line in listed if line.strip()} == {command.name for command in main.COMMANDS}
    assert all(len(line.split()) > 2 for line in listed)
