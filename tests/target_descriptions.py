"""A description of a target, as short as can be."""

from __future__ import annotations

from pathlib import Path

TVM = """
[tvm]
kind = "llvm"
mtriple = "aarch64-linux-gnu"
mcpu = "cortex-a72"
"""
MINIMAL = f"""
name = "board"
family = "arm"
description = "a board"
default_device = "local"
threads = 4
{TVM}
[processor]
cores = 4
vector_bits = 128
"""


def write(folder: Path, text: str = MINIMAL, *, name: str = "board") -> Path:
    """Write a target's folder below `folder`, and return `folder`."""
    (folder / name).mkdir(parents=True)
    (folder / name / "target.toml").write_text(text)
    return folder
