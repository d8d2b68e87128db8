"""What compiling and measuring need beyond what reading records needs: TVM, and PyTorch for the expected outputs.

Both are requirements of the package. But records are read, shown, compared and judged without them, so that a machine
that only does this can go without their gigabytes (`pip install --no-deps`). Asked before any work is done.
"""

from __future__ import annotations

import importlib.util
from importlib import metadata

from mbench.core.errors import UsageError

PACKAGES = {"tvm": "apache-tvm", "tvm_ffi": "apache-tvm-ffi", "torch": "torch"}
"""The package that brings each module."""
OWN = "mobilenet-bench"


def refuse_without() -> None:
    """Refuse work that needs modules that are not installed.

    Raises:
        UsageError: one of them is not; the message has the command that installs all that lack.
    """
    if text := message():
        raise UsageError(text)


def message() -> str:
    """Return what is not installed and the command that installs it; empty: all is there."""
    packages = [package for module, package in PACKAGES.items() if importlib.util.find_spec(module) is None]
    if not packages:
        return ""
    known = _requirements()
    wanted = " ".join(f"'{known.get(package, package)}'" for package in packages)
    verb = "is" if len(packages) == 1 else "are"
    return (
        f"{' and '.join(packages)} {verb} not installed; TVM compiles networks, PyTorch computes the right outputs; "
        f"install: pip install {wanted}"
    )


def _requirements() -> dict[str, str]:
    """Return the versions that mbench asks for, such as `torch<2.14,>=2.11`, by package."""
    try:
        found = metadata.requires(OWN) or []
    except metadata.PackageNotFoundError:
        return {}
    return {package: each for package in PACKAGES.values() for each in found if _package(each) == package}


def _package(requirement: str) -> str:
    """Return the name that a requirement begins with."""
    return requirement[: next((at for at, mark in enumerate(requirement) if mark in "<>=!~;[( "), None)].strip()
