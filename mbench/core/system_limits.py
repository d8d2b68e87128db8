"""What the system lets this process have of memory and open files, and which limit an error comes from."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

from mbench.core import errors
from mbench.core.errors import UsageError

_ROOT = Path("/")
_KIB = 1024
_LEAST_BYTES = 512 * _KIB**2
"""Of address space; Python and numpy take some 250 MB of it, a page of plotly some more."""
_OF_MEMORY = ("cannot allocate memory", "out of memory", "bad_alloc", "failed to map segment", "can't start new thread")
_OF_FILES = "too many open files"


def memory_bytes(*, root: Path = _ROOT) -> int:
    """Return the memory that this process and its children may have: the machine's, or less by cgroups or ulimit -v."""
    import psutil

    limits = [psutil.virtual_memory().total, *_cgroup_bytes(root)]
    address_space = _soft(resource.RLIMIT_AS)
    return min(limits if address_space is None else [*limits, address_space])


def available_bytes() -> int:
    """Return the memory that this process and its children can have now, without taking it from other processes."""
    import psutil

    return min(psutil.virtual_memory().available, memory_bytes())


def _cgroup_bytes(root: Path) -> list[int]:
    """Return the limits of this process's control groups, version 1 or 2, and of those above them."""
    groups = root / "sys/fs/cgroup"
    found = []
    for line in (_read(root / "proc/self/cgroup") or "0::/").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        top, name = (groups / "memory", "memory.limit_in_bytes") if controllers else (groups, "memory.max")
        folder = top / path.lstrip("/")
        inside = [folder, *folder.parents]
        files = [each / name for each in inside if each == top or top in each.parents]
        found += [int(text) for file in files if (text := (_read(file) or "").strip()).isdigit()]
    return found


def _read(file: Path) -> str | None:
    try:
        return file.read_text()
    except OSError:
        return None


def _soft(number: int) -> int | None:
    soft, _ = resource.getrlimit(number)
    return None if soft == resource.RLIM_INFINITY else soft


def prepare() -> None:
    """Refuse to begin where ulimit -v leaves too little, which libraries answer by ending the process in their own way.

    Raises:
        UsageError: it does.
    """
    limit = _soft(resource.RLIMIT_AS)
    if limit is None:
        return
    if limit < _LEAST_BYTES:
        raise UsageError(f"too little memory{memory_hint()}; mbench needs {_LEAST_BYTES // _KIB} KiB to begin")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # each thread takes address space, and one is enough here


def why(error: OSError) -> str:
    """Return what the system says, and which limit it comes from if it comes from one."""
    return reached(error) or errors.why(error)


def reason(error: BaseException) -> str:
    """Return in a line why a task has no answer: the limit that it came to, else the exception and its memory."""
    first = next(iter(str(error).splitlines()), "")
    return reached(error) or f"{type(error).__name__}: {first}{memory_hint()}"


def memory_hint() -> str:
    """Return `; memory is limited to N KiB (ulimit -v)`, or nothing where it is not."""
    limit = _soft(resource.RLIMIT_AS)
    return "" if limit is None else f"; memory is limited to {limit // _KIB} KiB (ulimit -v)"


def reached(error: BaseException) -> str | None:
    """Return which limit an error comes from, in words; None for an error that comes from none.

    Libraries wrap what the system answers, so that the words of the message count as much as the type.
    """
    said, number = str(error).lower(), getattr(error, "errno", None)
    if number == errno.EMFILE or _OF_FILES in said:
        return f"too many open files; open files are limited to {_soft(resource.RLIMIT_NOFILE)} (ulimit -n)"
    if isinstance(error, MemoryError) or number == errno.ENOMEM or any(words in said for words in _OF_MEMORY):
        return f"out of memory{memory_hint()}"
    return None
