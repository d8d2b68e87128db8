"""What links a compiled network into a shared library: a C++ compiler of the system, else the one that pip brought.

The package `ziglang` holds a C compiler and linker for every architecture, so that a machine with Python and nothing
else can build too.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mbench.core import names
from mbench.core.errors import BuildError, UsageError

HOST_TRIPLE = f"{platform.machine()}-linux-gnu"
_COMPILER_ADDS = ("ld returned", "linker command failed")
"""What compilers add once the linker has said why it failed."""
_NATIVE = ("c++", "g++", "clang++")
_LATER_ON_MACOS = ("-undefined", "dynamic_lookup")
"""A library's symbols of TVM are found when it is loaded, which macOS's linker has to be asked for."""
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}


def architecture(name: str) -> str:
    """Return an architecture, or the one that a triple begins with, in Linux's words: `x86_64`, `aarch64`.

    Raises:
        UsageError: it cannot be part of a command's name.
    """
    first = name.split("-", maxsplit=1)[0].lower()
    if first and not names.is_plain(first):
        raise UsageError(f"architecture {first[:80]!r} cannot be; expected letters, digits and _, such as x86_64")
    return _ARCHITECTURES.get(first, first)


def of_this_system(triple: str) -> bool:
    """Return whether code for a triple can be for this machine's operating system: Linux's is not for macOS."""
    return "linux" not in triple or platform.system() == "Linux"


def find(triple: str, *, machine: str | None = None) -> tuple[str, ...]:
    """Return the words of the command that links for `triple`.

    In this order: `$CXX` (where the triple is of this machine's architecture), the system's C++ compiler for the
    architecture, the package ziglang.

    Args:
        triple: as LLVM writes it, such as `aarch64-linux-gnu`.
        machine: the architecture of this machine; by default asked of the system.

    Raises:
        BuildError: there is none; the message says what to install.
    """
    wanted = architecture(triple)
    native = wanted == architecture(machine or platform.machine()) and of_this_system(triple)
    chosen = shlex.split(os.environ.get("CXX", "")) if native else []
    if chosen:
        if shutil.which(chosen[0]):
            return tuple(chosen)
        raise BuildError(f"$CXX is {' '.join(chosen)!r}, which is not on PATH; set it to a C++ compiler or unset it")
    commands = _NATIVE if native else (f"{wanted}-linux-gnu-g++",)
    for command in commands:
        if shutil.which(command):
            return (command, *(_LATER_ON_MACOS if native and platform.system() == "Darwin" else ()))
    if _has_ziglang():
        return (sys.executable, "-m", "ziglang", "cc", "-target", "native" if native else f"{wanted}-linux-gnu")
    package = "g++" if native else f"g++-{wanted.replace('_', '-')}-linux-gnu"
    raise BuildError(
        f"linking for {triple} needs a C++ compiler, and none of {', '.join(commands)} is on PATH; "
        f"install one (Debian and Ubuntu: apt install {package}, anywhere: pip install ziglang)"
    )


def _has_ziglang() -> bool:
    return importlib.util.find_spec("ziglang") is not None


def link(command: Sequence[str], objects: Sequence[str], library: Path) -> None:
    """Link object files into a shared library.

    Raises:
        BuildError: the linker failed; the message has the last line that it said.
    """
    words = [*command, "-shared", "-fPIC", "-o", str(library), *objects]
    environment = {**os.environ, "TMPDIR": str(library.parent.absolute())}  # a linker that is killed leaves files
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=environment
    )
    if done.returncode != 0:
        lines = (line.strip() for line in done.stdout.splitlines())
        said = [line for line in lines if line and not any(text in line for text in _COMPILER_ADDS)]
        name = " ".join(command)
        raise BuildError(f"linking with '{name}' failed (status {done.returncode}): {(said or ['no message'])[-1]}")
