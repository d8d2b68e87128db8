"""Files written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from mbench.core import regular_files, scratch, system_limits
from mbench.core.errors import OutputError


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
    mask = os.umask(0)
    os.umask(mask)
    return mask
