"""Where the data that ships with mbench lies: in the wheel under `_data/`, in a checkout at the repository's root."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Literal

from mbench.errors import UsageError

_PACKAGE = Path(__file__).resolve().parent


def data_dir(name: str) -> Path:
    """Return the folder `name` (`targets` or `reports`) of the data that ships with mbench.

    Raises:
        FileNotFoundError: the installation lacks it.
    """
    for folder in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"mbench's own data folder {name!r} is not installed; reinstall mobilenet-bench")


def cache_dir() -> Path:
    """Return the folder for everything that can be made again: `$MBENCH_CACHE_DIR`, or the user's cache folder."""
    return user_dir("cache", "MBENCH_CACHE_DIR")


def user_dir(kind: Literal["cache", "config", "data"], variable: str) -> Path:
    """Return the folder that an environment variable names, or else the user's own of a kind.

    Raises:
        UsageError: neither is there: the user has no home.
    """
    chosen = os.environ.get(variable)
    if chosen:
        return Path(chosen)
    import platformdirs

    with contextlib.suppress(RuntimeError):  # what it raises without a home; earlier versions return `~/…`
        folder = Path(getattr(platformdirs, f"user_{kind}_dir")("mbench"))
        if folder.is_absolute():
            return folder
    raise UsageError(
        f"this user has no home folder; set HOME, or choose a folder with the environment variable {variable}"
    )
