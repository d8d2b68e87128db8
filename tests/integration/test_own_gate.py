"""The project's own gate, `.ci/gate`: it passes on the code as it is, and fails on a schedule that got worse."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import require
from running_mbench import ROOT

GATE = Path(__file__).parents[2] / ".ci" / "gate"
TARGET = "arm64_cortex_a72"


def gate(cache: Path, package: Path) -> subprocess.CompletedProcess[str]:
    require(GATE.exists(), "the repository's .ci/gate, which the source distribution leaves out")
    require(shutil.which("qemu-aarch64"), "qemu-aarch64 (Debian: qemu-user)")
    require(shutil.which("aarch64-linux-gnu-g++"), "aarch64-linux-gnu-g++ (Debian: g++-aarch64-linux-gnu)")
    require(importlib.util.find_spec("capstone"), "capstone (the extra emulation)")
    environment = {**os.environ, "PYTHONPATH": str(package), "MBENCH_CACHE_DIR": str(cache)}
    return subprocess.run(
        [str(GATE), sys.executable, TARGET], env=environment, text=True, capture_output=True, check=False
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.slow
def test_the_code_as_it_is_passes(cache: Path) -> None:
    done = gate(cache, ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("Passed")


@pytest.mark.slow
def test_a_schedule_that_got_worse_fails(cache: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "mbench", tmp_path / "mbench", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("targets", "reports", "published"):
        if (ROOT / folder).is_dir():
            (tmp_path / folder).symlink_to(ROOT / folder)
    rule = tmp_path / "mbench" / "compile" / "schedules" / "cpu" / "float_sums.py"
    planted = rule.read_text().replace("_UNROLL = 4", "_UNROLL = 1")
    assert planted != rule.read_text(), "the rule has no such line any more: plant something else"
    rule.write_text(planted)
    done = gate(cache, tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.startswith("Regressed")
    assert "instructions of mobilenet_v1_0.25_96 +" in done.stdout
