"""The C++ compiler that links a compiled network into a shared library. Looks for it; runs nothing."""

from __future__ import annotations

import os
import platform
import shutil

from mbench.errors import BuildError

_NATIVE = ("c++", "g++", "clang++")
_PACKAGES = {"aarch64": "g++-aarch64-linux-gnu", "x86_64": "g++-x86-64-linux-gnu"}
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}


def architecture(name: str) -> str:
    """Return an architecture, or the one that a triple begins with, in Linux's words: `x86_64`, `aarch64`."""
    first = name.split("-", maxsplit=1)[0].lower()
    return _ARCHITECTURES.get(first, first)


def find(triple: str, *, machine: str | None = None) -> str:
    """Return the command that links for `triple`; `$CXX` is taken where the triple is of this machine's architecture.

    Raises:
        BuildError: there is none; the message says what to install.
    """
    wanted = architecture(triple)
    if wanted == architecture(machine or platform.machine()):
        return _native()
    command = f"{wanted}-linux-gnu-g++"
    if shutil.which(command):
        return command
    package = _PACKAGES.get(wanted)
    hint = f"install it (Debian and Ubuntu: apt install {package})" if package else "install a cross compiler for it"
    raise BuildError(f"linking for {triple} needs the C++ compiler '{command}', which is not on PATH; {hint}")


def _native() -> str:
    chosen = os.environ.get("CXX")
    if chosen:
        if shutil.which(chosen.split()[0] if chosen.split() else chosen):
            return chosen
        raise BuildError(f"$CXX is {chosen!r}, which is not on PATH; set it to a C++ compiler or unset it")
    for command in _NATIVE:
        if shutil.which(command):
            return command
    raise BuildError(
        f"linking needs a C++ compiler, and none of {', '.join(_NATIVE)} is on PATH; "
        "install one (Debian and Ubuntu: apt install g++)"
    )
