"""docs/cluster.md as it is written: its commands start a cluster, and mbench builds on it."""

from __future__ import annotations

import ast
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import documents
import pytest
from conftest import require
from dask_clusters import ROOT, until
from ruamel.yaml import YAML

PAGE = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text(encoding="utf-8")
PORT = "8786"
pytestmark = pytest.mark.slow


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def commands(program: str) -> list[list[str]]:
    pages = [block for block in documents.all_blocks("sh") if block.document == "docs/cluster.md"]
    lines = [documents.words(line) for block in pages for line in block.lines]
    return [line for line in lines if line[0] == program]


@pytest.fixture
def port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return str(free.getsockname()[1])


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "MBENCH_CACHE_DIR": str(tmp_path / "cache")}


@pytest.fixture
def cluster(tmp_path: Path, port: str, environment: dict[str, str]) -> Iterator[Path]:
    """Start what the page starts; return the log."""
    log = tmp_path / "log"
    started = []
    with log.open("wb") as file:
        for command in commands("dask"):
            words = [word.replace(PORT, port) for word in command]
            whole: list[str] = [sys.executable, "-m", *words]
            started.append(subprocess.Popen(whole, cwd=tmp_path, env=environment, stdout=file, stderr=file))
    try:
        yield log
    finally:
        for each in reversed(started):
            each.terminate()
            each.wait()


def test_a_cluster_by_hand_builds(cluster: Path, port: str, tmp_path: Path, environment: dict[str, str]) -> None:
    until(lambda: cluster.read_text().count("Registered to") == 2, cluster.read_text)
    [command] = commands("mbench")
    words = [word.replace(PORT, port) for word in command[1:]]
    done = subprocess.run(
        [sys.executable, "-m", "mbench", *words, "--target", "x86_64_v2"], cwd=tmp_path, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"cluster dask://127.0.0.1:{port}: 2 workers, 2 tasks side by side" in done.stderr


def test_the_snippet_with_an_executor_runs(tmp_path: Path, environment: dict[str, str]) -> None:
    [snippet] = [text for text in blocks("python") if "ThreadPoolExecutor" in text]
    done = subprocess.run(
        [sys.executable, "-c", snippet], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "mbench-results").glob("*.json"))) == 1


def test_the_certificates_are_what_the_configuration_names(tmp_path: Path) -> None:
    require(shutil.which("openssl"), "openssl")
    for command in commands("openssl"):
        subprocess.run([word.replace("rsa:4096", "rsa:2048") for word in command], cwd=tmp_path, check=True)
    [text] = blocks("yaml")
    settings: Any = YAML(typ="safe", pure=True).load(text)
    assert settings["distributed"]["comm"]["require-encryption"]
    (tmp_path / "dask").mkdir()
    (tmp_path / "dask" / "mbench.yaml").write_text(text)
    script = """
from distributed import Security
security = Security()
for role in ("client", "scheduler", "worker"):
    assert security.get_connection_args(role)["ssl_context"] is not None
assert security.require_encryption
"""
    environment = {**os.environ, "DASK_CONFIG": str(tmp_path / "dask")}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True)


def test_the_other_snippets_are_python() -> None:
    assert len([ast.parse(text) for text in blocks("python")]) == 2
