"""Where the data that ships with mbench lies: in the wheel under `_data/`, in a checkout at the repository's root."""

from __future__ import annotations

import os
from pathlib import Path

from mbench import regular
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
    """Return the folder for everything that can be made again: `$MBENCH_CACHE_DIR`, or the user's cache folder.

    Raises:
        UsageError: no folder can be called so.
    """
    return own_dir("MBENCH_CACHE_DIR", "user_cache_dir")


def own_dir(variable: str, default: str) -> Path:
    """Return a folder that an environment variable names, or else platformdirs' function `default`.

    Raises:
        UsageError: no folder can be called so.
    """
    chosen = os.environ.get(variable)
    if chosen:
        folder = Path(chosen)
    else:
        import platformdirs

        folder = Path(getattr(platformdirs, default)("mbench"))
    try:
        regular.check_possible(folder)
    except OSError as error:
        raise UsageError(
            f"{folder}: {error.strerror}; choose another with the environment variable {variable}"
        ) from error
    return folder
