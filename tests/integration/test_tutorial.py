"""The tutorial's blocks that run as a shell does, and the notebook: on this machine as it is, without stand-ins."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import documents
import nbclient
import nbformat
import pytest
from conftest import require
from documents import Block

import mbench

ROOT = Path(mbench.__file__).parent.parent
NOTEBOOK = documents.ROOT / "docs" / "notebook.ipynb"
PAGES = sorted({block.document for block in documents.all_blocks("sh") if block.mark == documents.SHELL})
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def emulator() -> None:
    require(shutil.which("qemu-aarch64"), "qemu-aarch64 (Debian: qemu-user)")
    require(shutil.which("aarch64-linux-gnu-g++"), "aarch64-linux-gnu-g++ (Debian: g++-aarch64-linux-gnu)")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which `mbench` is this one."""
    program = tmp_path / "bin" / "mbench"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m mbench "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return {
        **os.environ,
        "PATH": os.pathsep.join((str(program.parent), os.environ["PATH"])),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        "MBENCH_CONFIG_DIR": str(tmp_path / "config"),
        "MBENCH_TUNED_DIR": str(tmp_path / "tuned"),
    }


def of(document: str) -> Iterator[Block]:
    """Yield the blocks of a document that a shell runs, and the files that they need."""
    for block in documents.blocks(documents.ROOT / document):
        if block.file or block.mark == documents.SHELL:
            yield block


@pytest.mark.parametrize("document", PAGES)
def test_it_runs_as_a_shell_does(document: str, tmp_path: Path, environment: dict[str, str]) -> None:
    work = tmp_path / "work"
    work.mkdir()
    said = ""
    for block in of(document):
        if block.file:
            (work / block.file).write_text(block.text, encoding="utf-8")
            continue
        done = subprocess.run(
            ["bash", "-e", "-c", block.text], cwd=work, env=environment, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, f"{block.place}\n{done.stdout}\n{done.stderr}"
        said += done.stdout
    assert outcomes(said) == ["Regressed", "exit code 1", "Passed"], said


def outcomes(said: str) -> list[str]:
    """Return what a gate concluded, and the codes that the blocks print, in order."""
    found = re.findall(r"Regressed|Passed|exit code \d", said)
    return [each for each, _ in itertools.groupby(found)]


def test_the_notebook_runs(tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    kinds = [{kind for output in outputs for kind in output.get("data", {})} for outputs in shown]
    assert "text/html" in kinds[1], "the record shows itself"
    texts = ["".join(output.get("text", "") for output in outputs) for outputs in shown]
    assert "instructions" in texts[2]
    assert "regressed" in texts[4]
    assert (tmp_path / "notebook-results" / "page.html").is_file()
