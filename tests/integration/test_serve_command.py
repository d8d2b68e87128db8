"""`mbench device serve`: what it packs runs on a machine without Python, as far as one can be had here."""

from __future__ import annotations

import platform
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from board_server import mbench_server
from conftest import require
from running_mbench import finished

from mbench.devices import toolchain, tvm_runtime
from mbench.hardware import linker

LIMIT_BYTES = 10_000_000
HERE = linker.architecture(platform.machine())
TARGETS = {"aarch64": "arm64", "x86_64": "x86_64_v3"}


def packed(architecture: str, tmp_path: Path) -> Path:
    """Return the folder that `mbench device serve` makes, somewhere else than where it was made."""
    triple = f"{architecture}-linux-gnu"
    require("ziglang" not in linker.find(triple), f"GNU's C++ compiler for {architecture}")
    code, command = finished(
        "device", "serve", "--target", TARGETS[architecture], cache=tmp_path / "cache", cwd=tmp_path
    )
    assert code == 0, command.err
    folder = (tmp_path / f"mbench-server-{architecture}").rename(tmp_path / "copied to a board")
    shutil.rmtree(tmp_path / "cache")  # no board has it
    return folder


def emulated() -> tuple[str, ...]:
    """Return the command that runs a program for aarch64."""
    require(shutil.which("qemu-aarch64") or HERE == "aarch64", "qemu-aarch64 on PATH")
    return () if HERE == "aarch64" else ("qemu-aarch64", "-L", str(toolchain.sysroot("aarch64-linux-gnu")))


def refused(*command: str | Path) -> str:
    """Return what a server says that must not start; it is one line, and the exit status 2."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.slow
def test_what_is_packed_for_arm64_runs_there(tmp_path: Path) -> None:
    under = emulated()
    folder = packed("aarch64", tmp_path)
    assert sum(path.stat().st_size for path in folder.iterdir()) < LIMIT_BYTES
    for name in (toolchain.PROGRAM, *tvm_runtime.LIBRARIES.values()):
        assert (folder / name).read_bytes()[:20].endswith(b"\xb7\0")  # ELF's e_machine: AArch64
    with mbench_server(folder / toolchain.PROGRAM, under=under) as serving:
        socket.create_connection(("127.0.0.1", serving.port)).close()
        said = refused(*under, folder / toolchain.PROGRAM, "--port", str(serving.port))
        assert said == f"mbench-server: port {serving.port} is in use on 127.0.0.1; choose another with --port\n"
    if HERE != "aarch64":
        assert "this server is for aarch64" in refused(folder / "start.sh")


@pytest.mark.slow
def test_what_is_packed_for_this_machine_starts_here(tmp_path: Path) -> None:
    require(HERE in TARGETS, f"one of {', '.join(TARGETS)}")
    folder = packed(HERE, tmp_path)
    assert sum(path.stat().st_size for path in folder.iterdir()) < LIMIT_BYTES
    with mbench_server(folder / "start.sh") as serving:
        socket.create_connection(("127.0.0.1", serving.port)).close()
        assert f"port {serving.port} is in use" in refused(folder / "start.sh", "--port", str(serving.port))
        with pytest.raises(ConnectionRefusedError):  # it would be reached there if it listened on every address
            socket.create_connection(("127.0.0.2", serving.port), timeout=10)
    assert "unknown option --prot" in refused(folder / "start.sh", "--prot", "1")
