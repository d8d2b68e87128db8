"""What a process has that decides what it builds: versions, and a digest of mbench's own code.

Dask sends these functions to its workers as code, so that they run where mbench is not installed, too: they use the
standard library alone.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import secrets
import sys
from pathlib import Path

ABSENT = "absent"
CODE = "code of mbench"
PYTHON = "Python"
_DECIDING = ("apache-tvm", "apache-tvm-ffi", "torch", "numpy")
_VERSION = r'VERSION = "([^"]+)"'
_SHARED = ".mbench-shared-"


def facts() -> dict[str, str]:
    """Return the versions that decide what this process builds, by name; what is not installed is absent."""
    found = {PYTHON: "{}.{}".format(*sys.version_info)}
    try:
        spec = importlib.util.find_spec("mbench")
    except ImportError:
        spec = None
    if spec is None or spec.origin is None:
        return {**found, "mbench": ABSENT}
    package = Path(spec.origin).parent
    version = re.search(_VERSION, (package / "core" / "version.py").read_text(encoding="utf-8"))
    found["mbench"] = version[1] if version else "unknown"
    for name in _DECIDING:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = ABSENT
    hashed = hashlib.sha256()
    for file in sorted([*package.glob("**/*.py"), *package.glob("native/*")]):
        if file.is_file():
            hashed.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes())
    return {**found, CODE: hashed.hexdigest()[:12]}


def difference(seen: dict[str, str], expected: dict[str, str]) -> str:
    """Return the first thing in which a process differs, as `torch 2.11.0, expected 2.13.0`; empty if in none."""
    for name, wanted in expected.items():
        got = seen.get(name, ABSENT)
        if got != wanted:
            return f"{name} {got}, expected {wanted}"
    return ""


def write_token(folder: str) -> str:
    """Write a file into a folder by which others recognise it; return its name. Its content is its name.

    Raises:
        OSError: it cannot be written.
    """
    name = _SHARED + secrets.token_hex(16)
    (Path(folder) / name).write_text(name, encoding="ascii")
    return name


def unshared(folder: str, token: str) -> str:
    """Return why a folder is not the one in which a token was written, or may not be written; empty if it is."""
    try:
        if (Path(folder) / token).read_text(encoding="ascii") != token:
            return "another file lies there"
    except OSError as error:
        return f"it does not find there what was written here ({error.strerror})"
    return "" if os.access(folder, os.W_OK | os.X_OK) else "it may not write there"
