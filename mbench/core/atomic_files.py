"""Files written whole or not at all."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mbench.core import regular_files, scratch, system_limits
from mbench.core.errors import OutputError

_STATUS = Path("/proc/self/status")
_UMASK = re.compile(rb"^Umask:\s*([0-7]+)", re.MULTILINE)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: a reader sees the old content or the new, never a part.

    Raises:
        OutputError: the folder is missing, not writable, or full. The old content, if any, is untouched.
    """
    try:
        regular_files.check_replaceable(path)
        with scratch.file(path.parent) as (temporary, handle):
            with os.fdopen(handle, "wb", closefd=False) as file:
                file.write(data)
            os.fsync(handle)
            os.fchmod(handle, 0o666 & ~_umask())
            temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {system_limits.why(error)}; choose another folder") from error


def _umask() -> int:
    """Return the umask as Linux shows it. Read by setting it to 0 and back, two threads at once could leave it at 0."""
    try:
        found = _UMASK.search(_STATUS.read_bytes())
    except OSError:
        found = None
    return int(found[1], 8) if found else _AT_IMPORT


def _by_setting() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_AT_IMPORT = _by_setting()
