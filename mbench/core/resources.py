"""Where the data that ships with mbench lies: in the wheel under `_data/`, in a checkout at the repository's root."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Literal

from mbench.core import regular_files
from mbench.core.errors import UsageError

PACKAGE = Path(__file__).resolve().parent.parent
"""The package's own folder."""


def data_dir(name: str) -> Path:
    """Return the folder `name` (`targets`, `reports` or `published`) of the data that ships with mbench.

    Raises:
        FileNotFoundError: the installation lacks it.
    """
    for folder in (PACKAGE / "_data" / name, PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"mbench's own data folder {name!r} is not installed; reinstall mobilenet-bench")


def cache_dir() -> Path:
    """Return the folder for everything that can be made again: `$MBENCH_CACHE_DIR`, or the user's cache folder.

    Raises:
        UsageError: there is none, or no folder can be called so.
    """
    return user_dir("cache", "MBENCH_CACHE_DIR")


def user_dir(kind: Literal["cache", "config", "data"], variable: str) -> Path:
    """Return the folder that an environment variable names, or else the user's own of a kind.

    Raises:
        UsageError: neither is there, as the user has no home; or no folder can be called so.
    """
    chosen = os.environ.get(variable)
    folder = Path(chosen) if chosen else _own(kind)
    if folder is None:
        raise UsageError(
            f"this user has no home folder; set HOME, or choose a folder with the environment variable {variable}"
        )
    try:
        regular_files.check_possible(folder)
    except OSError as error:
        raise UsageError(
            f"{folder}: {error.strerror}; choose another with the environment variable {variable}"
        ) from error
    return folder


def _own(kind: str) -> Path | None:
    """Return the user's own folder of a kind; None where there is no home."""
    import platformdirs

    with contextlib.suppress(RuntimeError):  # what it raises without a home; earlier versions return `~/…`
        folder = Path(getattr(platformdirs, f"user_{kind}_dir")("mbench"))
        if folder.is_absolute():
            return folder
    return None
