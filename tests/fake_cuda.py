"""Builds the stand-in for CUDA's libraries, `data/fake_cuda.c`, with which TVM's own CUDA runtime runs anywhere."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("data") / "fake_cuda.c"
_RUNTIME, _DRIVER = "libcudart.so.13", "libcuda.so.1"


def build(folder: Path) -> dict[str, str]:
    """Compile both libraries into a folder; return the environment in which they are found first."""
    version = folder / "version.map"
    version.write_text(f"{_RUNTIME} {{ global: *; }};\n")  # TVM's library asks for symbols of this version
    common = ["cc", "-O1", "-w", "-shared", "-fPIC", str(SOURCE), "-o"]
    _run([*common, str(folder / _RUNTIME), f"-Wl,-soname,{_RUNTIME}", f"-Wl,--version-script={version}"])
    _run([*common, str(folder / _DRIVER), "-DDRIVER", f"-Wl,-soname,{_DRIVER}", str(folder / _RUNTIME)])
    before = os.environ.get("LD_LIBRARY_PATH")
    return {"LD_LIBRARY_PATH": f"{folder}:{before}" if before else str(folder)}


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)
