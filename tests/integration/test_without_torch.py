"""A machine with neither torch nor TVM: records are read, shown, compared, judged and kept; a run says what lacks.

Its packages are links to those that are installed here, so that all but these are found.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import gate_records
import network_files
import pytest
import record_factory as factory

import mbench
from mbench.core import needs, record_files

ROOT = Path(mbench.__file__).parent.parent
PROJECT = Path(__file__).parents[2]
COMPILERS = re.compile(r"(?:torch|tvm|tvm_ffi|apache_tvm\w*|functorch|torchgen|torchvision|timm|ziglang)\b")
NETWORK = gate_records.NAME
READING = {
    "show record.json": 0,
    "report record.json -o page.html": 0,
    "gate base.json head.json": 1,
    "gate base.json base.json": 0,
    "compare base.json head.json": 0,
    "history add record.json --store history.db": 0,
    "history list --store history.db": 0,
    "history check --store history.db": 3,
    f"history show {NETWORK} --store history.db": 0,
    "variants": 0,
    f"variants {NETWORK}": 0,
    "targets": 0,
    "targets arm64_cortex_a72": 0,
    f"predict {NETWORK} --target arm64_cortex_a72": 2,
    "device list": 0,
    "variants model.onnx": 0,
    "doctor": 0,
    "schema": 0,
}
"""Exit codes; `predict` has no search to know anything from."""
WORKING = (
    *("run", f"run {NETWORK} --compile-only --target arm64_cortex_a72", f"tune {NETWORK}", "fit --max-latency 2ms"),
    *("fit --max-latency 2ms --target arm64_cortex_a72", f"predict {NETWORK}", "targets host"),
)
_COMMANDS = """
import contextlib, io, json, os, sys, traceback
from mbench.cli import ending, main
seen = {}
for line in json.load(sys.stdin):
    sys.argv = ["mbench", *line.split()]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main.command_line()
        except Exception as error:
            code, kind = getattr(error, "exit_code", -1), type(error).__name__
            err.write(f"{kind}: {error}")
            if code == -1:
                traceback.print_exc()
    seen[line] = [int(code), out.getvalue(), err.getvalue()]
heavy = [name for name in ("torch", "tvm") if name in sys.modules]
print(json.dumps([seen, heavy]), file=sys.__stdout__)
"""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with all that is installed here but the compilers."""
    folder = tmp_path_factory.mktemp("packages")
    for place in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(place).iterdir():
            if not COMPILERS.match(entry.name) and not (folder / entry.name).exists():
                (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture(scope="module")
def seen(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return (exit code, output, errors) of each command."""
    work = tmp_path_factory.mktemp("work")
    record_files.write(work / "record.json", factory.record([NETWORK]))
    base = gate_records.counted()
    record_files.write(work / "base.json", base)
    head = gate_records.one_layer(factory.again(base, "head"), instructions=10**6)
    record_files.write(work / "head.json", head)
    network_files.written(work, network_files.model([network_files.node("Relu", "x")]), "model.onnx")
    installed = ROOT in {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MBENCH_"))},
        "PYTHONPATH": str(packages) if installed else os.pathsep.join((str(ROOT), str(packages))),
        "MBENCH_CACHE_DIR": str(work / "cache"),
        "MBENCH_CONFIG_DIR": str(work / "config"),
    }
    done = subprocess.run(
        [sys.executable, "-S", "-c", _COMMANDS], cwd=work, env=environment, text=True, capture_output=True, check=False,
        input=json.dumps([*READING, *WORKING]),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found, heavy = json.loads(done.stdout)
    assert heavy == []
    return dict(found)


@pytest.mark.parametrize("line", READING)
def test_reading_needs_no_compiler(seen: dict[str, Any], line: str) -> None:
    code, out, err = seen[line]
    assert code == READING[line], err
    assert out or err or line.startswith("report")


@pytest.mark.parametrize("line", WORKING)
def test_what_compiles_says_in_a_line_what_to_install(seen: dict[str, Any], line: str) -> None:
    code, out, err = seen[line]
    assert (code, out) == (2, ""), err
    said = err.splitlines()[-1]
    assert "torch" in said
    assert "not installed" in said
    assert "install: pip install 'apache-tvm" in said


def test_doctor_says_so_too(seen: dict[str, Any]) -> None:
    assert len(re.findall(r"not installed", seen["doctor"][1])) >= len(needs.PACKAGES)


def test_the_page_of_the_set_up_installs_what_reading_needs() -> None:
    text = (PROJECT / "docs" / "setup.md").read_text(encoding="utf-8")
    required = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    names = {needs._package(each) for each in required}
    light = names - set(needs.PACKAGES.values()) - {"ziglang"}
    [line] = [line for line in text.splitlines() if line.startswith("pip install click")]
    assert set(line.removeprefix("pip install ").split()) == light
