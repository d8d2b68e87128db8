"""Whether a result can be written to the place that was asked for: looked at before the work, not after it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mbench.core import regular_files
from mbench.core.errors import UsageError


def check_file(path: Path, what: str) -> None:
    """Refuse a file that cannot be written.

    Args:
        path: the file.
        what: what asks for it, for the message: `--html page.html`.

    Raises:
        UsageError: what lies there is no regular file, or its folder is not there or cannot be written.
    """
    if path.is_dir():
        raise UsageError(f"{what}: it is a folder, expected a file; choose another")
    _check_parent(path.parent, what)
    try:
        regular_files.check_replaceable(path)
    except OSError as error:
        raise UsageError(f"{what}: {error.strerror}; choose another") from error


def check_folder(path: Path, what: str, *, parents: bool = False) -> None:
    """Refuse a folder that cannot be made, or in which nothing can be written.

    Args:
        path: the folder.
        what: what asks for it, for the message: `--output results`.
        parents: whether the folders around it are made as well.

    Raises:
        UsageError: it is a file, cannot be written, or the folder around it is not there or cannot be written.
    """
    if path.is_dir():
        _try(path, f"{what}: nothing can be written there")
        return
    if path.exists() or path.is_symlink():
        raise UsageError(f"{what} is a file, expected a folder; choose another folder")
    around = path.parent
    while parents and not around.exists() and around != around.parent:
        around = around.parent
    _check_parent(around, what)


def _check_parent(folder: Path, what: str) -> None:
    if not folder.exists():
        raise UsageError(f"{what}: the folder {folder} does not exist; make it first")
    if not folder.is_dir():
        raise UsageError(f"{what}: {folder} is a file, expected a folder; choose another")
    _try(folder, f"{what}: nothing can be written into the folder {folder}")


def _try(folder: Path, what: str) -> None:
    """Write a file without a name into a folder."""
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UsageError(f"{what}: {error.strerror}; choose another folder") from error
